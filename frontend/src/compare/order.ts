// What stands where on the second of two: a class has one color on both sides, and time is the first's.

import type { Shares } from "../classes/shares";
import { LEVELS } from "../wire/manifest";

/** A palette whose classes stand in another order: `classes[k]` is where class k goes. */
export function reordered(palette: Uint8Array, classes: readonly number[] | null): Uint8Array {
  const row = 4 * LEVELS;
  if (!classes || palette.length !== classes.length * row) return palette;
  const found = new Uint8Array(palette.length);
  classes.forEach((to, k) => found.set(palette.subarray(k * row, (k + 1) * row), to * row));
  return found;
}

/** Shares at the snapshots of another: `paired[t]` is the own snapshot that stands there, -1 for none. */
export function onTimeOf(shares: Shares, paired: readonly number[]): Shares {
  const size = shares.columns.length * shares.classes;
  const values = new Float32Array(paired.length * size).fill(NaN);
  paired.forEach((own, t) => {
    if (own >= 0) values.set(shares.values.subarray(own * size, (own + 1) * size), t * size);
  });
  return { ...shares, values };
}
