// What the page shows: one signal per choice, and what follows from the choices.

import { batch, computed, effect, signal } from "@preact/signals";
import type { MatrixOrder } from "./confusion/blocks";
import { explain } from "./explain";
import { among, isPinsText, pinsOf, pinsText, toggled, type Pins } from "./rail/pins";
import {
  baseOf,
  byLevel,
  groupingNamed,
  levelOf,
  orderOf,
  placesOf,
  sharedClasses,
  type Level,
} from "./run/groupings";
import { indexOrder, unitOrder } from "./run/order";
import { firstSplit, type Placed, type Session } from "./run/session";
import { server } from "./run/asking";
import type { Theme } from "./run/palettes";
import type { Track } from "./run/tracks";
import { axisPositions, defaultAxis, snapshotAtStep, takeOf, type Axis } from "./timeline/scale";
import { fitted, readSpan, writeSpan, type Span } from "./timeline/span";
import type { Address, By, Only, Shows, Sort, View } from "./url";
import type { Grouping, RunEntry } from "./wire/manifest";

export { server };

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

const NO_CLASSES: readonly string[] = [];
const NO_COLORS = new Uint8Array(0);

/** The grouping on the screen, or the one that will be the first. */
export const shownGrouping = computed(
  () =>
    track.value?.grouping ??
    (session.value ? groupingNamed(session.value.split, grouping.value) : null) ??
    null,
);
export const classes = computed(() => shownGrouping.value?.classes ?? NO_CLASSES);
/** Classes in the order in which pictures show them: those of a superclass side by side. */
export const classOrder = computed(() => (shownGrouping.value ? orderOf(shownGrouping.value) : []));
export const palette = computed(() =>
  session.value && shownGrouping.value && classes.value.length > 0
    ? session.value.palette(theme.value, shownGrouping.value, pins.value)
    : NO_COLORS,
);

/** Colors of the true classes, with the pins of what is shown, as far as it has the same classes. */
export const answerColors = computed(() => {
  const open = session.value;
  const of = open?.split.groupings.find((g) => g.name === "true");
  if (!open || !of) return NO_COLORS;
  return open.palette(theme.value, of, among(pins.value, sharedClasses(shownGrouping.value, of)));
});
export const positions = computed(() =>
  axisPositions(session.value?.scalars.step ?? [], axis.value),
);

/** The cells to draw: those at the playhead, or the nearest ones already here. */
export const painted = computed(() => {
  const current = track.value;
  if (!current) return null;
  void current.paint.arrived.value;
  return current.paint.nearest(snapshot.value);
});

export const approximate = computed(
  () => painted.value !== null && painted.value.snapshot !== snapshot.value,
);

/** Grows when units are to be placed anew. */
const placings = signal(0);

/** Units in their places; by index only until the last snapshot, which decides, is here. While a run
 * grows they stay where they are. */
const placed = computed((): Placed | null => {
  const current = track.value;
  const open = session.value;
  void placings.value;
  if (!current || !open) return null;
  const name = current.grouping.name;
  let known = open.placed.get(name);
  if (!known) {
    void current.paint.arrived.value;
    const last = current.paint.at(open.snapshots - 1);
    if (!last) return null;
    const order = unitOrder(last, open.layers, placesOf(current.grouping));
    known = { order, by: open.snapshots - 1 };
    open.placed.set(name, known);
  }
  return known;
});

export const order = computed(() => placed.value?.order ?? null);

/** The snapshot that put the units where they are; -1 while they have no places. */
export const placedBy = computed(() => placed.value?.by ?? -1);

/** Puts the units where the newest snapshot wants them. */
export function placeAnew(): void {
  session.peek()?.placed.clear();
  placings.value++;
}

export const placedOrder = computed(() => order.value ?? indexOrder(session.value?.units ?? 0));

