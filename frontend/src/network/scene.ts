// Everything one drawing of the network depends on, and what follows from the cell size.

import type { Layer } from "../wire/manifest";
import type { Paint } from "../run/paint";
import type { CellColors, PageColors } from "./colors";
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

export function dimmed(
  neutral: readonly [number, number, number],
  page: readonly [number, number, number],
): [number, number, number] {
  return [0, 1, 2].map((c) => Math.round(page[c] + DIMMED * (neutral[c] - page[c]))) as [
    number,
    number,
    number,
  ];
}

/** Classes whose full color is under 3:1 against the light page. */
export function classesNeedingEdge(colors: CellColors, classes: number, page: number[]): boolean[] {
  const pageLuminance = 0.2126 * page[0] + 0.7152 * page[1] + 0.0722 * page[2];
  return Array.from({ length: classes }, (_, k) => {
    const contrast = (pageLuminance + 0.05) / (colors.luminance(k, 100) + 0.05);
    return contrast < EDGE_CONTRAST;
  });
}
