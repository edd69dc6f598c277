// Two runs with other layers: of each, the share of every layer's units tuned to each class through
// training, on the time of the first. No unit, and no layer, stands beside another.

import { effect, signal } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { columnsOf, ShareCounter, shareScale, type Shares } from "../classes/shares";
import {
  drawTrellis,
  fullColor,
  HEADER,
  layoutTrellis,
  leastWidth,
  LOWEST,
  ROW_GAP,
  type TrellisLayout,
} from "../classes/trellis";
import { fitCanvas, type Size } from "../frame/size";
import { isolated } from "../inline";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { mostTuned } from "../run/counts";
import { classes, palette, positions } from "../state/shown";
import { highlight } from "../state/choosing";
import { highlighted, snapshot, theme, threshold } from "../state/chosen";
import { roomOf, SideHead } from "./SideHead";
import { against, pairs } from "./now";
import { onTimeOf } from "./order";
import type { Side } from "./side";

const MOST_ROWS = 60;

const counted = signal(0);

/** Classes that have a row, in their order: all, or those to which most units are tuned at any time. */
function rowsOf({ track, open, classOrder }: Side, level: number): readonly number[] {
  const K = track.grouping.classes.length;
  if (K <= MOST_ROWS) return classOrder;
  const most = classOrder.map((k) => mostTuned(track.classBins, open.snapshots, K, k, level));
  const least = [...most].sort((a, b) => b - a)[MOST_ROWS - 1];
  return classOrder.filter((_, i) => most[i] >= least).slice(0, MOST_ROWS);
}

export function Trellises(of: { a: Side; b: Side; names: [string, string]; size: Size }) {
  const { a, b, names, size } = of;
  const level = threshold.value;
  const map = against.value?.beside.classes;
  const counters = useMemo(
    () =>
      [a, b].map(({ open, track }) => {
        const { layers, snapshots } = open;
        const K = track.grouping.classes.length;
        const columns = columnsOf(layers, open.names, snapshots, K);
        return new ShareCounter(track, layers, columns, level, snapshots);
      }),
    [a, b, level],
  );
  const rows = useMemo(() => rowsOf(a, level), [a, level]);
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
  const own = [rows, rows.map((k) => map?.[k] ?? k)];
  const scale = Math.max(
    ...counters
      .map((counter, i) =>
        shareScale(
          counter.shares,
          [a, b][i].open.layers,
          own[i].map((k) => [k]),
        ),
      )
      .map(({ most }) => most),
  );
  const columns = Math.max(...counters.map((counter) => counter.shares.columns.length));
  const room = roomOf(size, rows.length * LOWEST + HEADER, leastWidth(columns));
  return (
    <div class={room.beside ? "trellises beside" : "trellises"}>
      {counters.map((counter, i) => (
        <section key={i}>
          <SideHead letter={i === 0 ? "A" : "B"} name={names[i]} index={i as 0 | 1} />
          <Panels
            index={i}
            counter={counter}
            complete={() => counters.every((one) => one.complete)}
            rows={rows}
            own={own[i]}
            layout={layoutTrellis(room, counter.shares.columns.length, rows.length, false)}
            scale={scale}
          />
        </section>
      ))}
    </div>
  );
}

function Panels(of: {
  index: number;
  counter: ShareCounter;
  complete: () => boolean;
  /** Class of each row, as on the screen and as on this side. */
  rows: readonly number[];
  own: readonly number[];
  layout: TrellisLayout;
  scale: number;
}) {
  const { index, counter, complete, rows, own, layout, scale } = of;
  const canvas = useRef<HTMLCanvasElement>(null);
  const { columns } = counter.shares;
  const { panel, gap, row, labels } = layout;
  const step = panel + gap;
  const height = rows.length * row;
  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      if (!canvas.current) return;
      const began = performance.now();
      const g = fitCanvas(canvas.current, columns.length * step, height);
      const chosen = highlighted.peek();
      const shares: Shares =
        index === 0 ? counter.shares : onTimeOf(counter.shares, pairs.peek()?.snapshot ?? []);
      const x = positions.peek();
      drawTrellis(g, {
        rows: rows.map((k, i) => ({
          counted: [own[i]],
          cls: -1,
          color: fullColor(palette.peek(), k),
          dimmed: chosen >= 0 && chosen !== k,
        })),
        shares,
        layout,
        scale,
        recalls: null,
        x,
        page: pageColorsNow(),
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
  }, [counter, rows, own, scale, panel, row]);
  const at = Math.round((positions.value[snapshot.value] ?? 0) * panel);
  const letter = index === 0 ? "A" : "B";
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
          aria-label={`Share of each layer's units of ${letter} tuned to each class, through training`}
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
            aria-label={`Follow ${isolated(classes.value[k] ?? "")} in ${letter}`}
            style={{ height: `${row}px` }}
            onClick={() => highlight(k)}
          >
            <span style={{ width: `${labels}px` }}>
              <i class="swatch" style={{ background: fullColor(palette.value, k) }} />
              {layout.named && <bdi class="name">{classes.value[k]}</bdi>}
            </span>
          </button>
        ))}
      </div>
    </div>
  );
}
