// What several parts of the page count or say about the snapshot at the playhead.

import { computed, effect, signal } from "@preact/signals";
import {
  classesWithSamples,
  DAMAGED,
  HERE,
  LOADING,
  samplesAt,
  stateCounts,
  suppressedByClass,
  tunedInLayer,
  tunedPerLayerAndClass,
  tunedToClass,
} from "./run/counts";
import type { Paint } from "./run/paint";
import type { Session } from "./run/session";
import type { Track } from "./run/tracks";
import { baseOf, levelOf, ownClasses } from "./run/groupings";
import type { LayerNumbers } from "./network/draw";
import { stepText } from "./format";
import { firstClause } from "./explain";
import { isolated } from "./inline";
import { networkSubtitle, networkTitle, type NetworkFacts } from "./sentences/network";
import { storySentence } from "./sentences/story";
import type { Counted } from "./sentences/units";
import { approximate, classes, painted } from "./state/shown";
import { highlighted, session, snapshot, threshold, track } from "./state/chosen";
import { FEWEST_SAMPLES, HELD, NOT_DEFINED, NO_DATA, SILENT, STATES, TIED } from "./wire/manifest";

/** Whether the numbers of the snapshot at the playhead are here. */
const presence = computed(() => track.value?.summary.missing[snapshot.value] ?? LOADING);
export const isHere = computed(() => presence.value === HERE);
/** Whether it cannot be read back. */
export const isDamaged = computed(() => presence.value === DAMAGED);

let counts = new Uint32Array(0);

/** Units tuned by layer and class at the playhead; null while its cells are not here: those that are
 * drawn meanwhile are of a snapshot beside. */
export const tunedByLayerAndClass = computed(() => {
  const open = session.value;
  const cells = painted.value;
  if (!open || !cells || cells.snapshot !== snapshot.value || !isHere.value) return null;
  const length = open.layers.length * classes.value.length;
  if (counts.length !== length) counts = new Uint32Array(length);
  tunedPerLayerAndClass(cells.paint, open.layers, classes.value.length, threshold.value, counts);
  // The same array each time: a wrapper makes the signal see a change.
  return { counts };
});

/** Numbers of each layer at the playhead. */
export const layerNumbers = computed((): LayerNumbers[] => {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return [];
  const k = highlighted.value;
  const cells = k >= 0 ? (tunedByLayerAndClass.value?.counts ?? null) : null;
  return numbersAt(open, current, snapshot.value, threshold.value, k, cells);
});

/** Numbers of each layer at a snapshot.
 *
 * @param k the highlighted class, or -1.
 * @param cells units tuned by layer and class, where a class is highlighted. */
export function numbersAt(
  open: Session,
  current: Track,
  t: number,
  level: number,
  k: number,
  cells: Uint32Array | null,
): LayerNumbers[] {
  if (current.summary.missing[t] === LOADING) return [];
  const L = open.layers.length;
  const K = current.grouping.classes.length;
  return open.layers.map((_, l) => {
    const states = stateCounts(current.summary, L, t, l);
    return {
      tuned: k >= 0 ? (cells?.[l * K + k] ?? NaN) : tunedInLayer(current.summary, L, t, l, level),
      silent: states[SILENT],
      missing: states.slice(SILENT + 1).reduce((a, b) => a + b, 0),
      notDefined: states[NOT_DEFINED],
      meanStrength: current.summary.meanStrength[t * L + l],
      damaged: current.summary.missing[t] === DAMAGED,
    };
  });
}

/** Units in each state at the playhead. */
export const states = computed(() => {
  const open = session.value;
  const current = track.value;
  return open && current
    ? stateCounts(current.summary, open.layers.length, snapshot.value)
    : new Array<number>(STATES).fill(0);
});

const everSeen = new WeakMap<object, boolean[]>();

/** Which states have occurred in a run, in any grouping seen: their row in the key stays, so that
 * nothing jumps. Sooner or later a prediction leaves classes without samples. */
export const statesEver = computed(() => {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return [];
  const ever = everSeen.get(open) ?? new Array<boolean>(STATES).fill(false);
  everSeen.set(open, ever);
  ever[NO_DATA] ||= open.split.groupings.length > 1;
  current.summary.states.forEach((n, i) => (ever[i % STATES] ||= n > 0));
  return [...ever];
});