/** A grouping's numbers and its cells at the playhead, so that nothing is shown by halves. */
async function loadWhole(open: Session, name: string, t: number): Promise<Track> {
  const loaded = await open.track(name, t);
  await loaded.paint.settled(t);
  return loaded;
}

effect(() => {
  const open = session.value;
  const name = grouping.value;
  if (!open) return;
  const before = track.peek();
  const wanted = (): boolean => session.peek() === open && grouping.peek() === name;
  const loading = before
    ? loadWhole(open, name, snapshot.peek())
    : open.track(name, snapshot.peek());
  loading.then(
    (loaded) => {
      if (wanted()) track.value = loaded;
    },
    (error: unknown) => {
      if (!wanted()) return;
      if (before) {
        grouping.value = before.grouping.name;
        announcement.value = explain(error);
      } else problem.value = explain(error);
    },
  );
});

effect(() => track.value?.paint.want(snapshot.value));

let asking: Track | null = null;

// What is counted of a long run comes piece by piece, around the playhead first.
effect(() => {
  const [open, current] = [session.value, track.value];
  if (!open || !current || current.complete || asking === current) return;
  asking = current;
  open.more(current, snapshot.peek()).then(
    (longer) => {
      if (track.peek() === current) track.value = longer;
    },
    (error: unknown) => (announcement.value = explain(error)),
  );
});

// A unit's history is asked for at once; its card, which shows it, is drawn only in the next frame.
effect(() => {
  const name = track.value?.grouping.name;
  if (unit.value >= 0 && name !== undefined)
    session
      .peek()
      ?.ofUnits.history(name, unit.value)
      .catch(() => undefined); // the card says so
});

export function show(t: number): void {
  const last = (session.peek()?.snapshots ?? 1) - 1;
  snapshot.value = Math.min(last, Math.max(0, t));
}

/** The layer of the Layer view: the chosen one, that of the selected unit, or the last hidden one. */
export const shownLayer = computed(() => {
  const open = session.value;
  if (!open) return -1;
  if (chosenLayer.value >= 0) return chosenLayer.value;
  if (unit.value >= 0) return open.layerOf[unit.value];
  const hidden = open.layers.flatMap((layer, l) => (layer.output ? [] : [l]));
  return hidden[hidden.length - 1] ?? open.layers.length - 1;
});

export function openLayer(l: number): void {
  batch(() => {
    chosenLayer.value = l;
    view.value = "layer";
    const of = unit.peek() >= 0 ? session.peek()?.layerOf[unit.peek()] : l;
    if (of !== l) unit.value = -1;
  });
}

export function openSample(i: number): void {
  batch(() => {
    sample.value = i;
    unit.value = -1;
    view.value = "samples";
  });
}

export function selectUnit(u: number): void {
  unit.value = u === unit.peek() ? -1 : u;
}

export function highlight(k: number): void {
  highlighted.value = k === highlighted.peek() ? -1 : k;
}

/** Adds a class to those that keep a hue of their own, or takes it away. */
export function togglePin(k: number): void {
  const next = toggled(pins.peek(), k);
  if (next) pins.value = next;
  else announcement.value = "Eight classes are pinned already: unpin one of them first.";
}

/** The grouping that was chosen, by the level by which the one before was shown, if it has that. */
export function chooseGrouping(name: string): void {
  const open = session.peek();
  const next = open && groupingNamed(open.split, name);
  if (!next) return;
  const shown = shownGrouping.peek();
  chooseShown(shown && next === baseOf(next) ? byLevel(next, levelOf(shown)) : next);
}

/** What the classes belong to, at a level. */
export function chooseLevel(level: Level): void {
  const shown = shownGrouping.peek();
  if (shown) chooseShown(byLevel(shown, level));
}

function chooseShown(next: Grouping): void {
  // The third class of one grouping is not the third of another.
  const same = sharedClasses(shownGrouping.peek(), next);
  batch(() => {
    if (highlighted.peek() >= same) highlighted.value = -1;
    pins.value = among(pins.peek(), same);
    grouping.value = next.name;
  });
}

