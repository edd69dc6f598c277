// The choices as an address, and an address as choices; the same for a run that has grown.

import { batch } from "@preact/signals";
import { isPinsText, pinsOf, pinsText, type Pins } from "../rail/pins";
import { baseOf, groupingNamed } from "../run/groupings";
import { firstSplit, type Session } from "../run/session";
import type { Track } from "../run/tracks";
import { defaultAxis, snapshotAtStep, takeOf } from "../timeline/scale";
import { fitted, readSpan, writeSpan, type Span } from "../timeline/span";
import type { Address } from "../url";
import type { Grouping } from "../wire/manifest";
import {
  type Cell,
  runs,
  session,
  grouping,
  view,
  snapshot,
  unit,
  highlighted,
  pins,
  sort,
  chosenLayer,
  layerShows,
  cell,
  other,
  by,
  sample,
  matrixOrder,
  only,
  find,
  threshold,
  axis,
  zoom,
  event,
  systemTheme,
  theme,
  track,
} from "./chosen";
import { shownGrouping } from "./shown";

/** The grouping of that name, or the first. */
export const groupingOf = (open: Session, name: string): Grouping =>
  groupingNamed(open.split, name) ?? open.split.groupings[0];

/** Pins that the run's colors have. */
const ownPins = (): Pins => {
  const shown = shownGrouping.peek();
  return (shown && baseOf(shown).pinned) ?? [];
};

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
