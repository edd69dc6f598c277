// A unit through training: the mean response of each class, and the cell's own colors beneath.

import { quantileSorted } from "d3-array";
import { area } from "d3-shape";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { digitsFor, fixed, stepText } from "../format";
import { fitCanvas } from "../frame/size";
import { cssColor } from "../network/colors";
import { pageColorsNow } from "../network/current";
import { lineThrough } from "./lines";
import type { UnitHistory } from "../run/resources";
import { highlighted, session, snapshot, theme } from "../state/chosen";
import { palette, positions } from "../state/shown";
import { show } from "../state/choosing";
import { nearestSnapshot, spans } from "../timeline/scale";
import { FEWEST_SAMPLES, HELD, LEVELS, SUPPRESSED, TIED } from "../wire/manifest";

/** Room for the scale at the left. */
const LEFT = 34;
const WIDTH = 304 - LEFT;
const HEIGHT = 96;
const CODE = 12;
const MANY = 20;
const SHOWN = 5;
/** So that a scale has a height where all means are 0. */
const HAIR = 1e-9;

interface Lines {
  low: number;
  high: number;
  paths: string[];
  band: string;
  y: (v: number) => number;
  shown: number[];
}

const round = (v: number): number => Math.round(v * 10) / 10;

function linesOf(history: UnitHistory, K: number, x: Float64Array): Lines {
  const T = x.length;
  const usable = (t: number, k: number): boolean =>
    history.n[t * K + k] >= FEWEST_SAMPLES && Number.isFinite(history.mean[t * K + k]);
  let low = 0;
  let high = HAIR;
  for (let t = 0; t < T; t++)
    for (let k = 0; k < K; k++) {
      if (!usable(t, k)) continue;
      low = Math.min(low, history.mean[t * K + k]);
      high = Math.max(high, history.mean[t * K + k]);
    }
  const y = (v: number): number => HEIGHT - 3 - ((v - low) / (high - low)) * (HEIGHT - 8);
  const shown = K <= MANY ? Array.from({ length: K }, (_, k) => k) : top(history, K, T);
  const across = x.map((v) => v * WIDTH);
  const paths = shown.map((k) =>
    lineThrough(across, (t) => (usable(t, k) ? y(history.mean[t * K + k]) : NaN)),
  );
  const band = K <= MANY ? "" : bandOf(history, K, x, y, usable);
  return { low, high, paths, band, y, shown };
}

/** The classes with the greatest means at the last snapshot. */
function top(history: UnitHistory, K: number, T: number): number[] {
  const at = (k: number): number => history.mean[(T - 1) * K + k];
  return Array.from({ length: K }, (_, k) => k)
    .filter((k) => Number.isFinite(at(k)))
    .sort((a, b) => at(b) - at(a))
    .slice(0, SHOWN);
}

/** The 5th to 95th percentile of all classes, where single lines would be a tangle. */
function bandOf(
  history: UnitHistory,
  K: number,
  x: Float64Array,
  y: (v: number) => number,
  usable: (t: number, k: number) => boolean,
): string {
  const limits = Array.from(x, (_, t) => {
    const means = new Float32Array(K).map((_, k) => (usable(t, k) ? history.mean[t * K + k] : NaN));
    // A typed array sorts by number, and far faster than an array.
    const sorted = Array.from(means.filter((m) => !Number.isNaN(m)).sort());
    return [quantileSorted(sorted, 0.05), quantileSorted(sorted, 0.95)];
  });
  return (
    area<(number | undefined)[]>()
      .defined(([a]) => a !== undefined)
      .x((_, t) => round(x[t] * WIDTH))
      .y0(([a]) => round(y(a ?? 0)))
      .y1(([, b]) => round(y(b ?? 0)))(limits) ?? ""
  );
}

function showAt(event: MouseEvent): void {
  const box = (event.currentTarget as Element).getBoundingClientRect();
  show(nearestSnapshot(positions.peek(), (event.clientX - box.left - LEFT) / WIDTH));
}

