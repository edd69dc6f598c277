// One event: what happened, from which class to which, when it was sure, the numbers that say so, and
// how many such events noise alone would give.

import { useEffect, useState } from "preact/hooks";
import { CloseIcon } from "../frame/icons";
import { count, fixed, percent, probability, stepText, strengthOfLevel } from "../format";
import { isolated } from "../inline";
import { tunedInLayer } from "../run/counts";
import { kindsOf, moment } from "../run/happened";
import type { Events, UnitHistory } from "../run/resources";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { eventSentence, eventTitle, noiseSentence } from "../sentences/events";
import { STATE_WORDS } from "../sentences/units";
import { event as shownName, session, snapshot, track } from "../state/chosen";
import { openLayer, show } from "../state/choosing";
import { shownGrouping } from "../state/shown";
import { HELD, NO_CLASS, NO_UNIT, SUPPRESSED, TIED } from "../wire/manifest";
import { ClassDot } from "./Happened";
import { Barcode } from "./History";

/** Snapshots in a row that confirm an event (events/finding.py). */
const CONFIRMING = 3;
/** Rows of numbers; of a slow switch those in between are left out. */
const MOST_ROWS = 7;
/** Level at which a unit counts as tuned in events, whatever the threshold of the page. */
const TUNED_AT = 50;

interface Told {
  open: Session;
  current: Track;
  events: Events;
  i: number;
}

export function EventCard({ events, i }: { events: Events; i: number }) {
  const open = session.value;
  const current = track.value;
  const u = events.unit[i];
  const [history, setHistory] = useState<{ of: number; found: UnitHistory } | null>(null);
  useEffect(() => {
    let wanted = true;
    if (u !== NO_UNIT)
      open?.ofUnits.history(shownGrouping.peek()?.name ?? "", u).then(
        (found) => wanted && setHistory({ of: u, found }),
        () => wanted && setHistory(null),
      );
    return () => {
      wanted = false;
    };
  }, [open, u]);
  if (!open || !current) return null;
  const told: Told = { open, current, events, i };
  const of = history?.of === u ? history.found : null;
  const l = events.layer[i];
  const kind = open.manifest.event_kinds[events.kind[i]] ?? "";
  const names = current.grouping.classes;
  const nameOf = (k: number): string => (k === NO_CLASS ? "" : isolated(names[k] ?? ""));
  const step = (t: number): string => stepText(open.scalars.step[t]);
  const sentence = eventSentence(kind, {
    before: nameOf(events.before[i]),
    after: nameOf(events.after[i]),
    suppressed: (events.flags[i] & SUPPRESSED) !== 0,
    step: step(events.snapshot[i]),
    confirmed: step(events.confirmed[i]),
    snapshots: events.confirmed[i] - events.snapshot[i] + 1,
  });
  return (
    <div data-testid="event-card">
      <div class="heading">
        <h1>
          <span class="path" title={open.layers[l].path}>
            {open.names[l]}
          </span>
          {u !== NO_UNIT && <span class="quiet">unit {u - open.layers[l].offset}</span>}
        </h1>
        <button
          type="button"
          class="icon"
          aria-label="Close event"
          title="Close (Esc)"
          onClick={() => (shownName.value = "")}
        >
          <CloseIcon />
        </button>
      </div>
      <h2 class="event-title">{eventTitle(kind)}</h2>
      {(events.before[i] !== NO_CLASS || events.after[i] !== NO_CLASS) && (
        <p class="from-to" data-testid="from-to">
          {events.before[i] !== NO_CLASS && (
            <>
              <ClassDot cls={events.before[i]} />
              <bdi>{names[events.before[i]]}</bdi>
            </>
          )}
          {(kind === "switched" || kind === "lost" || kind === "died") && <span> → </span>}
          {events.after[i] !== NO_CLASS ? (
            <>
              <ClassDot cls={events.after[i]} />
              <bdi>{names[events.after[i]]}</bdi>
            </>
          ) : (
            (kind === "lost" || kind === "died") && (
              <span class="quiet">{kind === "died" ? "silent" : "no class"}</span>
            )
          )}
        </p>
      )}
      <p class="subtitle ink2">{sentence}</p>
      <section>
        <h2>
          Evidence <small>{u === NO_UNIT ? "units tuned at 0.50" : "snapshot by snapshot"}</small>
        </h2>
        {u === NO_UNIT ? (
          <LayerEvidence {...told} />
        ) : of ? (
          <UnitEvidence {...told} history={of} />
        ) : (
          <p class="note">
            {open.has("units") || !open.manifest.left_out
              ? ""
              : "The numbers of this unit are not in this file."}
          </p>
        )}
      </section>
      {of && of.n.length === open.snapshots * names.length && (
        <section>
          <h2>
            Its color <small>through training</small>
          </h2>
          <Barcode history={of} />
        </section>
      )}
      <section>
        <h2>Could it be noise?</h2>
        <p class="note">
          {noiseSentence(kind, events.expected[events.kind[i]], kindsOf(events, events.kind[i]))}
        </p>
      </section>
      <p class="links">
        {u === NO_UNIT ? (
          <button type="button" class="link" onClick={() => openLayer(l)}>
            Look at the layer
          </button>
        ) : (
          <button type="button" class="link" onClick={toUnit}>
            All of this unit
          </button>
        )}
      </p>
    </div>
  );
}

