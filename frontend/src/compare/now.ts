// What is compared: the run on the screen (A) with another run, split or grouping (B). B is a session
// of its own; which of its snapshots belongs to the playhead the server says.

import { computed, effect, signal, type ReadonlySignal } from "@preact/signals";
import { explain } from "../explain";
import { LOADING } from "../run/counts";
import type { Beside, Paired } from "../run/resources";
import { baseOf, byLevel, levelOf, orderOf } from "../run/groupings";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { by, other, runs, session, snapshot, threshold, track, view } from "../state/chosen";
import { order, palette, shownGrouping } from "../state/shown";
import type { Manifest, Split } from "../wire/manifest";
import { differing, tunedShare } from "./counts";
import { compareSentence, type Differ, type SideFacts } from "./sentences";
import { sideOf, type Side } from "./side";

/** What is laid beside A. */
export interface Wish {
  run: string;
  split: string;
  grouping: string;
}

/** A and B, loaded; all that is shown of B follows from it. */
export interface Against {
  a: Session;
  /** Of A. */
  grouping: string;
  wish: Wish;
  b: Session;
  track: Track;
  beside: Beside;
}

/** Why there is nothing beside A. */
export interface Refused {
  a: Session;
  grouping: string;
  wish: Wish;
  why: string;
  /** Whether both are there, but must not be laid side by side. */
  incomparable: boolean;
  config: Beside["config"];
}

const loaded = signal<Against | Refused | null>(null);
/** Manifests of the other runs that were asked for. */
const manifests = signal<ReadonlyMap<string, Manifest>>(new Map());

/** Whether the server, or the file, can lay anything beside A. */
export const comparable = computed(() => session.value?.has("compare") ?? false);

const holding = (manifest: Manifest): Split[] => manifest.splits.filter((s) => s.snapshots > 0);

/** The run that is compared with; A's own where there is no other. */
export const otherRun = computed((): string => {
  const open = session.value;
  if (!open) return "";
  const named = other.value.run;
  if (named !== "" && (named === open.run || runs.value.some((r) => r.id === named))) return named;
  // a split or grouping alone is of A's own run
  if (other.value.split !== "" || other.value.grouping !== "") return open.run;
  return runs.value.find((r) => r.id !== open.run && !r.error)?.id ?? open.run;
});

export const otherManifest = computed((): Manifest | null => {
  const open = session.value;
  if (!open) return null;
  return otherRun.value === open.run
    ? open.manifest
    : (manifests.value.get(otherRun.value) ?? null);
});

/** What is compared with, everything said; null where that is not known yet, or there is nothing. */
export const wish = computed((): Wish | null => {
  const open = session.value;
  const by_ = shownGrouping.value;
  const manifest = otherManifest.value;
  if (!open || !by_ || !manifest) return null;
  const run = otherRun.value;
  const own = run === open.run;
  const splits = holding(manifest);
  const asked = splits.find((s) => s.name === other.value.split);
  const same = splits.find((s) => s.name === open.split.name);
  const choices = asked ? [asked] : own && same ? [same, ...splits] : [same ?? splits[0]];
  for (const split of choices) {
    if (!split) continue;
    const self = own && split.name === open.split.name;
    const usual = split.groupings.filter((g) => !self || g.name !== baseOf(by_).name);
    const found =
      usual.find((g) => g.name === other.value.grouping) ??
      usual.find((g) => g.name === baseOf(by_).name) ??
      usual[0];
    // by superclasses, if those are shown and it has them
    if (found) return { run, split: split.name, grouping: byLevel(found, levelOf(by_)).name };
  }
  return null;
});

/** Whether it is known that there is nothing to compare with. */
export const nothing = computed(() => otherManifest.value !== null && wish.value === null);

const sameWish = (a: Wish, b: Wish): boolean =>
  a.run === b.run && a.split === b.split && a.grouping === b.grouping;

const current = computed(() => {
  const found = loaded.value;
  const wanted = wish.value;
  if (!found || !wanted || found.a !== session.value) return null;
  if (found.grouping !== track.value?.grouping.name) return null;
  return sameWish(found.wish, wanted) ? found : null;
});

