// The share of each layer's units that is tuned to each class, through time, counted from cells.

import type { Track } from "../run/session";
import { DAMAGED, mostTuned } from "../run/counts";
import { HELD, type Layer } from "../wire/manifest";

/** A column of the trellis: a layer, or a stage of several. */
export interface Column {
  title: string;
  layers: number[];
}

export interface Shares {
  /** `[snapshot, column, row]`; NaN where cells are not here. */
  values: Float32Array;
  columns: readonly Column[];
  /** Class of each row. */
  rows: readonly number[];
}

/** Few units make large shares: they do not set the scale. */
const SCALE_UNITS = 10;
const LEAST_SCALE = 0.06;

/** Classes that have a row: all, or those to which most units are tuned at any time, in their order. */
export function classRows(
  bins: Uint32Array,
  snapshots: number,
  classes: number,
  threshold: number,
  limit: number,
): number[] {
  const all = Array.from({ length: classes }, (_, k) => k);
  if (classes <= limit) return all;
  const most = all.map((k) => mostTuned(bins, snapshots, classes, k, threshold));
  return all
    .sort((a, b) => most[b] - most[a])
    .slice(0, limit)
    .sort((a, b) => a - b);
}

/** Counts, and goes on as more cells arrive. */
export class ShareCounter {
  private readonly done = new Set<number>();
  private readonly rowOf: Int32Array;
  readonly shares: Shares;

  constructor(
    private readonly track: Track,
    private readonly layers: readonly Layer[],
    columns: readonly Column[],
    rows: readonly number[],
    private readonly threshold: number,
    private readonly snapshots: number,
  ) {
    this.rowOf = new Int32Array(track.grouping.classes.length).fill(-1);
    rows.forEach((k, row) => (this.rowOf[k] = row));
    const values = new Float32Array(snapshots * columns.length * rows.length).fill(NaN);
    this.shares = { values, columns, rows };
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
    const { values, columns, rows } = this.shares;
    columns.forEach((column, c) => {
      const from = (t * columns.length + c) * rows.length;
      values.fill(0, from, from + rows.length);
      let units = 0;
      for (const l of column.layers) {
        const { offset, units: own } = this.layers[l];
        units += own;
        for (let u = offset; u < offset + own; u++) {
          if (cells.state[u] !== HELD || cells.level[u] < this.threshold) continue;
          const row = this.rowOf[cells.preferred[u]];
          if (row >= 0) values[from + row]++;
        }
      }
      for (let row = 0; row < rows.length; row++) values[from + row] /= units;
    });
  }
}

/** The share that fills a panel: the greatest of the hidden layers, but for small ones. */
export function shareScale(shares: Shares, layers: readonly Layer[]): number {
  const { values, columns, rows } = shares;
  const counts = columns.map(
    ({ layers: own }) =>
      own.some((l) => !layers[l].output) &&
      own.reduce((sum, l) => sum + layers[l].units, 0) > SCALE_UNITS,
  );
  let most = LEAST_SCALE;
  for (let i = 0; i < values.length; i++)
    if (counts[Math.floor(i / rows.length) % columns.length] && values[i] > most) most = values[i];
  return most;
}
