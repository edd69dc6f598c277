// Numbers as text, the same everywhere.

// One formatter: toLocaleString makes a new one at each call, which shows while scrubbing.
const DIGITS = new Intl.NumberFormat("en-US");

export const count = (n: number): string => (n < 1000 && n >= 0 ? String(n) : DIGITS.format(n));

/** A share as a percentage that never rounds something to nothing or part to all. */
export function percent(share: number): string {
  if (!Number.isFinite(share)) return "–";
  if (share > 0 && share < 0.005) return "<1%";
  if (share < 1 && share > 0.995) return ">99%";
  return `${Math.round(100 * share)}%`;
}

export function fixed(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "–";
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** Decimals with which values over such a span can be told apart. */
export function digitsFor(span: number): number {
  if (span >= 100) return 0;
  if (span >= 10) return 1;
  return span >= 0.1 ? 2 : 3;
}

/** A level as the strength it stands for: rounded down, as levels are. */
export const strengthOfLevel = (level: number): string => (level / 100).toFixed(2);

/** A probability close to one, rounded down so that 1.000 is never claimed. */
export function probability(p: number): string {
  if (!Number.isFinite(p)) return "–";
  if (p > 0.999) return ">0.999";
  return p > 0.9 ? (Math.floor(p * 1000) / 1000).toFixed(3) : p.toFixed(2);
}

export function stepText(step: number): string {
  return count(Number.isInteger(step) ? step : Math.round(step * 100) / 100);
}

/** A time in its largest unit, rounded down: "4 min". */
export function durationText(seconds: number): string {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 48 * 3600
    ? `${Math.floor(seconds / 3600)} h`
    : `${Math.floor(seconds / 86400)} days`;
}

export const plural = (n: number, one: string, many = `${one}s`): string => (n === 1 ? one : many);

export function list(items: readonly string[]): string {
  if (items.length < 2) return items[0] ?? "";
  return `${items.slice(0, -1).join(", ")} and ${items[items.length - 1]}`;
}
