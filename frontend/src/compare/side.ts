// One of two that are compared, as it is drawn: its cells, its places, its colors.

import { computed, type ReadonlySignal } from "@preact/signals";
import { numbersAt } from "../derive";
import type { LayerNumbers } from "../network/draw";
import { CellColors } from "../network/colors";
import { tunedPerLayerAndClass } from "../run/counts";
import { unitOrder } from "../run/order";
import type { Paint } from "../run/paint";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { highlighted, threshold } from "../state/chosen";
import { reordered } from "./order";

export interface Side {
  open: Session;
  track: Track;
  /** -1 where none stands here. */
  snapshot: ReadonlySignal<number>;
  /** Cells of exactly this snapshot; null until they are here. */
  cells: ReadonlySignal<Paint | null>;
  /** Units in their places; null until its last snapshot, which decides, is here. */
  order: ReadonlySignal<Uint32Array | null>;
  /** Its classes as bars have them. */
  classOrder: readonly number[];
  colors: ReadonlySignal<CellColors>;
  /** Index of the highlighted class among its own classes, or -1. */
  highlighted: ReadonlySignal<number>;
  tuned: ReadonlySignal<Uint32Array | null>;
  numbers: ReadonlySignal<LayerNumbers[]>;
}

/** @param onScreen the classes in the order of the screen.
 * @param classes of each class on the screen its index on this side; null where they are the same.
 * @param palette of the classes on the screen: a class has one color on both sides.
 * @param places where its units stand, if that is not its own to decide. */
export function sideOf(
  open: Session,
  track: Track,
  snapshot: ReadonlySignal<number>,
  onScreen: readonly number[],
  classes: readonly number[] | null,
  palette: ReadonlySignal<Uint8Array>,
  places: ReadonlySignal<Uint32Array | null> | null,
): Side {
  const { paint } = track;
  const cells = computed(() => {
    void paint.arrived.value;
    return snapshot.value < 0 ? null : paint.at(snapshot.value);
  });
  let known: Uint32Array | null = null;
  const classOrder = onScreen.map((k) => classes?.[k] ?? k);
  const placeOf: number[] = [];
  classOrder.forEach((k, at) => (placeOf[k] = at));
  const own = computed(() => {
    void paint.arrived.value;
    const last = known ? null : paint.at(open.snapshots - 1);
    if (last) known = unitOrder(last, open.layers, placeOf);
    return known;
  });
  const chosen = computed(() =>
    highlighted.value < 0 ? -1 : (classes?.[highlighted.value] ?? highlighted.value),
  );
  const tuned = computed(
    () =>
      cells.value &&
      tunedPerLayerAndClass(
        cells.value,
        open.layers,
        track.grouping.classes.length,
        threshold.value,
      ),
  );
  return {
    open,
    track,
    snapshot,
    cells,
    order: places ?? own,
    classOrder,
    colors: computed(() => new CellColors(reordered(palette.value, classes))),
    highlighted: chosen,
    tuned,
    numbers: computed(() =>
      snapshot.value < 0
        ? []
        : numbersAt(open, track, snapshot.value, threshold.value, chosen.value, tuned.value),
    ),
  };
}
