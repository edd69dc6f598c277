// What the lines, shades and marks of the timeline are, in one line above the strip.

import { textWidth } from "../frame/size";
import { drawn } from "../network/drawn";
import { halfTuned, happened, notFinite } from "../run/happened";
import { legendTexts } from "../sentences/timeline";
import { highlighted, session } from "../state/chosen";
import { LEGEND_Y, type Chart } from "./chart";
import { LOWEST } from "./Marks";
import { NAMED_ROW, rowHeight } from "./rows";

const FONT = '400 10px "Inter", ui-sans-serif, system-ui, sans-serif';

export function Legend({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  void drawn.fonts.value;
  const row = rowHeight(open.layers.length);
  const { accuracy, loss } = open.scalars;
  const texts = legendTexts({
    accuracy: accuracy?.some(Number.isFinite) ?? false,
    loss: loss?.some(Number.isFinite) ?? false,
    ofClass: highlighted.value >= 0,
    ticks: row >= LOWEST && (happened.value?.unit.length ?? 0) > 0,
    half: row >= NAMED_ROW && halfTuned.value.size > 0,
    notFinite: notFinite.value.length > 0,
  });
  const room = chart.right - chart.left + 18;
  const text = texts.find((one) => textWidth(one, FONT) <= room) ?? texts[texts.length - 1];
  return (
    <text class="legend" x={chart.left - 9} y={LEGEND_Y} data-testid="legend">
      {text}
    </text>
  );
}
