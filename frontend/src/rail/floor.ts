// What strength reads where labels are permuted: fetched once the playhead rests, never while it moves.

import { computed, effect, signal } from "@preact/signals";
import { session, snapshot, track } from "../state/chosen";
import { shownGrouping } from "../state/shown";

const REST_MS = 500;

/** The greatest of all layers' noise floors at the playhead, and which layer's; null while unknown. */
export const floor = signal<{ value: number; layer: number } | null>(null);

/** Whether the split has one: it takes the responses of each sample. */
export const hasFloor = computed(() => session.value?.split.resources.includes("floor") ?? false);

/** Whether it is that of the grouping shown, the samples' true labels. */
export const isOfTrue = computed(() => shownGrouping.value?.name === "true");

/** Which of the floors is the greatest; null where none is known. */
export function greatest(floors: ArrayLike<number>): { value: number; layer: number } | null {
  let found: { value: number; layer: number } | null = null;
  for (let l = 0; l < floors.length; l++)
    if (!Number.isNaN(floors[l]) && (found === null || floors[l] > found.value))
      found = { value: floors[l], layer: l };
  return found;
}

export function followFloor(): () => void {
  let timer = 0;
  const stop = effect(() => {
    const open = session.value;
    const t = snapshot.value;
    const there = hasFloor.value && isOfTrue.value && track.value !== null;
    clearTimeout(timer);
    floor.value = null;
    if (!open || !there) return;
    timer = window.setTimeout(() => {
      open.ofLayers.floor(t).then(
        (floors) => {
          if (session.peek() === open && snapshot.peek() === t) floor.value = greatest(floors);
        },
        () => undefined, // it is a mark on the key: without it the page is whole
      );
    }, REST_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
