// One row per layer through time: lightness is mean strength; with a class highlighted, the share
// of the layer's units tuned to it, in its hue. Drawn once, not at every step.

import type { RefObject } from "preact";
import { useMemo } from "preact/hooks";
import { computed } from "@preact/signals";
import { classShares, takesPart } from "../derive";
import { count, fixed, percent, plural, stepText } from "../format";
import { said } from "../inline";
import { fitCanvas } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { cellColorsNow } from "../network/current";
import { rgbOfWord } from "../network/colors";
import { stageRows } from "../network/stages";
import { highlighted, session, snapshot, theme, threshold, track } from "../state/chosen";
import { palette } from "../state/shown";
import { stateCounts } from "../run/counts";
import { happened, notFinite, switches } from "../run/happened";
import { STATE_WORDS } from "../sentences/units";
import { LEVELS, NOT_DEFINED, NOT_FINITE, NOT_RECORDED } from "../wire/manifest";
import { AXIS_Y, LEGEND_Y, ROOM, STRIP_TOP, type Chart, type Column } from "./chart";
import { useDrawing } from "./drawing";
import { kindsBeside } from "./Marks";
import { Pyramid, pyramidOf } from "./pyramid";
import { layerAt, NAMED_ROW, rowAt, rowHeight } from "./rows";

/** A share this small still shows when the class has no greater one. */
const LEAST_SCALE = 0.06;
/** Few units make large shares: they do not set the scale. */
const SCALE_UNITS = 10;
const NUMBER_GAP = 18;
/** Wider snapshots are told apart by a line between them. */
const APART = 8;
const HATCH = 5;

const neutrals = new Map<string, Uint32Array>();

/** Gray of each hundredth, as it stands in an ImageData. */
function neutralWords(name: string): Uint32Array {
  let words = neutrals.get(name);
  if (!words) {
    const canvas = document.createElement("canvas");
    canvas.width = LEVELS;
    canvas.height = 1;
    const g = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
    for (let i = 0; i < LEVELS; i++) {
      g.fillStyle =
        name === "light"
          ? `oklch(${(0.955 - 0.0066 * i).toFixed(4)} .006 265)`
          : `oklch(${(0.215 + 0.0066 * i).toFixed(4)} .008 265)`;
      g.fillRect(i, 0, 1, 1);
    }
    words = new Uint32Array(g.getImageData(0, 0, LEVELS, 1).data.slice().buffer);
    neutrals.set(name, words);
  }
  return words;
}

/** The greatest share in the strip, which gets the class's full color. */
function scaleOf(shares: Float32Array): number {
  const open = session.peek();
  let most = LEAST_SCALE;
  if (open)
    shares.forEach((v, i) => {
      if (open.layers[i % open.layers.length].units > SCALE_UNITS && v > most) most = v;
    });
  return most;
}

/** What the strip shows: values `[snapshot, layer]` and the color of each hundredth of the scale. */
function shown(): { values: Pyramid; scale: number; words: Uint32Array } | null {
  const open = session.peek();
  const current = track.peek();
  if (!open || !current) return null;
  const L = open.layers.length;
  const cls = highlighted.peek();
  if (cls < 0) {
    const values = pyramidOf(current.summary.meanStrength, L);
    return { values, scale: 1, words: neutralWords(theme.peek()) };
  }
  const shares = classShares(current, cls, threshold.peek());
  const words = cellColorsNow().words.subarray(cls * LEVELS, (cls + 1) * LEVELS);
  return { values: new Pyramid(shares, L), scale: scaleOf(shares), words };
}

let texture: HTMLCanvasElement | null = null;

