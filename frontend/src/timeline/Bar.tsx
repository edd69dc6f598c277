// The whole run as one bar, and in it a window on the part that the axis shows: drag it, drag its
// ends, or draw a new one.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { stepText } from "../format";
import { fitCanvas } from "../frame/size";
import { positions } from "../state/shown";
import { session, snapshot, theme, track, zoom } from "../state/chosen";
import { BAR_Y, columnsOf, type Chart } from "./chart";
import { pyramidOf } from "./pyramid";
import { nearestSnapshot } from "./scale";
import { indexAt, positionAt, type Span } from "./span";
import { showAll, zoomTo, shownSpan } from "./zoom";

const TALL = 5;
/** Pixels at both ends of the window that move that end alone. */
const GRIP = 6;
const LEAST = 8;

type Drag = { how: "move" | "from" | "to" | "new"; at: number; span: Span };

export function Bar({ chart }: { chart: Chart }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const drag = useRef<Drag | null>(null);
  const place = positions.value;
  const open = session.value;
  const wide = chart.right - chart.left;
  const columns = useMemo(
    () =>
      columnsOf(
        place.map((p) => p * wide),
        0,
        wide,
      ),
    [place, wide],
  );

  useEffect(
    () =>
      effect(() => {
        const current = track.value;
        const light = theme.value === "light";
        const L = session.value?.layers.length ?? 0;
        if (!canvas.current || !current || L === 0) return;
        const g = fitCanvas(canvas.current, wide, TALL);
        g.clearRect(0, 0, wide, TALL);
        const values = pyramidOf(current.summary.meanStrength, L);
        for (const { from, to, left, right } of columns) {
          let [sum, n] = [0, 0];
          for (let l = 0; l < L; l++) {
            const { mean } = values.over(l, from, to);
            if (!Number.isNaN(mean)) [sum, n] = [sum + mean, n + 1];
          }
          if (n === 0) continue;
          const v = Math.min(1, sum / n);
          g.fillStyle = `oklch(${(light ? 0.93 - 0.5 * v : 0.24 + 0.5 * v).toFixed(3)} .006 265)`;
          g.fillRect(left, 0, right - left, TALL);
        }
      }),
    [columns, wide],
  );

  if (!open) return null;
  const span = zoom.value ?? { from: 0, to: place.length - 1 };
  const [from, to] = [positionAt(place, span.from) * wide, positionAt(place, span.to) * wide];
  const left = Math.min(from, wide - LEAST);
  const width = Math.max(LEAST, to - left);
  const step = (index: number): string => stepText(open.scalars.step[Math.round(index)] ?? 0);
  const said = zoom.value ? `steps ${step(span.from)} to ${step(span.to)}` : "all steps";

  const xOf = (event: PointerEvent): number =>
    event.clientX - (frame.current?.getBoundingClientRect().left ?? 0);
  const begin = (event: PointerEvent): void => {
    event.stopPropagation();
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    const x = xOf(event);
    const end = left + width;
    const inside = zoom.peek() !== null && x >= left - GRIP && x <= end + GRIP;
    const how = !inside
      ? "new"
      : Math.abs(x - left) < GRIP
        ? "from"
        : Math.abs(x - end) < GRIP
          ? "to"
          : "move";
    drag.current = { how, at: x, span: { ...shownSpan() } };
  };
  const move = (event: PointerEvent): void => {
    const held = drag.current;
    if (!held || !(event.buttons & 1)) return;
    event.stopPropagation();
    const x = Math.min(wide, Math.max(0, xOf(event)));
    const at = indexAt(place, x / wide);
    const start = indexAt(place, Math.min(1, Math.max(0, held.at / wide)));
    if (held.how === "new") {
      if (Math.abs(x - held.at) >= 3)
        zoomTo({ from: Math.min(start, at), to: Math.max(start, at) });
    } else if (held.how === "move") {
      const [a, b] = [positionAt(place, held.span.from), positionAt(place, held.span.to)];
      const by = Math.min(1 - b, Math.max(-a, (x - held.at) / wide));
      zoomTo({ from: indexAt(place, a + by), to: indexAt(place, b + by) });
    } else {
      const other = held.how === "from" ? held.span.to : held.span.from;
      zoomTo({ from: Math.min(at, other), to: Math.max(at, other) });
    }
  };
  return (
    <div
      ref={frame}
      class="run-bar"
      data-testid="bar"
      style={{ left: `${chart.left}px`, top: `${BAR_Y}px`, width: `${wide}px` }}
      title="Drag to choose what the axis shows; double-click for all of it"
      onPointerDown={begin}
      onPointerMove={move}
      onPointerUp={() => (drag.current = null)}
      onDblClick={showAll}
    >
      <canvas ref={canvas} aria-hidden="true" />
      {zoom.value && (
        <div
          class="window"
          data-testid="window"
          role="img"
          aria-label={`The axis shows ${said}`}
          style={{ transform: `translateX(${left}px)`, width: `${width}px` }}
        />
      )}
      <Now wide={wide} />
    </div>
  );
}

function Now({ wide }: { wide: number }) {
  const x = (positions.value[snapshot.value] ?? 0) * wide;
  return <i class="run-bar-now" style={{ transform: `translateX(${Math.round(x)}px)` }} />;
}

export const nearestIn = (chart: Chart, x: number): number =>
  nearestSnapshot(chart.x, Math.min(chart.right, Math.max(chart.left, x)), chart.first, chart.last);
