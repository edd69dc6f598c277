// The samples at the playhead, and in which order they stand: the hardest at the last snapshot first,
// so that a sample keeps its place through training.

import { computed, signal } from "@preact/signals";
import { baseOf, ownClasses } from "../run/groupings";
import type { Samples } from "../run/resources";
import { confusionNames } from "../confusion/now";
import { classes, shownGrouping } from "../state/shown";
import { find, highlighted, only, sample, session } from "../state/chosen";
import { searchOf } from "./finding";
import { isWrong } from "./reading";

/** The last that came, and of which session and snapshot. */
export const loadedSamples = signal<{ of: unknown; snapshot: number; samples: Samples } | null>(
  null,
);
/** Why the samples at the playhead cannot be shown; "" while nothing is known to be wrong. */
export const samplesProblem = signal("");
/** Those of the last snapshot. */
export const lastSamples = signal<{ of: unknown; samples: Samples } | null>(null);

export const samplesNow = computed(() =>
  loadedSamples.value?.of === session.value ? loadedSamples.value : null,
);

/** All samples, hardest at the last snapshot first; null until that is known. */
export const sampleOrder = computed((): Uint32Array | null => {
  const last = lastSamples.value;
  if (!last || last.of !== session.value) return null;
  const { right } = last.samples;
  return Uint32Array.from(right, (_, i) => i).sort((a, b) => right[a] - right[b] || a - b);
});

const search = computed(() => searchOf(find.value, confusionNames.value));

/** Those that are shown: of the highlighted true class, found, and wrong now or watched, where that is
 * asked for. */
export const shownSamples = computed((): Uint32Array => {
  const order = sampleOrder.value;
  const now = samplesNow.value;
  if (!order || !now) return new Uint32Array(0);
  const { label, prediction } = now.samples;
  const shown = shownGrouping.value;
  const name = shown ? baseOf(shown).name : "";
  // the classes of a grouping of one's own are not those of the labels, nor are superclasses
  const known = shown !== null && (name === "true" || name === "predicted");
  const k = known && highlighted.value < ownClasses(shown) ? highlighted.value : -1;
  const of = name === "predicted" ? prediction : label;
  const among = only.value;
  const watched = new Set(session.value?.split.watched?.samples);
  const found = search.value;
  return order.filter(
    (i) =>
      (among !== "wrong" || isWrong(label[i], prediction[i])) &&
      (among !== "watched" || watched.has(i)) &&
      (k < 0 || of[i] === k) &&
      found(i, label[i], prediction[i]),
  );
});

export const highlightedName = computed(() => classes.value[highlighted.value] ?? "");

/** To the next or previous of the samples that are shown. */
export function walkSamples(by: number): void {
  const shown = shownSamples.peek();
  const place = shown.indexOf(sample.peek()) + by;
  if (place >= 0 && place < shown.length) sample.value = shown[place];
}
