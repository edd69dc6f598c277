// The two pictures of a layer: what drives each unit now, and its color through training.

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { fitCanvas } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { cellColorsNow, pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { useLatest } from "../run/latest";
import { classes, classOrder, palette, placedOrder } from "../state/shown";
import {
  highlighted,
  playing,
  session,
  snapshot,
  theme,
  threshold,
  track,
  unit,
} from "../state/chosen";
import { selectUnit, show } from "../state/choosing";
import { ClassNames, Steps, Totals } from "./beside";
import { drawHeat, drawKymograph, unitAtColumn, type LayerScene } from "./draw";
import { placeOf, shownAt, type LayerLayout } from "./geometry";
import { HeatTip, TimeTip } from "./tips";

function sceneOf(l: number, layout: LayerLayout): LayerScene | null {
  const layer = session.peek()?.layers[l];
  if (!layer) return null;
  return {
    layout,
    layer,
    order: placedOrder.peek().subarray(layer.offset, layer.offset + layer.units),
    colors: cellColorsNow(),
    classOrder: classOrder.peek(),
    page: pageColorsNow(),
    highlighted: highlighted.peek(),
    threshold: threshold.peek(),
  };
}

export function Pictures({ l, layout, named }: { l: number; layout: LayerLayout; named: boolean }) {
  const heatCanvas = useRef<HTMLCanvasElement>(null);
  const timeCanvas = useRef<HTMLCanvasElement>(null);
  const open = session.value;
  const current = track.value;
  const t = snapshot.value;
  const groupingName = current?.grouping.name;
  const there = open?.split.resources.includes("heat") ?? false;
  const heat = useLatest(open && there && current ? [open, current, l] : null, t, () =>
    (open as NonNullable<typeof open>).ofUnits.heat(groupingName as string, t, l),
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
    classOrder.value[
      shownAt(rowAt(event, layout.heatRow, layout.heatRows), layout.heatRows, classes.value.length)
    ];
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
          <h2 class="between">
            {named ? "The color of every unit at every snapshot" : "At every snapshot"}
          </h2>
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
