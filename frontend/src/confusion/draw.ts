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
      g.globalAlpha = right ? 0.75 : ALPHA + 0.25;
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
      if (at !== null && at < 1) {
        g.fillStyle = page.ink3;
        g.globalAlpha = 0.6;
        g.fillRect(Math.round(left + at * (w - 1)), top, 1, h);
        g.globalAlpha = 1;
      }
      const n = matrix[row * K + column];
      if (n === 0) continue;
      g.font = `${row === column ? 500 : 640} ${small ? 9 : 11}px ${FONT}`;
      // on a plate of the page's color: a number is read on whatever stands behind it
      const wide = g.measureText(String(n)).width + 4;
      if (wide > width) continue;
      const [x, y] = [left + (small ? 1 : 4), top + (small ? 2 : 4)];
      g.fillStyle = `rgb(${page.page.join(",")})`;
      g.globalAlpha = 0.86;
      g.beginPath();
      g.roundRect(x, y, wide, small ? 10 : 13, 2);
      g.fill();
      g.globalAlpha = 1;
      g.fillStyle = row === column ? page.ink2 : page.ink;
      g.fillText(String(n), x + 2, y + (small ? 8.5 : 10.5));
    }
  if (chosen) {
    g.strokeStyle = page.ink;
    g.lineWidth = 1.5;
    g.strokeRect(chosen.predicted * width - 0.75, chosen.true * height - 0.75, w + 1.5, h + 1.5);
  }
}

/** Cells in a row that share a texel, so that none is left out where there are more than pixels. */
export const pooled = (classes: number, pixels: number): number =>
  Math.max(1, Math.ceil(classes / Math.max(1, pixels)));

/** One texel per cell, or per so many by so many of them: their share of the true classes' samples, in
 * the hue of the most frequent answer; neutral where most are right. Rows and columns stand in the order
 * given. */
export function drawTexels(
  matrix: Uint32Array,
  order: readonly number[],
  pool: number,
  palette: Uint8Array,
  page: PageColors,
): ImageData {
  const K = order.length;
  const side = Math.ceil(K / pool);
  const image = new ImageData(side, side);
  const totals = order.map((row) => {
    let n = 0;
    for (let k = 0; k < K; k++) n += matrix[row * K + k];
    return n;
  });
  const answers = new Uint32Array(pool);
  for (let y = 0; y < side; y++) {
    const rows = order.slice(y * pool, (y + 1) * pool);
    let n = 0;
    for (let i = 0; i < rows.length; i++) n += totals[y * pool + i];
    for (let x = 0; x < side; x++) {
      const columns = order.slice(x * pool, (x + 1) * pool);
      answers.fill(0);
      let [right, all] = [0, 0];
      for (const row of rows)
        columns.forEach((column, i) => {
          const samples = matrix[row * K + column];
          all += samples;
          if (row === column) right += samples;
          else answers[i] += samples;
        });
      const share = n > 0 ? all / n : 0;
      const column = columns[answers.indexOf(Math.max(...answers))] ?? columns[0];
      // a root, so that a few samples of many can be seen
      const level = Math.round((LEVELS - 1) * Math.min(1, Math.sqrt(2 * share)));
      const p = 4 * (column * LEVELS + level);
      const neutral = 2 * right >= all;
      const at = 4 * (y * side + x);
      for (let c = 0; c < 3; c++) {
        const ground = page.page[c];
        const ink = page.ink4[c];
        image.data[at + c] =
          all === 0 ? ground : neutral ? ground + (ink - ground) * share : palette[p + c];
      }
      image.data[at + 3] = 255;
    }
  }
  return image;
}
