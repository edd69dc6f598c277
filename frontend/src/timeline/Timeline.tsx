import { useMemo, useRef } from "preact/hooks";
import { stepText } from "../format";
import { useSize } from "../frame/size";
import { hideTip } from "../frame/tip";
import { approximate, axis, playing, positions, session, show, snapshot } from "../state";
import { AxisTicks, PlayheadNumbers } from "./Axis";
import { Controls } from "./Controls";
import { Curves } from "./Curves";
import { StripLabels, StripNumbers, strip, useStrip } from "./Strip";
import { nearestSnapshot } from "./scale";

export const GUTTER = 212;
const PAD_LEFT = 18;
const NUMBERS = 150;
const NARROW_NUMBERS = 116;
const NARROW = 900;
export const AXIS_Y = 178;
/** About the width of a character of the playhead's pill. */
const PILL_CHARACTER = 6.1;

export interface Chart {
  /** Pixel of each snapshot. */
  x: Float64Array;
  left: number;
  right: number;
  width: number;
}

export function Timeline() {
  const footer = useRef<HTMLElement>(null);
  const size = useSize(footer);
  const open = session.value;
  const place = positions.value;
  const width = Math.max(0, (size?.width ?? 0) - GUTTER);
  const chart = useMemo((): Chart => {
    const numbers = width + GUTTER < NARROW ? NARROW_NUMBERS : NUMBERS;
    const inner = Math.max(10, width - PAD_LEFT - numbers);
    return {
      x: Float64Array.from(place, (p) => PAD_LEFT + p * inner),
      left: PAD_LEFT,
      right: PAD_LEFT + inner,
      width,
    };
  }, [place, width]);
  return (
    <footer class="timeline" ref={footer} aria-label="Timeline" data-testid="timeline">
      {open && open.snapshots === 1 ? (
        <p class="single">One snapshot so far: step {stepText(open.scalars.step[0])}.</p>
      ) : (
        open && width > 0 && <Scrubber chart={chart} />
      )}
    </footer>
  );
}

function Scrubber({ chart }: { chart: Chart }) {
  const area = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  useStrip(canvas, chart);
  const open = session.value;
  if (!open) return null;
  const steps = open.scalars.step;
  const at = (event: PointerEvent): { snapshot: number; y: number } => {
    const box = area.current?.getBoundingClientRect();
    return {
      snapshot: nearestSnapshot(chart.x, event.clientX - (box?.left ?? 0)),
      y: event.clientY - (box?.top ?? 0),
    };
  };
  const scrub = (event: PointerEvent): void => {
    playing.value = false;
    show(at(event).snapshot);
  };
  return (
    <>
      <Controls />
      <div
        ref={area}
        class="scrubber"
        role="slider"
        tabIndex={0}
        aria-label="Training step"
        aria-valuemin={0}
        aria-valuemax={open.snapshots - 1}
        aria-valuenow={snapshot.value}
        aria-valuetext={`step ${stepText(steps[snapshot.value])}`}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          hideTip();
          scrub(event);
        }}
        onPointerMove={(event) => {
          if (event.buttons & 1) scrub(event);
          else strip.hover(event, at(event));
        }}
        onPointerLeave={hideTip}
      >
        <canvas ref={canvas} class="strip" aria-hidden="true" />
        <svg width={chart.width} height={206} aria-hidden="true">
          <Curves chart={chart} />
          <StripLabels />
          <AxisTicks chart={chart} axis={axis.value} />
          <PlayheadNumbers chart={chart} />
          <StripNumbers chart={chart} />
          <Playhead chart={chart} />
        </svg>
      </div>
    </>
  );
}

function Playhead({ chart }: { chart: Chart }) {
  const open = session.value;
  if (!open) return null;
  const t = snapshot.value;
  const label = `${approximate.value ? "≈ " : ""}step ${stepText(open.scalars.step[t])}`;
  const width = label.length * PILL_CHARACTER + 14;
  return (
    <g data-testid="playhead" transform={`translate(${chart.x[t]},0)`}>
      <line class="now" x1={0} x2={0} y1={6} y2={AXIS_Y + 1} />
      <rect class="pill" x={-width / 2} y={AXIS_Y + 3} width={width} height={17} rx={8.5} />
      <text class="pill-text" y={AXIS_Y + 15} text-anchor="middle">
        {label}
      </text>
    </g>
  );
}
