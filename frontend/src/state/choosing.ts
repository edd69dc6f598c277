// What a click or a key chooses.

import { batch } from "@preact/signals";
import { explain } from "../explain";
import { among, toggled } from "../rail/pins";
import {
  baseOf,
  byLevel,
  groupingNamed,
  levelOf,
  sharedClasses,
  type Level,
} from "../run/groupings";
import { snapshotAtStep } from "../timeline/scale";
import type { Address, View } from "../url";
import type { Grouping } from "../wire/manifest";
import {
  session,
  grouping,
  view,
  snapshot,
  unit,
  highlighted,
  pins,
  chosenLayer,
  sample,
  playing,
  announcement,
  theme,
} from "./chosen";
import { shownGrouping, placedOrder } from "./shown";
import { loadWhole } from "./loading";
import { applyAddress, currentAddress, groupingOf } from "./addressed";

export function show(t: number): void {
  const last = (session.peek()?.snapshots ?? 1) - 1;
  snapshot.value = Math.min(last, Math.max(0, t));
}

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

/** Asks for a unit's history when it is pressed: the click comes a moment later. */
export function foreseeUnit(u: number): void {
  const grouping = shownGrouping.peek();
  if (u >= 0 && grouping)
    session
      .peek()
      ?.ofUnits.history(grouping.name, u)
      .catch(() => undefined);
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