function draw(canvas: HTMLCanvasElement, chart: Chart): void {
  const open = session.peek();
  if (!open) return;
  const L = open.layers.length;
  const height = STRIP_TOP + ROOM + 4;
  const g = fitCanvas(canvas, chart.width, height);
  g.clearRect(0, 0, chart.width, height);
  const began = performance.now();
  const what = shown();
  if (!what || canvas.width === 0) return;
  // One texel for each pixel and row, which is then made as tall as the row.
  const W = canvas.width;
  const ratio = W / chart.width;
  texture ??= document.createElement("canvas");
  texture.width = W;
  texture.height = L;
  const image = new ImageData(W, L);
  const texels = new Uint32Array(image.data.buffer);
  for (const { from, to, left, right } of chart.columns) {
    const [start, end] = [Math.round(left * ratio), Math.round(right * ratio)];
    const apart = right - left > APART;
    for (let l = 0; l < L; l++) {
      const { mean } = what.values.over(l, from, to);
      // A layer without data is left empty, whatever is shown of the others.
      if (Number.isNaN(mean)) continue;
      const level = Math.round(100 * Math.min(1, Math.max(0, mean / what.scale)));
      const color = what.words[level];
      texels.fill(color, l * W + Math.max(0, start), l * W + Math.min(W, end));
      if (apart && end <= W) image.data[4 * (l * W + end - 1) + 3] = 120;
    }
  }
  (texture.getContext("2d") as CanvasRenderingContext2D).putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  for (let l = 0; l < L; l++) {
    const [top, tall] = rowAt(L, l);
    g.drawImage(texture, 0, l, W, 1, 0, top, chart.width, tall);
  }
  drawNotFinite(g, chart.columns, L);
  timing.strip = performance.now() - began;
}

/** Hatched where units of a layer are not finite. */
function drawNotFinite(g: CanvasRenderingContext2D, columns: readonly Column[], L: number): void {
  const bad = notFinite.peek();
  if (bad.length === 0) return;
  const small = document.createElement("canvas");
  small.width = small.height = HATCH;
  const of = small.getContext("2d") as CanvasRenderingContext2D;
  of.strokeStyle = `rgb(${rgbOfWord(neutralWords(theme.peek())[70]).join(",")})`;
  for (const d of [-HATCH, 0, HATCH]) {
    of.moveTo(d - 1, HATCH + 1);
    of.lineTo(d + HATCH + 1, -1);
  }
  of.stroke();
  g.fillStyle = g.createPattern(small, "repeat") as CanvasPattern;
  for (const { layer, snapshot: t, until } of bad) {
    const first = columnOf(columns, t);
    const last = columnOf(columns, until - 1);
    if (!first || !last || t >= columns[columns.length - 1].to || until <= columns[0].from)
      continue;
    const [top, tall] = rowAt(L, layer);
    g.fillRect(first.left, top, last.right - first.left, tall);
  }
}

/** The column that holds a snapshot, or the nearest one in view. */
function columnOf(columns: readonly Column[], t: number): Column | undefined {
  let [low, high] = [0, columns.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (columns[middle].to <= t) low = middle + 1;
    else high = middle;
  }
  return columns[low];
}

/** Milliseconds of the last drawing. */
export const timing = { strip: 0 };

export function useStrip(canvas: RefObject<HTMLCanvasElement | null>, chart: Chart): void {
  useDrawing(canvas, chart, draw, () => {
    void [track.value, highlighted.value, palette.value, theme.value];
    if (highlighted.value >= 0) void [threshold.value, track.value?.paint.arrived.value];
  });
}

export function StripLabels() {
  const open = session.value;
  if (!open) return null;
  const row = rowHeight(open.layers.length);
  const middle = (from: number, length: number): number =>
    STRIP_TOP + (from + length / 2) * row + 3;
  if (row >= NAMED_ROW)
    return (
      <>
        {open.names.map((name, l) => (
          <text key={l} class="layer" x={-8} y={middle(l, 1)} text-anchor="end">
            <title>{open.layers[l].path}</title>
            {name.length > 32 ? `…${name.slice(-31)}` : name}
          </text>
        ))}
      </>
    );
  let from = 0;
  return (
    <>
      {stageRows(open.layers, open.layers.length).map((stage, i) => {
        const y = middle(from, stage.layers.length);
        from += stage.layers.length;
        return stage.layers.length * row < 11 ? null : (
          <text key={i} x={-8} y={y} text-anchor="end">
            {stage.title}
          </text>
        );
      })}
    </>
  );
}

