// Pictures to a GIF: of each 256 colors, and a loop that every program shows.

import { GIFEncoder } from "gifenc";
import type { Film } from "./film";
import { indexed } from "./indexed";
import { pause, unless } from "./pace";

/** Milliseconds that a picture stands, and the last one: as long as in an MP4. */
const STANDS_MS = 200;
const LAST_MS = 1800;

export async function makeGif({ width, height, ...film }: Omit<Film, "codec">): Promise<Blob> {
  const encoder = GIFEncoder();
  for (let i = 0; i < film.pictures; i++) {
    film.signal.throwIfAborted();
    const { index, palette } = indexed(await unless(film.signal, film.picture(i)));
    const delay = i === film.pictures - 1 ? LAST_MS : STANDS_MS;
    encoder.writeFrame(index, width, height, { palette, delay, repeat: 0 });
    film.made(i + 1);
    await pause();
  }
  encoder.finish();
  return new Blob([encoder.bytes()], { type: "image/gif" });
}
