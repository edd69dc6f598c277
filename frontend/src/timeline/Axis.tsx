import { computed, useComputed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { counted, samples } from "../derive";
import { count, fixed, plural, stepText } from "../format";
import { session, snapshot, track } from "../state/chosen";
import { DAMAGED, samplesAt } from "../run/counts";
import { following } from "../run/growth";
import { AXIS_CAPTIONS, labelled, type Axis } from "./scale";
import { AXIS_Y, type Chart } from "./chart";

const LABEL_ROOM = 46;
const NUMBER_GAP = 18;
/** Letters of a boundary's label are left out closer to another. */
const BOUNDARY_ROOM = 90;

export function AxisTicks({ chart, axis }: { chart: Chart; axis: Axis }) {
  const open = session.value;
  const { first, last } = chart;
  const shown = useMemo(
    () => labelled(chart.x, LABEL_ROOM, first, last).filter((s) => s >= first),
    [chart],
  );
  const ticks = useMemo(() => {
    // Ticks closer than a pixel would only thicken the axis.
    let before = -9;
    let d = "";
    for (let t = first; t <= last; t++) {
      const x = Math.round(chart.x[t]);
      if (x - before < 2) continue;
      before = x;
      d += `M${x + 0.5} ${AXIS_Y}v4`;
    }
    return d;
  }, [chart]);
  if (!open) return null;
  return (
    <>
      <path class="axis" d={`M${chart.left} ${AXIS_Y + 0.5}H${chart.right}${ticks}`} />
      {shown.map((s) => (
        <TickLabel key={s} chart={chart} at={s} step={open.scalars.step[s]} />
      ))}
      <Damaged chart={chart} />
      <Samples />
      <Caption chart={chart} axis={axis} />
    </>
  );
}

const CAPTION_ROOM = 86;

/** What the numbers under the axis are; gives way to the pill. */
function Caption({ chart, axis }: { chart: Chart; axis: Axis }) {
  const right = chart.width - 14;
  const visibility = useMemo(
    () =>
      computed(() => {
        const pill = chart.x[snapshot.value] + pillLength.value * 3.2 + 26;
        return pill > right - CAPTION_ROOM ? "hidden" : "visible";
      }),
    [chart],
  );
  return (
    <text x={right} y={AXIS_Y + 15} text-anchor="end" visibility={visibility} data-testid="axis">
      {AXIS_CAPTIONS[axis]}
    </text>
  );
}

/** ✕ on the axis where a snapshot cannot be read back. */
function Damaged({ chart }: { chart: Chart }) {
  const open = session.value;
  const missing = track.value?.summary.missing;
  if (!open || !missing) return null;
  const found: number[] = [];
  for (let t = chart.first; t <= chart.last; t++) if (missing[t] === DAMAGED) found.push(t);
  return (
    <>
      {found.map((t) => {
        const x = Math.round(chart.x[t]) + 0.5;
        const cross = `M${x - 3} ${AXIS_Y - 2.5}l6 6M${x + 3} ${AXIS_Y - 2.5}l-6 6`;
        return (
          <g key={t} class="bad" data-testid="damaged">
            <path class="halo" d={cross} />
            <path d={cross} />
            <title>{`the snapshot at step ${stepText(open.scalars.step[t])} cannot be read back`}</title>
          </g>
        );
      })}
    </>
  );
}

/** Where a training was gone on with, from a checkpoint: a line, and from which step. */
export function Segments({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const { segment, superseded, step } = open.scalars;
  const starts: number[] = [];
  for (let t = Math.max(1, chart.first); t <= chart.last; t++)
    if (segment[t] !== segment[t - 1]) starts.push(t);
  let labelledTo = -BOUNDARY_ROOM;
  const bands: [number, number][] = [];
  for (let t = chart.first; superseded && t <= chart.last; t++) {
    if (!superseded[t]) continue;
    const going = bands[bands.length - 1];
    if (going && going[1] === t - 1) going[1] = t;
    else bands.push([t, t]);
  }
  const half = (a: number, b: number): number => Math.round((chart.x[a] + chart.x[b]) / 2) + 0.5;
  return (
    <g clip-path="url(#in-view)">
      {bands.map(([from, to]) => {
        const [left, right] = [
          half(Math.max(0, from - 1), from),
          half(to, Math.min(to + 1, chart.x.length - 1)),
        ];
        return (
          <rect
            key={from}
            class="superseded"
            data-testid="superseded"
            x={left}
            y={8}
            width={Math.max(1, right - left)}
            height={AXIS_Y - 8}
          >
            <title>made again after the training was resumed: these weights were given up</title>
          </rect>
        );
      })}
      {starts.map((t) => {
        const x = half(t - 1, t);
        const from = open.manifest.segments?.[segment[t]] ?? step[t];
        const named = x - labelledTo >= BOUNDARY_ROOM;
        if (named) labelledTo = x;
        return (
          <g key={t} class="resumed" data-testid="resumed">
            <path d={`M${x} 4V${AXIS_Y}`} />
            <path class="reach" d={`M${x} 4V${AXIS_Y}`}>
              <title>{`the training was resumed from step ${stepText(from)}`}</title>
            </path>
            {named && (
              <text x={x + 4} y={11}>
                resumed at {stepText(from)}
              </text>
            )}
          </g>
        );
      })}
    </g>
  );
}

/** What is said of a resumed run in the snapshot's card; "" of others. */
export const segmentSentence = computed((): string => {
  const open = session.value;
  if (!open) return "";
  const { segments } = open.manifest;
  const t = snapshot.value;
  if (open.scalars.superseded?.[t])
    return "A resumed training made this step again: these weights were given up.";
  if (!segments || segments.length < 2) return "";
  const own = open.scalars.segment[t];
  const hidden = open.split.hidden ?? 0;
  const rest = hidden
    ? ` ${count(hidden)} ${plural(hidden, "snapshot")} that it made again ${plural(hidden, "is", "are")} not shown.`
    : "";
  const of = `Recording ${count(own + 1)} of ${count(segments.length)}`;
  return own > 0
    ? `${of}: the training was resumed from step ${stepText(segments[own])}.${rest}`
    : `${of}: the training was resumed later.${rest}`;
});

const pillLength = computed(
  () =>
    stepText(session.value?.scalars.step[snapshot.value] ?? 0).length + (following.value ? 7 : 0),
);

/** Gives way to the playhead's pill; bound to a signal, so that only labels near it change. */
function TickLabel({ chart, at, step }: { chart: Chart; at: number; step: number }) {
  const text = stepText(step);
  const visibility = useMemo(
    () =>
      computed(() => {
        const room = (pillLength.value + text.length) * 3.2 + 30;
        const t = snapshot.value;
        const away = t < chart.first || t > chart.last;
        return !away && Math.abs(chart.x[at] - chart.x[t]) < room ? "hidden" : "visible";
      }),
    [chart, at, text],
  );
  return (
    <text
      class="number"
      x={chart.x[at]}
      y={AXIS_Y + 15}
      text-anchor="middle"
      visibility={visibility}
    >
      {text}
    </text>
  );
}

/** Strength depends on n, so n stands under the axis; where it changes, it is that at the playhead. */
function Samples() {
  const current = track.value;
  const open = session.value;
  const constant = useMemo(() => {
    if (!current || !open) return true;
    const K = current.grouping.classes.length;
    if (!current.complete) return false;
    let first = -1;
    for (let t = 0; t < open.snapshots; t++) {
      if (current.summary.missing[t]) continue;
      const n = samplesAt(current.summary, K, t);
      if (first >= 0 && n !== first) return false;
      first = n;
    }
    return true;
  }, [current, open]);
  const text = useMemo(
    () =>
      computed(() =>
        Number.isNaN(samples.value)
          ? "n is not known at this snapshot"
          : `n = ${count(samples.value)} ${counted.value}s at ${constant ? "every" : "this"} snapshot`,
      ),
    [constant],
  );
  return (
    <text class="number" x={-198} y={AXIS_Y + 15} data-testid="samples-under-axis">
      {text}
    </text>
  );
}

export function PlayheadNumbers({ chart }: { chart: Chart }) {
  const accuracy = useComputed(() => {
    const value = session.value?.scalars.accuracy?.[snapshot.value] ?? NaN;
    return Number.isFinite(value) ? `${fixed(100 * value, 1)}% accuracy` : "";
  });
  const loss = useComputed(() => {
    const value = session.value?.scalars.loss?.[snapshot.value] ?? NaN;
    return Number.isFinite(value) ? `${fixed(value)} loss` : "";
  });
  return (
    <div class="numbers" style={{ left: `${chart.right + NUMBER_GAP}px` }}>
      <b>{accuracy}</b>
      <span>{loss}</span>
    </div>
  );
}
