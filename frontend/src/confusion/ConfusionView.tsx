// What is taken for what: the confusion now, and behind each number the same count through training.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { count, percent } from "../format";
import { fitCanvas, textWidth, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { answerColors, positions } from "../state/shown";
import { cell, session, theme } from "../state/chosen";
import { answerColor, answerPalette } from "./answers";
import { viewTitle } from "../titles";
import { CellTip } from "./CellTip";
import { drawHistories, drawNumbers, type MatrixLayout } from "./draw";
import { LargeMatrix } from "./LargeMatrix";
import {
  confusionNames,
  confusionNow,
  confusionProblem,
  onCellKey,
  shownCell,
  useConfusion,
  wholeConfusion,
  type ConfusionNow,
} from "./now";
import { confusionScale, shareRight } from "./scale";

const LABELS = 112;
const NARROW_LABELS = 84;
/** Names that do not fit above their columns are turned, and need so much more room. */
const TURNED = 42;
const NAME_FONT = '400 11px "Inter", ui-sans-serif, system-ui, sans-serif';
const RECALL = 56;
const HEADER = 46;
/** A swatch before a name. */
const DOT = 14;
/** More classes than this are drawn as texels, with a list beside them. */
const MOST_CELLS = 30;
const WIDEST = 96;
const TALLEST = 64;
/** Of so few classes a cell may be larger: the matrix is about as large as that of seven. */
const FEW = 4;
const NARROW = 560;

export function ConfusionView() {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const open = session.value;
  const now = useConfusion();
  const K = confusionNames.value.length;
  const scale = useMemo(() => {
    const whole = wholeConfusion.value;
    return whole && whole.of === open && open ? confusionScale(whole.counts, K, open.snapshots) : 0;
  }, [wholeConfusion.value, open, K]);
  const none = open !== null && !open.has("confusion") && !open.has("confusion_at");
  const nothing = none || confusionProblem.value !== "";
  useEffect(() => {
    if (nothing) drawn.view(true, 0);
  }, [nothing]);
  if (!open) return null;
  const large = K > MOST_CELLS;
  const about = large
    ? "A row is a true class, a column what its samples were predicted as; the stronger, the larger the share of the class. Click a cell for its samples."
    : `A row is a true class, a column what its samples were predicted as: the number now, and behind it through training (${count(scale)} or more fill the cell). Click a cell for its samples.`;
  return (
    <>
      <div class="head">
        <h1 data-testid="title">{viewTitle}</h1>
        <p class="subtitle" data-testid="about">
          {now ? about : confusionProblem.value}
        </p>
      </div>
      <div class="confusion" ref={frame}>
        {now && size && size.width > 0 && !large && (
          <Matrix now={now} scale={scale} width={size.width} height={size.height} />
        )}
        {now && size && size.width > 0 && large && (
          <LargeMatrix now={now} width={size.width} height={size.height} />
        )}
      </div>
    </>
  );
}

function Matrix(of: { now: ConfusionNow; scale: number; width: number; height: number }) {
  const { now, scale, width, height } = of;
  const behind = useRef<HTMLCanvasElement>(null);
  const front = useRef<HTMLCanvasElement>(null);
  const { names } = now;
  const K = names.length;
  const narrow = width < NARROW;
  const labels = narrow ? NARROW_LABELS : LABELS;
  const across = Math.floor((width - labels - RECALL) / K);
  const longest = useMemo(
    () => Math.max(0, ...names.map((name) => textWidth(name, NAME_FONT))),
    [names, drawn.fonts.value],
  );
  const turned = DOT + longest + 8 > Math.min(across, WIDEST);
  const head = HEADER + (turned ? TURNED : 0);
  const layout = useMemo((): MatrixLayout => {
    const grown = K <= FEW ? Math.round(7 / K) : 1;
    return {
      classes: K,
      width: Math.max(14, Math.min(grown * WIDEST, across)),
      height: Math.max(14, Math.min(grown * TALLEST, Math.floor((height - head - 8) / K))),
    };
  }, [K, across, height, head]);
  const [w, h] = [K * layout.width, K * layout.height];

  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const whole = wholeConfusion.peek();
      if (!behind.current || !whole || whole.of !== session.peek()) return;
      const g = fitCanvas(behind.current, w, h);
      const page = pageColorsNow();
      drawHistories(g, layout, whole.counts, positions.peek(), scale, answerPalette(), page);
    };
    const stop = effect(() => {
      void [wholeConfusion.value, positions.value, theme.value, answerColors.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [layout, scale]);

  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const shown = confusionNow.peek();
      if (!front.current || !shown) return;
      const began = performance.now();
      const g = fitCanvas(front.current, w, h);
      const at = wholeConfusion.peek() ? (positions.peek()[shown.snapshot] ?? null) : null;
      drawNumbers(g, layout, shown.matrix, at, shownCell.peek(), pageColorsNow());
      drawn.view(true, performance.now() - began);
    };
    const stop = effect(() => {
      void [confusionNow.value, shownCell.value, positions.value, theme.value, drawn.fonts.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [layout]);

  const palette = answerPalette();
  const at = (event: MouseEvent): { true: number; predicted: number } | null => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) / layout.width);
    const row = Math.floor((event.clientY - box.top) / layout.height);
    return row >= 0 && row < K && column >= 0 && column < K
      ? { true: row, predicted: column }
      : null;
  };
  const dot = (k: number) => <i class="dot" style={{ background: answerColor(palette, k) }} />;
  return (
    <div class="matrix" style={{ "--labels": `${labels}px` }}>
      <div class={turned ? "matrix-top turned" : "matrix-top"}>
        <span class="corner">
          <span>predicted →</span>
          <span>true ↓</span>
        </span>
        {names.map((name, k) => (
          <span key={k} style={{ width: `${layout.width}px` }} title={said(name)}>
            {dot(k)}
            <bdi class="path">{name}</bdi>
          </span>
        ))}
        <span class="recall-head">recall</span>
      </div>
      <div class="matrix-body">
        <div class="matrix-names">
          {names.map((name, k) => (
            <span key={k} style={{ height: `${layout.height}px` }} title={said(name)}>
              {dot(k)}
              <bdi class="path">{name}</bdi>
            </span>
          ))}
        </div>
        <div class="matrix-cells" style={{ width: `${w}px`, height: `${h}px` }}>
          <canvas ref={behind} aria-hidden="true" />
          <canvas
            ref={front}
            data-testid="confusion"
            role="img"
            tabIndex={0}
            aria-label="Samples of each true class (rows) by what they were predicted as (columns); arrows go from cell to cell"
            onKeyDown={onCellKey}
            onClick={(event) => {
              const found = at(event);
              const was = cell.peek();
              const same = was && found?.true === was.true && found.predicted === was.predicted;
              cell.value = same ? null : found;
            }}
            onPointerMove={(event) => {
              const found = at(event);
              if (!found) hideTip();
              else {
                const content = <CellTip now={now} {...found} />;
                tip.value = { x: event.clientX, y: event.clientY, content };
              }
            }}
            onPointerLeave={hideTip}
          />
        </div>
        <div class="matrix-recall">
          {names.map((_, k) => (
            <span
              key={k}
              class={shareRight(now.matrix, now.samples, k, "true") < 0.5 ? "count low" : "count"}
              style={{ height: `${layout.height}px` }}
            >
              {recall(now, k)}
            </span>
          ))}
        </div>
      </div>
    </div>
  );
}

function recall({ matrix, samples }: ConfusionNow, k: number): string {
  const share = shareRight(matrix, samples, k, "true");
  return Number.isNaN(share) ? "–" : percent(share);
}
