// Where the panels of the trellis stand, and how they are drawn.

import { area, line } from "d3-shape";
import { cssColor, type PageColors } from "../network/colors";
import { LEVELS } from "../wire/manifest";
import { CUT, shareOf, type Shares } from "./shares";

const LABELS = 122;
const NARROW_LABELS = 30;
export const RECALL = 46;
const GAP = 13;
/** Where panels would else be cut off. */
const LEAST_GAP = 4;
export const ROW_GAP = 8;
const TALLEST = 46;
/** So many rows may be as tall as they like, up to `ALONE`. */
const FEW = 5;
const ALONE = 112;
export const LOWEST = 22;
export const HEADER = 24;
const NARROWEST_PANEL = 12;
const NARROW = 560;

export interface TrellisLayout {
  labels: number;
  named: boolean;
  panel: number;
  /** Between two panels. */
  gap: number;
  row: number;
}

export function layoutTrellis(
  size: { width: number; height: number },
  columns: number,
  rows: number,
  recall: boolean,
): TrellisLayout {
  const named = size.width >= NARROW;
  const labels = named ? LABELS : NARROW_LABELS;
  const room = size.width - labels - (recall ? RECALL : 0) - 10;
  const step = Math.floor(room / (columns + (recall ? 1 : 0)));
  const gap = step - GAP < NARROWEST_PANEL ? LEAST_GAP : GAP;
  const row = Math.floor((size.height - HEADER - 6) / Math.max(1, rows));
  return {
    labels,
    named,
    panel: Math.max(NARROWEST_PANEL, step - gap),
    gap,
    row: Math.max(LOWEST, Math.min(rows <= FEW ? ALONE : TALLEST, row)),
  };
}

/** Width with which panels stand well apart. */
export const leastWidth = (columns: number): number =>
  NARROW_LABELS + columns * (NARROWEST_PANEL + GAP) + 10;

/** One row of panels. */
export interface Drawn {
  counted: readonly number[];
  /** The class, for its recall; -1 where it is none. */
  cls: number;
  color: string;
  dimmed: boolean;
}

export function drawTrellis(
  g: CanvasRenderingContext2D,
  of: {
    rows: readonly Drawn[];
    shares: Shares;
    layout: TrellisLayout;
    scale: number;
    /** `[snapshot, class]` */
    recalls: { values: Float64Array; classes: number } | null;
    x: ArrayLike<number>;
    page: PageColors;
  },
): void {
  const { rows, shares, layout, scale, recalls, x, page } = of;
  const [w, h] = [layout.panel, layout.row - ROW_GAP];
  const step = w + layout.gap;
  const T = x.length;
  const times = Array.from({ length: T }, (_, t) => t);
  const base = (): void => {
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(0, h, w, 1);
  };
  g.clearRect(0, 0, (shares.columns.length + 1) * step, rows.length * layout.row);
  rows.forEach(({ counted, cls, color, dimmed }, row) => {
    g.globalAlpha = dimmed ? 0.28 : 1;
    shares.columns.forEach((_, c) => {
      g.save();
      g.translate(c * step, row * layout.row);
      const values = times.map((t) => shareOf(shares, t, c, counted));
      const tall = (t: number): number => h * Math.min(1, values[t] / scale);
      g.fillStyle = color;
      if (T === 1 && values[0] > 0) g.fillRect(0, h - tall(0), w, tall(0));
      g.beginPath();
      area<number>()
        .defined((t) => !Number.isNaN(values[t]))
        .x((t) => x[t] * w)
        .y0(h)
        .y1((t) => h - tall(t))
        .context(g)(times);
      g.fill();
      base();
      g.fillStyle = page.ink;
      for (const t of times)
        if (values[t] > CUT * scale) {
          const to = t + 1 < T ? x[t + 1] : 1;
          g.fillRect(x[t] * w, 0, Math.max(1, (to - x[t]) * w), 1.5);
        }
      g.restore();
    });
    if (!recalls || cls < 0 || cls >= recalls.classes) return;
    const recall = (t: number): number => recalls.values[t * recalls.classes + cls];
    g.save();
    g.translate(shares.columns.length * step, row * layout.row);
    g.strokeStyle = g.fillStyle = page.ink2;
    if (T === 1 && recall(0) >= 0) g.fillRect(0, h * (1 - recall(0)), w, 1.2);
    g.lineWidth = 1.2;
    g.beginPath();
    line<number>()
      .defined((t) => !Number.isNaN(recall(t)))
      .x((t) => x[t] * w)
      .y((t) => h * (1 - recall(t)))
      .context(g)(times);
    g.stroke();
    base();
    g.restore();
  });
  g.globalAlpha = 1;
}

/** A class's color at full strength. */
export const fullColor = (palette: Uint8Array, k: number): string =>
  cssColor(palette, 4 * (k * LEVELS + LEVELS - 1));
