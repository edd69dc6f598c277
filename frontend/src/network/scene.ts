// Everything one drawing of the network depends on, and what follows from the cell size.

import type { Layer } from "../wire/manifest";
import type { Paint } from "../run/paint";
import type { CellColors, PageColors, Rgb } from "./colors";
import { INSET_CELL, insetOf } from "../pictures/insets";
import type { Sheet } from "../pictures/sheet";
import type { Layout } from "./layout";

export interface Scene {
  layout: Layout;
  layers: readonly Layer[];
  names: readonly string[];
  order: Uint32Array;
  /** Null until a first chunk is here: outlines only. */
  paint: Paint | null;
  colors: CellColors;
  /** Classes as bars have them. */
  classOrder: readonly number[];
  page: PageColors;
  light: boolean;
  highlighted: number;
  threshold: number;
  pixelRatio: number;
  /** Mean maps of units, by layer, of the snapshot that is painted; absent where there are none. */
  maps?: ReadonlyMap<number, Sheet> | null;
}

/** Rounded cells can be told from square ones, and are affordable, only while they are few. */
const ROUNDED_CELL = 16;
const ROUNDED_UNITS = 4000;
/** Below this size glyphs cannot be read: a dot stands for silent. */
export const GLYPH_CELL = 7;
/** How much of the neutral stays in cells that are not of the highlighted class. */
const DIMMED = 0.45;

export function isRounded(layout: Layout, units: number): boolean {
  return layout.cell >= ROUNDED_CELL && units <= ROUNDED_UNITS;
}

/** Where a cell's own color stands below its upper edge, above a map that may be inside, in CSS pixels. */
export function insideEdge({ layout: { cell }, maps }: Pick<Scene, "layout" | "maps">): number {
  const size = cell - gapOf(cell);
  return maps && cell >= INSET_CELL ? (size - insetOf(size)) / 4 : size / 2;
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

/** On a light page every filled cell has a faint edge of its own color, which lifts the pale hues
 * off the page; on some cells alone it would read as a mark. */
export function hasEdge(scene: Scene): boolean {
  return scene.light && scene.layout.cell >= GLYPH_CELL;
}
