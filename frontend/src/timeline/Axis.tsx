import { useMemo } from "preact/hooks";
import { samples } from "../derive";
import { count, fixed, stepText } from "../format";
import { session, snapshot, track } from "../state";
import { samplesAt } from "../run/counts";
import { labelled, type Axis } from "./scale";
import { AXIS_Y, type Chart } from "./Timeline";

const LABEL_ROOM = 46;
const NUMBER_GAP = 18;

export function AxisTicks({ chart, axis }: { chart: Chart; axis: Axis }) {
  const open = session.value;
  const t = snapshot.value;
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
  const near = stepText(open.scalars.step[t]).length * 3 + 42;
  return (
    <>
      <path class="axis" d={`M${chart.left} ${AXIS_Y + 0.5}H${chart.right}${ticks}`} />
      {shown.map((s) => (
        <text
          key={s}
          x={chart.x[s]}
          y={AXIS_Y + 15}
          text-anchor="middle"
          opacity={Math.abs(chart.x[s] - chart.x[t]) < near ? 0 : 1}
        >
          {stepText(open.scalars.step[s])}
        </text>
      ))}
      <Samples />
    </>
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
  const n = `n = ${count(samples.value)}`;
  return (
    <text x={-8} y={AXIS_Y + 15} text-anchor="end">
      {constant ? `${n} samples at every snapshot` : `${n} samples at this snapshot`}
    </text>
  );
}

export function PlayheadNumbers({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const { accuracy, loss } = open.scalars;
  const t = snapshot.value;
  const x = chart.right + NUMBER_GAP;
  return (
    <>
      {accuracy && !Number.isNaN(accuracy[t]) && (
        <text class="strong" x={x} y={22}>
          {fixed(100 * accuracy[t], 1)}% accuracy
        </text>
      )}
      {loss && !Number.isNaN(loss[t]) && (
        <text class="larger" x={x} y={accuracy ? 38 : 22}>
          {fixed(loss[t])} loss
        </text>
      )}
    </>
  );
}
