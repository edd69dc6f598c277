import { computed, useComputed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { counted, samples } from "../derive";
import { count, fixed, stepText } from "../format";
import { session, snapshot, track } from "../state";
import { samplesAt } from "../run/counts";
import { labelled, type Axis } from "./scale";
import { AXIS_Y, type Chart } from "./chart";

const LABEL_ROOM = 46;
const NUMBER_GAP = 18;

export function AxisTicks({ chart, axis }: { chart: Chart; axis: Axis }) {
  const open = session.value;
  const shown = useMemo(() => labelled(chart.x, LABEL_ROOM), [chart, axis]);
  const ticks = useMemo(() => {
    // Ticks closer than a pixel would only thicken the axis.
    let last = -9;
    return Array.from(chart.x)
      .filter((x) => x - last >= 2 && ((last = x), true))
      .map((x) => `M${Math.round(x) + 0.5} ${AXIS_Y}v4`)
      .join("");
  }, [chart]);
  if (!open) return null;
  return (
    <>
      <path class="axis" d={`M${chart.left} ${AXIS_Y + 0.5}H${chart.right}${ticks}`} />
      {shown.map((s) => (
        <TickLabel key={s} chart={chart} at={s} step={open.scalars.step[s]} />
      ))}
      <Samples />
    </>
  );
}

const pillLength = computed(
  () => stepText(session.value?.scalars.step[snapshot.value] ?? 0).length,
);

/** Gives way to the playhead's pill; bound to a signal, so that only labels near it change. */
function TickLabel({ chart, at, step }: { chart: Chart; at: number; step: number }) {
  const text = stepText(step);
  const visibility = useMemo(
    () =>
      computed(() => {
        const room = (pillLength.value + text.length) * 3.2 + 30;
        return Math.abs(chart.x[at] - chart.x[snapshot.value]) < room ? "hidden" : "visible";
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
    const first = samplesAt(current.summary, K, 0);
    for (let t = 1; t < open.snapshots; t++)
      if (samplesAt(current.summary, K, t) !== first) return false;
    return true;
  }, [current, open]);
  const text = useMemo(
    () =>
      computed(
        () =>
          `n = ${count(samples.value)} ${counted.value}s at ${constant ? "every" : "this"} snapshot`,
      ),
    [constant],
  );
  return (
    <text class="number" x={-198} y={AXIS_Y + 15}>
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
