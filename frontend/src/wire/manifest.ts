// Types of manifest.json and the numbers of the wire format (docs/wire.md).

/** One of the runs that are offered. Beside others it comes with what a list says of it. */
export interface RunEntry {
  id: string;
  name: string;
  place?: string;
  state?: string | null;
  created?: string | null;
  classes?: number | null;
  snapshots?: number;
  last_step?: number | null;
  accuracy?: number | null;
  /** Why it cannot be read. */
  error?: string | null;
}

export interface Layer {
  path: string;
  kind: string;
  units: number;
  offset: number;
  stage: string;
  signed: boolean;
  output: boolean;
  shape: number[];
}

export interface Measure {
  name: string;
  title: string;
  about: string;
  /** Whether it has a meaning only where responses cannot be negative. */
  non_negative: boolean;
}

export interface Grouping {
  name: string;
  title: string;
  classes: string[];
  /** Classes that the run's colors pin, and what the others are then. */
  pinned?: number[];
  rest?: "grey" | "wheel";
  /** Classes with a color of the user's own, pinned or not. */
  colored?: number[];
  superclasses?: Superclasses;
}

/** What classes belong to, from the finest superclasses to the widest. */
export interface Superclasses {
  /** By similarity, rather than told. */
  found: boolean;
  levels: { names: string[]; group: number[] }[];
}

/** A snapshot of which ranks or workers are missing. */
export interface Incomplete {
  snapshot: number;
  parts: number;
  /** null where nobody could say how many there should be. */
  expected: number | null;
}

/** Samples whose feature maps were kept, and the layers that have them. */
export interface Watched {
  samples: number[];
  layers: number[];
}

/** The weights that work on the input itself. */
export interface FirstWeights {
  /** Path of the module they are of. */
  module: string;
  filters: number;
  /** y, x and channels of a filter as a picture. */
  picture: [number, number, number];
  /** As they are: out, in, and positions. */
  shape: number[];
}

export interface Split {
  name: string;
  /** The same samples each time; the training's own, while it went on; the user's own loop. */
  kind: "probe" | "window" | "evaluation";
  samples: number | null;
  mode: string | null;
  /** "averaged" where an average of the weights was recorded, null where the model itself was. */
  weights: string | null;
  /** A sample counts in each of its classes: counts are of labels, and there is no confusion. */
  multilabel: boolean;
  snapshots: number;
  /** Kept but not shown: a resumed training made them again. */
  hidden?: number;
  incomplete: Incomplete[];
  metrics: string[];
  resources: string[];
  /** Layers with maps of where units respond; absent where none has. */
  maps?: number[];
  watched?: Watched;
  first_weights?: FirstWeights;
  groupings: Grouping[];
}

export interface Manifest {
  format: number;
  name: string;
  created: string;
  state: "recording" | "complete" | "interrupted";
  version: string;
  /** Whether resources are asked for by this version, `{run}@{version}/…`: not of an exported run. */
  addressed?: boolean;
  model: { name: string; parameters: number };
  versions: Record<string, string>;
  levels: number;
  chunk: number;
  threshold: number;
  measures: Measure[];
  event_kinds: string[];
  layers: Layer[];
  /** Optimizer steps made when each recording of the run began: several where it was resumed. */
  segments?: number[];
  splits: Split[];
  /** Parts that a file had no room for; absent where a server has all. */
  left_out?: string[];
  /** Parts of which something was damaged in the run when it was exported, with how much. */
  unreadable?: string[];
}

/** How far a run is: live.json. */
export interface Live {
  version: string;
  state: Manifest["state"];
  snapshots: Record<string, number>;
  /** Seconds since the last snapshot. */
  age: number | null;
  /** The usual seconds from one to the next. */
  interval: number | null;
}

export const FORMAT = 1;
export const LEVELS = 101;
/** Held units are counted by level in bins of this many levels. */
export const BIN = 5;
export const BINS = 21;
/** `preferred` where there is none. */
export const NO_CLASS = 65535;

export const HELD = 0;
export const TIED = 1;
export const SILENT = 2;
export const NO_DATA = 3;
export const NOT_FINITE = 4;
/** There is nothing of it: its snapshot cannot be read back. */
export const NOT_RECORDED = 5;
/** The measure has no meaning for the unit: its responses may be negative. */
export const NOT_DEFINED = 6;
export const STATES = 7;

/** `heat` where there is none. */
export const NO_HEAT = 255;
/** Class of a sample that has none: no label, or an output that was not finite. */
export const NO_PREDICTION = 65535;
/** Class of a sample that nobody knows: nothing was kept at that snapshot. */
export const NOT_KEPT = 65534;
/** Thumbnails that come at once. */
export const THUMBNAILS = 64;

/** A class with fewer samples takes no part in any comparison. */
export const FEWEST_SAMPLES = 3;

export const SUPPRESSED = 1;
export const ALWAYS_ON = 2;
/** Held by too few samples that speak for it. */
export const UNRELIABLE = 4;

/** `before` and `after` of an event, and its unit, where there is none. */
export const NO_UNIT = 4294967295;

export function unitCount(layers: readonly Layer[]): number {
  return layers.reduce((sum, layer) => sum + layer.units, 0);
}

/** Index of the layer that holds each unit. */
export function layerOfUnit(layers: readonly Layer[]): Uint16Array {
  const layerOf = new Uint16Array(unitCount(layers));
  layers.forEach((layer, l) => layerOf.fill(l, layer.offset, layer.offset + layer.units));
  return layerOf;
}
