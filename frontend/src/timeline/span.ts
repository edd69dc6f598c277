// Which part of the run the time axis shows. Told in snapshots, so that the same ones stay in view
// when the axis changes or the run grows.

/** From one snapshot to another, fractions of the way to the next included. */
export interface Span {
  from: number;
  to: number;
}

/** Snapshots that are left when one cannot come any closer. */
export const CLOSEST = 4;

/** Where a place between snapshots stands, with `positions` rising from 0 to 1. */
export function positionAt(positions: ArrayLike<number>, index: number): number {
  const t = Math.min(positions.length - 1, Math.max(0, Math.floor(index)));
  const next = Math.min(positions.length - 1, t + 1);
  return positions[t] + (index - t) * (positions[next] - positions[t]);
}

/** The reverse: which place between snapshots stands there. */
export function indexAt(positions: ArrayLike<number>, at: number): number {
  let [low, high] = [0, positions.length - 1];
  if (at <= positions[low]) return low;
  if (at >= positions[high]) return high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (positions[middle] <= at) low = middle;
    else high = middle;
  }
  const gap = positions[high] - positions[low];
  return gap > 0 ? low + (at - positions[low]) / gap : high;
}

/** A span as it can be shown: within the run, no closer than allowed; null for all of it. */
export function fitted(span: Span, snapshots: number): Span | null {
  const end = snapshots - 1;
  const width = Math.min(end, Math.max(CLOSEST, span.to - span.from));
  const middle = (span.from + span.to) / 2;
  const from = span.to - span.from < width ? middle - width / 2 : span.from;
  const start = Math.min(end - width, Math.max(0, from));
  return width >= end ? null : { from: start, to: start + width };
}

/** Closer (`factor` < 1) or farther, so that what is at `at` (a position) stays where it is. */
export function scaled(
  positions: ArrayLike<number>,
  span: Span,
  factor: number,
  at: number,
): Span | null {
  const [left, right] = [positionAt(positions, span.from), positionAt(positions, span.to)];
  const from = indexAt(positions, Math.max(0, at - (at - left) * factor));
  const to = indexAt(positions, Math.min(1, at + (right - at) * factor));
  // An axis that is crowded at one end would else jump over what cannot be shown closer.
  if (factor < 1 && to - from < CLOSEST && span.to - span.from <= CLOSEST) return span;
  return fitted({ from, to }, positions.length);
}

/** Moved along the axis by a difference of positions, as wide as before. */
export function moved(positions: ArrayLike<number>, span: Span, by: number): Span | null {
  const [left, right] = [positionAt(positions, span.from), positionAt(positions, span.to)];
  const shift = Math.min(1 - right, Math.max(-left, by));
  const from = indexAt(positions, left + shift);
  const to = indexAt(positions, right + shift);
  return fitted({ from, to }, positions.length);
}

/** Moved by as many snapshots as are needed for one to be in it. */
export function holding(span: Span, t: number, snapshots: number): Span | null {
  if (t >= span.from && t <= span.to) return span;
  const width = span.to - span.from;
  const margin = width * 0.1;
  const from = t < span.from ? t - margin : t + margin - width;
  return fitted({ from, to: from + width }, snapshots);
}

/** As in the address: "120-480". */
export function readSpan(text: string): Span | undefined {
  const found = /^(\d{1,9}(?:\.\d)?)-(\d{1,9}(?:\.\d)?)$/.exec(text);
  if (!found) return undefined;
  const [from, to] = [Number(found[1]), Number(found[2])];
  return from < to ? { from, to } : undefined;
}

export const writeSpan = ({ from, to }: Span): string =>
  `${Math.round(10 * from) / 10}-${Math.round(10 * to) / 10}`;
