// The share of each layer's units that is tuned to each class, through time, counted from cells.

import { stageRows } from "../network/stages";
import type { Track } from "../run/tracks";
import { DAMAGED } from "../run/counts";
import { HELD, type Layer } from "../wire/manifest";

/** A column of the trellis: a layer, or several. */
export interface Column {
  title: string;
  layers: number[];
}

export interface Shares {
  /** `[snapshot, column, class]`; NaN where cells are not here. */
  values: Float32Array;
  columns: readonly Column[];
  classes: number;
}

/** Few units make large shares: they do not set the scale. */
const SCALE_UNITS = 10;
/** The scale where few units are tuned: of ten classes, and of more the less there is for each. */
const LEAST_SCALE = 0.06;
const NAMED = 10;
/** Rows that set the scale, as a share of all, and how far above it others must be to be cut. */
const USUAL = 0.9;
const FAR = 3;
/** More layers than this share a panel with others of their stage. */
const MOST_COLUMNS = 14;
/** Shares that are kept: where snapshots and classes are very many, all layers share one panel. */
const MOST_SHARES = 2 ** 24;

export function columnsOf(
  layers: readonly Layer[],
  names: readonly string[],
  snapshots: number,
  classes: number,
): readonly Column[] {
  const fit = (columns: number): boolean => columns * snapshots * classes <= MOST_SHARES;
  if (layers.length <= MOST_COLUMNS && fit(layers.length))
    return names.map((title, l) => ({ title, layers: [l] }));
  const stages = stageRows(layers, layers.length);
  if (stages.length < layers.length && fit(stages.length)) return stages;
  return [{ title: "all layers", layers: layers.map((_, l) => l) }];
}

/** Counts, and goes on as more cells arrive. */
export class ShareCounter {
  private readonly done = new Set<number>();
  readonly shares: Shares;

  constructor(
    private readonly track: Track,
    private readonly layers: readonly Layer[],
    columns: readonly Column[],
    private readonly threshold: number,
    private readonly snapshots: number,
  ) {
    const classes = track.grouping.classes.length;
    const values = new Float32Array(snapshots * columns.length * classes).fill(NaN);
    this.shares = { values, columns, classes };
  }

  /** Whether anything new was counted. */
  more(): boolean {
    const { paint } = this.track;
    let found = false;
    for (let chunk = 0; chunk < paint.chunks; chunk++) {
      if (this.done.has(chunk) || !paint.isResident(chunk)) continue;
      this.done.add(chunk);
      found = true;
      const first = chunk * paint.chunkLength;
      for (let t = first; t < Math.min(first + paint.chunkLength, this.snapshots); t++)
        if (this.track.summary.missing[t] !== DAMAGED) this.count(t);
    }
    return found;
  }

  get complete(): boolean {
    return this.done.size === this.track.paint.chunks;
  }

  private count(t: number): void {
    const cells = this.track.paint.at(t);
    if (!cells) return;
    const { values, columns, classes: K } = this.shares;
    columns.forEach((column, c) => {
      const from = (t * columns.length + c) * K;
      values.fill(0, from, from + K);
      let units = 0;
      for (const l of column.layers) {
        const { offset, units: own } = this.layers[l];
        units += own;
        for (let u = offset; u < offset + own; u++)
          if (cells.state[u] === HELD && cells.level[u] >= this.threshold)
            values[from + cells.preferred[u]]++;
      }
      for (let k = 0; k < K; k++) values[from + k] /= units;
    });
  }
}

/** Share of a column's units tuned to any of some classes at a snapshot; NaN where it is not known. */
export function shareOf(shares: Shares, t: number, c: number, counted: readonly number[]): number {
  const from = (t * shares.columns.length + c) * shares.classes;
  let sum = 0;
  for (const k of counted) sum += shares.values[from + k];
  return sum;
}

/** What is taller than a panel by more than this is told. */
export const CUT = 1.01;

/** The share that fills a panel. */
export interface ShareScale {
  most: number;
  /** Index of the row that goes farthest beyond it, if any does, and how far. */
  cut: { row: number; share: number } | null;
}

/** The greatest share of the hidden layers, but for small ones; among many rows without those few that
 * are far above all others, beside which these would be flat. */
export function shareScale(
  shares: Shares,
  layers: readonly Layer[],
  rows: readonly (readonly number[])[],
): ShareScale {
  const { values, columns, classes } = shares;
  const counts = columns.map(
    ({ layers: own }) =>
      own.some((l) => !layers[l].output) &&
      own.reduce((sum, l) => sum + layers[l].units, 0) > SCALE_UNITS,
  );
  const least = LEAST_SCALE * Math.min(1, NAMED / classes);
  const T = values.length / (columns.length * classes);
  const peaksOf = (counted: readonly number[]): Peaks => {
    const peaks = { hidden: 0, any: 0 };
    for (let t = 0; t < T; t++)
      columns.forEach((_, c) => {
        const share = shareOf(shares, t, c, counted);
        if (share > peaks.any) peaks.any = share;
        if (counts[c] && share > peaks.hidden) peaks.hidden = share;
      });
    return peaks;
  };
  const peaks = rows.map(peaksOf);
  const ordered = peaks.map(({ hidden }) => hidden).sort((a, b) => a - b);
  const greatest = Math.max(least, ordered.at(-1) ?? 0);
  const usual = Math.max(least, 2 * (ordered[Math.floor(USUAL * (ordered.length - 1))] ?? 0));
  const most = rows.length > NAMED && greatest > FAR * usual ? usual : greatest;
  const share = Math.max(0, ...peaks.map(({ any }) => any));
  const row = peaks.findIndex(({ any }) => any === share);
  return { most, cut: share > CUT * most ? { row, share } : null };
}

interface Peaks {
  hidden: number;
  any: number;
}
