// One row per layer through time: lightness is mean strength; with a class highlighted, the share
// of the layer's units tuned to it, in its hue. Drawn once, not at every step.

import { computed, effect } from "@preact/signals";
import type { RefObject } from "preact";
import { useEffect, useMemo } from "preact/hooks";
import { classShares, takesPart } from "../derive";
import { count, fixed, percent, stepText } from "../format";
import { said } from "../inline";
import { fitCanvas } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { cssColor } from "../network/colors";
import { stageRows } from "../network/stages";
import { highlighted, palette, session, snapshot, theme, threshold, track } from "../state";
import { stateCounts } from "../run/counts";
import { halfTuned, switches } from "../run/happened";
import { STATE_WORDS } from "../sentences";
import { LEVELS, NOT_DEFINED } from "../wire/manifest";
import { spans } from "./scale";
import { AXIS_Y, type Chart } from "./chart";

const TOP = 60;
const ROOM = 96;
const TALLEST_ROW = 22;
const REACH = 9;
/** From this height on, each row has its name and number beside it. */
const NAMED_ROW = 8;
/** A share this small still shows when the class has no greater one. */
const LEAST_SCALE = 0.06;
/** Few units make large shares: they do not set the scale. */
const SCALE_UNITS = 10;
const NUMBER_GAP = 18;

export function rowHeight(layers: number): number {
  return Math.min(TALLEST_ROW, ROOM / layers);
}

