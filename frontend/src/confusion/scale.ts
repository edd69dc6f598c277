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

export interface Confused {
  true: number;
  predicted: number;
  samples: number;
}

/** The cells off the diagonal with most samples, greatest first. */
export function topConfusions(matrix: Uint32Array, classes: number, limit: number): Confused[] {
  const found: Confused[] = [];
  for (let i = 0; i < classes * classes; i++) {
    const [row, column] = [Math.floor(i / classes), i % classes];
    if (row !== column && matrix[i] > 0)
      found.push({ true: row, predicted: column, samples: matrix[i] });
  }
  return found.sort((a, b) => b.samples - a.samples).slice(0, limit);
}
