// Draws panels, a row for each class and a column for each layer: shares through time.

import { area, line } from "d3-shape";
import { cssColor, type PageColors } from "../network/colors";
import { LEVELS } from "../wire/manifest";

/** Between panels of a row, and below each row, in CSS pixels. */
export const GAP = 13;
export const ROW_GAP = 8;

export interface Trellis {
  columns: number;
  /** Class of each row. */
  rows: readonly number[];
  /** The share at a snapshot; NaN where it is not known. */
  value: (snapshot: number, column: number, row: number) => number;
  /** Where each snapshot stands, 0 … 1. */
  x: Float64Array;
  /** Width of a panel, height of a row. */
  panel: number;
  row: number;
  /** The share that fills a panel. */
  scale: number;
  palette: Uint8Array;
  page: PageColors;
  highlighted: number;
  /** Of a class, in a last column; null where there is none. */
  recall: ((snapshot: number, cls: number) => number) | null;
}

export function drawTrellis(g: CanvasRenderingContext2D, trellis: Trellis): void {
  const { columns, rows, value, x, scale, palette, page, highlighted, recall } = trellis;
  const T = x.length;
  const [w, h] = [trellis.panel, trellis.row - ROW_GAP];
  const step = w + GAP;
  g.clearRect(0, 0, (columns + 1) * step, rows.length * trellis.row);
  const times = Array.from({ length: T }, (_, t) => t);
  rows.forEach((k, row) => {
    const top = row * trellis.row;
    g.globalAlpha = highlighted >= 0 && highlighted !== k ? 0.28 : 1;
    for (let c = 0; c < columns; c++) {
      g.save();
      g.translate(c * step, top);
      const at = (t: number): number => value(t, c, row);
      g.fillStyle = cssColor(palette, 4 * (k * LEVELS + LEVELS - 1));
      if (T === 1 && at(0) > 0) {
        const tall = h * Math.min(1, at(0) / scale);
        g.fillRect(0, h - tall, w, tall);
      }
      g.beginPath();
      area<number>()
        .defined((t) => !Number.isNaN(at(t)))
        .x((t) => x[t] * w)
        .y0(h)
        .y1((t) => h * (1 - Math.min(1, at(t) / scale)))
        .context(g)(times);
      g.fill();
      g.fillStyle = `rgb(${page.hair.join(",")})`;
      g.fillRect(0, h, w, 1);
      g.restore();
    }
    if (!recall) return;
    g.save();
    g.translate(columns * step, top);
    g.strokeStyle = g.fillStyle = page.ink2;
    if (T === 1 && recall(0, k) >= 0) g.fillRect(0, h * (1 - recall(0, k)), w, 1.2);
    g.lineWidth = 1.2;
    g.beginPath();
    line<number>()
      .defined((t) => !Number.isNaN(recall(t, k)))
      .x((t) => x[t] * w)
      .y((t) => h * (1 - recall(t, k)))
      .context(g)(times);
    g.stroke();
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(0, h, w, 1);
    g.restore();
  });
  g.globalAlpha = 1;
}