/** Whether the snapshot at the playhead has anything to compare: no data never reads as 0. */
export const hasData = computed(
  () => states.value[HELD] + states.value[TIED] + states.value[SILENT] > 0,
);

/** Whether a class takes part in comparisons at a snapshot. */
export function takesPart(current: Track, cls: number, t: number): boolean {
  return current.summary.n[t * current.grouping.classes.length + cls] >= FEWEST_SAMPLES;
}

/** What `n` counts in a grouping. */
function countedIn(open: Session, current: Track): Counted {
  const own = !["true", "predicted"].includes(baseOf(current.grouping).name);
  return open.split.multilabel && !own ? "label" : "sample";
}

/** What `n` counts in the grouping being shown. */
export const counted = computed((): Counted => {
  const [open, current] = [session.value, track.value];
  return open && current ? countedIn(open, current) : "sample";
});

/** What a snapshot is described by, beside the run. */
export interface Chosen {
  threshold: number;
  /** The highlighted class, or -1. */
  highlighted: number;
  /** Its cells, where they are here: some numbers are counted in them. */
  cells: Paint | null;
}

/** The class that most units are tuned to; null where classes are not shown by themselves. */
function leadingClass(
  current: Track,
  t: number,
  level: number,
): { name: string; tuned: number } | null {
  const { classes } = current.grouping;
  if (levelOf(current.grouping) !== "class") return null;
  let best = { cls: -1, tuned: 0 };
  classes.forEach((_, k) => {
    const tuned = tunedToClass(current.classBins, classes.length, t, k, level);
    if (tuned > best.tuned) best = { cls: k, tuned };
  });
  return best.cls < 0 ? null : { name: classes[best.cls], tuned: best.tuned };
}

/** What the network's title says of a snapshot. */
export function factsAt(open: Session, current: Track, t: number, chosen: Chosen): NetworkFacts {
  const L = open.layers.length;
  const K = current.grouping.classes.length;
  const own = ownClasses(current.grouping) || K;
  const { threshold: level, highlighted: k, cells } = chosen;
  const present = classesWithSamples(current.summary, K, t).filter((c) => c < own);
  const all = stateCounts(current.summary, L, t);
  return {
    step: open.scalars.step[t],
    layers: open.layers
      .map((layer, l) => ({
        name: open.names[l],
        units: layer.units - stateCounts(current.summary, L, t, l)[NOT_DEFINED],
        tuned: tunedInLayer(current.summary, L, t, l, level),
        silent: stateCounts(current.summary, L, t, l)[SILENT],
        output: layer.output,
      }))
      .filter((layer) => layer.units > 0),
    notDefined: all[NOT_DEFINED],
    responding: all[HELD] + all[TIED],
    silent: all[SILENT],
    grouping: baseOf(current.grouping),
    level: levelOf(current.grouping),
    multilabel: countedIn(open, current) === "label",
    measure: open.measure,
    leading: leadingClass(current, t, level),
    present: present.map((c) => current.grouping.classes[c]),
    classes: own,
    highlighted:
      k >= 0
        ? {
            name: current.grouping.classes[k],
            tuned: tunedToClass(current.classBins, K, t, k, level),
            suppressed: cells ? suppressedByClass(cells, k, level) : 0,
            samples: current.summary.n[t * K + k],
          }
        : null,
  };
}

export const facts = computed((): NetworkFacts | null => {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return null;
  return factsAt(open, current, snapshot.value, {
    threshold: threshold.value,
    highlighted: highlighted.value,
    cells: highlighted.value < 0 || approximate.value ? null : (painted.value?.paint ?? null),
  });
});

/** How the share of tuned units went through the run, once all of it is here. A snapshot at which less
 * than half of the classes take part says too little: what is compared with few is strong by itself. */
