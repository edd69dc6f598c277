// Counting, from bins the server has already made. `threshold` is a level (50 for 0.50) and a
// multiple of 5, so that it never falls inside a bin.

import { BIN, BINS, HELD, STATES, SUPPRESSED, type Layer } from "../wire/manifest";
import type { Paint } from "./paint";

/** Held units per layer: arrays of summary.st. */
export interface Summary {
  n: Uint32Array;
  meanStrength: Float32Array;
  bins: Uint32Array;
  states: Uint32Array;
  /** HERE, DAMAGED or LOADING of each snapshot: unless it is here, nothing else is known of it. */
  missing: Uint8Array;
}

export const HERE = 0;
/** It cannot be read back. */
export const DAMAGED = 1;
/** It was not asked for yet, or is on its way. */
export const LOADING = 2;

function fromThreshold(bins: Uint32Array, row: number, threshold: number): number {
  let sum = 0;
  const start = row * BINS;
  for (let b = threshold / BIN; b < BINS; b++) sum += bins[start + b];
  return sum;
}

export function tunedInLayer(
  summary: Summary,
  layers: number,
  snapshot: number,
  layer: number,
  threshold: number,
): number {
  return fromThreshold(summary.bins, snapshot * layers + layer, threshold);
}

export function tunedPerLayer(
  summary: Summary,
  layers: number,
  snapshot: number,
  threshold: number,
): number[] {
  return Array.from({ length: layers }, (_, l) =>
    tunedInLayer(summary, layers, snapshot, l, threshold),
  );
}

/** Units in each state, over all layers or in one. */
export function stateCounts(
  summary: Summary,
  layers: number,
  snapshot: number,
  layer?: number,
): number[] {
  const totals = new Array<number>(STATES).fill(0);
  for (let l = layer ?? 0; l < (layer === undefined ? layers : layer + 1); l++)
    for (let s = 0; s < STATES; s++)
      totals[s] += summary.states[(snapshot * layers + l) * STATES + s];
  return totals;
}

/** Units tuned to one class through time, from classes.st. */
export function tunedToClass(
  bins: Uint32Array,
  classes: number,
  snapshot: number,
  cls: number,
  threshold: number,
): number {
  return fromThreshold(bins, snapshot * classes + cls, threshold);
}

/** The most units tuned to a class at any snapshot. */
export function mostTuned(
  bins: Uint32Array,
  snapshots: number,
  classes: number,
  cls: number,
  threshold: number,
): number {
  let most = 0;
  for (let t = 0; t < snapshots; t++)
    most = Math.max(most, tunedToClass(bins, classes, t, cls, threshold));
  return most;
}

export function mostTunedToAClass(
  bins: Uint32Array,
  snapshots: number,
  classes: number,
  threshold: number,
): number {
  let most = 0;
  for (let row = 0; row < snapshots * classes; row++)
    most = Math.max(most, fromThreshold(bins, row, threshold));
  return most;
}

/** Units of each layer tuned to each class, `[layer, class]`, counted from cells. */
export function tunedPerLayerAndClass(
  paint: Paint,
  layers: readonly Layer[],
  classes: number,
  threshold: number,
  counts = new Uint32Array(layers.length * classes),
): Uint32Array {
  counts.fill(0);
  const { preferred, level, state } = paint;
  layers.forEach((layer, l) => {
    const row = l * classes;
    for (let u = layer.offset, end = u + layer.units; u < end; u++)
      if (state[u] === HELD && level[u] >= threshold) counts[row + preferred[u]]++;
  });
  return counts;
}

export function suppressedCount(paint: Paint): number {
  let n = 0;
  for (let u = 0; u < paint.state.length; u++) if (isSuppressed(paint, u)) n++;
  return n;
}

/** Whether a unit responds least to the class it holds. */
export const isSuppressed = (paint: Paint, u: number): boolean =>
  paint.state[u] === HELD && (paint.flags[u] & SUPPRESSED) !== 0;

/** Units tuned to a class by responding least to it. */
export function suppressedByClass(paint: Paint, cls: number, threshold: number): number {
  let n = 0;
  for (let u = 0; u < paint.state.length; u++)
    if (paint.preferred[u] === cls && paint.level[u] >= threshold && isSuppressed(paint, u)) n++;
  return n;
}

/** Samples behind one snapshot, where the first so many of all classes share them out. */
export function samplesAt(
  summary: Summary,
  classes: number,
  snapshot: number,
  first = classes,
): number {
  let n = 0;
  for (let k = 0; k < first; k++) n += summary.n[snapshot * classes + k];
  return n;
}

export function classesWithSamples(summary: Summary, classes: number, snapshot: number): number[] {
  const found: number[] = [];
  for (let k = 0; k < classes; k++) if (summary.n[snapshot * classes + k] > 0) found.push(k);
  return found;
}

/** Units most strongly tuned to a class at one snapshot, strongest first. */
export function strongestUnits(paint: Paint, cls: number, limit: number): number[] {
  const byLevel: number[][] = [];
  for (let u = 0; u < paint.state.length; u++)
    if (paint.state[u] === HELD && paint.preferred[u] === cls)
      (byLevel[paint.level[u]] ??= []).push(u);
  const units: number[] = [];
  for (let level = byLevel.length - 1; level >= 0 && units.length < limit; level--)
    if (byLevel[level]) units.push(...byLevel[level]);
  return units.slice(0, limit);
}
