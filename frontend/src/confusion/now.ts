// The confusion at the playhead: all snapshots are loaded once where they are small, else one by one.

import { computed, signal } from "@preact/signals";
import { cell, session, snapshot, type Cell } from "../state";

export interface ConfusionNow {
  snapshot: number;
  names: readonly string[];
  /** `[true, predicted]` */
  matrix: Uint32Array;
}

/** All snapshots, `[snapshot, true, predicted]`, and the session they are of. */
export const wholeConfusion = signal<{ of: unknown; counts: Uint32Array } | null>(null);
/** The last that was loaded by itself. */
export const oneConfusion = signal<{ of: unknown; snapshot: number; counts: Uint32Array } | null>(
  null,
);

export const confusionNames = computed(
  () => session.value?.split.groupings.find((g) => g.name === "true")?.classes ?? [],
);

export const confusionNow = computed((): ConfusionNow | null => {
  const open = session.value;
  const names = confusionNames.value;
  const size = names.length ** 2;
  const whole = wholeConfusion.value;
  if (whole && whole.of === open) {
    const t = snapshot.value;
    return { snapshot: t, names, matrix: whole.counts.subarray(t * size, (t + 1) * size) };
  }
  const one = oneConfusion.value;
  return one && one.of === open ? { snapshot: one.snapshot, names, matrix: one.counts } : null;
});

/** The cell off the diagonal with most samples; null where all are right. */
export const largestConfusion = computed((): Cell | null => {
  const now = confusionNow.value;
  if (!now) return null;
  const K = now.names.length;
  let best = -1;
  for (let i = 0; i < K * K; i++)
    if (i % K !== Math.floor(i / K) && now.matrix[i] > 0)
      if (best < 0 || now.matrix[i] > now.matrix[best]) best = i;
  return best < 0 ? null : { true: Math.floor(best / K), predicted: best % K };
});

/** The cell that is looked at: the chosen one, or the largest confusion. */
export const shownCell = computed(() => cell.value ?? largestConfusion.value);
