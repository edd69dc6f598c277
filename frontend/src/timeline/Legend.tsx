// What the lines, shades and marks of the timeline are, in one line above the strip.

import { textWidth } from "../frame/size";
import { drawn } from "../network/drawn";
import { halfTuned, happened, notFinite } from "../run/happened";
import { highlighted, session } from "../state/chosen";
import { LEGEND_Y, type Chart } from "./chart";
import { LOWEST } from "./Marks";
import { NAMED_ROW, rowHeight } from "./Strip";

const FONT = '400 10px "Inter", ui-sans-serif, system-ui, sans-serif';
const BETWEEN = "  ·  ";

/** What is there to be explained. */
export interface Marked {
  accuracy: boolean;
  loss: boolean;
  /** Whether a class is highlighted. */
  ofClass: boolean;
  ticks: boolean;
  half: boolean;
  notFinite: boolean;
}

/** In full, shorter, and shortest. */
export function legendTexts(of: Marked): string[] {
  const lines = [
    of.accuracy && "accuracy 0 to 100%",
    of.loss && "loss (grey) 0 to its greatest",
  ].filter((text) => text !== false);
  const bad = of.notFinite ? ["✕ NaN or infinite"] : [];
  const shade = of.ofClass ? "share of units tuned to it" : "mean strength of the layer";
  const half = of.half ? ["◇ half of its units tuned"] : [];
  return [
    [
      ...(lines.length > 0 ? [`lines: ${lines.join(", ")}`] : []),
      `shade: ${shade}${of.ofClass ? "" : ", 0 to 1"}`,
      ...(of.ticks ? ["ticks: units that changed, taller for more"] : []),
      ...half,
      ...bad,
    ],
    [`shade: ${shade}`, ...(of.ticks ? ["ticks: units that changed"] : []), ...half, ...bad],
    [
      `shade: ${of.ofClass ? "share tuned to it" : "mean strength"}`,
      ...(of.ticks ? ["ticks: units changed"] : []),
      ...(of.half ? ["◇ half tuned"] : []),
      ...(of.notFinite ? ["✕ NaN"] : []),
    ],
  ].map((parts) => parts.join(BETWEEN));
}

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
