// What is passed between the page and the part of it that makes films, which is loaded when needed.

/** Frames a second; a picture stands for several, since players expect an even rate. */
export const RATE = 10;
/** How many of them a picture stands for, and the last one: as `huelapse export -o run.mp4`. */
export const STANDS = 2;
export const LAST = 18;

export interface Film {
  /** Both even. */
  width: number;
  height: number;
  pictures: number;
  /** That the browser has an encoder for. */
  codec: VideoEncoderConfig;
  /** Pixels of a picture, RGBA. */
  picture(i: number): Promise<Uint8ClampedArray>;
  /** So many of them are in the film. */
  made(pictures: number): void;
  signal: AbortSignal;
}

export interface FilmMaker {
  makeGif(film: Omit<Film, "codec">): Promise<Blob>;
  makeMp4(film: Film): Promise<Blob>;
}

/** In order of preference: every player shows the first, of high, main and baseline profile. */
const CODECS: readonly string[] = [
  "avc1.640028",
  "avc1.4d0028",
  "avc1.42002a",
  "vp09.00.40.08",
  "av01.0.08M.08",
];
/** Bits a second that keep a cell's color within a few steps of 255. */
const BITRATE = 16e6;

/** The first codec that this browser can make; null where it can make none, or may not: a page over
 * plain http from another machine is not trusted with encoders. */
export async function codecFor(width: number, height: number): Promise<VideoEncoderConfig | null> {
  if (!("VideoEncoder" in globalThis)) return null;
  for (const codec of CODECS) {
    const config: VideoEncoderConfig = {
      codec,
      width,
      height,
      bitrate: BITRATE,
      bitrateMode: "variable",
      latencyMode: "quality",
      ...(codec.startsWith("avc1") && { avc: { format: "avc" as const } }),
    };
    try {
      if ((await VideoEncoder.isConfigSupported(config)).supported) return config;
    } catch {
      // a codec that the browser has not heard of
    }
  }
  return null;
}

/** Why no film can be made here, and what to do instead. */
export function whyNoFilm(secure: boolean): string {
  const why = secure
    ? "This browser has no video encoder for a page."
    : "Browsers make films only on pages of this machine or over https, and this one is neither.";
  return `${why} On the machine that has the run: huelapse export RUN -o run.mp4`;
}
