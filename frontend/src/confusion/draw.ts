// Paints the confusion: histories behind numbers where cells are large, one texel per cell elsewhere.

import { spans } from "../timeline/scale";
import type { PageColors } from "../network/colors";
import { LEVELS } from "../wire/manifest";

export interface MatrixLayout {
  /** Width and height of a cell. */
  width: number;
  height: number;
  classes: number;
}

const GAP = 3;
const FONT = '"Inter", ui-sans-serif, system-ui, sans-serif';
const ALPHA = 0.55;

const color = (palette: Uint8Array, k: number, level = LEVELS - 1): string => {
  const i = 4 * (k * LEVELS + level);
  return `rgb(${palette[i]},${palette[i + 1]},${palette[i + 2]})`;
};

/** Counts through training behind every cell, in the hue of the answer; the diagonal is neutral. */
export function drawHistories(
  g: CanvasRenderingContext2D,
  layout: MatrixLayout,
  counts: Uint32Array,
  x: ArrayLike<number>,
  scale: number,
  palette: Uint8Array,
  page: PageColors,
): void {
  const { classes: K, width, height } = layout;
  const [w, h] = [width - GAP, height - GAP];
  const T = x.length;
  const marks = spans(
    Array.from(x, (p) => p * w),
    w,
  );
  g.clearRect(0, 0, K * width, K * height);
  for (let row = 0; row < K; row++) {
    let most = 1;
    for (let t = 0; t < T; t++) {
      let n = 0;
      for (let k = 0; k < K; k++) n += counts[(t * K + row) * K + k];
      most = Math.max(most, n);
    }
    for (let column = 0; column < K; column++) {
      const [left, top] = [column * width, row * height];
      g.globalAlpha = 1;
      g.fillStyle = `rgb(${page.hair.join(",")})`;
      g.globalAlpha = 0.55;
      g.fillRect(left, top, w, h);
      const right = row === column;
      g.fillStyle = right ? `rgb(${page.ink4.join(",")})` : color(palette, column);
      g.globalAlpha = right ? 0.4 : ALPHA + 0.25;
      const full = right ? most : scale;
      for (let t = 0; t < T; t++) {
        const n = counts[(t * K + row) * K + column];
        if (n === 0) continue;
        const tall = Math.max(1, Math.min(1, n / full) * (h - 2));
        const from = Math.max(0, Math.min(w, marks[t]));
        const to = Math.max(0, Math.min(w, marks[t + 1]));
        g.fillRect(left + from, top + h - tall, Math.max(0.5, to - from), tall);
      }
    }
  }
  g.globalAlpha = 1;
}

/** Numbers at the playhead, a line where it stands, and the frame of the chosen cell. */
export function drawNumbers(
  g: CanvasRenderingContext2D,
  layout: MatrixLayout,
  matrix: Uint32Array,
  at: number | null,
  chosen: { true: number; predicted: number } | null,
  page: PageColors,
): void {
  const { classes: K, width, height } = layout;
  const [w, h] = [width - GAP, height - GAP];
  g.clearRect(0, 0, K * width, K * height);
  g.textBaseline = "alphabetic";
  const small = height < 24 || width < 34;
  for (let row = 0; row < K; row++)
    for (let column = 0; column < K; column++) {
      const [left, top] = [column * width, row * height];
      if (at !== null) {
        g.fillStyle = page.ink3;
        g.globalAlpha = 0.6;
        g.fillRect(Math.round(left + at * (w - 1)), top, 1, h);
        g.globalAlpha = 1;
      }
      const n = matrix[row * K + column];
      if (n === 0) continue;
      g.font = `${row === column ? 500 : 640} ${small ? 9 : 11}px ${FONT}`;
      g.fillStyle = row === column ? page.ink2 : page.ink;
      g.fillText(String(n), left + 5, top + (small ? 10 : 14));
    }
  if (chosen) {
    g.strokeStyle = page.ink;
    g.lineWidth = 1.5;
    g.strokeRect(chosen.predicted * width - 0.75, chosen.true * height - 0.75, w + 1.5, h + 1.5);
  }
}

/** One texel per cell: its share of the true class's samples, in the hue of the answer. Rows and
 * columns stand in the order given. */
export function drawTexels(
  matrix: Uint32Array,
  order: readonly number[],
  palette: Uint8Array,
  page: PageColors,
): ImageData {
  const classes = order.length;
  const image = new ImageData(classes, classes);
  for (let y = 0; y < classes; y++) {
    const row = order[y];
    let n = 0;
    for (let k = 0; k < classes; k++) n += matrix[row * classes + k];
    for (let x = 0; x < classes; x++) {
      const column = order[x];
      const share = n > 0 ? matrix[row * classes + column] / n : 0;
      const i = 4 * (y * classes + x);
      // a root, so that a few samples of many can be seen
      const level = Math.round((LEVELS - 1) * Math.min(1, Math.sqrt(2 * share)));
      const p = 4 * (column * LEVELS + level);
      const neutral = row === column;
      for (let c = 0; c < 3; c++) {
        const ground = page.page[c];
        const ink = page.ink4[c];
        image.data[i + c] =
          share === 0 ? ground : neutral ? ground + (ink - ground) * share : palette[p + c];
      }
      image.data[i + 3] = 255;
    }
  }
  return image;
}
