// Events of what is shown, loaded once its pictures are here.

import { computed, effect, signal } from "@preact/signals";
import { event, highlighted, session, track, unit } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import { NOT_FINITE, NO_UNIT, STATES } from "../wire/manifest";
import { baseOf, levelOf } from "./groupings";
import type { Events } from "./resources";
import type { Session } from "./session";
import type { Track } from "./tracks";

/** The grouping by which events are told: across levels nothing happens, so by the classes there. */
export const toldBy = computed(() => {
  const shown = shownGrouping.value;
  return shown && levelOf(shown) === "finest" ? baseOf(shown) : shown;
});

interface Loaded {
  of: Session;
  grouping: string;
  events: Events;
}

const latest = signal<Loaded | null>(null);

/** Of what is shown; null until they are here. Those of a run that has grown stay until the newer
 * ones come: what was confirmed is. */
export const happened = computed((): Events | null => {
  const found = latest.value;
  const open = session.value;
  if (!found || !open || toldBy.value?.name !== found.grouping) return null;
  return found.of === open || found.of.lineage === open.lineage ? found.events : null;
});

/** The server makes events of all pictures: asked for first, they would delay what is looked at. */
export function followEvents(): () => void {
  let wanted = 0;
  const stop = followChoice();
  const end = effect(() => {
    const open = session.value;
    const name = toldBy.value?.name;
    const pictured = track.value?.complete ?? false;
    const mine = ++wanted;
    if (!open || name === undefined || !pictured) return;
    open.ofUnits.events(name).then(
      (events) => {
        if (mine === wanted) latest.value = { of: open, grouping: name, events };
      },
      () => undefined, // they are beside the point: the page stays as it is
    );
  });
  return () => {
    stop();
    end();
  };
}

/** Whoever chooses another unit, class or run has done with the event, and the moment, before. */
function followChoice(): () => void {
  let before = "";
  let lineage: object | undefined;
  return effect(() => {
    const chosen = [unit.value, highlighted.value].join();
    const same = lineage === undefined || session.value?.lineage === lineage;
    if (before !== "" && (chosen !== before || !same)) {
      const [i, events] = [shownEvent.peek(), happened.peek()];
      const of = i >= 0 && events && events.unit[i] !== NO_UNIT ? events.unit[i] : -1;
      if (!same || (i >= 0 && of !== unit.peek())) event.value = "";
      if (!same || i < 0 || of !== unit.peek()) moment.value = null;
    }
    before = session.value ? chosen : "";
    lineage = session.value?.lineage;
  });
}

const kindOf = (open: Session, name: string): number => open.manifest.event_kinds.indexOf(name);

/** How many units switched their class at each snapshot; null until known. */
export const switches = computed((): Uint32Array | null => {
  const open = session.value;
  const events = happened.value;
  if (!open || !events) return null;
  const kind = kindOf(open, "switched");
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
  const kind = kindOf(open, "half_tuned");
  events.kind.forEach((k, i) => {
    if (k === kind && !found.has(events.layer[i])) found.set(events.layer[i], events.snapshot[i]);
  });
  return found;
});

/** A layer with units that were not finite: the first time, and how many snapshots on end. */
export interface NotFinite {
  layer: number;
  snapshot: number;
  /** The first snapshot after it at which all are finite again, or the end of the run. */
  until: number;
  units: number;
}

const notFiniteOf = new WeakMap<Track, NotFinite[]>();

/** Each time that units of a layer stopped being finite, in order of time. */
export const notFinite = computed((): readonly NotFinite[] => {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return [];
  let known = notFiniteOf.get(current);
  if (!known) {
    known = [];
    const L = open.layers.length;
    const last = new Array<NotFinite | undefined>(L);
    const T = current.summary.states.length / (L * STATES);
    for (let t = 0; t < T; t++)
      for (let l = 0; l < L; l++) {
        const units = current.summary.states[(t * L + l) * STATES + NOT_FINITE];
        const going = last[l];
        if (units === 0) last[l] = undefined;
        else if (going) going.until = t + 1;
        else known.push((last[l] = { layer: l, snapshot: t, until: t + 1, units }));
      }
    notFiniteOf.set(current, known);
  }
  return known;
});

/** How many events there are until a snapshot, itself included. */
export function eventsUntil(events: Pick<Events, "snapshot">, t: number): number {
  let [low, high] = [0, events.snapshot.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (events.snapshot[middle] <= t) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** A time, and perhaps a layer or a kind, whose events are listed by themselves. */
export interface Moment {
  /** First and last snapshot. */
  from: number;
  to: number;
  layer: number;
  kind: string;
}

export const moment = signal<Moment | null>(null);

/** The events of a moment, by their place in the list. */
export function eventsOfMoment(open: Session, events: Events, of: Moment): number[] {
  const kind = of.kind === "" ? -1 : kindOf(open, of.kind);
  const found: number[] = [];
  for (let i = eventsUntil(events, of.from - 1); i < events.snapshot.length; i++) {
    if (events.snapshot[i] > of.to) break;
    if ((of.layer < 0 || events.layer[i] === of.layer) && (kind < 0 || events.kind[i] === kind))
      found.push(i);
  }
  return found;
}

/** What an event is called in the address: its place in the list may change when later ones come. */
export function eventName(open: Session, events: Events, i: number): string {
  const of = events.unit[i] === NO_UNIT ? `l${events.layer[i]}` : String(events.unit[i]);
  return [open.manifest.event_kinds[events.kind[i]], events.snapshot[i], of].join();
}

/** Where the event that is looked at stands in the list; -1 for none. */
export const shownEvent = computed((): number => {
  const open = session.value;
  const events = happened.value;
  const name = event.value;
  if (!open || !events || name === "") return -1;
  const t = Number(name.split(",")[1]);
  for (let i = eventsUntil(events, t - 1); i < eventsUntil(events, t); i++)
    if (eventName(open, events, i) === name) return i;
  return -1;
});

/** The switch of a unit before or after a snapshot, by its place in the list; -1 for none. */
export function switchBeside(open: Session, events: Events, u: number, t: number, by: number) {
  const kind = kindOf(open, "switched");
  let found = -1;
  for (let i = 0; i < events.snapshot.length; i++) {
    if (events.unit[i] !== u || events.kind[i] !== kind) continue;
    if (by > 0 && events.snapshot[i] > t) return i;
    if (by < 0 && events.snapshot[i] < t) found = i;
  }
  return found;
}

/** How many events of a kind there are in all. */
export function kindsOf(events: Events, kind: number): number {
  let n = 0;
  for (const k of events.kind) if (k === kind) n++;
  return n;
}
