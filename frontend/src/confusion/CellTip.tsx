// What the pointer is over, in the confusion.

import { count, plural, stepText } from "../format";
import { said } from "../inline";
import { session } from "../state/chosen";
import type { ConfusionNow } from "./now";

export function CellTip(of: { now: ConfusionNow; true: number; predicted: number }) {
  const { now, true: row, predicted: column } = of;
  const K = now.names.length;
  const n = now.matrix[row * K + column];
  const steps = session.value?.scalars.step;
  return (
    <>
      {count(n)} {plural(n, "sample")} of {said(now.names[row])}{" "}
      {row === column ? "correct" : `predicted as ${said(now.names[column])}`}
      <br />
      <span class="quiet">step {stepText(steps?.[now.snapshot] ?? 0)}</span>
    </>
  );
}
