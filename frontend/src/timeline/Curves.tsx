import { line } from "d3-shape";
import { useMemo } from "preact/hooks";
import { pairedAccuracy } from "../compare/now";
import { session } from "../state";
import type { Chart } from "./chart";

const TOP = 14;
const BOTTOM = 48;

export const accuracyY = (accuracy: number): number => BOTTOM - (BOTTOM - TOP) * accuracy;

/** Accuracy from 0 to 1 in ink, loss from 0 to its greatest value in gray. */
export function Curves({ chart }: { chart: Chart }) {
  const open = session.value;
  const { accuracy, loss } = open?.scalars ?? { accuracy: null, loss: null };
  const beside = pairedAccuracy.value;
  const paths = useMemo(() => {
    const draw = (values: Float64Array | null, most: number): string =>
      values
        ? (line<number>()
            .defined((v) => Number.isFinite(v))
            .x((_, t) => Math.round(chart.x[t] * 10) / 10)
            .y((v) => Math.round((BOTTOM - (BOTTOM - TOP) * (v / most)) * 10) / 10)(
            Array.from(values),
          ) ?? "")
        : "";
    const finite = Array.from(loss ?? []).filter(Number.isFinite);
    return {
      accuracy: draw(accuracy, 1),
      beside: draw(beside, 1),
      loss: draw(loss, Math.max(1e-12, ...finite)),
    };
  }, [chart, accuracy, loss, beside]);
  if (!accuracy && !loss) return null;
  return (
    <>
      <path
        class="hair"
        d={`M${chart.left} ${TOP + 0.5}H${chart.right}M${chart.left} ${BOTTOM + 0.5}H${chart.right}`}
      />
      <path class="loss" d={paths.loss} />
      <path class="accuracy" d={paths.accuracy} />
      {beside && <path class="accuracy beside" d={paths.beside} />}
    </>
  );
}
