// Everything one drawing of the network depends on, and what follows from the cell size.

import { LEVELS, type Layer } from "../wire/manifest";
import type { Paint } from "../run/paint";
import { luminance, type CellColors, type PageColors, type Rgb } from "./colors";
import type { Layout } from "./layout";

export interface Scene {
  layout: Layout;
  layers: readonly Layer[];
  names: readonly string[];
  order: Uint32Array;
  /** Null until a first chunk is here: outlines only. */
  paint: Paint | null;
  colors: CellColors;
  page: PageColors;
  light: boolean;
  highlighted: number;
  threshold: number;
  pixelRatio: number;
}

/** Rounded cells can be told from square ones, and are affordable, only while they are few. */
const ROUNDED_CELL = 16;
const ROUNDED_UNITS = 4000;
/** Below this size glyphs cannot be read: a dot stands for silent. */
export const GLYPH_CELL = 7;
/** Light hues get an edge from this level up; paler ones are meant to recede. */
export const EDGE_LEVEL = 50;
const EDGE_CONTRAST = 3;
/** How much of the neutral stays in cells that are not of the highlighted class. */
const DIMMED = 0.45;

export function isRounded(layout: Layout, units: number): boolean {
  return layout.cell >= ROUNDED_CELL && units <= ROUNDED_UNITS;
}

/** Gap between cells, in CSS pixels. */
export function gapOf(cell: number): number {
  if (cell >= 12) return 2;
  return cell >= 4 ? 1 : 0;
}

/** Width of a suppressed unit's ring, in CSS pixels. */
export function ringOf(cell: number): number {
  return cell >= 10 ? 2 : 1;
}

export function dimmed(neutral: Rgb, page: Rgb): Rgb {
  const mix = (c: number): number => Math.round(page[c] + DIMMED * (neutral[c] - page[c]));
  return [mix(0), mix(1), mix(2)];
}

/** Classes that need an edge: in the light theme, those whose full color is under 3:1. */
export function classesWithEdge(scene: Scene): boolean[] {
  const page = luminance(scene.page.page) + 0.05;
  return Array.from({ length: scene.colors.classes }, (_, k) => {
    const contrast = page / (luminance(scene.colors.rgb(k, LEVELS - 1)) + 0.05);
    return scene.light && contrast < EDGE_CONTRAST;
  });
}
