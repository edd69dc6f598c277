// The key: how many units hold at each strength, by class, with the threshold drawn through.

import { computed, effect, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { hasData, isDamaged, isHere, states, statesEver } from "../derive";
import { count, percent, strengthOfLevel } from "../format";
import { fitCanvas } from "../frame/size";
import { cssColor } from "../network/colors";
import { suppressedCount, tunedToClass } from "../run/counts";
import { floorSentence, thresholdSentence } from "../sentences";
import {
  approximate,
  highlighted,
  painted,
  palette,
  session,
  snapshot,
  threshold,
  track,
} from "../state";
import { thresholdLevel } from "../url";
import { floor, hasFloor, isOfTrue } from "./floor";
import {
  BIN,
  BINS,
  HELD,
  LEVELS,
  NOT_DEFINED,
  NOT_FINITE,
  NOT_RECORDED,
  NO_DATA,
  SILENT,
  TIED,
} from "../wire/manifest";

const WIDTH = 184;
const HEIGHT = 58;
/** The last bin, level 100 alone, is drawn with the one before it. */
const BARS = BINS - 1;

function drawHistogram(canvas: HTMLCanvasElement): void {
  const current = track.peek();
  if (!current) return;
  const g = fitCanvas(canvas, WIDTH, HEIGHT);
  g.clearRect(0, 0, WIDTH, HEIGHT);
  const K = current.grouping.classes.length;
  const bins = current.classBins;
  const from = snapshot.peek() * K * BINS;
  const at = (k: number, bar: number): number => {
    const row = from + k * BINS;
    return bins[row + bar] + (bar === BARS - 1 ? bins[row + BARS] : 0);
  };
  const totals = Array.from({ length: BARS }, (_, bar) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += at(k, bar);
    return sum;
  });
  const most = Math.max(1, ...totals);
  const colors = palette.peek();
  const width = WIDTH / BARS;
  const cls = highlighted.peek();
  totals.forEach((_, bar) => {
    let y = HEIGHT;
    const level = bar * BIN + Math.floor(BIN / 2);
    for (let k = 0; k < K; k++) {
      const h = (at(k, bar) / most) * HEIGHT;
      if (h === 0) continue;
      y -= h;
      g.globalAlpha = cls >= 0 && cls !== k ? 0.25 : 1;
      g.fillStyle = cssColor(colors, 4 * (k * LEVELS + level));
      g.fillRect(bar * width, y, width - 1, h);
    }
  });
  g.globalAlpha = 1;
}

