// One layer: what each class does to each unit now, and every unit's color through training.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { tunedByLayerAndClass } from "../derive";
import { count, percent, plural, stepText } from "../format";
import { Chooser } from "../frame/Chooser";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import { cssColor } from "../network/colors";
import { cellColorsNow, pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { useLatest } from "../run/latest";
import { shownOf } from "../pictures/about";
import { LayerPictures, ShowsChoice } from "../pictures/Shows";
import { cellSentence } from "../sentences";
import {
  classes,
  highlight,
  highlighted,
  layerShows,
  openLayer,
  palette,
  placedOrder,
  playing,
  selectUnit,
  session,
  show,
  shownLayer,
  snapshot,
  theme,
  threshold,
  track,
  unit,
} from "../state";
import { layerSubtitle, viewTitle } from "../titles";
import { LEVELS, NO_HEAT } from "../wire/manifest";
import { drawHeat, drawKymograph, unitAtColumn, type LayerScene } from "./draw";
import { labelledRows, layoutLayer, placeOf, shownAt, type LayerLayout } from "./geometry";

const LABELS = 104;
const NARROW_LABELS = 46;
const TOTALS = 62;
/** Rows lower than this have no names. */
const NAMED_ROW = 9;
const NARROW = 560;

export function LayerView() {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const open = session.value;
  const l = shownLayer.value;
  const layer = open?.layers[l];
  const names = classes.value;
  const labels = (size?.width ?? 0) < NARROW ? NARROW_LABELS : LABELS;
  const layout = useMemo(
    () =>
      open && layer && size && size.width > 0 && names.length > 0
        ? layoutLayer(layer.units, names.length, open.snapshots, {
            width: size.width - labels - TOTALS,
            height: size.height - 8,
          })
        : null,
    [open, layer, size, names.length, labels],
  );
  if (!open || !layer) return null;
  return (
    <>
      <div class="head with-choice">
        <div>
          <h1 data-testid="title">{viewTitle}</h1>
          <p class="subtitle">{layerSubtitle}</p>
        </div>
        <ShowsChoice l={l} />
        <Chooser
          label="Layer"
          value={String(l)}
          options={open.layers.map((one, i) => ({
            value: String(i),
            name: open.names[i],
            about: `${one.kind}, ${count(one.units)} ${plural(one.units, "unit")}`,
          }))}
          testId="layer"
          onChoose={(value) => openLayer(Number(value))}
        />
      </div>
      <div class="layer-view" ref={frame} style={{ "--labels": `${labels}px` }}>
        {shownOf(l, layerShows.value) !== "cells" ? (
          <LayerPictures l={l} />
        ) : (
          layout &&
          track.value && <Pictures key={l} l={l} layout={layout} named={labels > NARROW_LABELS} />
        )}
      </div>
    </>
  );
}

function sceneOf(l: number, layout: LayerLayout): LayerScene | null {
  const layer = session.peek()?.layers[l];
  if (!layer) return null;
  return {
    layout,
    layer,
    order: placedOrder.peek().subarray(layer.offset, layer.offset + layer.units),
    colors: cellColorsNow(),
    page: pageColorsNow(),
    highlighted: highlighted.peek(),
    threshold: threshold.peek(),
  };
}

function Pictures({ l, layout, named }: { l: number; layout: LayerLayout; named: boolean }) {
  const heatCanvas = useRef<HTMLCanvasElement>(null);
  const timeCanvas = useRef<HTMLCanvasElement>(null);
  const open = session.value;
  const current = track.value;
  const t = snapshot.value;
  const groupingName = current?.grouping.name;
  const there = open?.split.resources.includes("heat") ?? false;
  const heat = useLatest(open && there && current ? [open, current, l] : null, t, () =>
    (open as NonNullable<typeof open>).heat(groupingName as string, t, l),
  );

  useEffect(() => {
    const canvas = heatCanvas.current;
    if (!canvas) return;
    if (!heat) {
      canvas.getContext("2d")?.clearRect(0, 0, canvas.width, canvas.height);
      return;
    }
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const scene = sceneOf(l, layout);
      // these are the effect's own: another grouping's cells are not of this heat
      const paint = current && track.peek() === current ? current.paint.at(heat.at) : null;
      if (!scene || !paint || session.peek() !== open) return;
      const g = fitCanvas(canvas, layout.width, layout.heatRows * layout.heatRow);
      drawHeat(g, scene, heat.value, paint);
    };
    const stop = effect(() => {
      void [placedOrder.value, palette.value, highlighted.value, theme.value];
      void track.value?.paint.arrived.value;
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [heat, current, open, layout, l]);

  useEffect(() => {
    const canvas = timeCanvas.current;
    if (!canvas) return;
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const scene = sceneOf(l, layout);
      const shown = track.peek();
      const snapshots = session.peek()?.snapshots ?? 0;
      if (!scene || !shown) return;
      const began = performance.now();
      const g = fitCanvas(canvas, layout.width, layout.timeRows * layout.timeRow);
      const whole = drawKymograph(g, scene, snapshots, (s) => shown.paint.at(s));
      drawn.view(whole, performance.now() - began);
    };
    const stop = effect(() => {
      void [track.value, placedOrder.value, palette.value, highlighted.value, threshold.value];
      void [theme.value, track.value?.paint.arrived.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [layout, l]);

  if (!open || !current) return null;
  const { offset, units } = open.layers[l];
  const order = placedOrder.value.subarray(offset, offset + units);
  const columnAt = (event: MouseEvent): number => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.min(layout.columns - 1, Math.floor((event.clientX - box.left) / layout.column));
  };
  const rowAt = (event: MouseEvent, height: number, rows: number): number => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    return Math.max(0, Math.min(rows - 1, Math.floor((event.clientY - box.top) / height)));
  };
  const unitAt = (event: MouseEvent): number => unitAtColumn({ layout, order }, columnAt(event));
  const classAt = (event: MouseEvent): number =>
    shownAt(rowAt(event, layout.heatRow, layout.heatRows), layout.heatRows, classes.value.length);
  const snapshotAt = (event: MouseEvent): number =>
    shownAt(rowAt(event, layout.timeRow, layout.timeRows), layout.timeRows, open.snapshots);
  const row = placeOf(t, layout.timeRows, open.snapshots);
  return (
    <>
      <ClassNames layout={layout} named={named} />
      <Steps layout={layout} />
      <div class="layer-scroll">
        <div style={{ width: `${layout.width}px`, height: `${layout.height}px` }}>
          <canvas
            ref={heatCanvas}
            class="cells"
            data-testid="heat"
            role="img"
            aria-label={`How much each class drives each unit of ${open.layers[l].path}`}
            style={{ width: `${layout.width}px`, height: `${layout.heatRows * layout.heatRow}px` }}
            onClick={(event) => selectUnit(unitAt(event))}
            onPointerMove={(event) => {
              const content = (
                <HeatTip l={l} unit={unitAt(event)} cls={classAt(event)} heat={heat?.value} />
              );
              tip.value = { x: event.clientX, y: event.clientY, content };
            }}
            onPointerLeave={hideTip}
          />
          {!there && <p class="note no-heat">Heat maps are not in this file.</p>}
          <h2 class="between">The color of every unit at every snapshot</h2>
          <canvas
            ref={timeCanvas}
            class="cells"
            data-testid="kymograph"
            role="img"
            aria-label={`Colors of the units of ${open.layers[l].path} through training, first snapshot on top`}
            style={{ width: `${layout.width}px`, height: `${layout.timeRows * layout.timeRow}px` }}
            onClick={(event) => {
              const u = unitAt(event);
              playing.value = false;
              show(snapshotAt(event));
              if (unit.peek() !== u) selectUnit(u);
            }}
            onPointerMove={(event) => {
              const content = <TimeTip l={l} unit={unitAt(event)} at={snapshotAt(event)} />;
              tip.value = { x: event.clientX, y: event.clientY, content };
            }}
            onPointerLeave={hideTip}
          />
          <i
            class="row-now"
            data-testid="row-now"
            style={{
              transform: `translateY(${layout.timeTop + row * layout.timeRow - 1}px)`,
              height: `${Math.max(3, layout.timeRow + 1)}px`,
              width: `${layout.width + 2}px`,
            }}
          />
          <ColumnMarker l={l} layout={layout} order={order} />
        </div>
      </div>
      <Totals l={l} layout={layout} />
    </>
  );
}

/** A frame around the selected unit's column in both pictures. */
function ColumnMarker(of: { l: number; layout: LayerLayout; order: Uint32Array }) {
  const { l, layout, order } = of;
  const u = unit.value;
  if (u < 0 || session.value?.layerOf[u] !== l) return null;
  const x = placeOf(order.indexOf(u), layout.columns, order.length) * layout.column;
  const frame = (top: number, height: number) => (
    <i
      class="column-now"
      style={{
        transform: `translate(${x - 2}px, ${top - 2}px)`,
        width: `${layout.column + 3}px`,
        height: `${height + 3}px`,
      }}
    />
  );
  return (
    <>
      {frame(0, layout.heatRows * layout.heatRow)}
      {frame(layout.timeTop, layout.timeRows * layout.timeRow)}
    </>
  );
}

function ClassNames({ layout, named }: { layout: LayerLayout; named: boolean }) {
  const names = classes.value;
  if (layout.heatRow < NAMED_ROW || layout.heatRows < names.length)
    return (
      <div class="layer-classes note">
        {count(names.length)} {plural(names.length, "class", "classes")}, in order
      </div>
    );
  return (
    <div class="layer-classes">
      {names.map((name, k) => (
        <button
          key={k}
          type="button"
          aria-pressed={highlighted.value === k}
          style={{ height: `${layout.heatRow}px` }}
          title={`Highlight ${said(name)}`}
          onClick={() => highlight(k)}
        >
          {named && <bdi class="path">{name}</bdi>}
          <i
            class="dot"
            style={{ background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)) }}
          />
        </button>
      ))}
    </div>
  );
}

function Steps({ layout }: { layout: LayerLayout }) {
  const open = session.value;
  if (!open) return null;
  const now = placeOf(snapshot.value, layout.timeRows, open.snapshots);
  const near = Math.ceil(14 / layout.timeRow);
  return (
    <div class="layer-steps" style={{ top: `${layout.timeTop}px` }}>
      {labelledRows(layout.timeRows, layout.timeRow)
        .filter((row) => Math.abs(row - now) >= near)
        .map((row) => (
          <span key={row} style={{ top: `${(row + 0.5) * layout.timeRow}px` }}>
            {stepText(open.scalars.step[shownAt(row, layout.timeRows, open.snapshots)])}
          </span>
        ))}
      <span class="now-step" style={{ top: `${(now + 0.5) * layout.timeRow}px` }}>
        {stepText(open.scalars.step[snapshot.value])}
      </span>
    </div>
  );
}

/** Units of the layer tuned to each class, beside its row. */
function Totals({ l, layout }: { l: number; layout: LayerLayout }) {
  const names = classes.value;
  const counts = tunedByLayerAndClass.value?.counts;
  if (!counts || layout.heatRow < NAMED_ROW || layout.heatRows < names.length) return null;
  const own = counts.subarray(l * names.length, (l + 1) * names.length);
  const most = Math.max(1, ...own);
  return (
    <div class="layer-totals" aria-label="Units tuned to each class">
      {names.map((_, k) => (
        <div key={k} style={{ height: `${layout.heatRow}px` }}>
          <i
            style={{
              width: `${(22 * own[k]) / most}px`,
              background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)),
            }}
          />
          <span class="count">{count(own[k])}</span>
        </div>
      ))}
    </div>
  );
}

