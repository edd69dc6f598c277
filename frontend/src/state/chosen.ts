// What the page shows: one signal per choice.

import { signal } from "@preact/signals";
import type { MatrixOrder } from "../confusion/blocks";
import type { Pins } from "../rail/pins";
import type { Session } from "../run/session";
import type { Theme } from "../run/palettes";
import type { Track } from "../run/tracks";
import type { Axis } from "../timeline/scale";
import type { Span } from "../timeline/span";
import type { By, Only, Shows, Sort, View } from "../url";
import type { RunEntry } from "../wire/manifest";

/** A true class and what its samples were predicted as. */
export interface Cell {
  true: number;
  predicted: number;
}

/** All runs the server offers; the first is shown unless the address names another. */
export const runs = signal<readonly RunEntry[]>([]);
export const session = signal<Session | null>(null);
export const grouping = signal("true");
export const view = signal<View>("network");
export const snapshot = signal(0);
export const unit = signal(-1);
export const highlighted = signal(-1);
/** Classes of the grouping shown that keep a hue of their own among many. */
export const pins = signal<Pins>([]);
/** In which order the classes are listed; "" for the usual one. */
export const sort = signal<Sort | "">("");
/** The layer that was chosen to be looked at by itself; -1 for none. */
export const chosenLayer = signal(-1);
/** What the layer view shows of it. */
export const layerShows = signal<Shows>("cells");
/** The confusion cell that is looked at. */
export const cell = signal<Cell | null>(null);
/** What is compared with; "" for what suggests itself. */
export interface Other {
  run: string;
  split: string;
  grouping: string;
}

export const NO_OTHER: Other = { run: "", split: "", grouping: "" };
export const other = signal<Other>(NO_OTHER);
/** What pairs the snapshots of two that are compared. */
export const by = signal<By>("step");
/** The sample that is looked at; -1 for none. */
export const sample = signal(-1);
/** In which order many classes stand in the confusion; "" for the usual one. */
export const matrixOrder = signal<MatrixOrder | "">("");
export const only = signal<Only>("all");
/** What samples are searched for. */
export const find = signal("");
export const threshold = signal(50);
export const axis = signal<Axis>("snapshot");
/** The part of the run that the time axis shows; null for all of it. */
export const zoom = signal<Span | null>(null);
/** The event that is looked at, by its name (`run/happened`); "" for none. */
export const event = signal("");
export const playing = signal(false);
export const speed = signal(1);
export const help = signal(false);
/** Whether it is asked what to save. */
export const exporting = signal(false);
/** Why nothing can be shown. */
export const problem = signal("");
/** Whether that will pass by itself: nothing is recorded yet. */
export const waiting = signal(false);
/** Said once to those who listen rather than look. */
export const announcement = signal("");

const prefersLight = matchMedia("(prefers-color-scheme: light)");
export const systemTheme = (): Theme => (prefersLight.matches ? "light" : "dark");
export const theme = signal<Theme>(systemTheme());

/** What is shown: the grouping chosen, or the one before while that loads. Null at first. */
export const track = signal<Track | null>(null);
