// What happened, where it happened: marks on the rows of the strip, taller where there is more; half
// of a layer tuned; the first time a layer is not finite; how many units switched.

import type { RefObject } from "preact";
import { useMemo } from "preact/hooks";
import { count, list, plural, stepText } from "../format";
import { fitCanvas } from "../frame/size";
import { pageColorsNow } from "../network/current";
import {
  eventsOfMoment,
  eventsUntil,
  halfTuned,
  happened,
  moment,
  notFinite,
  switches,
  type Moment,
} from "../run/happened";
import { session, theme, track } from "../state/chosen";
import { AXIS_Y, ROOM, STRIP_TOP, type Chart } from "./chart";
import { pyramidOf } from "./pyramid";
import { useDrawing } from "./drawing";
import { NAMED_ROW, rowAt, rowHeight } from "./rows";

/** Pixels to either side that a click means too. */
const AROUND = 4;
const LEAST_MARK = 2;
/** Lower rows have no room for marks. */
export const LOWEST = 4;
/** From this mean strength on a row is nearer to the ink than to the page. */
const STRONG = 0.5;

/** Kinds that are of units; layers have marks of their own. */
const OF_LAYERS = new Set(["half_tuned", "half_lost"]);

function drawMarks(canvas: HTMLCanvasElement, chart: Chart): void {
  const open = session.peek();
  const events = happened.peek();
  const L = open?.layers.length ?? 1;
  const height = STRIP_TOP + ROOM + 4;
  const g = fitCanvas(canvas, chart.width, height);
  g.clearRect(0, 0, chart.width, height);
  if (!open || !events || rowHeight(L) < LOWEST) return;
  const W = Math.ceil(chart.width);
  const many = new Uint32Array(L * W);
  const last = new Uint32Array(L * W);
  const skipped = open.manifest.event_kinds.map((kind) => OF_LAYERS.has(kind));
  let most = 1;
  const end = eventsUntil(events, Math.min(chart.last, open.snapshots - 1));
  for (let i = eventsUntil(events, chart.first - 1); i < end; i++) {
    if (skipped[events.kind[i]]) continue;
    // three pixels share a mark, so that marks never touch
    const x = Math.round(chart.x[events.snapshot[i]] / 3) * 3;
    last[events.layer[i] * W + x] = events.snapshot[i];
    const n = ++many[events.layer[i] * W + x];
    if (n > most) most = n;
  }
  const { ink, page } = pageColorsNow();
  const ground = `rgb(${page.join(",")})`;
  const strengths = track.peek()?.summary.meanStrength;
  const tallest = Math.max(3, Math.log2(1 + most));
  g.globalAlpha = 0.62;
  for (let l = 0; l < L; l++) {
    const [top, tall] = rowAt(L, l);
    for (let x = 0; x < W; x++) {
      const n = many[l * W + x];
      if (n === 0) continue;
      const room = tall - 1 - LEAST_MARK;
      const h = Math.round(LEAST_MARK + (room * Math.log2(1 + n)) / tallest);
      // on a strong row, which comes forward, in the color of the page
      const strength = strengths?.[last[l * W + x] * L + l] ?? 0;
      g.fillStyle = strength > STRONG ? ground : ink;
      g.fillRect(x, top + tall - h, 2, h);
    }
  }
  g.globalAlpha = 1;
}

export function useMarks(canvas: RefObject<HTMLCanvasElement | null>, chart: Chart): void {
  useDrawing(canvas, chart, drawMarks, () => void [happened.value, theme.value]);
}

/** The snapshots at a place of the axis, and what is looked for there. */
function momentAt(chart: Chart, x: number, layer: number, kind = ""): Moment | null {
  let [from, to] = [-1, -1];
  for (let t = chart.first; t <= chart.last; t++) {
    if (Math.abs(chart.x[t] - x) > AROUND) continue;
    if (from < 0) from = t;
    to = t;
  }
  return from < 0 ? null : { from, to, layer, kind };
}