/** What is compared now; null while it loads, or where it cannot be. */
export const against = computed((): Against | null => {
  const found = current.value;
  return found && "b" in found ? found : null;
});
export const refused = computed((): Refused | null => {
  const found = current.value;
  return found && "why" in found ? found : null;
});

/** How often it is asked again, where B grows between two answers. */
const TRIES = 3;

/** @param before what is shown now: of a B that is still the same nothing is asked for again. */
async function load(
  a: Session,
  grouping: string,
  wanted: Wish,
  before: Against | null = null,
): Promise<Against | Refused> {
  const own = wanted.run === a.run && wanted.split === a.split.name;
  for (let tries = 0; tries < TRIES; tries++) {
    const beside = await a.beside(grouping, wanted.run, wanted.split, wanted.grouping);
    const { config } = beside;
    if (beside.refused !== null)
      return { a, grouping, wish: wanted, why: beside.refused, incomparable: true, config };
    const b = own ? a : await neighborOf(a, wanted, before?.b, beside.version);
    // what is its tenth snapshot now may be the eleventh in a moment
    if (b.manifest.version !== beside.version) continue;
    let track = await b.track(wanted.grouping, 0);
    while (!track.complete) track = await b.more(track, 0); // any of its snapshots may stand here
    return { a, grouping, wish: wanted, b, track, beside };
  }
  throw new Error("It grows too fast to be compared with. Reload when it has slowed down.");
}

async function neighborOf(
  a: Session,
  wanted: Wish,
  before: Session | undefined,
  version: string,
): Promise<Session> {
  if (before?.run === wanted.run && before.split.name === wanted.split) {
    if (before.manifest.version === version) return before;
    const grown = await before.grown(wanted.run === a.run ? a.manifest : undefined);
    if (grown) return grown;
  }
  return a.neighbor(wanted.run, wanted.split);
}

/** What is compared, for a run that has grown: loaded, cells and all, before any of it is shown; null
 * where nothing is compared now. */
export async function comparedGrown(
  open: Session,
  grown: Session,
  t: number,
): Promise<Against | Refused | null> {
  const before = against.peek();
  if (view.peek() !== "compare" || before?.a !== open) return null;
  const found = await load(grown, before.grouping, before.wish, before);
  if (!("b" in found)) return found;
  const pairs = found.beside.pairs[by.peek()];
  const there = pairs && "snapshot" in pairs ? (pairs.snapshot[t] ?? -1) : -1;
  await found.track.paint.settled(Math.max(0, there));
  return found;
}

/** Shows what `comparedGrown` gave; together with the run itself. */
export function applyCompared(found: Against | Refused): void {
  loaded.value = found;
}

export function followCompare(): () => void {
  const stops = [
    effect(() => {
      const [open, run] = [session.value, otherRun.value];
      if (view.value !== "compare" || !open || run === open.run || manifests.peek().has(run))
        return;
      open.manifestOf(run).then(
        (manifest) => (manifests.value = new Map(manifests.peek()).set(run, manifest)),
        (error: unknown) => (missing.value = { run, why: explain(error) }),
      );
    }),
    effect(() => {
      const [open, wanted, grouping] = [session.value, wish.value, track.value?.grouping.name];
      if (view.value !== "compare" || !comparable.value) return;
      if (!open || !wanted || grouping === undefined || current.peek()) return;
      const still = (): boolean =>
        session.peek() === open &&
        track.peek()?.grouping.name === grouping &&
        wish.peek() === wanted;
      load(open, grouping, wanted).then(
        (found) => {
          if (still()) loaded.value = found;
        },
        (error: unknown) => {
          const why = explain(error);
          const none = { a: open, grouping, wish: wanted, why, incomparable: false, config: [] };
          if (still()) loaded.value = none;
        },
      );
    }),
    effect(() => {
      const t = pairedSnapshot.value;
      if (view.value === "compare" && t >= 0) against.value?.track.paint.want(t);
    }),
  ];
  return () => stops.forEach((stop) => stop());
}