function HeatTip(of: { l: number; unit: number; cls: number; heat: Uint8Array | undefined }) {
  const { l, unit: u, cls, heat } = of;
  const layer = session.value?.layers[l];
  if (!layer) return null;
  const value = heat?.[cls * layer.units + u - layer.offset];
  return (
    <>
      <b>{layer.path}</b> unit {u - layer.offset}, {said(classes.value[cls] ?? "")}
      <br />
      {value === undefined
        ? session.value?.has("heat")
          ? "not loaded"
          : "not in this file"
        : value === NO_HEAT
          ? "no data: too few samples of the class, or not finite"
          : `${percent(Math.sqrt(value / 100))} of the way from its least to its greatest class mean`}
    </>
  );
}

function TimeTip({ l, unit: u, at }: { l: number; unit: number; at: number }) {
  const open = session.value;
  const paint = track.value?.paint.at(at);
  if (!open) return null;
  const { path, offset } = open.layers[l];
  return (
    <>
      <b>{path}</b> unit {u - offset}, step {stepText(open.scalars.step[at])}
      <br />
      {paint
        ? cellSentence(
            paint.state[u],
            paint.flags[u],
            paint.level[u],
            classes.value[paint.preferred[u]] ?? "",
            threshold.value,
          )
        : "not loaded yet"}
    </>
  );
}