let choices = 0;

/** Another measure of the same split, all else the same. */
export function chooseMeasure(name: string): Promise<void> {
  const split = session.peek()?.split.name ?? "";
  return chooseSplit(split, { measure: name });
}

/** The other split at the same step, with the same unit, grouping and class where it has them. */
export async function chooseSplit(name: string, address: Partial<Address> = {}): Promise<void> {
  const open = session.peek();
  if (!open) return;
  const choice = ++choices;
  const wanted = (): boolean => choice === choices && session.peek() === open;
  playing.value = false;
  try {
    const next = await open.other(name, address.measure ?? open.measure.name);
    const there = {
      ...currentAddress(open),
      ...address,
      split: next.split.name,
      measure: next.measure.name,
      // the third sample of one split is not the third of another
      ...(next.split.name !== open.split.name && { sample: -1, take: 0, zoom: "", event: "" }),
    };
    const shown = groupingOf(next, there.grouping);
    const t = snapshotAtStep(next.scalars.step, there.step, there.take);
    const loaded = await loadWhole(next, shown.name, t);
    if (wanted()) applyAddress(next, there, loaded);
  } catch (error) {
    if (wanted()) announcement.value = explain(error);
  }
}

/** The grouping of that name, or the first. */
const groupingOf = (open: Session, name: string): Grouping =>
  groupingNamed(open.split, name) ?? open.split.groupings[0];

/** Pins that the run's colors have. */
const ownPins = (): Pins => {
  const shown = shownGrouping.peek();
  return (shown && baseOf(shown).pinned) ?? [];
};

/** The next of the groupings the run has. */
export function nextGrouping(): void {
  const names = session.peek()?.split.groupings.map((g) => g.name) ?? [];
  const now = shownGrouping.peek();
  const name = now ? baseOf(now).name : grouping.peek();
  if (names.length > 1) chooseGrouping(names[(names.indexOf(name) + 1) % names.length]);
}

let beforeTable: View = "network";

/** The picture's twin in numbers, and back. */
export function toggleTable(): void {
  const now = view.peek();
  if (now !== "table") beforeTable = now;
  view.value = now === "table" ? beforeTable : "table";
}

export function toggleTheme(): void {
  theme.value = theme.peek() === "dark" ? "light" : "dark";
}

/** The unit above or below the selected one, within its layer. */
export function walkUnits(by: number): void {
  const open = session.peek();
  if (!open || unit.peek() < 0) return;
  const layer = open.layers[open.layerOf[unit.peek()]];
  const places = placedOrder.peek().subarray(layer.offset, layer.offset + layer.units);
  const place = places.indexOf(unit.peek()) + by;
  if (place >= 0 && place < places.length) unit.value = places[place];
}

export function defaultAddress(open: Session): Address {
  const steps = open.scalars.step;
  return {
    view: "network",
    layer: -1,
    shows: "cells",
    find: "",
    cell: "",
    sample: -1,
    only: "all",
    other: "",
    othersplit: "",
    othergrouping: "",
    by: "step",
    // with several, an address without a run is that of the list
    run: runs.peek().length > 1 ? "" : (runs.peek()[0]?.id ?? open.run),
    split: (firstSplit(open.manifest) ?? open.split).name,
    step: steps[steps.length - 1],
    take: 0,
    zoom: "",
    event: "",
    unit: -1,
    grouping: open.split.groupings[0].name,
    measure: open.manifest.measures[0].name,
    class: -1,
    pins: "",
    sort: "",
    matrix: "",
    threshold: Math.round(open.manifest.threshold * 100),
    theme: systemTheme(),
    axis: defaultAxis(steps),
  };
}

