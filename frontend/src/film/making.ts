// Makes a film, or a picture, of what is shown, and saves it; one at a time.

import { signal } from "@preact/signals";
import { explain } from "../explain";
import { download, safeName } from "../frame/download";
import { count, plural, stepText } from "../format";
import { announcement, snapshot } from "../state/chosen";
import { LOADING } from "../run/counts";
import { codecFor, whyNoFilm } from "./film";
import { FILMS, FORMATS, type FormatName } from "./formats";
import { Frame, shotNow, type Shot } from "./frame";
import { loadMaker } from "./load";

/** Kinds of films, with what a file can have of snapshots: a GIF grows with each of them. */
export type Kind = "mp4" | "gif";
export const MOST: Record<Kind, number> = { mp4: 2000, gif: 200 };

export interface Making {
  kind: Kind;
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
  const { width, height, ratio } = FILMS.mp4;
  canFilm.value = (await codecFor(width * ratio, height * ratio)) !== null;
}

/** Snapshots `from` … `to` as a film. */
export async function makeFilm(kind: Kind, from: number, to: number): Promise<void> {
  const shot = shotNow();
  const pictures = to - from + 1;
  if (!shot || making.peek()) return;
  const mine: Making = { kind, pictures, made: 0, stop: new AbortController() };
  making.value = mine;
  trouble.value = "";
  const { signal } = mine.stop;
  try {
    const maker = await loadMaker();
    const whole = await counted(shot, from, to, signal);
    const frame = (last.frame = new Frame(whole, FILMS[kind]));
    const plan = {
      ...{ width: frame.width * frame.ratio, height: frame.height * frame.ratio, pictures, signal },
      picture: (i: number) => frame.pixels(from + i),
      made: (made: number) => (making.value = { ...mine, made }),
    };
    const codec = kind === "mp4" ? await codecFor(plan.width, plan.height) : null;
    if (kind === "mp4" && !codec) throw new Error(whyNoFilm(isSecureContext));
    const film = codec ? await maker.makeMp4({ ...plan, codec }) : await maker.makeGif(plan);
    const name = `${safeName(`${shot.open.manifest.name}-network`)}.${kind}`;
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

/** The snapshot at the playhead, as a picture. */
export async function makePicture(kind: "png" | "svg", format: FormatName): Promise<void> {
  const shot = shotNow();
  if (!shot) return;
  const t = snapshot.peek();
  trouble.value = "";
  try {
    const frame = (last.frame = new Frame(shot, FORMATS[format]));
    const picture =
      kind === "svg"
        ? new Blob([await frame.vector(t)], { type: "image/svg+xml" })
        : await pixels(await frame.draw(t));
    const at = stepText(shot.open.scalars.step[t]);
    const name = `${safeName(`${shot.open.manifest.name}-network-step${at}${format === "screen" ? "" : `-${format}`}`)}.${kind}`;
    download(name, picture);
    announcement.value = `Saved as ${name}.`;
  } catch (error) {
    trouble.value = explain(error);
  }
}

async function pixels(canvas: HTMLCanvasElement): Promise<Blob> {
  const picture = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve));
  if (!picture) throw new Error("The browser could not write the picture.");
  return picture;
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
