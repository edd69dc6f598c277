// Two runs with other layers: of each, the share of every layer's units tuned to each class through
// training, on the time of the first. No unit, and no layer, stands beside another.

import { effect, signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { drawTrellis, GAP, ROW_GAP } from "../classes/draw";
import { classRows, ShareCounter, shareScale, type Column } from "../classes/shares";
import { fitCanvas, type Size } from "../frame/size";
import { isolated } from "../inline";
import { cssColor } from "../network/colors";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { stageRows } from "../network/stages";
import type { Session } from "../run/session";
import {
  classes,
  highlight,
  highlighted,
  palette,
  positions,
  snapshot,
  theme,
  threshold,
} from "../state";
import { LEVELS } from "../wire/manifest";
import { SideHead } from "./CompareView";
import { against, pairs } from "./now";
import type { Side } from "./side";

const LABELS = 122;
const NARROW_LABELS = 30;
const NARROW = 560;
const MOST_COLUMNS = 14;
const MOST_ROWS = 60;
const TALLEST = 40;
const LOWEST = 22;
const HEADS = 50;

const counted = signal(0);

function columnsOf(open: Session): readonly Column[] {
  if (open.layers.length > MOST_COLUMNS) return stageRows(open.layers, open.layers.length);
  return open.names.map((title, l) => ({ title, layers: [l] }));
}

export function Trellises(of: { a: Side; b: Side; names: [string, string]; size: Size }) {
  const { a, b, names, size } = of;
  const level = threshold.value;
  const map = against.value?.beside.classes;
  const counters = useMemo(() => {
    const { track, open } = a;
    const K = track.grouping.classes.length;
    const rows = classRows(track.classBins, open.snapshots, K, level, MOST_ROWS);
    return [a, b].map((side, i) => {
      const own = i === 0 ? rows : rows.map((k) => map?.[k] ?? k);
      const { layers, snapshots } = side.open;
      return new ShareCounter(side.track, layers, columnsOf(side.open), own, level, snapshots);
    });
  }, [a, b, map, level]);
  useEffect(
    () =>
      effect(() => {
        void [a.track.paint.arrived.value, b.track.paint.arrived.value];
        if (counters.map((counter) => counter.more()).some(Boolean))
          counted.value = counted.peek() + 1;
      }),
    [counters],
  );
  void counted.value;
  const scale = Math.max(
    ...counters.map((counter, i) => shareScale(counter.shares, [a, b][i].open.layers)),
  );
  const rows = counters[0].shares.rows;
  const fit = Math.floor((size.height / 2 - HEADS) / rows.length);
  const row = Math.max(LOWEST, Math.min(TALLEST, fit));
  return (
    <>
      {counters.map((counter, i) => (
        <section key={i}>
          <SideHead letter={i === 0 ? "A" : "B"} name={names[i]} index={i as 0 | 1} />
          <Panels
            index={i}
            counter={counter}
            complete={() => counters.every((one) => one.complete)}
            rows={rows}
            row={row}
            scale={scale}
            width={size.width}
          />
        </section>
      ))}
    </>
  );
}

function Panels(of: {
  index: number;
  counter: ShareCounter;
  complete: () => boolean;
  /** Class of each row, as they are on the screen. */
  rows: readonly number[];
  row: number;
  scale: number;
  width: number;
}) {
  const { index, counter, complete, rows, row, scale, width } = of;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { values, columns } = counter.shares;
  const labels = width < NARROW ? NARROW_LABELS : LABELS;
  const panel = Math.max(14, Math.floor((width - labels - 10) / columns.length) - GAP);
  const step = panel + GAP;
  const height = rows.length * row;
  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      if (!canvas.current) return;
      const began = performance.now();
      const g = fitCanvas(canvas.current, columns.length * step, height);
      const paired = index === 0 ? null : (pairs.peek()?.snapshot ?? []);
      drawTrellis(g, {
        columns: columns.length,
        rows,
        value: (at, c, r) => {
          const t = paired ? (paired[at] ?? -1) : at;
          return t < 0 ? NaN : values[(t * columns.length + c) * rows.length + r];
        },
        x: positions.peek(),
        panel,
        row,
        scale,
        palette: palette.peek(),
        page: pageColorsNow(),
        highlighted: highlighted.peek(),
        recall: null,
      });
      drawn.view(complete(), performance.now() - began);
    };
    const stop = effect(() => {
      void [counted.value, palette.value, highlighted.value, theme.value, positions.value];
      void pairs.value;
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [counter, rows, scale, panel, row]);
  const at = Math.round((positions.value[snapshot.value] ?? 0) * panel);
  return (
    <div class="trellis-inside" style={{ width: `${labels + columns.length * step}px` }}>
      <div class="trellis-heads" style={{ paddingLeft: `${labels}px` }}>
        {columns.map((column, c) => (
          <span key={c} class="path" title={column.title} style={{ width: `${step}px` }}>
            {column.title}
          </span>
        ))}
      </div>
      <div class="trellis-body" style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          data-testid={index === 0 ? "trellis-a" : "trellis-b"}
          role="img"
          aria-label={`Share of each layer's units of ${index === 0 ? "A" : "B"} tuned to each class, through training`}
          style={{ left: `${labels}px` }}
        />
        {columns.map((_, c) => (
          <i
            key={c}
            class="column-line"
            style={{
              left: `${labels + c * step}px`,
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
            aria-label={`Follow ${isolated(classes.value[k] ?? "")} in ${index === 0 ? "A" : "B"}`}
            style={{ height: `${row}px` }}
            onClick={() => highlight(k)}
          >
            <span style={{ width: `${labels}px` }}>
              <i
                class="swatch"
                style={{ background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)) }}
              />
              {labels > NARROW_LABELS && <bdi class="name">{classes.value[k]}</bdi>}
            </span>
          </button>
        ))}
      </div>
    </div>
  );
}
