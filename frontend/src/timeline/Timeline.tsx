import { computed } from "@preact/signals";
import { useMemo, useRef } from "preact/hooks";
import { stepText } from "../format";
import { useSize } from "../frame/size";
import { hideTip } from "../frame/tip";
import { approximate, axis, playing, positions, session, show, snapshot } from "../state";
import type { Chart } from "./chart";
import { AxisTicks, PlayheadNumbers } from "./Axis";
import { Controls } from "./Controls";
import { accuracyY, Curves } from "./Curves";
import { StripLabels, StripMarks, StripNumbers, strip, Switches, useStrip } from "./Strip";
import { nearestSnapshot } from "./scale";

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
        <p>One snapshot so far: step {stepText(open.scalars.step[0])}.</p>
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
        aria-valuenow={snapshot}
        aria-valuetext={stepLabel}
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
          <StripMarks chart={chart} />
          <Switches chart={chart} />
          <AxisTicks chart={chart} axis={axis.value} />
        </svg>
        <PlayheadNumbers chart={chart} />
        <StripNumbers chart={chart} />
        <Playhead chart={chart} />
      </div>
    </>
  );
}

const stepLabel = computed(() => {
  const step = session.value?.scalars.step[snapshot.value] ?? 0;
  return `${approximate.value ? "≈ " : ""}step ${stepText(step)}`;
});

/** Moved by a transform, so that a step costs no layout of the timeline. */
function Playhead({ chart }: { chart: Chart }) {
  const t = snapshot.value;
  const accuracy = session.value?.scalars.accuracy?.[t] ?? NaN;
  return (
    <div
      class="playhead"
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