function toUnit(): void {
  shownName.value = "";
  moment.value = null;
}

/** The snapshot before, those from the event to its confirmation, or the first and last of them. */
function rowsOf({ events, i }: Told): { t: number; gap: boolean }[] {
  const [first, last] = [events.snapshot[i], events.confirmed[i]];
  const all: number[] = [];
  for (let t = Math.max(0, first - 1); t <= last; t++) all.push(t);
  if (all.length <= MOST_ROWS) return all.map((t) => ({ t, gap: false }));
  const start = all.slice(0, MOST_ROWS - CONFIRMING - 1);
  const end = all.slice(-CONFIRMING);
  return [...start, ...end].map((t) => ({ t, gap: t === end[0] }));
}

function UnitEvidence(told: Told & { history: UnitHistory }) {
  const { open, current, events, i, history } = told;
  const names = current.grouping.classes;
  const K = names.length;
  const kind = open.manifest.event_kinds[events.kind[i]];
  const lives = kind === "died" || kind === "revived";
  const rows = rowsOf(told).filter(({ t }) => t < history.state.length);
  const nOf = (t: number): number => {
    let n = 0;
    for (let k = 0; k < K; k++) n += history.n[t * K + k];
    return n;
  };
  return (
    <>
      <table class="evidence">
        <thead>
          <tr>
            <th>step</th>
            <th class="what">class</th>
            {lives ? <th>active</th> : <th>strength</th>}
            {!lives && <th>sure</th>}
          </tr>
        </thead>
        <tbody>
          {rows.map(({ t, gap }) => {
            const state = history.state[t];
            const held = state === HELD;
            return (
              <tr
                key={t}
                class={[
                  t < events.snapshot[i] ? "before" : "",
                  gap ? "gap" : "",
                  t === snapshot.value ? "here" : "",
                ].join(" ")}
              >
                <td>
                  <button type="button" onClick={() => show(t)}>
                    {stepText(open.scalars.step[t])}
                  </button>
                </td>
                <td class="what">
                  <ClassDot cls={held ? history.preferred[t] : NO_CLASS} />
                  {held ? (
                    <bdi>{names[history.preferred[t]]}</bdi>
                  ) : (
                    <span class="quiet">{(STATE_WORDS[state] ?? "").split(":")[0]}</span>
                  )}
                </td>
                {lives ? (
                  <td>{percent(history.activeSamples[t] / nOf(t))}</td>
                ) : (
                  <td>{state <= TIED ? strengthOfLevel(history.level[t]) : "–"}</td>
                )}
                {!lives && <td>{state <= TIED ? probability(history.sure[t]) : "–"}</td>}
              </tr>
            );
          })}
        </tbody>
      </table>
      <Means {...told} />
    </>
  );
}

/** Mean responses to the two classes when it was sure, with their intervals. */
function Means({ open, current, events, i, history }: Told & { history: UnitHistory }) {
  const names = current.grouping.classes;
  const t = events.confirmed[i];
  if (t >= history.state.length) return null;
  const runnerUp = history.runnerUp[t];
  const two = [events.after[i], events.before[i] !== NO_CLASS ? events.before[i] : runnerUp];
  if (two.some((k) => k >= names.length)) return null;
  return (
    <p class="note">
      At step {stepText(open.scalars.step[t])}, mean response and its 95% interval:{" "}
      {two.map((k, n) => {
        const at = t * names.length + k;
        const range = `${fixed(history.low[at])} to ${fixed(history.high[at])}`;
        return (
          <span key={k}>
            {n > 0 && "; "}
            {isolated(names[k])} {fixed(history.mean[at])} ({range}, n = {count(history.n[at])})
          </span>
        );
      })}
      .
    </p>
  );
}

function LayerEvidence(told: Told) {
  const { open, current, events, i } = told;
  const l = events.layer[i];
  const { units } = open.layers[l];
  return (
    <table class="evidence">
      <thead>
        <tr>
          <th>step</th>
          <th>tuned</th>
          <th>of units</th>
          <th>share</th>
        </tr>
      </thead>
      <tbody>
        {rowsOf(told).map(({ t }) => {
          const n = tunedInLayer(current.summary, open.layers.length, t, l, TUNED_AT);
          return (
            <tr key={t} class={t < events.snapshot[i] ? "before" : ""}>
              <td>
                <button type="button" onClick={() => show(t)}>
                  {stepText(open.scalars.step[t])}
                </button>
              </td>
              <td>{count(n)}</td>
              <td>{count(units)}</td>
              <td>{percent(n / units)}</td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