export function currentAddress(open: Session): Address {
  return {
    view: view.peek(),
    layer: chosenLayer.peek(),
    shows: layerShows.peek(),
    find: find.peek(),
    sample: sample.peek(),
    only: only.peek(),
    other: other.peek().run,
    othersplit: other.peek().split,
    othergrouping: other.peek().grouping,
    by: by.peek(),
    cell: cell.peek() ? `${cell.peek()?.true},${cell.peek()?.predicted}` : "",
    run: open.run,
    split: open.split.name,
    step: open.scalars.step[snapshot.peek()],
    take: takeOf(open.scalars.step, snapshot.peek()),
    zoom: zoom.peek() ? writeSpan(zoom.peek() as Span) : "",
    event: event.peek(),
    unit: unit.peek(),
    grouping: shownGrouping.peek()?.name ?? grouping.peek(),
    measure: open.measure.name,
    class: highlighted.peek(),
    // those that the run itself pins need not be said
    pins: pinsText(pins.peek()) === pinsText(ownPins()) ? "" : pinsText(pins.peek()) || "none",
    sort: sort.peek(),
    matrix: matrixOrder.peek(),
    threshold: threshold.peek(),
    theme: theme.peek(),
    axis: axis.peek(),
  };
}

/** Shows what an address says; a unit, class or grouping that this run lacks is left out. */
export function applyAddress(
  open: Session,
  address: Partial<Address>,
  loaded: Track | null = null,
): void {
  const wanted = { ...defaultAddress(open), ...address };
  const shown = groupingOf(open, wanted.grouping);
  const same = session.peek() === open && track.peek()?.grouping === shown;
  batch(() => {
    if (!same) track.value = loaded;
    grouping.value = shown.name;
    snapshot.value = snapshotAtStep(open.scalars.step, wanted.step, wanted.take);
    const span = readSpan(wanted.zoom);
    zoom.value = span ? fitted(span, open.snapshots) : null;
    event.value = wanted.event;
    unit.value = wanted.unit < open.units ? wanted.unit : -1;
    highlighted.value = wanted.class < shown.classes.length ? wanted.class : -1;
    pins.value =
      wanted.pins === ""
        ? (baseOf(shown).pinned ?? [])
        : pinsOf(isPinsText(wanted.pins) ? wanted.pins : "", shown.classes.length);
    sort.value = wanted.sort;
    matrixOrder.value = wanted.matrix;
    view.value = wanted.view;
    chosenLayer.value = wanted.layer < open.layers.length ? wanted.layer : -1;
    layerShows.value = wanted.shows;
    find.value = wanted.find;
    cell.value = cellOf(open, wanted.cell);
    sample.value = wanted.sample < (open.split.samples ?? 0) ? wanted.sample : -1;
    only.value = wanted.only;
    const { other: run, othersplit: split, othergrouping } = wanted;
    other.value = { run, split, grouping: othergrouping };
    by.value = wanted.by;
    threshold.value = wanted.threshold;
    theme.value = wanted.theme;
    axis.value = wanted.axis;
    session.value = open;
  });
}

/** The same run with more snapshots. Who was at the newest stays at the newest, everyone else where
 * they are, and nothing that was chosen is lost. */
export function applyGrown(open: Session, grown: Session, loaded: Track): void {
  const last = open.snapshots - 1;
  batch(() => {
    if (snapshot.peek() === last) snapshot.value = grown.snapshots - 1;
    const span = zoom.peek();
    if (span && span.to >= last) {
      const by = grown.snapshots - open.snapshots;
      zoom.value = fitted({ from: span.from + by, to: span.to + by }, grown.snapshots);
    }
    session.value = grown;
    track.value = loaded;
  });
}

/** A cell of the confusion, if the run has these classes. */
function cellOf(open: Session, text: string): Cell | null {
  const [row, column] = text === "" ? [] : text.split(",").map(Number);
  const classes = open.split.groupings.find((g) => g.name === "true")?.classes.length ?? 0;
  if (row === undefined || !(row < classes && column < classes)) return null;
  return { true: row, predicted: column };
}
