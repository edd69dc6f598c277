// When each layer became tuned to each class: a panel for each, all on the timeline's axis.

import { effect, signal } from "@preact/signals";
import { area, line } from "d3-shape";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { fitCanvas, useSize } from "../frame/size";
import { count, percent } from "../format";
import { isolated } from "../inline";
import { confusionOfSnapshot, useWholeConfusion, wholeConfusion } from "../confusion/now";
import { shareRight } from "../confusion/scale";
import { cssColor } from "../network/colors";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { stageRows } from "../network/stages";
import type { Session, Track } from "../run/session";
import {
  classes,
  highlight,
  highlighted,
  openLayer,
  palette,
  positions,
  session,
  snapshot,
  theme,
  threshold,
  track,
} from "../state";
import { viewTitle } from "../titles";
import { LEVELS } from "../wire/manifest";
import { classRows, ShareCounter, shareScale, type Column, type Shares } from "./shares";

const LABELS = 122;
const NARROW_LABELS = 30;
const RECALL = 46;
const GAP = 13;
const ROW_GAP = 8;
const TALLEST = 46;
const LOWEST = 22;
const HEADER = 24;
/** More layers than this share a panel with others of their stage. */
const MOST_COLUMNS = 14;
const MOST_ROWS = 60;
const NARROW = 560;

/** Grows when cells that arrived were counted. */
const counted = signal(0);

export function ClassesView() {
  const [open, current] = [session.value, track.value];
  return open && current ? <Panels open={open} current={current} /> : null;
}

function Panels({ open, current }: { open: Session; current: Track }) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const names = current.grouping.classes;
  const level = threshold.value;
  const columns = useMemo((): readonly Column[] => {
    if (open.layers.length > MOST_COLUMNS) return stageRows(open.layers, open.layers.length);
    return open.names.map((title, l) => ({ title, layers: [l] }));
  }, [open]);
  const counter = useMemo(() => {
    const rows = classRows(current.classBins, open.snapshots, names.length, level, MOST_ROWS);
    return new ShareCounter(current, open.layers, columns, rows, level, open.snapshots);
  }, [open, current, columns, level, names]);
  useEffect(
    () =>
      effect(() => {
        void track.value?.paint.arrived.value;
        if (counter.more()) counted.value = counted.peek() + 1;
      }),
    [counter],
  );
  void counted.value;
  const scale = shareScale(counter.shares, open.layers);
  useWholeConfusion();
  const shown = counter.shares.rows.length;
  const some =
    shown < names.length
      ? ` Shown are the ${count(shown)} of ${count(names.length)} classes to which most units are tuned at some time.`
      : "";
  const what = columns.length < open.layers.length ? "stage’s" : "layer’s";
  return (
    <>
      <div class="head">
        <h1 data-testid="title">{viewTitle}</h1>
        <p class="subtitle">
          Height: the share of the {what} units tuned to the class, up to {percent(scale)}. Time
          runs as below. Click a row to follow its class.{some}
        </p>
      </div>
      <div class="trellis" ref={frame} tabIndex={0} role="region" aria-label="Classes by layer">
        {size && size.width > 0 && (
          <Trellis shares={counter.shares} counter={counter} scale={scale} size={size} />
        )}
      </div>
    </>
  );
}

interface TrellisLayout {
  labels: number;
  panel: number;
  row: number;
  recall: boolean;
}

function layoutTrellis(
  size: { width: number; height: number },
  shares: Shares,
  recall: boolean,
): TrellisLayout {
  const labels = size.width < NARROW ? NARROW_LABELS : LABELS;
  const panels = shares.columns.length + (recall ? 1 : 0);
  const room = size.width - labels - (recall ? RECALL : 0) - 10;
  const rows = shares.rows.length;
  const row = Math.floor((size.height - HEADER - 6) / rows);
  return {
    labels,
    recall,
    panel: Math.max(14, Math.floor(room / panels) - GAP),
    row: Math.max(LOWEST, Math.min(TALLEST, row)),
  };
}

