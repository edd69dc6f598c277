import { computed } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { stepText } from "../format";
import { useSize } from "../frame/size";
import { hideTip } from "../frame/tip";
import { following, live } from "../run/growth";
import { approximate, positions } from "../state/shown";
import { axis, playing, session, snapshot, zoom } from "../state/chosen";
import { show } from "../state/choosing";
import { AxisTicks, PlayheadNumbers, Segments } from "./Axis";
import { Bar, nearestIn } from "./Bar";
import { AXIS_Y, chartOf, type Chart } from "./chart";
import { Controls } from "./Controls";
import { accuracyY, Curves } from "./Curves";
import { listMoment, StripMarks, Switches, useMarks } from "./Marks";
import { Legend } from "./Legend";
import { layerAt } from "./rows";
import { StripLabels, StripNumbers, strip, useStrip } from "./Strip";
import { barred, panBy, zoomBy } from "./zoom";
import { indexAt, positionAt } from "./span";

export const GUTTER = 212;
const PAD_LEFT = 18;
const NUMBERS = 150;
const NARROW_NUMBERS = 116;
const NARROW = 900;

export function Timeline() {
  const footer = useRef<HTMLElement>(null);
  const size = useSize(footer);
  const open = session.value;
  const place = positions.value;
  const span = zoom.value;
  const width = Math.max(0, (size?.width ?? 0) - GUTTER);
  const chart = useMemo((): Chart => {
    const numbers = width + GUTTER < NARROW ? NARROW_NUMBERS : NUMBERS;
    const right = PAD_LEFT + Math.max(10, width - PAD_LEFT - numbers);
    return chartOf(place, span, { left: PAD_LEFT, right, width });
  }, [place, span, width]);
  return (
    <footer class="timeline" ref={footer} aria-label="Timeline" data-testid="timeline">
      {open && open.snapshots === 1 ? (
        <p>
          One snapshot so far: step {stepText(open.scalars.step[0])}.
          {live.value && " The next is shown as soon as it is recorded."}
        </p>
      ) : (
        open && width > 0 && <Scrubber chart={chart} />
      )}
    </footer>
  );
}

/** A click, rather than a drag, moves no farther than this. */
const STILL = 3;
/** How much closer a turn of the wheel comes. */
const WHEEL = 0.0016;
const MOST_TURN = 300;

