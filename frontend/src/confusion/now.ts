// The confusion at the playhead: all snapshots are loaded once where they are small, else one by one.

import { computed, signal } from "@preact/signals";
import { useEffect, useLayoutEffect } from "preact/hooks";
import { explain } from "../explain";
import { useAnswer } from "../run/latest";
import type { Confusion } from "../run/resources";
import { cell, session, snapshot, type Cell } from "../state/chosen";

export interface ConfusionNow {
  snapshot: number;
  names: readonly string[];
  /** `[true, predicted]` */
  matrix: Uint32Array;
  /** `[true]`, those without a prediction too. */
  samples: Uint32Array;
}

/** All snapshots, `[snapshot, true, predicted]`, and the session they are of. */
export const wholeConfusion = signal<({ of: unknown } & Confusion) | null>(null);
/** The last that was loaded by itself. */
export const oneConfusion = signal<({ of: unknown; snapshot: number } & Confusion) | null>(null);

export const confusionNames = computed(
  () => session.value?.split.groupings.find((g) => g.name === "true")?.classes ?? [],
);

export const confusionNow = computed((): ConfusionNow | null => {
  const open = session.value;
  const names = confusionNames.value;
  const whole = wholeConfusion.value;
  if (whole && whole.of === open) {
    if (whole.damaged?.[snapshot.value]) return null;
    return { names, ...confusionOfSnapshot(whole, snapshot.value) };
  }
  const one = oneConfusion.value;
  return one && one.of === open
    ? { snapshot: one.snapshot, names, matrix: one.counts, samples: one.samples }
    : null;
});

/** One snapshot of all. */
export function confusionOfSnapshot(
  whole: Confusion,
  t: number,
): Pick<ConfusionNow, "snapshot" | "matrix" | "samples"> {
  const K = confusionNames.peek().length;
  return {
    snapshot: t,
    matrix: whole.counts.subarray(t * K * K, (t + 1) * K * K),
    samples: whole.samples.subarray(t * K, (t + 1) * K),
  };
}

/** Loads the confusion of all snapshots, where they are few enough. */
export function useWholeConfusion(): Confusion | null {
  const open = session.value;
  useEffect(() => {
    if (!open || wholeConfusion.peek()?.of === open) return;
    open.ofClasses.confusion().then(
      (found) => {
        if (found && session.peek() === open) wholeConfusion.value = { of: open, ...found };
      },
      (error: unknown) => console.warn("huelapse:", error),
    );
  }, [open]);
  return wholeConfusion.value?.of === open ? wholeConfusion.value : null;
}

/** Why the confusion at the playhead cannot be shown; "" while nothing is known to be wrong. */
export const confusionProblem = signal("");

/** Loads the confusion of what is shown: all of it, or the snapshot at the playhead. */
export function useConfusion(): ConfusionNow | null {
  const open = session.value;
  const t = snapshot.value;
  useWholeConfusion();
  const whole = wholeConfusion.value;
  const damaged = whole !== null && whole.of === open && whole.damaged?.[t] === 1;
  // of a damaged one the server says why
  const single = open && (open.has("confusion_at") || damaged) ? open : null;
  const { loaded: one, refused } = useAnswer(single && [single, damaged], t, async () => ({
    of: single,
    snapshot: t,
    ...(await (single as NonNullable<typeof single>).ofClasses.confusionAt(t)),
  }));
  useEffect(() => {
    oneConfusion.value = one && one.value;
  }, [one]);
  const wrong = refused && refused.at === t ? explain(refused.error) : "";
  useLayoutEffect(() => {
    confusionProblem.value = damaged ? wrong || "It cannot be read back." : wrong;
    return () => void (confusionProblem.value = "");
  }, [wrong, damaged]);
  return confusionNow.value;
}

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

/** Classes up to which every cell is drawn by itself. */
const WALKED = 30;

/** To a cell beside the one that is looked at. */
export function walkCells(rows: number, columns: number): void {
  const K = confusionNames.peek().length;
  if (K > WALKED) return; // their rows stand in another order, and the list leads through them
  const from = shownCell.peek() ?? { true: 0, predicted: 0 };
  const to = { true: from.true + rows, predicted: from.predicted + columns };
  if (Math.min(to.true, to.predicted) >= 0 && Math.max(to.true, to.predicted) < K) cell.value = to;
}

const WAYS: Record<string, [rows: number, columns: number]> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

/** The keys of the matrix itself, while it has the focus: elsewhere left and right go through time. */
export function onCellKey(event: KeyboardEvent): void {
  const way = WAYS[event.key];
  if (!way || event.altKey || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  walkCells(...way);
}

/** The cell that is looked at: the chosen one, or the largest confusion. */
export const shownCell = computed(() => cell.value ?? largestConfusion.value);
