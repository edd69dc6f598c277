// What happened to units: around the playhead, at a moment that was clicked, or to the selected unit.

import { batch } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { CloseIcon } from "../frame/icons";
import { count, fixed, list, plural, stepText, strengthOfLevel } from "../format";
import { isolated } from "../inline";
import { cssColor } from "../network/colors";
import {
  eventName,
  eventsOfMoment,
  eventsUntil,
  happened,
  moment,
  notFinite,
  toldBy,
  type Moment,
  type NotFinite,
} from "../run/happened";
import type { Events } from "../run/resources";
import type { Session } from "../run/session";
import { event as shownName, playing, session, snapshot, track, unit } from "../state/chosen";
import { openLayer, show } from "../state/choosing";
import { palette, shownGrouping } from "../state/shown";
import { LEVELS, NO_CLASS, NO_UNIT, SUPPRESSED } from "../wire/manifest";
import { eventWords, kindWords } from "../sentences/events";

const SHOWN = 9;
/** Of a moment; more would be no list. */
const MOST = 200;

/** More events of a snapshot than this share a row. */
const APART = 2;

/** An event, all of a snapshot from one in the list to another, or a layer that stopped being finite. */
type Item = { snapshot: number } & (
  { i: number } | { from: number; to: number } | { bad: NotFinite }
);

/** The last events up to the playhead, and how many of all may be noise. */
export function Happened() {
  const open = session.value;
  const events = happened.value;
  const bad = notFinite.value;
  if (!open || !track.value || (open.snapshots < 3 && bad.length === 0)) return null;
  if (!events && bad.length === 0) return null;
  const t = snapshot.value;
  const until = events ? eventsUntil(events, t) : 0;
  const items = latest(
    until,
    events,
    bad.filter((one) => one.snapshot <= t),
    SHOWN,
  );
  const all = (events?.snapshot.length ?? 0) + bad.length;
  const here = until + bad.filter((one) => one.snapshot <= t).length;
  return (
    <section data-testid="events">
      <h2>
        What happened{toldBy.value !== shownGrouping.value && ", by class"}{" "}
        <small>
          {count(here)} of {count(all)} events so far
        </small>
      </h2>
      {items.length === 0 && <p class="note">Nothing yet that three snapshots confirm.</p>}
      <ol class="events">
        {items.map((item) => (
          <ItemRow key={keyOf(item)} open={open} events={events} item={item} />
        ))}
      </ol>
      {events && <p class="note">{expectedWords(open, events)}</p>}
    </section>
  );
}

const keyOf = (item: Item): string =>
  "bad" in item
    ? `bad${item.bad.layer}/${item.snapshot}`
    : "i" in item
      ? String(item.i)
      : `all${item.snapshot}`;

/** The newest so many, newest first; those of one snapshot together where they are many. */
function latest(until: number, events: Events | null, bad: readonly NotFinite[], most: number) {
  const items: Item[] = [];
  let [i, b] = [until - 1, bad.length - 1];
  while (items.length < most && (i >= 0 || b >= 0)) {
    if (i < 0 || (b >= 0 && bad[b].snapshot >= (events as Events).snapshot[i])) {
      items.push({ snapshot: bad[b].snapshot, bad: bad[b] });
      b--;
    } else {
      const at = (events as Events).snapshot[i];
      const from = eventsUntil(events as Events, at - 1);
      if (i + 1 - from > APART) items.push({ snapshot: at, from, to: i + 1 });
      else
        for (let e = i; e >= from && items.length < most; e--) items.push({ snapshot: at, i: e });
      i = from - 1;
    }
  }
  return items;
}

/** What happened at the moment that was clicked on the timeline. */
export function MomentCard({ of }: { of: Moment }) {
  const open = session.value;
  const events = happened.value;
  const found = useMemo(
    () => (open && events ? eventsOfMoment(open, events, of) : []),
    [open, events, of],
  );
  if (!open || !events) return null;
  const step = (t: number): string => stepText(open.scalars.step[t]);
  const when =
    of.from === of.to ? `step ${step(of.from)}` : `steps ${step(of.from)} to ${step(of.to)}`;
  const where = of.layer >= 0 ? ` in ${isolated(open.names[of.layer])}` : "";
  const n = found.length;
  const what =
    of.kind === "switched"
      ? plural(n, "unit that switched its class", "units that switched their class")
      : plural(n, "event");
  return (
    <div data-testid="moment">
      <div class="heading">
        <h1>What happened</h1>
        <button
          type="button"
          class="icon"
          aria-label="Show all events"
          title="All events (Esc)"
          onClick={() => (moment.value = null)}
        >
          <CloseIcon />
        </button>
      </div>
      <p class="subtitle">
        At {when}
        {where}: {count(n)} {what}.
      </p>
      <ol class="events">
        {found.slice(0, MOST).map((i) => (
          <Row key={i} open={open} events={events} i={i} />
        ))}
      </ol>
      {found.length > MOST && (
        <p class="note">{count(found.length - MOST)} more: come closer on the timeline.</p>
      )}
      <p class="note">{expectedWords(open, events)}</p>
    </div>
  );
}

