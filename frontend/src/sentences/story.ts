// The run in a sentence: how the share of tuned units went, and what became of accuracy.

import { fixed, percent, stepText } from "../format";

export interface Story {
  steps: ArrayLike<number>;
  /** Share of units tuned at each snapshot; NaN where it is not known. */
  shares: ArrayLike<number>;
  accuracy: ArrayLike<number> | null;
  /** Whether more is to come. */
  live: boolean;
}

/** "" where there is nothing to tell: fewer than three snapshots. */
export function storySentence({ steps, shares, accuracy, live }: Story): string {
  const known = Array.from({ length: steps.length }, (_, t) => t).filter((t) =>
    Number.isFinite(shares[t]),
  );
  if (known.length < 3) return "";
  const [first, last] = [known[0], known[known.length - 1]];
  const at = (t: number): string => `step ${stepText(steps[t])}`;
  const most = known.reduce((best, t) => (shares[t] > shares[best] ? t : best), first);
  const [from, top, end] = [first, most, last].map((t) => percent(shares[t]));
  if (shares[most] === 0) return `From ${at(first)} to ${at(last)} no unit was tuned.`;
  const going = live ? " so far" : "";
  const parts = [`Tuned units: ${from} at ${at(first)}`];
  // what reads the same is no peak
  if (top !== from && top !== end) parts.push(`most at ${at(most)} (${top})`);
  parts.push(`${end} at ${at(last)}${going}`);
  const half = known.find((t) => shares[t] >= shares[most] / 2) ?? first;
  const rise =
    half > first && shares[most] > 2 * shares[first]
      ? ` Half of the peak was reached at ${at(half)}.`
      : "";
  const right = accuracy ? [accuracy[first], accuracy[last]] : [];
  const read =
    right.length === 2 && right.every(Number.isFinite)
      ? ` Accuracy: ${fixed(100 * right[0], 1)}% to ${fixed(100 * right[1], 1)}%.`
      : "";
  return `${parts.join(", ")}.${rise}${read}`;
}
