// The geometry of the split on the screen, as far as the server knows it: asked for again until it
// is whole, and only while it is looked at.

import { computed, effect, signal } from "@preact/signals";
import { percent, stepText } from "../format";
import { said } from "../inline";
import { spoken } from "../sentences/network";
import { explain } from "../explain";
import type { Geometry, NumberName } from "../run/resources";
import type { Session } from "../run/session";
import { session, snapshot, view } from "../state/chosen";
import { shownLayer } from "../state/shown";
import { nearestKnown, PANELS } from "./panels";

const AGAIN_MS = 1500;

interface Known {
  of: Session;
  geometry: Geometry;
}

const known = signal<Known | null>(null);
const failed = signal<{ of: Session; why: string } | null>(null);

export const geometry = computed((): Geometry | null =>
  known.value?.of === session.value ? (known.value?.geometry ?? null) : null,
);
export const geometryProblem = computed(() =>
  failed.value?.of === session.value ? (failed.value?.why ?? "") : "",
);

export function followGeometry(): () => void {
  return effect(() => {
    const open = session.value;
    if (view.value !== "geometry" || !open?.has("geometry")) return;
    const before = known.peek();
    if (before?.of === open && isWhole(before.geometry)) return;
    let timer = 0;
    let wanted = true;
    const ask = (): void => {
      open.ofLayers.geometry().then(
        (found) => {
          if (!wanted) return;
          known.value = { of: open, geometry: found };
          failed.value = null;
          if (!isWhole(found)) timer = window.setTimeout(ask, AGAIN_MS);
        },
        (error: unknown) => {
          if (wanted) failed.value = { of: open, why: explain(error) };
        },
      );
    };
    ask();
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  });
}

export const isWhole = (found: Geometry): boolean => found.snapshot.length >= found.wanted;

/** Index, into what is known, of the snapshot nearest to the playhead; -1 for none. */
export const place = computed(() =>
  geometry.value ? nearestKnown(geometry.value.snapshot, snapshot.value) : -1,
);
/** That snapshot; -1 for none. */
export const shownSnapshot = computed(() => geometry.value?.snapshot[place.value] ?? -1);

export function valueOf(name: NumberName, layer: number): number {
  const found = geometry.value;
  const layers = session.value?.layers.length ?? 0;
  return found && place.value >= 0 ? found.values[name][place.value * layers + layer] : NaN;
}

export const geometryTitle = computed(() => {
  const open = session.value;
  if (!open) return "";
  if (!open.has("geometry"))
    return open.leftOut("geometry of classes")
      ? "The geometry of classes is not in this file."
      : "There is no geometry of this split.";
  if (geometryProblem.value) return "The geometry could not be read.";
  if (shownSnapshot.value < 0) return "Loading.";
  const l = shownLayer.value;
  const at = `Step ${stepText(open.scalars.step[shownSnapshot.value])}, ${said(spoken(open.names[l]))}`;
  const linear = valueOf("linear", l);
  if (!Number.isNaN(linear))
    return `${at}: a linear probe reads the class of ${percent(linear)} of samples it has not seen.`;
  const cdnv = valueOf("cdnv", l);
  if (Number.isNaN(cdnv)) return `${at}: too few samples or units to compare classes.`;
  const spec = PANELS.find((panel) => panel.name === "cdnv");
  const sentence = spec?.sentence(cdnv) ?? "";
  return `${at}: ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`;
});
