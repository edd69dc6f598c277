// What the resources of docs/wire.md hold, as the page names it.

import type { Tensors } from "../wire/safetensors";
import type { By } from "../url";
import type { Summary } from "./counts";

export interface Scalars {
  step: Float64Array;
  epoch: Float64Array;
  wallTime: Float64Array;
  /** Which recording of the run each is of; 0 in runs that were never resumed. */
  segment: Float64Array;
  /** 1 for snapshots that a later segment made again, where those are shown. */
  superseded: Float64Array | null;
  accuracy: Float64Array | null;
  loss: Float64Array | null;
}

/** What is known of a unit in numbers, along snapshots or along units. */
export interface UnitNumbers {
  preferred: Uint16Array;
  runnerUp: Uint16Array;
  state: Uint8Array;
  level: Uint8Array;
  flags: Uint8Array;
  value: Float32Array;
  strength: Float32Array;
  sure: Float32Array;
  /** Samples of a class, the mean response to them, and its 95 % interval. */
  n: Uint32Array;
  mean: Float32Array;
  low: Float32Array;
  high: Float32Array;
}

/** A layer's units at one snapshot, each with what its preferred class does: table/{t}/{l}.st. */
export type UnitTable = UnitNumbers;

/** One unit through time, with what each class does, `[snapshot, class]`: unit/{u}.st. */
export interface UnitHistory extends UnitNumbers {
  active: Float32Array;
  activeLow: Float32Array;
  activeHigh: Float32Array;
  activeSamples: Uint32Array;
}

/** Events of a grouping and measure, in order of time: arrays of events.st. */
export interface Events {
  snapshot: Uint32Array;
  /** Index into the manifest's `event_kinds`. */
  kind: Uint8Array;
  layer: Uint32Array;
  unit: Uint32Array;
  before: Uint16Array;
  after: Uint16Array;
  level: Uint8Array;
  flags: Uint8Array;
  /** The snapshot from which on it was sure. */
  confirmed: Uint32Array;
  /** Of each kind, how many noise alone would give at most; NaN where not told. */
  expected: Float64Array;
}

/** What samples of each class were read as; of one snapshot, or with snapshots as first dimension. */
export interface Confusion {
  /** `[true, predicted]` */
  counts: Uint32Array;
  /** `[true]`, those without a prediction too. */
  samples: Uint32Array;
  /** Of all snapshots: 1 for those that cannot be read back. */
  damaged?: Uint8Array;
}

/** Samples of a confusion cell, and what each was predicted as. */
export interface CellSamples {
  total: number;
  sample: Uint32Array;
  /** `[sample, snapshot]`, NO_PREDICTION or NOT_KEPT where there is none. */
  prediction: Uint16Array;
}

/** Units that respond more to the samples of a cell than to the others of their true class. */
export interface CellUnits {
  /** Samples of the cell, and the others. */
  n: Uint32Array;
  unit: Uint32Array;
  level: Uint8Array;
}

/** All samples of a probe at one snapshot; NO_PREDICTION for none, NOT_KEPT where it is not known. */
export interface Samples {
  label: Uint16Array;
  prediction: Uint16Array;
  /** Probability of the true class in hundredths; 255 where it is not known. */
  right: Uint8Array;
}

/** Units that a sample drives most, and by how many standard deviations. */
export interface Driven {
  unit: Uint32Array;
  score: Float32Array;
}

/** One sample through training. */
export interface SampleHistory {
  label: number;
  prediction: Uint16Array;
  /** Classes whose probability was greatest at some time, the true one first. */
  classes: Uint16Array;
  /** `[snapshot, class of `classes`]` */
  probability: Float32Array;
}

/** Small pictures of samples, `[sample, y, x, rgb]`. */
export interface Pictures {
  height: number;
  width: number;
  bytes: Uint8Array;
}

/** Of each snapshot of the first the nearest of the second (-1 for none) and how far off it is. */
export interface Paired {
  snapshot: number[];
  gap: (number | null)[];
}

/** How another run, split or grouping is laid beside one: compare/….json. */
export interface Beside {
  /** Of the second's state, by which its snapshots are numbered. */
  version: string;
  /** Why it cannot be. */
  refused: string | null;
  /** In what the samples differ. */
  samples: string | null;
  /** Where the layers differ first. */
  layers: string | null;
  /** Whether a unit of the one is that of the other. */
  same_units: boolean;
  /** Of each class of the first, its index in the second. */
  classes: number[];
  pairs: Record<By, Paired | { why: string }>;
  config: { name: string; a: string | null; b: string | null }[];
}

export const NUMBERS = [
  "cdnv",
  "within",
  "equinorm",
  "equiangular",
  "nearest_centre",
  "linear",
  "above",
] as const;
export type NumberName = (typeof NUMBERS)[number];