export const story = computed((): string => {
  const [open, current] = [session.value, track.value];
  if (!open || !current?.complete) return "";
  const K = current.grouping.classes.length;
  const own = ownClasses(current.grouping) || K;
  const shares = Float64Array.from({ length: open.snapshots }, (_, t) => {
    if (current.summary.missing[t]) return NaN;
    const present = classesWithSamples(current.summary, K, t).filter((c) => c < own);
    if (2 * present.length < own) return NaN;
    const all = stateCounts(current.summary, open.layers.length, t);
    if (all[HELD] + all[TIED] + all[SILENT] === 0) return NaN;
    let tuned = 0;
    open.layers.forEach((_, l) => {
      tuned += tunedInLayer(current.summary, open.layers.length, t, l, threshold.value);
    });
    return tuned / (open.units - all[NOT_DEFINED]);
  });
  const { step, accuracy } = open.scalars;
  const { state } = open.manifest;
  return storySentence({ steps: step, shares, accuracy, live: state === "recording" });
});

const stepNow = computed(() => stepText(session.value?.scalars.step[snapshot.value] ?? 0));

/** Of every view that shows units, where there is nothing to be said of them. */
export const missingTitle = computed(() => {
  if (isHere.value || !session.value) return "";
  const at = `Step ${stepNow.value}`;
  return isDamaged.value ? `${at}: this snapshot cannot be read back.` : `${at}: loading.`;
});

const reasons = signal<{ of: Track; told: Record<string, string> } | null>(null);

/** What is wrong with a snapshot that cannot be read back, and what to do. */
export const damagedReason = computed(() => {
  const told = reasons.value?.of === track.value ? reasons.value?.told[snapshot.value] : undefined;
  return `${told ? `${firstClause(told)}. ` : ""}The other snapshots are as they were; huelapse verify RUN lists what is damaged.`;
});

/** Asks why, once a damaged snapshot is looked at. */
export function followDamage(): () => void {
  return effect(() => {
    const [open, of] = [session.value, track.value];
    if (!open || !of || !isDamaged.value || reasons.peek()?.of === of) return;
    open.ofUnits.damaged(of.grouping.name).then(
      (told) => (reasons.value = { of, told }),
      () => undefined, // that it cannot be read is said already
    );
  });
}

export const title = computed(
  () => missingTitle.value || (facts.value ? networkTitle(facts.value) : ""),
);
/** The title with its names in full, where it had to shorten them. */
export const wholeTitle = computed(() => {
  const whole = facts.value ? networkTitle(facts.value, isolated) : "";
  return missingTitle.value || whole === title.value ? undefined : whole;
});
export const subtitle = computed(() =>
  isDamaged.value
    ? damagedReason.value
    : isHere.value && facts.value
      ? networkSubtitle(facts.value)
      : "",
);

export const samples = computed(() => {
  const current = track.value;
  if (!current || !isHere.value) return NaN;
  const K = current.grouping.classes.length;
  return samplesAt(current.summary, K, snapshot.value, ownClasses(current.grouping) || K);
});

interface Shares {
  key: string;
  values: Float32Array;
  done: Set<number>;
}

const shares = new WeakMap<Track, Shares>();

/** Share of each layer's units tuned to a class, `[snapshot, layer]`; NaN where cells are not here. */
export function classShares(current: Track, cls: number, level: number): Float32Array {
  const open = session.peek();
  if (!open) return new Float32Array(0);
  const L = open.layers.length;
  const key = `${cls}/${level}`;
  let known = shares.get(current);
  if (known?.key !== key) {
    known = { key, values: new Float32Array(open.snapshots * L).fill(NaN), done: new Set() };
    shares.set(current, known);
  }
  for (let chunk = 0; chunk < current.paint.chunks; chunk++) {
    if (known.done.has(chunk) || !current.paint.isResident(chunk)) continue;
    known.done.add(chunk);
    const first = chunk * current.paint.chunkLength;
    const end = Math.min(first + current.paint.chunkLength, open.snapshots);
    for (let t = first; t < end; t++) {
      const cells = current.paint.at(t);
      if (!cells) continue;
      open.layers.forEach((layer, l) => {
        let n = 0;
        for (let u = layer.offset; u < layer.offset + layer.units; u++)
          if (cells.state[u] === HELD && cells.preferred[u] === cls && cells.level[u] >= level) n++;
        const there = !Number.isNaN(current.summary.meanStrength[t * L + l]);
        (known as Shares).values[t * L + l] = there ? n / layer.units : NaN;
      });
    }
  }
  return known.values;
}
