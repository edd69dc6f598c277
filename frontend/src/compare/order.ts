// A class has one color on both sides, wherever it stands among the classes of each.

import { LEVELS } from "../wire/manifest";

/** A palette whose classes stand in another order: `classes[k]` is where class k goes. */
export function reordered(palette: Uint8Array, classes: readonly number[] | null): Uint8Array {
  const row = 4 * LEVELS;
  if (!classes || palette.length !== classes.length * row) return palette;
  const found = new Uint8Array(palette.length);
  classes.forEach((to, k) => found.set(palette.subarray(k * row, (k + 1) * row), to * row));
  return found;
}
