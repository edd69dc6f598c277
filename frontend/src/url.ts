// State in the address: everything that changes what is seen, and only what differs from the
// default, so that a link shows its reader the same picture.

import { ORDERS, type MatrixOrder } from "./confusion/blocks";
import { isPinsText } from "./rail/pins";
import type { Axis } from "./timeline/scale";
import { readSpan } from "./timeline/span";
import type { Theme } from "./run/palettes";

export const VIEWS = [
  "network",
  "layer",
  "classes",
  "confusion",
  "samples",
  "table",
  "compare",
  "geometry",
] as const;
export type View = (typeof VIEWS)[number];

export const ONLY = ["all", "wrong", "watched"] as const;
export type Only = (typeof ONLY)[number];

/** What snapshots of two runs are paired by. */
export const BY = ["step", "epoch", "accuracy"] as const;
export type By = (typeof BY)[number];
export const SORTS = ["given", "superclass", "units", "recall", "change", "name"] as const;
export type Sort = (typeof SORTS)[number];
/** What the layer view shows of a layer. */
export const SHOWS = ["cells", "maps", "weights"] as const;
export type Shows = (typeof SHOWS)[number];

export interface Address {
  view: View;
  run: string;
  split: string;
  step: number;
  /** Which of several snapshots of that step, from 1; 0 for the last. */
  take: number;
  /** The part of the run that the time axis shows, in snapshots, as "120-480"; "" for all. */
  zoom: string;
  /** The event that is looked at, as "switched,12,317" (kind, snapshot, unit); "" for none. */
  event: string;
  unit: number;
  grouping: string;
  measure: string;
  class: number;
  /** Pinned classes, as in rail/pins.ts; "none" for none where the run itself pins some. */
  pins: string;
  /** Order of the classes; "" for the usual one. */
  sort: Sort | "";
  /** Order of many classes in the confusion; "" for the usual one. */
  matrix: MatrixOrder | "";
  /** Index of the layer that is looked at by itself; -1 where none was chosen. */
  layer: number;
  shows: Shows;
  /** True and predicted class of a confusion cell, as "3,5"; "" where none is chosen. */
  cell: string;
  /** A sample of the probe; -1 where none is chosen. */
  sample: number;
  /** Which samples are shown. */
  only: Only;
  /** Run, split and grouping that are compared with; "" for what suggests itself. */
  other: string;
  othersplit: string;
  othergrouping: string;
  by: By;
  /** What samples are searched for. */
  find: string;
  /** As a level: 50 for 0.50. */
  threshold: number;
  theme: Theme;
  axis: Axis;
}

const whole = (text: string, lowest: number): number | undefined =>
  /^\d+$/.test(text) && Number(text) >= lowest ? Number(text) : undefined;

const READ: { [K in keyof Address]: (text: string) => Address[K] | undefined } = {
  view: (text) => VIEWS.find((name) => name === text),
  run: (text) => text || undefined,
  split: (text) => text || undefined,
  step: (text) => (text !== "" && Number.isFinite(Number(text)) ? Number(text) : undefined),
  take: (text) => whole(text, 1),
  zoom: (text) => (readSpan(text) ? text : undefined),
  event: (text) => (/^[a-z_]+,\d{1,9},l?\d{1,9}$/.test(text) ? text : undefined),
  unit: (text) => whole(text, 0),
  grouping: (text) => text || undefined,
  measure: (text) => text || undefined,
  class: (text) => whole(text, 0),
  pins: (text) => (text === "none" || (text !== "" && isPinsText(text)) ? text : undefined),
  matrix: (text) => ORDERS.find((name) => name === text),
  sort: (text) => SORTS.find((name) => name === text),
  layer: (text) => whole(text, 0),
  shows: (text) => SHOWS.find((name) => name === text),
  find: (text) => text.slice(0, 80) || undefined,
  sample: (text) => whole(text, 0),
  only: (text) => ONLY.find((name) => name === text),
  cell: (text) => (/^\d{1,6},\d{1,6}$/.test(text) ? text : undefined),
  other: (text) => text || undefined,
  othersplit: (text) => text || undefined,
  othergrouping: (text) => text || undefined,
  by: (text) => BY.find((name) => name === text),
  threshold: (text) => thresholdLevel(Number(text)),
  theme: (text) => (text === "dark" || text === "light" ? text : undefined),
  axis: (text) => (text === "snapshot" || text === "log" || text === "step" ? text : undefined),
};

const KEYS = Object.keys(READ) as (keyof Address)[];

/** A threshold in 0.05 … 0.95 as a level, moved to the nearest multiple of 0.05. */
export function thresholdLevel(threshold: number): number | undefined {
  if (!Number.isFinite(threshold)) return undefined;
  return Math.min(95, Math.max(5, 5 * Math.round(threshold * 20)));
}

/** What the hash says; what it does not say, or says wrongly, is absent. */
export function readAddress(hash: string): Partial<Address> {
  const query = new URLSearchParams(hash.replace(/^#/, ""));
  const address: Partial<Record<keyof Address, unknown>> = {};
  for (const key of KEYS) {
    const text = query.get(key);
    const value = text === null ? undefined : READ[key](text);
    if (value !== undefined) address[key] = value;
  }
  return address as Partial<Address>;
}

export function writeAddress(address: Address, defaults: Address): string {
  const query = new URLSearchParams();
  for (const key of KEYS) {
    const value = address[key];
    if (value === defaults[key] || value === -1 || (key === "take" && value === 0)) continue;
    query.set(key, key === "threshold" ? (Number(value) / 100).toFixed(2) : String(value));
  }
  const text = query.toString();
  return text ? `#${text}` : "";
}
