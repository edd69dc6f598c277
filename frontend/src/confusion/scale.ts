// How high a count is drawn, and where long lists of confusions begin.

/** Fewer samples than this never fill a cell. */
const LEAST = 4;

/** The count that fills a cell: the greatest confusion in the second half of training. Before, a
 * network that knows nothing reads everything as one class, which would leave the rest flat. */
export function confusionScale(counts: Uint32Array, classes: number, snapshots: number): number {
  let most = LEAST;
  const size = classes * classes;
  for (let t = Math.floor(snapshots / 2); t < snapshots; t++)
    for (let i = 0; i < size; i++)
      if (i % classes !== Math.floor(i / classes)) most = Math.max(most, counts[t * size + i]);
  return most;
}

/** Share of a class's samples that are read rightly (recall), or of those read as it that are of it
 * (precision), at one snapshot; NaN where there are none.
 *
 * @param matrix `[true, predicted]`
 * @param samples `[true]`, those without a prediction too */
export function shareRight(
  matrix: Uint32Array,
  samples: Uint32Array,
  k: number,
  of: "true" | "predicted",
): number {
  const K = samples.length;
  let n = samples[k];
  if (of === "predicted") {
    n = 0;
    for (let row = 0; row < K; row++) n += matrix[row * K + k];
  }
  return n > 0 ? matrix[k * K + k] / n : NaN;
}

export interface Confused {
  true: number;
  predicted: number;
  samples: number;
}

/** The cells off the diagonal with most samples, greatest first; of one class alone, where told. */
export function topConfusions(
  matrix: Uint32Array,
  classes: number,
  limit: number,
  of = -1,
): Confused[] {
  const found: Confused[] = [];
  for (let i = 0; i < classes * classes; i++) {
    const [row, column] = [Math.floor(i / classes), i % classes];
    if (of >= 0 && row !== of && column !== of) continue;
    if (row !== column && matrix[i] > 0)
      found.push({ true: row, predicted: column, samples: matrix[i] });
  }
  return found.sort((a, b) => b.samples - a.samples).slice(0, limit);
}
