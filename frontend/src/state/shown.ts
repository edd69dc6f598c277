// What follows from the choices.

import { computed, signal } from "@preact/signals";
import { among } from "../rail/pins";
import { groupingNamed, orderOf, placesOf, sharedClasses } from "../run/groupings";
import { indexOrder, unitOrder } from "../run/order";
import type { Placed } from "../run/session";
import { axisPositions } from "../timeline/scale";
import { session, grouping, snapshot, unit, pins, chosenLayer, axis, theme, track } from "./chosen";

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

/** The layer of the Layer view: the chosen one, that of the selected unit, or the last hidden one. */
export const shownLayer = computed(() => {
  const open = session.value;
  if (!open) return -1;
  if (chosenLayer.value >= 0) return chosenLayer.value;
  if (unit.value >= 0) return open.layerOf[unit.value];
  const hidden = open.layers.flatMap((layer, l) => (layer.output ? [] : [l]));
  return hidden[hidden.length - 1] ?? open.layers.length - 1;
});
