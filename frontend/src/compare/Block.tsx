// One of two networks that stand one above the other.

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { count, plural } from "../format";
import { fitCanvas } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { pageColorsNow } from "../network/current";
import { drawNetwork } from "../network/draw";
import { drawn } from "../network/drawn";
import { cellAt, labelAt, placeAt, type Layout } from "../network/layout";
import { gapOf, type Scene } from "../network/scene";
import { indexOrder } from "../run/order";
import { cellSentence } from "../sentences/units";
import { highlighted, theme, threshold, unit } from "../state/chosen";
import { openLayer, selectUnit } from "../state/choosing";
import { HELD, LEVELS } from "../wire/manifest";
import type { Side } from "./side";

interface Block {
  index: 0 | 1;
  side: Side;
  layout: Layout;
  label: string;
  /** Whether its units are those of the run on the screen. */
  own: boolean;
}

function sceneOf(side: Side, layout: Layout): Scene {
  return {
    layout,
    layers: side.open.layers,
    names: side.open.names,
    order: side.order.peek() ?? indexOrder(side.open.units),
    paint: side.order.peek() ? side.cells.peek() : null,
    colors: side.colors.peek(),
    classOrder: side.classOrder,
    page: pageColorsNow(),
    light: theme.peek() === "light",
    highlighted: side.highlighted.peek(),
    threshold: threshold.peek(),
    pixelRatio: devicePixelRatio || 1,
  };
}

export function Block({ index, side, layout, label, own }: Block) {
  const canvas = useRef<HTMLCanvasElement>(null);

  useEffect(() => {
    const target = canvas.current;
    if (!target) return;
    drawn.side(index, target, null, false);
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const scene = sceneOf(side, layout);
      const began = performance.now();
      const g = fitCanvas(target, layout.width, layout.height);
      drawNetwork(g, scene, side.numbers.peek(), scene.paint && side.tuned.peek());
      drawn.side(index, target, scene, scene.paint !== null || side.snapshot.peek() < 0);
      drawn.milliseconds = performance.now() - began;
    };
    const stop = effect(() => {
      void [side.cells.value, side.order.value, side.colors.value, side.numbers.value];
      void [side.tuned.value, highlighted.value, threshold.value, theme.value, drawn.fonts.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [side, layout]);

  const at = (event: PointerEvent | MouseEvent): { unit: number; layer: number } => {
    const box = canvas.current?.getBoundingClientRect();
    const order = side.order.peek();
    if (!box || !order) return { unit: -1, layer: -1 };
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    const { layers } = side.open;
    const found = placeAt(layout, layers, x, y);
    if (!found) return { unit: -1, layer: own ? labelAt(layout, x, y) : -1 };
    return { unit: order[layers[found.layer].offset + found.place], layer: -1 };
  };

  const onPointerMove = (event: PointerEvent): void => {
    const { unit: u, layer: l } = at(event);
    if (canvas.current)
      canvas.current.style.cursor = own && (u >= 0 || l >= 0) ? "pointer" : "default";
    const where = { x: event.clientX, y: event.clientY };
    if (u >= 0) tip.value = { ...where, content: <UnitTip side={side} unit={u} own={own} /> };
    else if (l >= 0) tip.value = { ...where, content: <LayerTip side={side} layer={l} /> };
    else hideTip();
  };

  return (
    <div class="compare-cells" style={{ height: `${layout.height}px` }}>
      <canvas
        ref={canvas}
        data-testid={index === 0 ? "compare-a" : "compare-b"}
        role="img"
        aria-label={label}
        onPointerMove={onPointerMove}
        onPointerLeave={hideTip}
        onClick={(event) => {
          const { unit: u, layer: l } = at(event);
          if (u >= 0 && own) selectUnit(u);
          else if (l >= 0) openLayer(l);
          else if (u < 0) unit.value = -1;
        }}
      />
      {own && <Marker side={side} layout={layout} />}
    </div>
  );
}

/** A frame around the selected cell, over the canvas so that colors stay exact. */
function Marker({ side, layout }: { side: Side; layout: Layout }) {
  const u = unit.value;
  const order = side.order.value;
  if (u < 0 || !order) return null;
  const l = side.open.layerOf[u];
  const block = layout.blocks.find((b) => b.layer === l);
  if (!block) return null;
  const { offset, units } = side.open.layers[l];
  const { x, y } = cellAt(block, layout.cell, order.subarray(offset, offset + units).indexOf(u));
  const size = layout.cell - gapOf(layout.cell) + 4;
  return (
    <div
      class="marker"
      style={{
        transform: `translate(${x - 2}px, ${y - 2}px)`,
        width: `${size}px`,
        height: `${size}px`,
        borderRadius: `${layout.cell >= 16 ? 5.5 : layout.cell >= 7 ? 2 : 1}px`,
      }}
    />
  );
}

function LayerTip({ side, layer: l }: { side: Side; layer: number }) {
  const layer = side.open.layers[l];
  return (
    <>
      <b>{layer.path}</b> {layer.kind}
      <br />
      {count(layer.units)} {plural(layer.units, "unit")}; click to look at it by itself
    </>
  );
}

function UnitTip({ side, unit: u, own }: { side: Side; unit: number; own: boolean }) {
  const cells = side.cells.value;
  if (!cells) return null;
  const layer = side.open.layers[side.open.layerOf[u]];
  const name = side.track.grouping.classes[cells.preferred[u]] ?? "";
  const color = side.colors.value;
  return (
    <>
      <b>{layer.path}</b> unit {u - layer.offset}
      <br />
      {cells.state[u] === HELD && (
        <i class="dot" style={{ background: color.of(cells.preferred[u], LEVELS - 1) }} />
      )}
      {cellSentence(cells.state[u], cells.flags[u], cells.level[u], name, threshold.value)}
      {!own && (
        <>
          <br />
          <span class="quiet">of B, whose unit {u - layer.offset} is another than that of A</span>
        </>
      )}
    </>
  );
}