/** How classes lie in each layer's space, `[known, layer]`; NaN where it was not kept. */
export interface Geometry {
  /** Snapshots that are known, in order, and how many there will be. */
  snapshot: Uint32Array;
  wanted: number;
  values: Record<NumberName, Float32Array>;
  /** What guessing would reach. */
  chance: Float32Array;
}

/** CKA of each layer at a snapshot with each at the last one that was kept, `[layer, other]`. */
export interface Similarity {
  cka: Float32Array;
  last: number;
}

export const geometryOf = (t: Tensors): Geometry => ({
  snapshot: t.get("snapshot", "U32"),
  wanted: t.get("wanted", "U32")[0],
  values: Object.fromEntries(NUMBERS.map((name) => [name, t.get(name, "F32")])) as Record<
    NumberName,
    Float32Array
  >,
  chance: t.get("chance", "F32"),
});

export const similarityOf = (t: Tensors): Similarity => ({
  cka: t.get("cka", "F32"),
  last: t.get("last", "U32")[0],
});

export const scalarsOf = (t: Tensors): Scalars => {
  const optional = (name: string): Float64Array | null => (t.has(name) ? t.get(name, "F64") : null);
  return {
    step: t.get("step", "F64"),
    epoch: t.get("epoch", "F64"),
    wallTime: t.get("wall_time", "F64"),
    segment: optional("segment") ?? new Float64Array(t.shape("step")[0]),
    superseded: optional("superseded"),
    accuracy: optional("accuracy"),
    loss: optional("metric.loss"),
  };
};

export const unitTableOf = (t: Tensors): UnitTable => ({
  preferred: t.get("preferred", "U16"),
  runnerUp: t.get("runner_up", "U16"),
  state: t.get("state", "U8"),
  level: t.get("level", "U8"),
  flags: t.get("flags", "U8"),
  value: t.get("value", "F32"),
  strength: t.get("strength", "F32"),
  sure: t.get("sure", "F32"),
  n: t.get("n", "U32"),
  mean: t.get("mean", "F32"),
  low: t.get("low", "F32"),
  high: t.get("high", "F32"),
});

export const unitHistoryOf = (t: Tensors): UnitHistory => ({
  ...unitTableOf(t),
  active: t.get("active", "F32"),
  activeLow: t.get("active_low", "F32"),
  activeHigh: t.get("active_high", "F32"),
  activeSamples: t.get("active_samples", "U32"),
});

export const eventsOf = (t: Tensors): Events => ({
  snapshot: t.get("snapshot", "U32"),
  kind: t.get("kind", "U8"),
  layer: t.get("layer", "U32"),
  unit: t.get("unit", "U32"),
  before: t.get("before", "U16"),
  after: t.get("after", "U16"),
  level: t.get("level", "U8"),
  flags: t.get("flags", "U8"),
  confirmed: t.get("confirmed", "U32"),
  expected: t.get("expected", "F64"),
});

export const summaryOf = (t: Tensors): Summary => ({
  n: t.get("n", "U32"),
  meanStrength: t.get("mean_strength", "F32"),
  bins: t.get("bins", "U32"),
  states: t.get("states", "U32"),
  missing: t.get("damaged", "U8"),
});

export const confusionOf = (t: Tensors): Confusion => ({
  counts: t.get("confusion", "U32"),
  samples: t.get("samples", "U32"),
  ...(t.has("damaged") && { damaged: t.get("damaged", "U8") }),
});

export const cellSamplesOf = (t: Tensors): CellSamples => ({
  total: t.get("total", "U32")[0],
  sample: t.get("sample", "U32"),
  prediction: t.get("prediction", "U16"),
});

export const cellUnitsOf = (t: Tensors): CellUnits => ({
  n: t.get("n", "U32"),
  unit: t.get("unit", "U32"),
  level: t.get("level", "U8"),
});

export const samplesOf = (t: Tensors): Samples => ({
  label: t.get("label", "U16"),
  prediction: t.get("prediction", "U16"),
  right: t.get("right", "U8"),
});

export const sampleHistoryOf = (t: Tensors): SampleHistory => ({
  label: t.get("label", "U16")[0],
  prediction: t.get("prediction", "U16"),
  classes: t.get("classes", "U16"),
  probability: t.get("probability", "F32"),
});

export const drivenOf = (t: Tensors): Driven => ({
  unit: t.get("unit", "U32"),
  score: t.get("score", "F32"),
});

export const picturesOf = (t: Tensors): Pictures => {
  const [, height, width] = t.shape("pictures");
  return { height, width, bytes: t.get("pictures", "U8") };
};