/** What happened to one unit, first to last. */
export function UnitEvents({ unit: u }: { unit: number }) {
  const open = session.value;
  const events = happened.value;
  if (!open || !events || !track.value) return null;
  const rows: number[] = [];
  events.unit.forEach((of, i) => of === u && rows.push(i));
  if (rows.length === 0) return null;
  return (
    <ol class="events" data-testid="unit-events">
      {rows.map((i) => (
        <Row key={i} open={open} events={events} i={i} alone />
      ))}
    </ol>
  );
}

/** By noise alone, of the kinds for which that can be said. */
function expectedWords(open: Session, events: Events): string {
  const told = open.manifest.event_kinds.flatMap((kind, i) => {
    const n = events.expected[i];
    if (Number.isNaN(n)) return [];
    return [`${n < 0.05 ? "hardly any" : `at most ${fixed(n, 1)}`} “${kind}”`];
  });
  return told.length > 0 ? `Noise alone would give ${list(told)} in the whole run.` : "";
}

function ItemRow({ open, events, item }: { open: Session; events: Events | null; item: Item }) {
  if ("i" in item) return events && <Row open={open} events={events} i={item.i} />;
  if ("from" in item) return events && <Together open={open} events={events} item={item} />;
  const { layer, snapshot: t, units } = item.bad;
  return (
    <li>
      <button
        type="button"
        data-testid="bad-row"
        title="NaN or infinite responses. Look at the layer at this step."
        onClick={() => {
          show(t);
          openLayer(layer);
        }}
      >
        <span class="count">{stepText(open.scalars.step[t])}</span>
        <i class="cross">✕</i>
        <span class="words">
          <span class="ink2">{isolated(open.names[layer])} </span>
          {count(units)} {plural(units, "unit")} not finite
        </span>
      </button>
    </li>
  );
}

/** All events of a snapshot, by kind; a click lists them. */
function Together(of: {
  open: Session;
  events: Events;
  item: { snapshot: number; from: number; to: number };
}) {
  const { open, events, item } = of;
  const t = item.snapshot;
  const kinds = open.manifest.event_kinds;
  const found = new Map<string, number>();
  for (let i = item.from; i < item.to; i++) {
    const kind = kinds[events.kind[i]];
    found.set(kind, (found.get(kind) ?? 0) + 1);
  }
  const told = [...found].sort((a, b) => kinds.indexOf(a[0]) - kinds.indexOf(b[0]));
  return (
    <li>
      <button
        type="button"
        data-testid="events-together"
        title="List them"
        onClick={() => {
          playing.value = false;
          show(t);
          moment.value = { from: t, to: t, layer: -1, kind: "" };
        }}
      >
        <span class="count">{stepText(open.scalars.step[t])}</span>
        <span class="words together">
          {told.map(([kind, n]) => `${count(n)} ${kindWords(kind, n)}`).join(", ")}
        </span>
      </button>
    </li>
  );
}

/** The color of a class, or an empty ring where there is none. */
export function ClassDot({ cls }: { cls: number }) {
  const none = cls === NO_CLASS;
  const color = none ? undefined : cssColor(palette.value, 4 * (cls * LEVELS + 100));
  return <i class={none ? "dot none" : "dot"} style={none ? undefined : { background: color }} />;
}

function Row(row: { open: Session; events: Events; i: number; alone?: boolean }) {
  const { open, events, i, alone = false } = row;
  const names = track.value?.grouping.classes ?? [];
  const kind = open.manifest.event_kinds[events.kind[i]] ?? "";
  const hasUnit = events.unit[i] !== NO_UNIT;
  const layer = open.layers[events.layer[i]];
  const nameOf = (k: number) => (k === NO_CLASS ? "" : isolated(names[k] ?? ""));
  const words = eventWords(kind, nameOf(events.before[i]), nameOf(events.after[i]), {
    suppressed: (events.flags[i] & SUPPRESSED) !== 0,
    share: strengthOfLevel(events.level[i]),
  });
  const cls = events.after[i] !== NO_CLASS ? events.after[i] : events.before[i];
  const place = hasUnit
    ? `${isolated(open.names[events.layer[i]])} ${events.unit[i] - layer.offset}`
    : isolated(open.names[events.layer[i]]);
  const go = (): void =>
    batch(() => {
      playing.value = false;
      show(events.snapshot[i]);
      unit.value = hasUnit ? events.unit[i] : -1;
      shownName.value = eventName(open, events, i);
    });
  return (
    <li>
      <button type="button" onClick={go}>
        <span class="count">{stepText(open.scalars.step[events.snapshot[i]])}</span>
        <ClassDot cls={cls} />
        <span class="words">
          {!alone && <span class="ink2">{place} </span>}
          {words}
        </span>
      </button>
    </li>
  );
}
