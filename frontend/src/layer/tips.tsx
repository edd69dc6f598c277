// What the pointer is over, in the two pictures of a layer.

import { percent, stepText } from "../format";
import { said } from "../inline";
import { levelWords } from "../run/groupings";
import { cellSentence } from "../sentences/units";
import { classes } from "../state/shown";
import { session, threshold, track } from "../state/chosen";
import { NO_HEAT } from "../wire/manifest";

export function HeatTip(of: {
  l: number;
  unit: number;
  cls: number;
  heat: Uint8Array | undefined;
}) {
  const { l, unit: u, cls, heat } = of;
  const layer = session.value?.layers[l];
  if (!layer) return null;
  const value = heat?.[cls * layer.units + u - layer.offset];
  return (
    <>
      <b>{layer.path}</b> unit {u - layer.offset}, {said(classes.value[cls] ?? "")}
      <br />
      {value === undefined
        ? session.value?.has("heat")
          ? "not loaded"
          : "not in this file"
        : value === NO_HEAT
          ? "no data: too few samples of the class, or not finite"
          : `${percent(Math.sqrt(value / 100))} of the way from its least to its greatest class mean`}
    </>
  );
}

export function TimeTip({ l, unit: u, at }: { l: number; unit: number; at: number }) {
  const open = session.value;
  const paint = track.value?.paint.at(at);
  if (!open) return null;
  const { path, offset } = open.layers[l];
  return (
    <>
      <b>{path}</b> unit {u - offset}, step {stepText(open.scalars.step[at])}
      <br />
      {paint
        ? cellSentence(
            paint.state[u],
            paint.flags[u],
            paint.level[u],
            classes.value[paint.preferred[u]] ?? "",
            threshold.value,
            track.value ? levelWords(track.value.grouping, paint.preferred[u]) : "",
          )
        : "not loaded yet"}
    </>
  );
}
