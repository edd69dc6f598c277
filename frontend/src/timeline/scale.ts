// Where each snapshot stands on the time axis, 0 … 1.

export type Axis = "snapshot" | "log" | "step";

export const AXIS_TITLES: Record<Axis, string> = {
  snapshot: "even axis",
  log: "log axis",
  step: "step axis",
};

/** What the numbers under the axis are, and how they are spaced. */
export const AXIS_CAPTIONS: Record<Axis, string> = {
  snapshot: "step, evenly spaced",
  log: "step, log axis",
  step: "step",
};

/** Steps spread unevenly crowd at one end of a linear axis: those open on a log axis. */
export function defaultAxis(steps: ArrayLike<number>): Axis {
  let [least, most] = [Infinity, -Infinity];
  for (let t = 1; t < steps.length; t++) {
    const gap = steps[t] - steps[t - 1];
    if (gap <= 0) continue;
    least = Math.min(least, gap);
    most = Math.max(most, gap);
  }
  if (most < 0) return "snapshot";
  return most > 3 * least ? "log" : "step";
}

export function axisPositions(steps: ArrayLike<number>, axis: Axis): Float64Array {
  const T = steps.length;
  const positions = new Float64Array(T);
  if (T < 2) return positions.fill(0.5);
  let [from, to, first] = [Infinity, -Infinity, Infinity];
  for (let t = 0; t < T; t++) {
    from = Math.min(from, steps[t]);
    to = Math.max(to, steps[t]);
  }
  // Step 0 has no logarithm; log(1 + step / first) gives it a place one first step before the rest.
  for (let t = 0; t < T; t++) if (steps[t] > from) first = Math.min(first, steps[t] - from);
  if (axis === "snapshot" || to === from) return positions.map((_, t) => t / (T - 1));
  const place = (s: number): number => (axis === "log" ? Math.log1p((s - from) / first) : s - from);
  const end = place(to);
  return positions.map((_, t) => place(steps[t]) / end);
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

export function nearestSnapshot(
  x: ArrayLike<number>,
  at: number,
  first = 0,
  last = x.length - 1,
): number {
  let best = first;
  for (let t = first + 1; t <= last; t++)
    if (Math.abs(x[t] - at) < Math.abs(x[best] - at)) best = t;
  return best;
}

/** Snapshots from `first` to `last` whose step is written under the axis: no two closer than `room`,
 * the last always. */
export function labelled(
  x: ArrayLike<number>,
  room: number,
  first = 0,
  last = x.length - 1,
): number[] {
  const shown: number[] = [];
  for (let t = first; t < last; t++)
    if (shown.length === 0 || x[t] - x[shown[shown.length - 1]] >= room) shown.push(t);
  while (shown.length > 1 && x[last] - x[shown[shown.length - 1]] < room) shown.pop();
  if (last >= first) shown.push(last);
  return shown;
}

/** The snapshot a step means: that step's, else the nearest; of several of one step the last, as in
 * Python, or the `take`-th where that is told, from 1. */
export function snapshotAtStep(steps: ArrayLike<number>, step: number, take = 0): number {
  const t = nearestSnapshot(steps, step);
  const same = snapshotsOfStep(steps, steps[t]);
  return take > 0 && take <= same.length && steps[t] === step
    ? same[take - 1]
    : (same[same.length - 1] ?? 0);
}

/** Which of the snapshots of its step one is, from 1; 0 where it is the last or only one. */
export function takeOf(steps: ArrayLike<number>, t: number): number {
  const same = snapshotsOfStep(steps, steps[t]);
  return same[same.length - 1] === t ? 0 : same.indexOf(t) + 1;
}

function snapshotsOfStep(steps: ArrayLike<number>, step: number): number[] {
  const found: number[] = [];
  for (let t = 0; t < steps.length; t++) if (steps[t] === step) found.push(t);
  return found;
}
