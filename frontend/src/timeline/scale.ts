// Where each snapshot stands on the time axis, 0 … 1.

export type Axis = "snapshot" | "log" | "step";

export const AXIS_TITLES: Record<Axis, string> = {
  snapshot: "snapshot",
  log: "log step",
  step: "step",
};

const gaps = (steps: ArrayLike<number>): number[] =>
  Array.from({ length: Math.max(0, steps.length - 1) }, (_, i) => steps[i + 1] - steps[i]);

/** Steps spread unevenly crowd at one end of a linear axis: those open on a log axis. */
export function defaultAxis(steps: ArrayLike<number>): Axis {
  const positive = gaps(steps).filter((gap) => gap > 0);
  if (positive.length === 0) return "snapshot";
  return Math.max(...positive) > 3 * Math.min(...positive) ? "log" : "step";
}

export function axisPositions(steps: ArrayLike<number>, axis: Axis): Float64Array {
  const T = steps.length;
  const positions = new Float64Array(T);
  if (T < 2) return positions.fill(0.5);
  if (axis === "snapshot") return positions.map((_, t) => t / (T - 1));
  // Step 0 has no logarithm; log(1 + step / first) gives it a place one first step before the rest.
  const from = Math.min(...Array.from(steps));
  const shifted = Array.from(steps, (s) => s - from);
  const first = Math.min(...shifted.filter((s) => s > 0));
  if (!Number.isFinite(first)) return positions.map((_, t) => t / (T - 1));
  const place = (s: number): number => (axis === "log" ? Math.log1p(s / first) : s);
  const end = place(Math.max(...shifted));
  return positions.map((_, t) => place(shifted[t]) / end);
}

/** Half-way marks between snapshots, `T + 1` of them: the span in which each one is shown. */
export function spans(x: ArrayLike<number>, reach: number): Float64Array {
  const T = x.length;
  const marks = new Float64Array(T + 1);
  for (let t = 1; t < T; t++) marks[t] = (x[t - 1] + x[t]) / 2;
  const half = (gap: number): number => Math.min(reach, Math.max(0, gap) / 2);
  marks[0] = x[0] - (T > 1 ? half(x[1] - x[0]) : reach);
  marks[T] = x[T - 1] + (T > 1 ? half(x[T - 1] - x[T - 2]) : reach);
  return marks;
}

export function nearestSnapshot(x: ArrayLike<number>, at: number): number {
  let best = 0;
  for (let t = 1; t < x.length; t++) if (Math.abs(x[t] - at) < Math.abs(x[best] - at)) best = t;
  return best;
}

/** Snapshots whose step is written under the axis: no two closer than `room`, the last always. */
export function labelled(x: ArrayLike<number>, room: number): number[] {
  const last = x.length - 1;
  const shown: number[] = [];
  for (let t = 0; t < last; t++)
    if (shown.length === 0 || x[t] - x[shown[shown.length - 1]] >= room) shown.push(t);
  while (shown.length > 1 && x[last] - x[shown[shown.length - 1]] < room) shown.pop();
  if (last >= 0) shown.push(last);
  return shown;
}

/** The snapshot a step means: that step's, else the nearest. */
export function snapshotAtStep(steps: ArrayLike<number>, step: number): number {
  return nearestSnapshot(steps, step);
}
