// When each layer became tuned to each class: a panel for each, all on the timeline's axis.

import { effect, signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { ChevronIcon } from "../frame/icons";
import { atEnd } from "../frame/Reading";
import { fitCanvas, useSize, type Size } from "../frame/size";
import { count, percent } from "../format";
import { isolated } from "../inline";
import { confusionOfSnapshot, useWholeConfusion, wholeConfusion } from "../confusion/now";
import { shareRight } from "../confusion/scale";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { superclassColor } from "../rail/ClassRow";
import { query, rows as listed, toggleOpen } from "../rail/listing";
import type { Row } from "../rail/rows";
import { baseOf, ownClasses } from "../run/groupings";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { highlight, openLayer } from "../state/choosing";
import { highlighted, session, snapshot, theme, threshold, track } from "../state/chosen";
import { palette, positions } from "../state/shown";
import { viewTitle } from "../titles";
import { columnsOf, ShareCounter, shareScale, type Shares } from "./shares";
import { drawTrellis, fullColor, layoutTrellis, RECALL, ROW_GAP } from "./trellis";

/** Grows when cells that arrived were counted. */
const counted = signal(0);
/** Rows above and below what is in view. */
const BEYOND = 6;

export function ClassesView() {
  const [open, current] = [session.value, track.value];
  return open && current ? <Panels open={open} current={current} /> : null;
}

function Panels({ open, current }: { open: Session; current: Track }) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const names = current.grouping.classes;
  const level = threshold.value;
  const rows = listed.value;
  const columns = useMemo(
    () => columnsOf(open.layers, open.names, open.snapshots, names.length),
    [open, names],
  );
  const counter = useMemo(
    () => new ShareCounter(current, open.layers, columns, level, open.snapshots),
    [open, current, columns, level],
  );
  useEffect(
    () =>
      effect(() => {
        void track.value?.paint.arrived.value;
        if (counter.more()) counted.value = counted.peek() + 1;
      }),
    [counter],
  );
  const scale = useMemo(
    () =>
      shareScale(
        counter.shares,
        open.layers,
        rows.map((row) => row.counted),
      ),
    [counter, rows, counted.value],
  );
  useWholeConfusion();
  const found = query.value
    ? ` Shown are those of ${count(names.length)} that are sought in the list.`
    : "";
  const what =
    columns.length < open.layers.length
      ? columns.length > 1
        ? "stage’s"
        : "network’s"
      : "layer’s";
  const nested = rows.some((row) => row.cls < 0);
  const ofSuperclass = nested ? ", or to any of the superclass" : "";
  const cut = scale.cut
    ? `; what is taller has a line on top (${rows[scale.cut.row].name}: ${percent(scale.cut.share)})`
    : "";
  const follow = nested
    ? "Click a superclass for its classes."
    : "Click a row to follow its class.";
  return (
    <>
      <div class="head">
        <h1 data-testid="title">{viewTitle}</h1>
        <p class="subtitle">
          Height: the share of the {what} units tuned to the class{ofSuperclass}, up to{" "}
          {percent(scale.most)}
          {cut}. Time runs as on the axis below. {follow}
          {found}
        </p>
      </div>
      <div class="trellis" ref={frame} tabIndex={0} role="region" aria-label="Classes by layer">
        {size && size.width > 0 && (
          <Trellis frame={frame} counter={counter} scale={scale.most} size={size} rows={rows} />
        )}
      </div>
    </>
  );
}

function Trellis(of: {
  frame: { current: HTMLDivElement | null };
  counter: ShareCounter;
  scale: number;
  size: Size;
  rows: readonly Row[];
}) {
  const { frame, counter, scale, size, rows } = of;
  const { shares } = counter;
  const canvas = useRef<HTMLCanvasElement>(null);
  const [top, setTop] = useState(0);
  const open = session.value;
  const recalls = useRecalls();
  const layout = useMemo(
    () => layoutTrellis(size, shares.columns.length, rows.length, recalls !== null),
    [size, shares, rows.length, recalls !== null],
  );
  const step = layout.panel + layout.gap;
  const width = (shares.columns.length + (recalls ? 1 : 0)) * step;
  const first = Math.max(0, Math.floor(top / layout.row) - BEYOND);
  const end = Math.min(rows.length, first + Math.ceil(size.height / layout.row) + 2 * BEYOND);
  const shown = useMemo(() => rows.slice(first, end), [rows, first, end]);

  useEffect(() => {
    const box = frame.current;
    if (!box) return;
    const onScroll = (): void => setTop(box.scrollTop);
    onScroll();
    box.addEventListener("scroll", onScroll, { passive: true });
    return () => box.removeEventListener("scroll", onScroll);
  }, [frame]);

  useEffect(() => {
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      if (!canvas.current) return;
      const began = performance.now();
      const g = fitCanvas(canvas.current, width, shown.length * layout.row);
      const chosen = highlighted.peek();
      drawTrellis(g, {
        rows: shown.map((row) => ({
          counted: row.counted,
          cls: row.cls,
          color: rowColor(row),
          dimmed: chosen >= 0 && !row.counted.includes(chosen),
        })),
        shares,
        layout,
        scale,
        recalls,
        x: positions.peek(),
        page: pageColorsNow(),
      });
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
  }, [shares, counter, scale, recalls, width, layout, shown]);

  if (!open) return null;
  const predicted =
    baseOf(track.value?.grouping ?? { name: "", title: "", classes: [] }).name === "predicted";
  const at = Math.round((positions.value[snapshot.value] ?? 0) * layout.panel);
  const height = rows.length * layout.row;
  return (
    <div class="trellis-inside" style={{ width: `${layout.labels + width + RECALL}px` }}>
      <Heads shares={shares} open={open} left={layout.labels} step={step}>
        {recalls && (
          <span style={{ width: `${step}px` }}>{predicted ? "precision" : "recall"}</span>
        )}
      </Heads>
      <div class="trellis-body" style={{ height: `${height}px` }}>
        <canvas
          ref={canvas}
          data-testid="trellis"
          role="img"
          aria-label="Share of each layer's units tuned to each class, through training"
          style={{ left: `${layout.labels}px`, top: `${first * layout.row}px` }}
        />
        {Array.from(
          {
            length: rows.length > 0 && !atEnd.value ? shares.columns.length + (recalls ? 1 : 0) : 0,
          },
          (_, c) => (
            <i
              key={c}
              class="column-line"
              style={{
                left: `${layout.labels + c * step}px`,
                transform: `translateX(${at}px)`,
                height: `${height - ROW_GAP}px`,
              }}
            />
          ),
        )}
        <div style={{ paddingTop: `${first * layout.row}px` }}>
          {shown.map((row) => (
            <TrellisRow
              key={`${row.cls}/${row.group}`}
              row={row}
              layout={layout}
              recall={recallText(recalls, row)}
              recallLeft={width - 4}
            />
          ))}
        </div>
      </div>
    </div>
  );
}