function neutralOf(light: boolean): (v: number) => string {
  const known: string[] = [];
  return (v) => {
    const i = Math.round(100 * Math.min(1, Math.max(0, v)));
    return (known[i] ??= light
      ? `oklch(${(0.955 - 0.0066 * i).toFixed(4)} .006 265)`
      : `oklch(${(0.215 + 0.0066 * i).toFixed(4)} .008 265)`);
  };
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

function draw(canvas: HTMLCanvasElement, chart: Chart): void {
  const open = session.peek();
  const current = track.peek();
  if (!open) return;
  const L = open.layers.length;
  const row = rowHeight(L);
  const gap = row >= 6 ? 1 : 0;
  const g = fitCanvas(canvas, chart.width, TOP + ROOM + 4);
  g.clearRect(0, 0, chart.width, TOP + ROOM + 4);
  if (!current) return;
  const cls = highlighted.peek();
  const shares = cls >= 0 ? classShares(current, cls, threshold.peek()) : null;
  const scale = shares ? scaleOf(shares) : 1;
  const values = shares ?? current.summary.meanStrength;
  const neutral = neutralOf(theme.peek() === "light");
  const colors = palette.peek();
  const marks = spans(chart.x, REACH);
  for (let t = 0; t < open.snapshots; t++) {
    const left = Math.round(marks[t]);
    const width = Math.round(marks[t + 1]) - left;
    // Snapshots that share a pixel with the next one are not drawn twice.
    if (width <= 0) continue;
    for (let l = 0; l < L; l++) {
      const v = values[t * L + l];
      // A layer without data is left empty, whatever is shown of the others.
      if (Number.isNaN(v) || Number.isNaN(current.summary.meanStrength[t * L + l])) continue;
      const level = Math.round(100 * Math.min(1, v / scale));
      g.fillStyle = shares ? cssColor(colors, 4 * (cls * LEVELS + level)) : neutral(v);
      const top = TOP + l * row;
      g.fillRect(left, top, width - (width > 8 ? 0.5 : 0), Math.max(1, row - gap));
    }
  }
}

/** A diamond where half of a layer's units were tuned for the first time. */
export function StripMarks({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const row = rowHeight(open.layers.length);
  if (row < NAMED_ROW) return null;
  return (
    <>
      {[...halfTuned.value].map(([l, t]) => {
        const [x, y] = [Math.round(chart.x[t]) + 0.5, TOP + (l + 0.5) * row - 0.5];
        return (
          <path key={l} class="mark" d={`M${x} ${y - 3.5}l3.5 3.5l-3.5 3.5l-3.5 -3.5z`}>
            <title>
              {`half of the units of ${open.layers[l].path} are tuned from step ${stepText(open.scalars.step[t])} on`}
            </title>
          </path>
        );
      })}
    </>
  );
}

const SWITCHES_TOP = TOP + ROOM + 4;
const SWITCHES_BOTTOM = AXIS_Y - 5;

/** How many units switched from one class to another, snapshot by snapshot. */
export function Switches({ chart }: { chart: Chart }) {
  const counts = switches.value;
  const path = useMemo(() => {
    if (!counts) return "";
    const most = Math.max(1, ...counts);
    const marks = spans(chart.x, REACH);
    let d = "";
    counts.forEach((n, t) => {
      if (n === 0) return;
      const from = Math.round(marks[t]) + 0.5;
      const wide = Math.max(1, Math.round(marks[t + 1]) - Math.round(marks[t]) - 1);
      const tall = Math.max(1, Math.round(((SWITCHES_BOTTOM - SWITCHES_TOP) * n) / most));
      d += `M${from} ${SWITCHES_BOTTOM}v${-tall}h${wide}v${tall}z`;
    });
    return d;
  }, [counts, chart]);
  if (!counts || counts.length < 3) return null;
  return (
    <>
      <text x={-8} y={SWITCHES_BOTTOM - 2} text-anchor="end">
        switched class
      </text>
      <path class="switches" d={path} data-testid="switches" />
    </>
  );
}

export function useStrip(canvas: RefObject<HTMLCanvasElement | null>, chart: Chart): void {
  useEffect(() => {
    let pending = 0;
    const stop = effect(() => {
      void [track.value, highlighted.value, palette.value, theme.value];
      if (highlighted.value >= 0) void [threshold.value, track.value?.paint.arrived.value];
      pending ||= requestAnimationFrame(() => {
        pending = 0;
        if (canvas.current) draw(canvas.current, chart);
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [chart]);
}

export function StripLabels() {
  const open = session.value;
  if (!open) return null;
  const row = rowHeight(open.layers.length);
  const middle = (from: number, length: number): number => TOP + (from + length / 2) * row + 3;
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
  const narrow = chart.width - chart.right < 120;
  return (
    <div class="strip-numbers" style={{ left: `${chart.right + NUMBER_GAP}px`, top: `${TOP}px` }}>
      {named &&
        open.layers.map((layer, l) => <RowNumber key={layer.path} layer={l} y={(l + 0.5) * row} />)}
      {switches.value && switches.value.length >= 3 && (
        <span style={{ top: `${SWITCHES_BOTTOM - 6 - TOP}px` }}>{switchesNow}</span>
      )}
      {!(narrow && named) && (
        <span
          class="quiet"
          style={{ left: named ? "36px" : "0", top: `${named ? row / 2 : 6.5}px` }}
        >
          {highlighted.value >= 0 ? "units tuned to it" : "mean strength"}
        </span>
      )}
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
  hover(event: PointerEvent, at: { snapshot: number; y: number }): void {
    const open = session.peek();
    const current = track.peek();
    if (!open || !current) return;
    const L = open.layers.length;
    const l = Math.floor((at.y - TOP) / rowHeight(L));
    if (l < 0 || l >= L) {
      hideTip();
      return;
    }
    const strength = current.summary.meanStrength[at.snapshot * L + l];
    const states = stateCounts(current.summary, L, at.snapshot, l);
    const none = states[NOT_DEFINED] > 0 ? STATE_WORDS[NOT_DEFINED] : "no data";
    const cls = highlighted.peek();
    const share = cls >= 0 ? classShares(current, cls, threshold.peek())[at.snapshot * L + l] : NaN;
    tip.value = {
      x: event.clientX,
      y: event.clientY - 76,
      content: (
        <>
          <b>{open.layers[l].path}</b>, step {stepText(open.scalars.step[at.snapshot])}
          <br />
          {Number.isNaN(strength) ? none : `mean strength ${fixed(strength)}`}
          {cls >= 0 && !Number.isNaN(share) && takesPart(current, cls, at.snapshot) && (
            <>
              <br />
              {percent(share)} of units tuned to {said(current.grouping.classes[cls])}
            </>
          )}
        </>
      ),
    };
  },
};
