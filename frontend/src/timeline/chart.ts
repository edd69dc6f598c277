// Where the parts of the timeline stand: shared by all that draw in it.

import { indexAt, positionAt, type Span } from "./span";
import { spans } from "./scale";

/** Snapshots at one place of the picture: those of one pixel, or one alone over several. */
export interface Column {
  /** Snapshots `from` … `to` - 1. */
  from: number;
  to: number;
  left: number;
  right: number;
}

export interface Chart {
  /** Pixel of each snapshot, also of those that stand outside. */
  x: Float64Array;
  left: number;
  right: number;
  width: number;
  /** First and last snapshot in view. */
  first: number;
  last: number;
  /** What is in view, pixel by pixel. */
  columns: readonly Column[];
}

/** From the timeline's top: the legend's base line, the strip, its height, the axis, the bar of the whole run. */
export const LEGEND_Y = 57;
export const STRIP_TOP = 62;
export const ROOM = 95;
export const AXIS_Y = 178;
export const BAR_Y = 198;
/** How far the first and the last snapshot reach beyond their place. */
const REACH = 9;

export function chartOf(
  positions: Float64Array,
  span: Span | null,
  place: { left: number; right: number; width: number },
): Chart {
  const { left, right } = place;
  const T = positions.length;
  const from = span ? positionAt(positions, span.from) : 0;
  const to = span ? positionAt(positions, span.to) : 1;
  const scale = (right - left) / Math.max(1e-12, to - from);
  const x = positions.map((p) => left + (p - from) * scale);
  const first = span ? Math.ceil(indexAt(positions, from) - 1e-9) : 0;
  const last = span ? Math.floor(indexAt(positions, to) + 1e-9) : T - 1;
  return {
    ...place,
    x,
    first,
    last,
    columns: columnsOf(x, left, right),
  };
}

/** Each snapshot reaches half-way to its neighbors; those that share a pixel share a column. */
export function columnsOf(x: ArrayLike<number>, left: number, right: number): Column[] {
  const marks = spans(x, REACH);
  const [start, end] = [left - REACH, right + REACH];
  const columns: Column[] = [];
  for (let t = 0; t < x.length; t++) {
    if (marks[t + 1] <= start) continue;
    if (marks[t] >= end) break;
    const from = t;
    const at = Math.round(Math.max(start, marks[t]));
    while (t + 1 < x.length && Math.round(marks[t + 1]) <= at) t++;
    const until = Math.round(Math.min(end, marks[t + 1]));
    if (until > at) columns.push({ from, to: t + 1, left: at, right: until });
    // what is left over at the end has no pixel of its own
    else if (columns.length > 0) columns[columns.length - 1].to = t + 1;
  }
  return columns;
}
