// Events of what is shown, loaded once its pictures are here.

import { computed, effect, signal } from "@preact/signals";
import { session, shownGrouping, track } from "../state";
import { baseOf, levelOf } from "./groupings";
import type { Events } from "./resources";

/** The grouping by which events are told: across levels nothing happens, so by the classes there. */
export const toldBy = computed(() => {
  const shown = shownGrouping.value;
  return shown && levelOf(shown) === "finest" ? baseOf(shown) : shown;
});

/** Null until they are here. */
export const happened = signal<Events | null>(null);

/** The server makes events of the same pictures: asked for first, they would delay what is looked at. */
export function followEvents(): () => void {
  let wanted = 0;
  return effect(() => {
    const open = session.value;
    const name = toldBy.value?.name;
    const pictured = track.value !== null;
    const mine = ++wanted;
    happened.value = null;
    if (!open || name === undefined || !pictured) return;
    open.events(name).then(
      (loaded) => {
        if (mine === wanted) happened.value = loaded;
      },
      () => undefined, // they are beside the point: the page stays as it is
    );
  });
}

/** How many units switched their class at each snapshot; null until known. */
export const switches = computed((): Uint32Array | null => {
  const open = session.value;
  const events = happened.value;
  if (!open || !events) return null;
  const kind = open.manifest.event_kinds.indexOf("switched");
  const counts = new Uint32Array(open.snapshots);
  events.kind.forEach((k, i) => k === kind && counts[events.snapshot[i]]++);
  return counts;
});

/** When half of a layer's units were tuned for the first time: layer → snapshot. */
export const halfTuned = computed((): ReadonlyMap<number, number> => {
  const found = new Map<number, number>();
  const open = session.value;
  const events = happened.value;
  if (!open || !events) return found;
  const kind = open.manifest.event_kinds.indexOf("half_tuned");
  events.kind.forEach((k, i) => {
    if (k === kind && !found.has(events.layer[i])) found.set(events.layer[i], events.snapshot[i]);
  });
  return found;
});