/** A run whose manifest did not come. */
const missing = signal<{ run: string; why: string } | null>(null);
export const unreadable = computed(() =>
  missing.value?.run === otherRun.value && !otherManifest.value ? missing.value.why : "",
);

/** The pairs of what is compared; null where these snapshots cannot be paired so. */
export const pairs = computed((): Paired | null => {
  const found = against.value?.beside.pairs[by.value];
  return found && "snapshot" in found ? found : null;
});

/** The snapshot of B beside that at the playhead; -1 for none. */
export const pairedSnapshot = computed(() => {
  const t = pairs.value?.snapshot[snapshot.value] ?? -1;
  return t < (against.value?.b.snapshots ?? 0) ? t : -1;
});

/** B's accuracy at the snapshots of A, as they are paired. */
export const pairedAccuracy = computed((): Float64Array | null => {
  const accuracy = against.value?.b.scalars.accuracy;
  const found = pairs.value;
  if (view.value !== "compare" || !accuracy || !found) return null;
  return Float64Array.from(found.snapshot, (t) => accuracy[t] ?? NaN);
});

const sides = new WeakMap<Against, { a: Side; b: Side }>();

/** Both sides as they are drawn; that of A anew as more of its snapshots come. */
export function sidesOf(found: Against): { a: Side; b: Side } {
  const ofA = track.value as Track;
  const before = sides.get(found);
  if (before?.a.track === ofA) return before;
  const { a, b, beside } = found;
  const inOrder = orderOf(ofA.grouping);
  const known = {
    a: sideOf(a, ofA, snapshot, inOrder, null, palette, order),
    b:
      before?.b ??
      sideOf(
        b,
        found.track,
        pairedSnapshot,
        inOrder,
        beside.classes,
        palette,
        // the same units stay where they are
        beside.same_units ? order : null,
      ),
  };
  sides.set(found, known);
  return known;
}

function factsOf(side: Side, t: number): SideFacts {
  const { scalars } = side.open;
  return {
    step: scalars.step[t] ?? NaN,
    epoch: scalars.epoch[t] ?? NaN,
    accuracy: scalars.accuracy?.[t] ?? NaN,
    share:
      t < 0 ? NaN : tunedShare(side.open, side.track, t, side.highlighted.value, threshold.value),
  };
}

export const facts = computed((): { a: SideFacts; b: SideFacts } | null => {
  const found = against.value;
  if (!found) return null;
  const { a, b } = sidesOf(found);
  if (a.track.summary.missing[snapshot.value] === LOADING) return null;
  return { a: factsOf(a, snapshot.value), b: factsOf(b, pairedSnapshot.value) };
});

/** How the same units differ; null where they are not the same, or not all here. */
const differs = computed((): Differ | null => {
  const found = against.value;
  if (!found?.beside.same_units) return null;
  const { a, b } = sidesOf(found);
  const [one, two] = [a.cells.value, b.cells.value];
  if (!one || !two) return null;
  const { layers, names, units: all } = found.a;
  const level = threshold.value;
  const n = differing(one, two, layers, found.beside.classes, level, a.highlighted.value);
  return { units: n.units, all, layer: names[n.layer] ?? "", inLayer: n.inLayer };
});

export const compareTitle: ReadonlySignal<string> = computed(() => {
  if (!comparable.value)
    return session.value?.leftOut("comparisons")
      ? "The comparisons are not in this file."
      : "There is nothing to compare with.";
  if (refused.value)
    return refused.value.incomparable
      ? `These two ${refused.value.wish.run === session.value?.run ? "" : "runs "}cannot be laid side by side.`
      : "What is compared with could not be read.";
  if (unreadable.value) return "What is compared with could not be read.";
  const both = facts.value;
  if (!both) return nothing.value ? "There is nothing to compare with." : "Loading.";
  const k = sidesOf(against.value as Against).a.highlighted.value;
  return compareSentence(
    by.value,
    pairs.value !== null,
    both.a,
    both.b,
    k < 0 ? null : (track.value?.grouping.classes[k] ?? ""),
    differs.value,
  );
});