/** What happened at a place, as words; "" for nothing. */
export function kindsBeside(chart: Chart, x: number, layer: number): string {
  const [open, events] = [session.peek(), happened.peek()];
  const at = momentAt(chart, x, layer);
  if (!open || !events || !at) return "";
  const found = new Map<string, number>();
  for (const i of eventsOfMoment(open, events, at)) {
    const kind = open.manifest.event_kinds[events.kind[i]].replace("_", " ");
    found.set(kind, (found.get(kind) ?? 0) + 1);
  }
  return list([...found].map(([kind, n]) => `${count(n)} ${kind}`));
}

/** Lists what happened at the place of a click; nothing where nothing did. */
export function listMoment(chart: Chart, x: number, layer: number, kind = ""): void {
  const [open, events] = [session.peek(), happened.peek()];
  const at = momentAt(chart, x, layer, kind);
  const some = open && events && at && eventsOfMoment(open, events, at).length > 0;
  moment.value = some ? at : null;
}

const inView = (chart: Chart, t: number): boolean => t >= chart.first && t <= chart.last;

/** ◇ where half of a layer's units were tuned for the first time, ✕ where a layer was not finite for
 * the first time. */
export function StripMarks({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const L = open.layers.length;
  const firstBad = new Map<number, { snapshot: number; units: number }>();
  for (const one of notFinite.value) if (!firstBad.has(one.layer)) firstBad.set(one.layer, one);
  const place = (l: number, t: number): [number, number] => {
    const [top, tall] = rowAt(L, l);
    return [Math.round(chart.x[t]) + 0.5, Math.round(top + tall / 2)];
  };
  const step = (t: number): string => stepText(open.scalars.step[t]);
  return (
    <>
      {rowHeight(L) >= NAMED_ROW &&
        [...halfTuned.value].map(([l, t]) => {
          if (!inView(chart, t)) return null;
          const [x, y] = place(l, t);
          return (
            <path key={l} class="mark" d={`M${x} ${y - 3.5}l3.5 3.5l-3.5 3.5l-3.5 -3.5z`}>
              <title>
                {`half of the units of ${open.layers[l].path} are tuned from step ${step(t)} on`}
              </title>
            </path>
          );
        })}
      {[...firstBad].map(([l, { snapshot: t, units }]) => {
        if (!inView(chart, t)) return null;
        const [x, y] = place(l, t);
        const cross = `M${x - 3} ${y - 3}l6 6M${x + 3} ${y - 3}l-6 6`;
        return (
          <g key={`bad${l}`} class="bad" data-testid="not-finite">
            <path class="halo" d={cross} />
            <path d={cross} />
            <title>
              {`${count(units)} ${plural(units, "unit")} of ${open.layers[l].path} not finite (NaN or infinite) from step ${step(t)} on`}
            </title>
          </g>
        );
      })}
    </>
  );
}

/** How many units switched from one class to another, snapshot by snapshot; of those that share a
 * pixel the most. */
export function Switches({ chart }: { chart: Chart }) {
  const counts = switches.value;
  const top = STRIP_TOP + ROOM + 4;
  const bottom = AXIS_Y - 5;
  const path = useMemo(() => {
    if (!counts) return "";
    const found = pyramidOf(counts, 1);
    const most = Math.max(1, found.over(0, 0, counts.length).most);
    let d = "";
    for (const { from, to, left, right } of chart.columns) {
      const n = found.over(0, from, to).most;
      if (!(n > 0)) continue;
      const wide = Math.max(1, right - left - (right - left > 2 ? 1 : 0));
      const tall = Math.max(1, Math.round(((bottom - top) * n) / most));
      d += `M${left + 0.5} ${bottom}v${-tall}h${wide}v${tall}z`;
    }
    return d;
  }, [counts, chart]);
  if (!counts || counts.length < 3) return null;
  return (
    <>
      <text x={-8} y={bottom - 2} text-anchor="end">
        units that switched
      </text>
      <path class="switches" d={path} data-testid="switches" />
    </>
  );
}
