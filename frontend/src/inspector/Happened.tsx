// What happened to units: around the playhead, or to the one that is selected.

import { count, fixed, list, stepText, strengthOfLevel } from "../format";
import { isolated } from "../inline";
import { cssColor } from "../network/colors";
import { happened, toldBy } from "../run/happened";
import type { Events } from "../run/resources";
import type { Session } from "../run/session";
import { palette, selectUnit, session, show, shownGrouping, snapshot, track, unit } from "../state";
import { LEVELS, NO_CLASS, NO_UNIT, SUPPRESSED } from "../wire/manifest";
import { eventWords } from "../sentences";

const SHOWN = 9;

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

/** The last events up to the playhead, and how many of all may be noise. */
export function Happened() {
  const open = session.value;
  const events = happened.value;
  if (!open || !events || !track.value || open.snapshots < 3) return null;
  const until = eventsUntil(events, snapshot.value);
  const rows = Array.from({ length: Math.min(SHOWN, until) }, (_, i) => until - 1 - i);
  return (
    <section data-testid="events">
      <h2>
        What happened{toldBy.value !== shownGrouping.value && ", by class"}{" "}
        <small>
          {count(until)} of {count(events.snapshot.length)} until here
        </small>
      </h2>
      {rows.length === 0 && <p class="note">Nothing yet that three snapshots confirm.</p>}
      <ol class="events">
        {rows.map((i) => (
          <Row key={i} open={open} events={events} i={i} />
        ))}
      </ol>
      <p class="note">{expectedWords(open, events)}</p>
    </section>
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
    return [`${kind}: ${n < 0.05 ? "hardly any" : `at most ${fixed(n, 1)}`}`];
  });
  return told.length > 0 ? `By noise alone, ${list(told)}.` : "";
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
  const go = (): void => {
    show(events.snapshot[i]);
    if (hasUnit && unit.peek() !== events.unit[i]) selectUnit(events.unit[i]);
  };
  return (
    <li>
      <button type="button" onClick={go}>
        <span class="count">{stepText(open.scalars.step[events.snapshot[i]])}</span>
        <i
          class={cls === NO_CLASS ? "dot none" : "dot"}
          style={
            cls === NO_CLASS
              ? undefined
              : { background: cssColor(palette.value, 4 * (cls * LEVELS + 100)) }
          }
        />
        <span class="words">
          {!alone && <span class="ink2">{place} </span>}
          {words}
        </span>
      </button>
    </li>
  );
}
