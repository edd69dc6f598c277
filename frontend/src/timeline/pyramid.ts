// Many snapshots in one pixel: their mean and extremes over any range, from sums of ever larger
// blocks, so that a drawing costs as much as it has pixels, however long the run is.

interface Level {
  sum: Float64Array;
  count: Uint32Array;
  least: Float32Array;
  most: Float32Array;
}

export interface Summed {
  /** NaN, as the extremes, where nothing in the range is known. */
  mean: number;
  least: number;
  most: number;
}

export class Pyramid {
  /** Level k holds blocks of 2^(k+1) snapshots, `[block, row]`; a snapshot alone is in `values`. */
  private readonly levels: Level[] = [];
  readonly length: number;

  /** @param values `[snapshot, row]`, NaN where not known. */
  constructor(
    readonly values: ArrayLike<number>,
    readonly rows: number,
  ) {
    this.length = rows > 0 ? Math.floor(values.length / rows) : 0;
    for (let below = this.length; below > 1; below = Math.ceil(below / 2)) this.add(below);
  }

  private add(below: number): void {
    const { rows, values } = this;
    const size = Math.ceil(below / 2) * rows;
    const level: Level = {
      sum: new Float64Array(size),
      count: new Uint32Array(size),
      least: new Float32Array(size).fill(Infinity),
      most: new Float32Array(size).fill(-Infinity),
    };
    const under = this.levels[this.levels.length - 1];
    for (let i = 0; i < below; i++)
      for (let row = 0; row < rows; row++) {
        const from = i * rows + row;
        const to = (i >> 1) * rows + row;
        if (under) {
          level.sum[to] += under.sum[from];
          level.count[to] += under.count[from];
          level.least[to] = Math.min(level.least[to], under.least[from]);
          level.most[to] = Math.max(level.most[to], under.most[from]);
        } else if (!Number.isNaN(values[from])) {
          level.sum[to] += values[from];
          level.count[to]++;
          level.least[to] = Math.min(level.least[to], values[from]);
          level.most[to] = Math.max(level.most[to], values[from]);
        }
      }
    this.levels.push(level);
  }

  /** Of one row, over snapshots `from` … `to` - 1. */
  over(row: number, from: number, to: number): Summed {
    let [sum, count, least, most] = [0, 0, Infinity, -Infinity];
    const take = (k: number, block: number): void => {
      const at = block * this.rows + row;
      if (k === 0) {
        const v = this.values[at];
        if (Number.isNaN(v)) return;
        sum += v;
        count++;
        least = Math.min(least, v);
        most = Math.max(most, v);
        return;
      }
      const level = this.levels[k - 1];
      sum += level.sum[at];
      count += level.count[at];
      least = Math.min(least, level.least[at]);
      most = Math.max(most, level.most[at]);
    };
    let [start, end] = [Math.max(0, from), Math.min(this.length, to)];
    for (let k = 0; start < end; k++) {
      if (start & 1) take(k, start++);
      if (end & 1) take(k, --end);
      start >>= 1;
      end >>= 1;
    }
    return count > 0 ? { mean: sum / count, least, most } : { mean: NaN, least: NaN, most: NaN };
  }
}

const known = new WeakMap<object, Pyramid>();

/** Of an array that does not change. */
export function pyramidOf(
  values: Float32Array | Float64Array | Uint32Array,
  rows: number,
): Pyramid {
  let found = known.get(values);
  if (!found) {
    found = new Pyramid(values, rows);
    known.set(values, found);
  }
  return found;
}
