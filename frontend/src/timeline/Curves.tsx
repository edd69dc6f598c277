import { useMemo } from "preact/hooks";
import { pairedAccuracy } from "../compare/now";
import { session } from "../state/chosen";
import type { Chart } from "./chart";
import { pyramidOf } from "./pyramid";

const TOP = 12;
const BOTTOM = 43;

export const accuracyY = (accuracy: number): number => BOTTOM - (BOTTOM - TOP) * accuracy;

const round = (v: number): number => Math.round(v * 10) / 10;

/** A line through all values; where many share a pixel it covers all that lies between them. */
function lineOf(chart: Chart, values: Float64Array, most: number): string {
  const found = pyramidOf(values, 1);
  const y = (v: number): number => round(BOTTOM - (BOTTOM - TOP) * (v / most));
  let d = "";
  let pen = "M";
  for (const { from, to } of chart.columns) {
    const { least, most: high } = found.over(0, from, to);
    if (!Number.isFinite(least) || !Number.isFinite(high)) {
      pen = "M";
      continue;
    }
    const x = round(to - from > 1 ? (chart.x[from] + chart.x[to - 1]) / 2 : chart.x[from]);
    d += `${pen}${x} ${y(least)}`;
    if (to - from > 1 && high > least) d += `L${x} ${y(high)}`;
    pen = "L";
  }
  return d;
}

/** Accuracy from 0 to 1 in ink, loss from 0 to its greatest value in gray. */
export function Curves({ chart }: { chart: Chart }) {
  const open = session.value;
  const { accuracy, loss } = open?.scalars ?? { accuracy: null, loss: null };
  const beside = pairedAccuracy.value;
  const paths = useMemo(() => {
    let most = 1e-12;
    loss?.forEach((v) => Number.isFinite(v) && v > most && (most = v));
    return {
      accuracy: accuracy ? lineOf(chart, accuracy, 1) : "",
      beside: beside ? lineOf(chart, beside, 1) : "",
      loss: loss ? lineOf(chart, loss, most) : "",
    };
  }, [chart, accuracy, loss, beside]);
  if (!accuracy && !loss) return null;
  return (
    <>
      <path
        class="hair"
        d={`M${chart.left} ${TOP + 0.5}H${chart.right}M${chart.left} ${BOTTOM + 0.5}H${chart.right}`}
      />
      <g clip-path="url(#in-view)">
        <path class="loss" d={paths.loss} />
        <path class="accuracy" d={paths.accuracy} />
        {beside && <path class="accuracy beside" d={paths.beside} />}
      </g>
    </>
  );
}
