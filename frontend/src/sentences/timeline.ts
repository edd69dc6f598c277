// What the lines, shades and marks of the timeline are.

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