export function History({ history, classes: K }: { history: UnitHistory; classes: number }) {
  const x = positions.value;
  const lines = useMemo(() => linesOf(history, K, x), [history, K, x]);
  const t = snapshot.value;
  const first = history.preferred[t];
  const cls = highlighted.value;
  const now = x[t] * WIDTH;
  const indexes = lines.shown.map((_, i) => i);
  // The preferred class is drawn last, on top.
  indexes.sort((a, b) => Number(lines.shown[a] === first) - Number(lines.shown[b] === first));
  return (
    <svg
      class="history"
      width={LEFT + WIDTH}
      height={HEIGHT}
      onClick={showAt}
      role="img"
      aria-label="Mean response of each class through training"
    >
      <rect width={LEFT + WIDTH} height={HEIGHT} fill="transparent" />
      <Scale lines={lines} />
      <g transform={`translate(${LEFT})`}>
        <line class="axis" x1={0} x2={WIDTH} y1={lines.y(0)} y2={lines.y(0)} />
        {lines.band && <path class="band" d={lines.band} />}
        {indexes.map((i) => {
          const k = lines.shown[i];
          return (
            <path
              key={k}
              d={lines.paths[i]}
              stroke={cssColor(palette.value, 4 * (k * LEVELS + 100))}
              stroke-width={k === first ? 2 : 1.1}
              opacity={cls >= 0 && cls !== k ? 0.2 : k === first ? 1 : 0.75}
            />
          );
        })}
        <line class="now" x1={now} x2={now} y1={0} y2={HEIGHT} />
      </g>
    </svg>
  );
}

const HALF_LETTER = 3.5;

/** The greatest and the least value, and 0 where it is well between them. */
function Scale({ lines: { low, high, y } }: { lines: Lines }) {
  const digits = digitsFor(high - low);
  const apart = (v: number): boolean => Math.abs(y(v) - y(0)) > 4 * HALF_LETTER;
  // The scale always reaches to 0, and by a hair beyond where no mean does.
  const isZero = (v: number): boolean => Math.abs(v) <= HAIR;
  const ends = [high, low].filter((v) => v !== high || low < 0 || !isZero(high));
  const marks = low < 0 && apart(low) && apart(high) ? [high, 0, low] : ends;
  return (
    <>
      {marks.map((v) => (
        <text key={v} class="number" x={LEFT - 6} y={y(v) + HALF_LETTER} text-anchor="end">
          {isZero(v) ? "0" : fixed(v, digits)}
        </text>
      ))}
    </>
  );
}

export function Barcode({ history }: { history: UnitHistory }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const x = positions.value;
  const colors = palette.value;
  useEffect(() => {
    if (!canvas.current) return;
    const g = fitCanvas(canvas.current, WIDTH, CODE);
    g.clearRect(0, 0, WIDTH, CODE);
    const marks = spans(x, 0);
    const line = pageColorsNow().ink4;
    for (let t = 0; t < x.length; t++) {
      const left = Math.round(marks[t] * WIDTH);
      const width = Math.max(1, Math.round(marks[t + 1] * WIDTH) - left);
      if (history.state[t] > TIED) continue;
      const held = history.state[t] === HELD;
      const at = held ? history.preferred[t] * LEVELS + history.level[t] : 0;
      g.fillStyle = cssColor(colors, 4 * at);
      g.fillRect(left, 0, width, CODE);
      if (held && history.flags[t] & SUPPRESSED) g.clearRect(left, 4, width, CODE - 8);
    }
    g.strokeStyle = `rgb(${line.join(",")})`;
    g.globalAlpha = 0.6;
    g.strokeRect(0.5, 0.5, WIDTH - 1, CODE - 1);
    g.globalAlpha = 1;
  }, [history, x, colors, theme.value]);
  const steps = session.value?.scalars.step ?? new Float64Array(1);
  const now = x[snapshot.value] * WIDTH;
  return (
    <div class="barcode" style={{ paddingLeft: `${LEFT}px` }} onClick={showAt}>
      <canvas ref={canvas} role="img" aria-label="Color of this unit through training" />
      <svg width={WIDTH} height={28} style={{ left: `${LEFT}px` }} aria-hidden="true">
        <line class="now" x1={now} x2={now} y1={-5} y2={CODE + 2} />
        <text x={0} y={25}>
          step {stepText(steps[0])}
        </text>
        <text x={WIDTH} y={25} text-anchor="end">
          {stepText(steps[steps.length - 1])}
        </text>
      </svg>
    </div>
  );
}