function Heads(of: {
  shares: Shares;
  open: Session;
  left: number;
  step: number;
  children: ComponentChildren;
}) {
  const { shares, open, left, step, children } = of;
  return (
    <div class="trellis-heads" style={{ paddingLeft: `${left}px` }}>
      {shares.columns.map((column, c) => (
        <button
          key={c}
          type="button"
          title={
            column.layers.length === 1
              ? `Look at ${open.layers[column.layers[0]].path}`
              : column.title
          }
          style={{ width: `${step}px` }}
          onClick={() => openLayer(column.layers[column.layers.length - 1])}
        >
          {broken(column.title)}
        </button>
      ))}
      {children}
    </div>
  );
}

/** A name that may go on in a second line, at its dots. */
const broken = (name: string) =>
  name.split(".").map((part, i) => (i === 0 ? part : [<wbr key={i} />, `.${part}`]));

const rowColor = (row: Row): string =>
  row.cls < 0 ? superclassColor(row.group) : fullColor(palette.value, row.cls);

function TrellisRow(of: {
  row: Row;
  layout: { labels: number; named: boolean; row: number };
  recall: string | null;
  recallLeft: number;
}) {
  const { row, layout, recall, recallLeft } = of;
  const { cls, name, group, open, depth, itself } = row;
  const opens = cls < 0;
  const nested = itself && depth > 0;
  const title = opens
    ? `${open ? "Close" : "Open"} ${isolated(name)}`
    : `Follow ${isolated(name)}${itself ? " itself" : ""}`;
  return (
    <button
      type="button"
      class="trellis-row"
      aria-pressed={opens ? undefined : highlighted.value === cls}
      aria-expanded={opens ? open : undefined}
      style={{ height: `${layout.row}px` }}
      title={title}
      onClick={() => (opens ? toggleOpen(group) : highlight(cls))}
    >
      <span style={{ width: `${layout.labels}px`, paddingLeft: `${12 * depth}px` }}>
        {opens ? (
          <span class={open ? "opens open" : "opens"} style={{ color: rowColor(row) }}>
            <ChevronIcon />
          </span>
        ) : (
          <i class="swatch" style={{ background: rowColor(row) }} />
        )}
        {layout.named && (
          <bdi class={nested ? "name quiet" : "name"}>{nested ? "itself" : name}</bdi>
        )}
      </span>
      {recall !== null && (
        <span class="count" style={{ marginLeft: `${recallLeft}px` }}>
          {recall}
        </span>
      )}
    </button>
  );
}

interface Recalls {
  values: Float64Array;
  classes: number;
}

const recallText = (recalls: Recalls | null, { cls }: Row): string | null =>
  recalls && cls >= 0 && cls < recalls.classes
    ? percent(recalls.values[snapshot.value * recalls.classes + cls])
    : null;

/** Recall of each true class, or precision of each predicted one, `[snapshot, class]`; null where the
 * confusion is of other classes, or not here. */
function useRecalls(): Recalls | null {
  const [open, current, whole] = [session.value, track.value, wholeConfusion.value];
  return useMemo(() => {
    if (!open || !current || whole?.of !== open) return null;
    const { name } = baseOf(current.grouping);
    const K = ownClasses(current.grouping);
    if (K === 0 || (name !== "true" && name !== "predicted")) return null;
    const values = new Float64Array(open.snapshots * K);
    for (let t = 0; t < open.snapshots; t++) {
      const { matrix, samples } = confusionOfSnapshot(whole, t);
      const damaged = whole.damaged?.[t] === 1;
      for (let k = 0; k < K; k++)
        values[t * K + k] = damaged ? NaN : shareRight(matrix, samples, k, name);
    }
    return { values, classes: K };
  }, [open, current, whole]);
}
