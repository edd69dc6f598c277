// The key: how many units hold at each strength, by class, with the threshold drawn through.

import { computed, effect, type ReadonlySignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { hasData, isDamaged, isHere, states, statesEver } from "../derive";
import { count, percent, strengthOfLevel } from "../format";
import { cssColor } from "../network/colors";
import { suppressedCount, tunedToClass } from "../run/counts";
import { floorSentence, thresholdSentence } from "../sentences/strength";
import { approximate, painted, palette } from "../state/shown";
import { highlighted, session, snapshot, threshold, track } from "../state/chosen";
import { thresholdLevel } from "../url";
import { floor, hasFloor, isOfTrue } from "./floor";
import { drawHistogram, HEIGHT, RAMP } from "./histogram";
import { scaleOf, WIDTH } from "./scale";
import {
  BIN,
  HELD,
  LEVELS,
  NOT_DEFINED,
  NOT_FINITE,
  NOT_RECORDED,
  NO_DATA,
  SILENT,
  TIED,
} from "../wire/manifest";

export function Key() {
  const canvas = useRef<HTMLCanvasElement>(null);
  const slider = useRef<HTMLDivElement>(null);
  const open = session.value;
  const current = track.value;
  const level = threshold.value;
  const noise = floor.value;
  const scale = scaleOf(current?.grouping.classes.length ?? 0);
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
    if (box && event.buttons & 1) set(scale.strengthAt(event.clientX - box.left));
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
  const marks = scale.marks(level);
  const axis = HEIGHT + (scale.diverging ? RAMP + 2 : 0);
  const text = scale.diverging ? WIDTH / 2 : Math.min(WIDTH - 44, Math.max(44, marks[0]));
  return (
    <div class={scale.diverging ? "key diverging" : "key"}>
      <h2 title={`${open.measure.title}, less one standard error: ${open.measure.about}`}>
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
        <svg width={WIDTH} height={axis + 18} aria-hidden="true">
          <line class="axis" x1={0} x2={WIDTH} y1={HEIGHT + 0.5} y2={HEIGHT + 0.5} />
          {noise &&
            scale
              .marks(100 * Math.max(0, noise.value))
              .map((x) => (
                <line
                  key={x}
                  class="floor"
                  data-testid="floor"
                  x1={x + 0.5}
                  x2={x + 0.5}
                  y1={HEIGHT - 14}
                  y2={HEIGHT + 4}
                />
              ))}
          {marks.map((x) => (
            <g key={x} data-testid="threshold-mark" transform={`translate(${x})`}>
              <line class="now" y1={-4} y2={axis + 1} />
              <path class="handle" d={`M-4 ${axis + 5}h8l-4-5z`} />
            </g>
          ))}
          <text class="number" x={0} y={axis + 16}>
            {scale.diverging ? 1 : 0}
          </text>
          <text x={WIDTH} y={axis + 16} text-anchor="end">
            1
          </text>
          <text class="ink2" x={text} y={axis + 16} text-anchor="middle">
            tuned ≥ {strengthOfLevel(level)}
          </text>
        </svg>
      </div>
      {scale.diverging && <Ends />}
      <p class="note">{thresholdSentence(level, open.measure)}</p>
      {hasFloor.value && <p class="note">{floorSentence(noise?.value ?? null, isOfTrue.value)}</p>}
      <Glyphs />
    </div>
  );
}

/** The two classes at the ends of a diverging scale, and the units tuned to each. */
function Ends() {
  const current = track.value;
  if (!current) return null;
  const names = current.grouping.classes;
  const tuned = [0, 1].map((k) =>
    hasData.value
      ? count(tunedToClass(current.classBins, 2, snapshot.value, k, threshold.value))
      : "–",
  );
  return (
    <div class="ends" data-testid="ends">
      {names.map((name, k) => (
        <span key={k}>
          <i class="dot" style={{ background: cssColor(palette.value, 4 * (k * LEVELS + 100)) }} />
          <bdi class="path" title={name}>
            {name}
          </bdi>
          <span class="count">{tuned[k]}</span>
        </span>
      ))}
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
const tunedText = computed(() => counted(hasData.value ? tunedNow.value : NaN));
const suppressedText = computed(() => counted(suppressedNow.value));

function Glyphs() {
  const open = session.value;
  if (!open) return null;
  const ever = statesEver.value;
  const color = (k: number, level: number): string =>
    cssColor(palette.value, 4 * (k * LEVELS + level));
  const K = palette.value.length / (4 * LEVELS);
  const quarter = (i: number): number => Math.floor((i * K) / 4) % K;
  const quarters = (level: number) =>
    [0, 1, 2, 3].map((i) => (
      <rect
        key={i}
        x={(i % 2) * 6.5}
        y={i < 2 ? 0 : 6.5}
        width={6.5}
        height={6.5}
        fill={color(quarter(i), level)}
      />
    ));
  const mayBeSuppressed = K >= 3 && open.layers.some((layer) => layer.signed);
  return (
    <div class="glyphs">
      <Glyph name="tuned, any class" n={tunedText}>
        {quarters(92)}
      </Glyph>
      <Glyph name="below the threshold" n={numbers[HELD]}>
        {quarters(30)}
      </Glyph>
      <Glyph name="tied: no clear first" n={numbers[TIED]}>
        <rect width={13} height={13} rx={3} fill={color(0, 0)} />
      </Glyph>
      <Glyph name="silent: constant" n={numbers[SILENT]}>
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