function Trellis(of: {
  shares: Shares;
  counter: ShareCounter;
  scale: number;
  size: { width: number; height: number };
}) {
  const { shares, counter, scale, size } = of;
  const canvas = useRef<HTMLCanvasElement>(null);
  const open = session.value;
  const names = classes.value;
  const grouping = track.value?.grouping.name;
  const recalls = useMemo(
    () => recallOf(grouping, names.length),
    [grouping, names.length, wholeConfusion.value, open],
  );
  const panels = layoutTrellis(size, shares, recalls !== null);
  const { columns, rows } = shares;
  const step = panels.panel + GAP;
  const width = (columns.length + (recalls ? 1 : 0)) * step;
  const height = rows.length * panels.row;

  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      if (!canvas.current) return;
      const began = performance.now();
      const g = fitCanvas(canvas.current, width, height);
      drawTrellis(g, shares, panels, scale, recalls);
      drawn.view(counter.complete, performance.now() - began);
    };
    const stop = effect(() => {
      void [counted.value, palette.value, highlighted.value, theme.value, positions.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [shares, counter, scale, recalls, width, height, panels.row, panels.panel]);

  if (!open) return null;
  const at = Math.round((positions.value[snapshot.value] ?? 0) * panels.panel);
  const t = snapshot.value;
  return (
    <div class="trellis-inside" style={{ width: `${panels.labels + width + RECALL}px` }}>
      <div class="trellis-heads" style={{ paddingLeft: `${panels.labels}px` }}>
        {columns.map((column, c) => (
          <button
            key={c}
            type="button"
            class="path"
            title={
              column.layers.length === 1
                ? `Look at ${open.layers[column.layers[0]].path}`
                : column.title
            }
            style={{ width: `${step}px` }}
            onClick={() => openLayer(column.layers[column.layers.length - 1])}
          >
            {column.title}
          </button>
        ))}
        {recalls && (
          <span class="path" style={{ width: `${step}px` }}>
            {grouping === "predicted" ? "precision" : "recall"}
          </span>
        )}
      </div>
      <div class="trellis-body" style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          data-testid="trellis"
          role="img"
          aria-label="Share of each layer's units tuned to each class, through training"
          style={{ left: `${panels.labels}px` }}
        />
        {Array.from({ length: columns.length + (recalls ? 1 : 0) }, (_, c) => (
          <i
            key={c}
            class="column-line"
            style={{
              left: `${panels.labels + c * step}px`,
              transform: `translateX(${at}px)`,
              height: `${height - ROW_GAP}px`,
            }}
          />
        ))}
        {rows.map((k) => (
          <button
            key={k}
            type="button"
            class="trellis-row"
            aria-pressed={highlighted.value === k}
            style={{ height: `${panels.row}px` }}
            title={`Follow ${isolated(names[k])}`}
            onClick={() => highlight(k)}
          >
            <span style={{ width: `${panels.labels}px` }}>
              <i
                class="swatch"
                style={{ background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)) }}
              />
              {panels.labels > NARROW_LABELS && <bdi class="name">{names[k]}</bdi>}
            </span>
            {recalls && (
              <span class="count" style={{ marginLeft: `${width - 4}px` }}>
                {percent(recalls[t * names.length + k])}
              </span>
            )}
          </button>
        ))}
      </div>
    </div>
  );
}

/** Recall of each true class, or precision of each predicted one, `[snapshot, class]`; null where the
 * confusion is of other classes, or not here. */
function recallOf(grouping: string | undefined, K: number): Float64Array | null {
  const open = session.peek();
  const whole = wholeConfusion.peek();
  if (!open || whole?.of !== open || (grouping !== "true" && grouping !== "predicted")) return null;
  const found = new Float64Array(open.snapshots * K);
  for (let t = 0; t < open.snapshots; t++) {
    const { matrix, samples } = confusionOfSnapshot(whole, t);
    if (whole.damaged?.[t]) found.fill(NaN, t * K, (t + 1) * K);
    else for (let k = 0; k < K; k++) found[t * K + k] = shareRight(matrix, samples, k, grouping);
  }
  return found;
}

function drawTrellis(
  g: CanvasRenderingContext2D,
  shares: Shares,
  panels: TrellisLayout,
  scale: number,
  recalls: Float64Array | null,
): void {
  const { values, columns, rows } = shares;
  const colors = palette.peek();
  const page = pageColorsNow();
  const x = positions.peek();
  const chosen = highlighted.peek();
  const T = x.length;
  const K = classes.peek().length;
  const [w, h] = [panels.panel, panels.row - ROW_GAP];
  const step = w + GAP;
  g.clearRect(0, 0, (columns.length + 1) * step, rows.length * panels.row);
  const times = Array.from({ length: T }, (_, t) => t);
  rows.forEach((k, row) => {
    const top = row * panels.row;
    g.globalAlpha = chosen >= 0 && chosen !== k ? 0.28 : 1;
    columns.forEach((_, c) => {
      g.save();
      g.translate(c * step, top);
      const at = (t: number): number => values[(t * columns.length + c) * rows.length + row];
      g.fillStyle = cssColor(colors, 4 * (k * LEVELS + LEVELS - 1));
      if (T === 1 && at(0) > 0) {
        const tall = h * Math.min(1, at(0) / scale);
        g.fillRect(0, h - tall, w, tall);
      }
      g.beginPath();
      area<number>()
        .defined((t) => !Number.isNaN(at(t)))
        .x((t) => x[t] * w)
        .y0(h)
        .y1((t) => h * (1 - Math.min(1, at(t) / scale)))
        .context(g)(times);
      g.fill();
      g.fillStyle = `rgb(${page.hair.join(",")})`;
      g.fillRect(0, h, w, 1);
      g.restore();
    });
    if (!recalls) return;
    g.save();
    g.translate(columns.length * step, top);
    g.strokeStyle = g.fillStyle = page.ink2;
    if (T === 1 && recalls[k] >= 0) g.fillRect(0, h * (1 - recalls[k]), w, 1.2);
    g.lineWidth = 1.2;
    g.beginPath();
    line<number>()
      .defined((t) => !Number.isNaN(recalls[t * K + k]))
      .x((t) => x[t] * w)
      .y((t) => h * (1 - recalls[t * K + k]))
      .context(g)(times);
    g.stroke();
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(0, h, w, 1);
    g.restore();
  });
  g.globalAlpha = 1;
}