function valueAt(l: number): string {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return "";
  const at = snapshot.value * open.layers.length + l;
  const cls = highlighted.value;
  const strength = current.summary.meanStrength[at];
  if (cls < 0) return fixed(strength);
  void current.paint.arrived.value;
  const known = takesPart(current, cls, snapshot.value) && !Number.isNaN(strength);
  return percent(known ? classShares(current, cls, threshold.value)[at] : NaN);
}

export function StripNumbers({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const row = rowHeight(open.layers.length);
  const named = row >= NAMED_ROW;
  return (
    <div
      class="strip-numbers"
      style={{ left: `${chart.right + NUMBER_GAP}px`, top: `${STRIP_TOP}px` }}
    >
      {named &&
        open.layers.map((layer, l) => <RowNumber key={layer.path} layer={l} y={(l + 0.5) * row} />)}
      {switches.value && switches.value.length >= 3 && (
        <span style={{ top: `${AXIS_Y - 11 - STRIP_TOP}px` }}>{switchesNow}</span>
      )}
      <span class="quiet" style={{ top: `${LEGEND_Y - 3 - STRIP_TOP}px` }}>
        {highlighted.value >= 0 ? "units tuned to it" : "mean strength"}
      </span>
    </div>
  );
}

const switchesNow = computed(() => count(switches.value?.[snapshot.value] ?? 0));

function RowNumber({ layer, y }: { layer: number; y: number }) {
  const text = useMemo(() => computed(() => valueAt(layer)), [layer]);
  return <span style={{ top: `${y}px` }}>{text}</span>;
}

export const strip = {
  /** Says what a row held at a time, without moving the playhead. */
  hover(event: PointerEvent, chart: Chart, at: { snapshot: number; x: number; y: number }): void {
    const open = session.peek();
    const current = track.peek();
    const l = layerAt(at.y);
    if (!open || !current || l < 0) {
      hideTip();
      return;
    }
    const L = open.layers.length;
    const t = at.snapshot;
    const strength = current.summary.meanStrength[t * L + l];
    const states = stateCounts(current.summary, L, t, l);
    const why = [NOT_DEFINED, NOT_RECORDED, NOT_FINITE].find((s) => states[s] > 0);
    const none = why === undefined ? "no data" : STATE_WORDS[why];
    const bad = states[NOT_FINITE];
    const cls = highlighted.peek();
    const share = cls >= 0 ? classShares(current, cls, threshold.peek())[t * L + l] : NaN;
    tip.value = {
      x: event.clientX,
      y: event.clientY - 76,
      content: (
        <>
          <b>{open.layers[l].path}</b>, step {stepText(open.scalars.step[t])}
          <br />
          {Number.isNaN(strength) ? none : `mean strength ${fixed(strength)}`}
          {!Number.isNaN(strength) && bad > 0 && (
            <>
              <br />
              {count(bad)} {plural(bad, "unit")} not finite
            </>
          )}
          {cls >= 0 && !Number.isNaN(share) && takesPart(current, cls, t) && (
            <>
              <br />
              {percent(share)} of units tuned to {said(current.grouping.classes[cls])}
            </>
          )}
          {happened.peek() && <Beside chart={chart} x={at.x} layer={l} />}
        </>
      ),
    };
  },
};

/** What happened there, by kind. */
function Beside({ chart, x, layer }: { chart: Chart; x: number; layer: number }) {
  const told = kindsBeside(chart, x, layer);
  if (told === "") return null;
  return (
    <>
      <br />
      <span class="quiet">{told}; click for the list</span>
    </>
  );
}
