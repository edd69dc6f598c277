// Colors for the canvas: the palette the server sent, and the theme's neutrals from the style sheet.

import { LEVELS } from "../wire/manifest";

export class CellColors {
  /** RGBA words of the palette, `[class, level]`, as they stand in an ImageData. */
  readonly words: Uint32Array;
  private readonly css: (string | undefined)[];

  constructor(private readonly palette: Uint8Array) {
    // A copy is aligned to four bytes whatever the resource's header length.
    this.words = new Uint32Array(palette.slice().buffer);
    this.css = new Array<string | undefined>(this.words.length);
  }

  of(cls: number, level: number): string {
    const i = cls * LEVELS + level;
    return (this.css[i] ??= cssColor(this.palette, 4 * i));
  }

  /** Level 0 of every class: what is not held is drawn in exactly this. */
  get neutral(): string {
    return this.of(0, 0);
  }

  get classes(): number {
    return this.words.length / LEVELS;
  }

  rgb(cls: number, level: number): Rgb {
    const i = 4 * (cls * LEVELS + level);
    return [this.palette[i], this.palette[i + 1], this.palette[i + 2]];
  }
}

export type Rgb = [number, number, number];

const EDGE = 0.93;

/** The same hue a little darker, for the edge that lifts light cells off a light page. */
export function darker([r, g, b]: Rgb): Rgb {
  return [Math.round(r * EDGE), Math.round(g * EDGE), Math.round(b * EDGE)];
}

export function rgbOfWord(color: number): Rgb {
  const bytes = new Uint8Array(new Uint32Array([color]).buffer);
  return [bytes[0], bytes[1], bytes[2]];
}

export const css = ([r, g, b]: Rgb): string => `rgb(${r},${g},${b})`;

export function cssColor(rgba: Uint8Array, i: number): string {
  return `rgb(${rgba[i]},${rgba[i + 1]},${rgba[i + 2]})`;
}

export function word(r: number, g: number, b: number): number {
  return new Uint32Array(new Uint8Array([r, g, b, 255]).buffer)[0];
}

/** A style sheet's variable as the browser paints it, so that canvas and page agree. */
export function resolveColor(color: string): Rgb {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  context.fillStyle = color;
  context.fillRect(0, 0, 1, 1);
  const [r, g, b] = context.getImageData(0, 0, 1, 1).data;
  return [r, g, b];
}

export interface PageColors {
  page: Rgb;
  ink: string;
  ink2: string;
  ink3: string;
  ink4: Rgb;
  hair: Rgb;
}

export function pageColors(element: Element): PageColors {
  const style = getComputedStyle(element);
  const value = (name: string): string => style.getPropertyValue(name).trim();
  return {
    page: resolveColor(value("--bg")),
    ink: value("--ink"),
    ink2: value("--ink2"),
    ink3: value("--ink3"),
    ink4: resolveColor(value("--ink4")),
    hair: resolveColor(value("--hair")),
  };
}
