// The list of classes as it is now: what is sought, how it is sorted, what is open.

import { computed, effect, signal } from "@preact/signals";
import { confusionNow } from "../confusion/now";
import { shareRight } from "../confusion/scale";
import { hasData, takesPart } from "../derive";
import { count, percent } from "../format";
import { baseOf, levelOf } from "../run/groupings";
import { tunedToClass } from "../run/counts";
import { playing, session, snapshot, sort, threshold, track } from "../state/chosen";
import { SORTS, type Sort } from "../url";
import { above, FEW, isNested, rowsOf, type Row } from "./rows";

export const query = signal("");
/** Superclasses whose classes are listed, by `groupsOf`. */
export const opened = signal<ReadonlySet<number>>(new Set());
/** Where one types what is sought. */
export const finder: { current: HTMLInputElement | null } = { current: null };

const REST_MS = 300;

/** The playhead where it last stood still: nothing is sorted anew while it moves. */
const rested = signal(0);

export function followRest(): () => void {
  let timer = 0;
  let of: unknown = null;
  const stop = effect(() => {
    const t = snapshot.value;
    clearTimeout(timer);
    if (track.value !== of) {
      of = track.value;
      rested.value = t;
    } else if (!playing.value) timer = window.setTimeout(() => (rested.value = t), REST_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

export const shownSort = computed((): Sort => {
  const shown = track.value?.grouping;
  const nested = shown !== undefined && shown.classes.length > FEW && isNested(shown);
  if (sort.value && (nested || sort.value !== "superclass")) return sort.value;
  return nested ? "superclass" : "given";
});

/** What a list can be sorted by. */
export const sorts = computed((): Sort[] => {
  const shown = track.value?.grouping;
  const open = session.value;
  if (!shown || !open) return [];
  const right = typeof levelOf(shown) !== "number" && hasConfusion.value;
  return SORTS.filter(
    (name) => (name !== "superclass" || isNested(shown)) && (name !== "recall" || right),
  );
});

/** Whether it can be known how the classes shown are read. */
const hasConfusion = computed(() => {
  const open = session.value;
  const shown = track.value?.grouping;
  if (!open || !shown || !["true", "predicted"].includes(baseOf(shown).name)) return false;
  return open.has("confusion") || open.has("confusion_at");
});

/** Units tuned to some classes at a snapshot. */
export function tunedToAny(counted: readonly number[], t: number): number {
  const now = track.value;
  if (!now) return 0;
  const K = now.grouping.classes.length;
  let sum = 0;
  for (const k of counted) sum += tunedToClass(now.classBins, K, t, k, threshold.value);
  return sum;
}

/** Share of a class that is read rightly, or of those read as it; NaN where that is not known here. */
function rightOf(k: number): number {
  const shown = track.value?.grouping;
  const now = confusionNow.value;
  if (!shown || now?.snapshot !== snapshot.value || k >= now.names.length) return NaN;
  const of = baseOf(shown).name === "predicted" ? "predicted" : "true";
  return shareRight(now.matrix, now.samples, k, of);
}

/** Change since the snapshot before, of units tuned. */
const changed = (counted: readonly number[], t: number): number =>
  t > 0 ? tunedToAny(counted, t) - tunedToAny(counted, t - 1) : NaN;

/** What each class is sorted by at the playhead at rest; null where not by a number. */
const rank = computed((): Float64Array | null => {
  const shown = track.value?.grouping;
  const by = shownSort.value;
  if (!shown || !["units", "recall", "change"].includes(by)) return null;
  const t = rested.value;
  return Float64Array.from(shown.classes, (_, k) =>
    by === "units" ? tunedToAny([k], t) : by === "change" ? changed([k], t) : rightOf(k),
  );
});

export const rows = computed((): readonly Row[] => {
  const shown = track.value?.grouping;
  if (!shown) return [];
  const by = shownSort.value;
  return rowsOf(shown, {
    rank: rank.value,
    byName: by === "name",
    bySuperclass: by === "superclass",
    query: query.value,
    opened: opened.value,
  });
});

/** What the numbers beside the names are. */
export const column = computed(() => {
  const shown = track.value?.grouping;
  const predicted = shown !== undefined && baseOf(shown).name === "predicted";
  if (shownSort.value === "recall") return predicted ? "precision" : "recall";
  return shownSort.value === "change" ? "change in units" : "units tuned";
});

/** The number beside a row's name. */
export function numberOf(row: Row): string {
  const now = track.value;
  const t = snapshot.value;
  if (!now) return "";
  const by = shownSort.value;
  if (by === "recall") return row.cls < 0 ? "" : percent(rightOf(row.cls));
  if (!hasData.value || !row.counted.some((k) => takesPart(now, k, t))) return "–";
  if (by !== "change") return count(tunedToAny(row.counted, t));
  const n = changed(row.counted, t);
  if (Number.isNaN(n)) return "–";
  return n > 0 ? `+${count(n)}` : n < 0 ? `−${count(-n)}` : "0";
}

export function toggleOpen(group: number): void {
  const next = new Set(opened.peek());
  if (!next.delete(group)) next.add(group);
  opened.value = next;
}

/** Opens what a class stands in, so that it is in the list. */
export function reveal(cls: number): void {
  const shown = track.peek()?.grouping;
  if (!shown || cls < 0 || shownSort.peek() !== "superclass") return;
  if (rows.peek().some((row) => row.cls === cls)) return;
  opened.value = new Set([...opened.peek(), ...above(shown, cls)]);
}
