// Recorded pictures as they come over the wire (docs/wire.md).

import type { Session } from "../run/session";
import type { Tensors } from "../wire/safetensors";
import type { Planes } from "./sheet";

/** Pictures on one scale. */
export interface Scaled extends Planes {
  low: number;
  high: number;
}

/** Maps of all units of a layer, each on a scale of its own. */
export interface LayerMaps extends Planes {
  low: Float32Array;
  high: Float32Array;
}

/** First weights at one snapshot, `[filter, y, x, channel]`, or at several. */
export interface Weights extends Planes {
  scale: Float32Array;
}

export interface Film extends Weights {
  snapshot: Uint32Array;
}

/** How a sample goes through the layers, `[snapshot told of, layer]`. */
export interface Through {
  snapshot: Uint32Array;
  alike: Float32Array;
  nearest: Uint16Array;
  nearestAlike: Float32Array;
}

function planes(t: Tensors, name = "maps"): Planes {
  const shape = t.shape(name);
  const [height, width] = shape.slice(-2);
  return { bytes: t.get(name, "U8"), width, height, channels: 1 };
}

const scaled = (t: Tensors): Scaled => ({
  ...planes(t),
  low: t.get("low", "F32")[0],
  high: t.get("high", "F32")[0],
});

const weights = (t: Tensors): Weights => {
  const [height, width, channels] = t.shape("weights").slice(-3);
  const scale = t.get("scale", "F32");
  return { bytes: t.get("weights", "U8"), width, height, channels, scale };
};

/** A unit's mean map of each true class, on one scale. */
export async function unitMaps(open: Session, t: number, unit: number): Promise<Scaled> {
  const { chunk } = open.manifest;
  const found = await open.tensors(`maps/unit/${unit}/${Math.floor(t / chunk)}`);
  const all = planes(found);
  const size = all.bytes.length / found.shape("maps")[0];
  const row = t % chunk;
  return {
    ...all,
    bytes: all.bytes.subarray(row * size, (row + 1) * size),
    low: found.get("low", "F32")[row],
    high: found.get("high", "F32")[row],
  };
}

/** Mean maps of a layer's units, over the samples of a true class, or of all (-1). */
export async function layerMaps(
  open: Session,
  t: number,
  layer: number,
  cls: number,
): Promise<LayerMaps> {
  const found = await open.tensors(`maps/${t}/${layer}${cls >= 0 ? `/${cls}` : ""}`);
  return { ...planes(found), low: found.get("low", "F32"), high: found.get("high", "F32") };
}

/** Mean map of each unit over the samples of the class its cell shows, of the layers that have any. */
export async function cellMaps(
  open: Session,
  grouping: string,
  t: number,
): Promise<Map<number, Planes>> {
  const found = await open.tensorsOf(grouping, `maps/${t}`);
  return new Map((open.split.maps ?? []).map((l) => [l, planes(found, `maps.${l}`)]));
}

/** Feature maps of a watched sample, by its place among them. */
export const watchedMaps = async (
  open: Session,
  which: number,
  t: number,
  layer: number,
): Promise<Scaled> => scaled(await open.tensors(`watched/${which}/${t}/${layer}`));

export const firstWeights = async (open: Session, t: number): Promise<Weights> =>
  weights(await open.tensors(`first_weights/${t}`));

export const weightsFilm = async (open: Session): Promise<Film> => {
  const found = await open.tensors("first_weights");
  return { ...weights(found), snapshot: found.get("snapshot", "U32") };
};

export async function throughLayers(open: Session, sample: number): Promise<Through> {
  const t = await open.tensors(`sample/${sample}/layers`);
  return {
    snapshot: t.get("snapshot", "U32"),
    alike: t.get("alike", "F32"),
    nearest: t.get("nearest", "U16"),
    nearestAlike: t.get("nearest_alike", "F32"),
  };
}
