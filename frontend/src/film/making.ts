// Makes a film, or a picture, of what is shown, and saves it; one at a time.

import { signal } from "@preact/signals";
import { explain } from "../explain";
import { download, safeName } from "../frame/download";
import { count, plural, stepText } from "../format";
import { announcement, snapshot } from "../state/chosen";
import { LOADING } from "../run/counts";
import { codecFor } from "./film";
import { Frame, shotNow, type Shot } from "./frame";
import { loadMaker } from "./load";

/** Sizes in CSS pixels, drawn so many times as fine: 1920 × 1080. */
const [WIDTH, HEIGHT, FINE] = [1280, 720, 1.5];
const PICTURE_FINE = 2;
/** More would be over six minutes long, and as large as memory allows. */
export const MOST = 2000;

export interface Making {
  pictures: number;
  made: number;
  stop: AbortController;
}

/** The film that is being made; null where none is. */
export const making = signal<Making | null>(null);
/** Why the last one was not made; "" where it was. */
export const trouble = signal("");

/** The frame of the last picture or film, for tests that look into it. */
export const last: { frame: Frame | null } = { frame: null };

/** Whether a film can be made in this browser, on this page; null until that is known. */
export const canFilm = signal<boolean | null>(null);

export async function askWhetherCanFilm(): Promise<void> {
  canFilm.value = (await codecFor(WIDTH * FINE, HEIGHT * FINE)) !== null;
}

/** Snapshots `from` … `to` as an MP4. */
export async function makeFilm(from: number, to: number): Promise<void> {
  const shot = shotNow();
  const pictures = to - from + 1;
  if (!shot || making.peek()) return;
  const mine: Making = { pictures, made: 0, stop: new AbortController() };
  making.value = mine;
  trouble.value = "";
  const { signal } = mine.stop;
  try {
    const [codec, maker] = await Promise.all([codecFor(WIDTH * FINE, HEIGHT * FINE), loadMaker()]);
    if (!codec) throw new Error("This browser has no video encoder.");
    const whole = await counted(shot, from, to, signal);
    const frame = (last.frame = new Frame(whole, WIDTH, HEIGHT, FINE));
    const film = await maker.makeMp4({
      ...{ width: WIDTH * FINE, height: HEIGHT * FINE, pictures, codec, signal },
      picture: (i) => frame.pixels(from + i),
      made: (made) => (making.value = { ...mine, made }),
    });
    const name = `${safeName(`${shot.open.manifest.name}-network`)}.mp4`;
    download(name, film);
    announcement.value = `${count(pictures)} ${plural(pictures, "snapshot")} saved as ${name}.`;
  } catch (error) {
    if (!signal.aborted) trouble.value = explain(error);
  } finally {
    making.value = null;
    // the film went through the cells; the page wants those at its playhead
    shot.track.paint.want(snapshot.peek());
  }
}

/** What the page shows now, as a PNG. */
export async function makePicture(): Promise<void> {
  const shot = shotNow();
  if (!shot) return;
  const t = snapshot.peek();
  trouble.value = "";
  try {
    const frame = (last.frame = new Frame(shot, WIDTH, HEIGHT, PICTURE_FINE));
    const canvas = await frame.draw(t);
    const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
    if (!picture) throw new Error("The browser could not write the picture.");
    const at = stepText(shot.open.scalars.step[t]);
    const name = `${safeName(`${shot.open.manifest.name}-network-step${at}`)}.png`;
    download(name, picture);
    announcement.value = `Saved as ${name}.`;
  } catch (error) {
    trouble.value = explain(error);
  }
}

/** Of a long run curves come piece by piece: those of the film's snapshots, before it begins. */
async function counted(shot: Shot, from: number, to: number, signal: AbortSignal): Promise<Shot> {
  let { track } = shot;
  for (let t = from; t <= to; t++) {
    while (track.summary.missing[t] === LOADING) {
      signal.throwIfAborted();
      track = await shot.open.more(track, t);
    }
  }
  return { ...shot, track };
}