function Scrubber({ chart }: { chart: Chart }) {
  const area = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const marks = useRef<HTMLCanvasElement>(null);
  const pressed = useRef<{ x: number; y: number } | null>(null);
  const fingers = useRef(new Map<number, number>());
  useStrip(canvas, chart);
  useMarks(marks, chart);
  const open = session.value;
  if (!open) return null;
  const at = (event: { clientX: number; clientY: number }) => {
    const box = area.current?.getBoundingClientRect();
    const x = event.clientX - (box?.left ?? 0);
    return { snapshot: nearestIn(chart, x), x, y: event.clientY - (box?.top ?? 0) };
  };
  /** Which position of the axis is there. */
  const placeOnAxis = (x: number): number => {
    const index = indexAt(chart.x, Math.min(chart.right, Math.max(chart.left, x)));
    return positionAt(positions.peek(), index);
  };
  const scrub = (event: PointerEvent): void => {
    playing.value = false;
    show(at(event).snapshot);
  };
  /** Two fingers: the distance between them says how close to come. */
  const pinch = (event: PointerEvent): boolean => {
    const held = fingers.current;
    if (!held.has(event.pointerId)) return false;
    const before = [...held.values()];
    held.set(event.pointerId, event.clientX);
    if (held.size !== 2) return false;
    const now = [...held.values()];
    const apart = Math.max(10, Math.abs(now[0] - now[1]));
    const middle = at({ clientX: (now[0] + now[1]) / 2, clientY: 0 }).x;
    zoomBy(Math.max(10, Math.abs(before[0] - before[1])) / apart, placeOnAxis(middle));
    return true;
  };
  const wheel = (event: WheelEvent): void => {
    event.preventDefault();
    const [x, y] = event.shiftKey ? [event.deltaY, 0] : [event.deltaX, event.deltaY];
    if (Math.abs(x) > Math.abs(y)) panBy(x / (chart.right - chart.left));
    else {
      const turn = Math.min(MOST_TURN, Math.max(-MOST_TURN, y * (event.ctrlKey ? 6 : 1)));
      zoomBy(Math.exp(turn * WHEEL), placeOnAxis(at(event).x));
    }
  };
  const release = (event: PointerEvent): void => {
    fingers.current.delete(event.pointerId);
    const from = pressed.current;
    pressed.current = null;
    const to = at(event);
    if (!from || Math.abs(to.x - from.x) > STILL || Math.abs(to.y - from.y) > STILL) return;
    const inLane = to.y > AXIS_Y - 24 && to.y < AXIS_Y;
    listMoment(chart, to.x, layerAt(to.y), inLane ? "switched" : "");
  };
  return (
    <>
      <Controls />
      <div
        ref={area}
        class="scrubber"
        data-testid="scrubber"
        role="slider"
        tabIndex={0}
        aria-label="Training step"
        aria-valuemin={0}
        aria-valuemax={open.snapshots - 1}
        aria-valuenow={snapshot}
        aria-valuetext={stepLabel}
        onWheel={wheel}
        onPointerDown={(event) => {
          if (event.button !== 0) return;
          event.currentTarget.setPointerCapture(event.pointerId);
          hideTip();
          if (event.pointerType === "touch") fingers.current.set(event.pointerId, event.clientX);
          pressed.current = fingers.current.size > 1 ? null : at(event);
          if (fingers.current.size < 2) scrub(event);
        }}
        onPointerMove={(event) => {
          if (pinch(event)) return;
          if (event.buttons & 1) scrub(event);
          else strip.hover(event, chart, at(event));
        }}
        onPointerUp={release}
        onPointerCancel={(event) => fingers.current.delete(event.pointerId)}
        onPointerLeave={hideTip}
      >
        <canvas ref={canvas} class="strip" data-testid="strip" aria-hidden="true" />
        <canvas ref={marks} class="strip" data-testid="marks" aria-hidden="true" />
        <svg width={chart.width} height={206} aria-hidden="true">
          <clipPath id="in-view">
            <rect x={chart.left - 9} y={0} width={chart.right - chart.left + 18} height={206} />
          </clipPath>
          <Curves chart={chart} />
          <Legend chart={chart} />
          <StripLabels />
          <Segments chart={chart} />
          <StripMarks chart={chart} />
          <Switches chart={chart} />
          <AxisTicks chart={chart} axis={axis.value} />
        </svg>
        <PlayheadNumbers chart={chart} />
        <StripNumbers chart={chart} />
        <Playhead chart={chart} />
        {barred.value && <Bar chart={chart} />}
      </div>
    </>
  );
}

const stepLabel = computed(() => {
  const step = session.value?.scalars.step[snapshot.value] ?? 0;
  return `${approximate.value ? "≈ " : ""}step ${stepText(step)}${following.value ? " · live" : ""}`;
});

/** Moved by a transform, so that a step costs no layout of the timeline. */
function Playhead({ chart }: { chart: Chart }) {
  const t = snapshot.value;
  const accuracy = session.value?.scalars.accuracy?.[t] ?? NaN;
  const away = t < chart.first || t > chart.last;
  return (
    <div
      class={away ? "playhead away" : "playhead"}
      data-testid="playhead"
      style={{ transform: `translateX(${Math.round(chart.x[t])}px)` }}
    >
      <i class="line" />
      {Number.isFinite(accuracy) && (
        <i class="accuracy-dot" style={{ transform: `translateY(${accuracyY(accuracy)}px)` }} />
      )}
      <span class="pill">{stepLabel}</span>
    </div>
  );
}
