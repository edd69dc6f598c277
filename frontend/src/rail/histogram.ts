// Held units by strength: bars of classes one on the other, or of two classes to either side.

import { fitCanvas } from "../frame/size";
import { cssColor } from "../network/colors";
import { classOrder, palette } from "../state/shown";
import { highlighted, snapshot, track } from "../state/chosen";
import { BIN, BINS, LEVELS } from "../wire/manifest";
import { colorAt, scaleOf, WIDTH } from "./scale";

export const HEIGHT = 58;
/** Under the bars of a diverging scale: its colors. */
export const RAMP = 7;
/** The last bin, level 100 alone, is drawn with the one before it. */
const BARS = BINS - 1;
const FADED = 0.25;

export function drawHistogram(canvas: HTMLCanvasElement): void {
  const current = track.peek();
  if (!current) return;
  const K = current.grouping.classes.length;
  const scale = scaleOf(K);
  const below = scale.diverging ? RAMP + 2 : 0;
  const g = fitCanvas(canvas, WIDTH, HEIGHT + below);
  g.clearRect(0, 0, WIDTH, HEIGHT + below);
  const from = snapshot.peek() * K * BINS;
  const at = (k: number, bar: number): number => {
    const row = from + k * BINS;
    return current.classBins[row + bar] + (bar === BARS - 1 ? current.classBins[row + BARS] : 0);
  };
  const colors = palette.peek();
  const cls = highlighted.peek();
  const bars = Array.from({ length: BARS }, (_, bar) => bar);
  const sumOf = (bar: number): number => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += at(k, bar);
    return sum;
  };
  const most = Math.max(
    1,
    ...(scale.diverging ? bars.flatMap((bar) => [at(0, bar), at(1, bar)]) : bars.map(sumOf)),
  );
  for (const bar of bars) {
    const level = bar * BIN + Math.floor(BIN / 2);
    let y = HEIGHT;
    for (const k of classOrder.peek()) {
      const h = (at(k, bar) / most) * HEIGHT;
      if (h === 0) continue;
      y = (scale.diverging ? HEIGHT : y) - h;
      const ends = [scale.x(bar * BIN, k), scale.x((bar + 1) * BIN, k)];
      g.globalAlpha = cls >= 0 && cls !== k ? FADED : 1;
      g.fillStyle = cssColor(colors, 4 * (k * LEVELS + level));
      g.fillRect(Math.min(...ends), y, Math.abs(ends[1] - ends[0]) - 1, h);
    }
  }
  g.globalAlpha = 1;
  if (!scale.diverging) return;
  for (let x = 0; x < WIDTH; x++) {
    const { cls: k, level } = colorAt(x + 0.5);
    g.fillStyle = cssColor(colors, 4 * (k * LEVELS + level));
    g.fillRect(x, HEIGHT + 2, 1, RAMP);
  }
}