export function Key() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const slider = useRef<HTMLDivElement>(null);
  const open = session.value;
  const current = track.value;
  const level = threshold.value;
  const noise = floor.value;
  useEffect(() => {
    let pending = 0;
    const stop = effect(() => {
      void [track.value, snapshot.value, palette.value, highlighted.value];
      pending ||= requestAnimationFrame(() => {
        pending = 0;
        if (canvas.current) drawHistogram(canvas.current);
      });
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [current]);
  if (!open || !current) return <div class="key" />;

  const set = (value: number): void => {
    const next = thresholdLevel(value);
    if (next !== undefined) threshold.value = next;
  };
  const drag = (event: PointerEvent): void => {
    const box = slider.current?.getBoundingClientRect();
    if (box && event.buttons & 1) set((event.clientX - box.left) / WIDTH);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    const to: Record<string, number> = {
      ArrowLeft: level - BIN,
      ArrowDown: level - BIN,
      ArrowRight: level + BIN,
      ArrowUp: level + BIN,
      Home: BIN,
      End: 95,
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    set(to[event.key] / 100);
  };
  const x = (level / 100) * WIDTH;
  return (
    <div class="key">
      <h2>
        Strength <small>{tunedShare}</small>
      </h2>
      <div
        ref={slider}
        class="threshold"
        role="slider"
        tabIndex={0}
        data-testid="key-threshold"
        title={thresholdSentence(level, open.measure)}
        aria-label="Threshold of strength from which a unit counts as tuned"
        aria-valuemin={0.05}
        aria-valuemax={0.95}
        aria-valuenow={level / 100}
        aria-valuetext={thresholdText}
        onPointerDown={(event) => {
          event.currentTarget.setPointerCapture(event.pointerId);
          drag(event);
        }}
        onPointerMove={drag}
        onKeyDown={onKeyDown}
      >
        <canvas ref={canvas} aria-hidden="true" />
        <svg width={WIDTH} height={HEIGHT + 18} aria-hidden="true">
          <line class="axis" x1={0} x2={WIDTH} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
          {noise && (
            <line
              class="floor"
              data-testid="floor"
              x1={Math.max(0, noise.value) * WIDTH + 0.5}
              x2={Math.max(0, noise.value) * WIDTH + 0.5}
              y1={HEIGHT - 14}
              y2={HEIGHT + 4}
            />
          )}
          <line class="now" x1={x} x2={x} y1={-4} y2={HEIGHT + 1} />
          <path class="handle" d={`M${x - 4} ${HEIGHT + 5}h8l-4-5z`} />
          <text class="number" x={0} y={HEIGHT + 16}>
            0
          </text>
          <text x={WIDTH} y={HEIGHT + 16} text-anchor="end">
            1
          </text>
          <text
            class="ink2"
            x={Math.min(WIDTH - 44, Math.max(44, x))}
            y={HEIGHT + 16}
            text-anchor="middle"
          >
            tuned ≥ {strengthOfLevel(level)}
          </text>
        </svg>
      </div>
      <p class="note">{thresholdSentence(level, open.measure)}</p>
      {hasFloor.value && <p class="note">{floorSentence(noise?.value ?? null, isOfTrue.value)}</p>}
      <Glyphs />
    </div>
  );
}

const tunedNow = computed(() => {
  const current = track.value;
  if (!current) return 0;
  const K = current.grouping.classes.length;
  let sum = 0;
  for (let k = 0; k < K; k++)
    sum += tunedToClass(current.classBins, K, snapshot.value, k, threshold.value);
  return sum;
});

const tunedShare = computed(() =>
  hasData.value
    ? `${percent(tunedNow.value / ((session.value?.units ?? 1) - states.value[NOT_DEFINED]))} tuned`
    : "– tuned",
);

const thresholdText = computed(
  () => `${strengthOfLevel(threshold.value)}: ${counted(tunedNow.value)} units tuned`,
);

const suppressedNow = computed(() =>
  painted.value && !approximate.value ? suppressedCount(painted.value.paint) : NaN,
);

const counted = (n: number): string => (isHere.value && !Number.isNaN(n) ? count(n) : "–");

/** Units in each state now; held ones are those below the threshold. */
const numbers = [HELD, TIED, SILENT, NO_DATA, NOT_FINITE, NOT_RECORDED, NOT_DEFINED].map((state) =>
  computed(() => {
    const n = states.value[state] - (state === HELD ? tunedNow.value : 0);
    return isDamaged.value ? count(n) : counted(n);
  }),
);
const suppressedText = computed(() => counted(suppressedNow.value));

function Glyphs() {
  const open = session.value;
  if (!open) return null;
  const ever = statesEver.value;
  const color = (k: number, level: number): string =>
    cssColor(palette.value, 4 * (k * LEVELS + level));
  const K = palette.value.length / (4 * LEVELS);
  const quarter = (i: number): number => Math.floor((i * K) / 4) % K;
  const mayBeSuppressed = K >= 3 && open.layers.some((layer) => layer.signed);
  return (
    <div class="glyphs">
      <Glyph name="below the threshold" n={numbers[HELD]}>
        {[0, 1, 2, 3].map((i) => (
          <rect
            key={i}
            x={(i % 2) * 6.5}
            y={i < 2 ? 0 : 6.5}
            width={6.5}
            height={6.5}
            fill={color(quarter(i), 30)}
          />
        ))}
      </Glyph>
      <Glyph name="tied, no class first" n={numbers[TIED]}>
        <rect width={13} height={13} rx={3} fill={color(0, 0)} />
      </Glyph>
      <Glyph name="silent" n={numbers[SILENT]}>
        <rect class="line" x={0.5} y={0.5} width={12} height={12} rx={2.5} />
      </Glyph>
      {mayBeSuppressed && (
        <Glyph name="suppressed" n={suppressedText}>
          <rect x={1} y={1} width={11} height={11} rx={2} class="ring" />
        </Glyph>
      )}
      {ever[NO_DATA] && (
        <Glyph name="no data" n={numbers[NO_DATA]}>
          <rect class="line" x={0.5} y={0.5} width={12} height={12} rx={2.5} />
          <path class="line" d="M3.5 9.5l6-6" />
        </Glyph>
      )}
      {ever[NOT_FINITE] && (
        <Glyph name="not finite" n={numbers[NOT_FINITE]}>
          <path class="hatch" d="M0 4l4-4M0 9l9-9M1 13l12-12M6 13l7-7M11 13l2-2" />
        </Glyph>
      )}
      {ever[NOT_RECORDED] && (
        <Glyph name="cannot be read" n={numbers[NOT_RECORDED]}>
          <rect class="dot-glyph" x={5.5} y={5.5} width={2} height={2} />
        </Glyph>
      )}
      {ever[NOT_DEFINED] && (
        <Glyph name="not defined" n={numbers[NOT_DEFINED]}>
          <path class="line" d="M3 6.5h7" />
        </Glyph>
      )}
    </div>
  );
}

function Glyph({
  name,
  n,
  children,
}: {
  name: string;
  n: ReadonlySignal<string>;
  children: ComponentChildren;
}) {
  return (
    <div>
      <svg width={13} height={13} aria-hidden="true">
        {children}
      </svg>
      <span>{name}</span>
      <span class="count">{n}</span>
    </div>
  );
}
