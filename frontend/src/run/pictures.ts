// Thumbnails of samples: a page of them is one canvas, from which each is drawn.

import { THUMBNAILS } from "../wire/manifest";
import type { Pictures } from "./resources";
import type { Session } from "./session";

const COLUMNS = 8;

/** All pictures of a page, side by side. */
export interface Atlas {
  canvas: HTMLCanvasElement;
  width: number;
  height: number;
}

/** One picture in its atlas. */
export interface Stamp extends Atlas {
  x: number;
  y: number;
}

const atlases = new WeakMap<Pictures, Atlas>();

function atlasOf(pictures: Pictures): Atlas {
  let atlas = atlases.get(pictures);
  if (!atlas) {
    atlas = paint(pictures);
    atlases.set(pictures, atlas);
  }
  return atlas;
}

function paint({ width, height, bytes }: Pictures): Atlas {
  const size = width * height;
  const many = Math.floor(bytes.length / (3 * size));
  const canvas = document.createElement("canvas");
  canvas.width = COLUMNS * width;
  canvas.height = Math.max(1, Math.ceil(many / COLUMNS)) * height;
  const g = canvas.getContext("2d") as CanvasRenderingContext2D;
  const image = new ImageData(width, height);
  for (let i = 0; i < many; i++) {
    for (let p = 0; p < size; p++) {
      for (let c = 0; c < 3; c++) image.data[4 * p + c] = bytes[3 * (i * size + p) + c];
      image.data[4 * p + 3] = 255;
    }
    g.putImageData(image, (i % COLUMNS) * width, Math.floor(i / COLUMNS) * height);
  }
  return { canvas, width, height };
}

/** The picture of one sample, in a page that is here. */
export function stampIn(pictures: Pictures, sample: number): Stamp {
  const atlas = atlasOf(pictures);
  const i = sample % THUMBNAILS;
  return {
    ...atlas,
    x: (i % COLUMNS) * atlas.width,
    y: Math.floor(i / COLUMNS) * atlas.height,
  };
}

export async function stampOf(open: Session, sample: number): Promise<Stamp> {
  return stampIn(await open.ofSamples.pictures(Math.floor(sample / THUMBNAILS)), sample);
}

export function drawStamp(
  g: CanvasRenderingContext2D,
  { canvas, x, y, width, height }: Stamp,
  left: number,
  top: number,
  w: number,
  h: number,
): void {
  g.drawImage(canvas, x, y, width, height, left, top, w, h);
}
