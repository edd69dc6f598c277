// Recorded pictures as canvases: luminance of maps, and weights around gray. Nothing here has a hue of
// its own but weights on three color channels, which are a picture in color.

import { css, type Rgb } from "../network/colors";

/** Of a map: the greatest of its scale, and what is not known. */
export const FULL = 254;
export const NOTHING = 255;
/** Of weights: 0, and how far the greatest is from it; 0 is not known. */
export const ZERO = 128;
export const REACH = 127;

const FROM = { dark: 0.22, light: 0.955 };
const TO = { dark: 0.92, light: 0.3 };

type Theme = keyof typeof FROM;

/** sRGB of a neutral of that OKLab lightness. */
export function grayOf(lightness: number): number {
  const linear = lightness ** 3;
  const encoded = linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
  return Math.round(255 * Math.min(1, Math.max(0, encoded)));
}

/** Luminance of a map's values, even to the eye: as in the timeline, more is more ink. */
export function rampOf(theme: Theme): Uint8Array {
  return Uint8Array.from({ length: FULL + 1 }, (_, v) =>
    grayOf(FROM[theme] + ((TO[theme] - FROM[theme]) * v) / FULL),
  );
}

const ramps = new Map<Theme, Uint8Array>();

export function rampNow(theme: Theme): Uint8Array {
  let ramp = ramps.get(theme);
  if (!ramp) ramps.set(theme, (ramp = rampOf(theme)));
  return ramp;
}

/** The ramp as a style sheet writes it, for a key. */
export function gradientOf(theme: Theme): string {
  const ramp = rampNow(theme);
  const stops = [0, 64, 127, 190, FULL].map((v) => css([ramp[v], ramp[v], ramp[v]] as Rgb));
  return `linear-gradient(to right, ${stops.join(",")})`;
}

/** Many pictures of one size on one canvas. */
export interface Sheet {
  canvas: HTMLCanvasElement;
  width: number;
  height: number;
  columns: number;
}

/** Sizes of `[picture, y, x]` or `[picture, y, x, channel]`. */
export interface Planes {
  bytes: Uint8Array;
  width: number;
  height: number;
  channels: number;
}

/** How bytes are painted: RGBA of the pixel whose first byte is at `i`. */
type Paint = (out: Uint8ClampedArray, at: number, bytes: Uint8Array, i: number) => void;

export function sheetOf({ bytes, width, height, channels }: Planes, paint: Paint): Sheet {
  const size = width * height;
  const many = Math.max(1, Math.floor(bytes.length / (size * channels)));
  const columns = Math.ceil(Math.sqrt(many));
  const canvas = document.createElement("canvas");
  canvas.width = columns * width;
  canvas.height = Math.ceil(many / columns) * height;
  const g = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = g.createImageData(canvas.width, canvas.height);
  for (let n = 0; n < many; n++) {
    const left = (n % columns) * width;
    const top = Math.floor(n / columns) * height;
    for (let p = 0; p < size; p++) {
      const x = left + (p % width);
      const y = top + Math.floor(p / width);
      paint(image.data, 4 * (y * canvas.width + x), bytes, (n * size + p) * channels);
    }
  }
  g.putImageData(image, 0, 0);
  return { canvas, width, height, columns };
}

/** Maps in the theme's luminance; what is not known is clear. */
export const inLuminance =
  (ramp: Uint8Array): Paint =>
  (out, at, bytes, i) => {
    const v = bytes[i];
    if (v === NOTHING) return;
    out[at] = out[at + 1] = out[at + 2] = ramp[v];
    out[at + 3] = 255;
  };

/** Weights around middle gray: lighter is positive, darker negative, each channel by itself.
 *
 * @param share how the pictures' own scale compares with the one they are shown on. */
export const aroundGray =
  (share: number, channels: number): Paint =>
  (out, at, bytes, i) => {
    if (bytes[i] === 0) return;
    for (let c = 0; c < 3; c++)
      out[at + c] = Math.round(ZERO + (bytes[i + (channels === 3 ? c : 0)] - ZERO) * share);
    out[at + 3] = 255;
  };

export function drawFrom(
  g: CanvasRenderingContext2D,
  sheet: Sheet,
  n: number,
  x: number,
  y: number,
  w: number,
  h: number,
): void {
  g.imageSmoothingEnabled = false;
  const { canvas, width, height, columns } = sheet;
  const [left, top] = [(n % columns) * width, Math.floor(n / columns) * height];
  g.drawImage(canvas, left, top, width, height, x, y, w, h);
}

/** The largest box of a picture's shape in a square, centered, in whole pixels of the canvas. */
export function boxIn(side: number, width: number, height: number): [number, number] {
  const longest = Math.max(width, height);
  const of = (n: number): number => Math.max(1, Math.round((side * n) / longest));
  return [of(width), of(height)];
}
