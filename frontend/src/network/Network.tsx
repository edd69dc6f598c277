import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { layerNumbers, subtitle, title, tunedByLayerAndClass, wholeTitle } from "../derive";
import { count, plural } from "../format";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { baseOf, levelWords } from "../run/groupings";
import { cellSentence } from "../sentences/units";
import { classOrder, classes, painted, palette, placedOrder, shownGrouping } from "../state/shown";
import { highlighted, session, theme, threshold, track, unit } from "../state/chosen";
import { foreseeUnit, openLayer, selectUnit } from "../state/choosing";
import { HELD } from "../wire/manifest";
import { cssColor } from "./colors";
import { cellColorsNow, pageColorsNow } from "./current";
import { drawNetwork } from "./draw";
import { aboutInsets } from "../pictures/about";
import { INSET_CELL, Insets } from "../pictures/insets";
import { cellAt, labelAt, layoutNetwork, PICTURED_CELL, placeAt, type Layout } from "./layout";
import { gapOf, type Scene } from "./scene";
import { drawn } from "./drawn";

function sceneOf(layout: Layout, insets: Insets | null): Scene | null {
  const open = session.peek();
  if (!open) return null;
  return {
    layout,
    layers: open.layers,
    names: open.names,
    order: placedOrder.peek(),
    paint: painted.peek()?.paint ?? null,
    colors: cellColorsNow(),
    classOrder: classOrder.peek(),
    page: pageColorsNow(),
    light: theme.peek() === "light",
    highlighted: highlighted.peek(),
    threshold: threshold.peek(),
    pixelRatio: devicePixelRatio || 1,
    maps: insets?.at(painted.peek()?.snapshot ?? -1, theme.peek()) ?? null,
  };
}

export function Network() {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const open = session.value;
  const layout = useMemo(
    () =>
      open && size && size.width > 0
        ? layoutNetwork(
            open.layers,
            size.width,
            size.height,
            devicePixelRatio || 1,
            open.has("cell_maps") ? PICTURED_CELL : undefined,
          )
        : null,
    [open, size],
  );
  // by the grouping whose cells are painted: the classes of another are not theirs
  const shown = track.value?.grouping.name;
  const insets = useMemo(
    () =>
      open?.has("cell_maps") && shown && layout && layout.cell >= INSET_CELL
        ? new Insets(open, shown)
        : null,
    [open, shown, layout],
  );

  useEffect(() => {
    if (!layout || !canvas.current) return;
    const target = canvas.current;
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const scene = sceneOf(layout, insets);
      if (!scene) return;
      const began = performance.now();
      const g = fitCanvas(target, layout.width, layout.height);
      drawNetwork(g, scene, layerNumbers.peek(), tunedByLayerAndClass.peek()?.counts ?? null);
      drawn.set(target, scene, performance.now() - began);
    };
    const stop = effect(() => {
      void [painted.value, placedOrder.value, palette.value, highlighted.value, threshold.value];
      void [layerNumbers.value, tunedByLayerAndClass.value, classes.value, drawn.fonts.value];
      void insets?.arrived.value;
      if (painted.value) insets?.want(painted.value.snapshot);
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [layout, insets]);

  const unitAt = (event: PointerEvent | MouseEvent): number => {
    if (!layout || !open || !canvas.current) return -1;
    const box = canvas.current.getBoundingClientRect();
    const found = placeAt(layout, open.layers, event.clientX - box.left, event.clientY - box.top);
    return found ? placedOrder.peek()[open.layers[found.layer].offset + found.place] : -1;
  };

  /** The layer whose name or numbers are there. */
  const layerAt = (event: PointerEvent | MouseEvent): number => {
    if (!layout || !canvas.current) return -1;
    const box = canvas.current.getBoundingClientRect();
    return labelAt(layout, event.clientX - box.left, event.clientY - box.top);
  };

  const onPointerMove = (event: PointerEvent): void => {
    const u = unitAt(event);
    const l = u < 0 ? layerAt(event) : -1;
    if (canvas.current) canvas.current.style.cursor = u >= 0 || l >= 0 ? "pointer" : "default";
    const at = { x: event.clientX, y: event.clientY };
    if (u >= 0) tip.value = { ...at, content: <UnitTip unit={u} /> };
    else if (l >= 0) tip.value = { ...at, content: <LayerTip layer={l} /> };
    else hideTip();
  };

  return (
    <>
      <div class="head">
        <h1 data-testid="title" title={wholeTitle}>
          {title}
        </h1>
        <p class="subtitle">
          {subtitle}
          {insets && ` ${aboutInsets(shown ?? "")}`}
        </p>
      </div>
      <div class="network" ref={frame}>
        <canvas
          ref={canvas}
          data-testid="network"
          role="img"
          tabIndex={0}
          aria-label="Units of every layer, colored by preferred class. Select a unit, then use the up and down arrow keys to walk its layer."
          onPointerMove={onPointerMove}
          onPointerLeave={hideTip}
          onPointerDown={(event) => foreseeUnit(unitAt(event))}
          onClick={(event) => {
            const u = unitAt(event);
            const l = u < 0 ? layerAt(event) : -1;
            if (u >= 0) selectUnit(u);
            else if (l >= 0) openLayer(l);
            else unit.value = -1;
          }}
        />
        {layout && <Marker layout={layout} />}
      </div>
    </>
  );
}

/** A frame around the selected cell, over the canvas so that colors stay exact. */
function Marker({ layout }: { layout: Layout }) {
  const u = unit.value;
  const open = session.value;
  if (u < 0 || !open) return null;
  const l = open.layerOf[u];
  const block = layout.blocks.find((b) => b.layer === l);
  if (!block) return null;
  const { offset, units } = open.layers[l];
  const place = placedOrder.value.subarray(offset, offset + units).indexOf(u);
  const { x, y } = cellAt(block, layout.cell, place);
  const size = layout.cell - gapOf(layout.cell);
  const round = layout.cell >= 16 ? 5.5 : layout.cell >= 7 ? 2 : 1;
  return (
    <div
      class="marker"
      data-testid="marker"
      style={{
        transform: `translate(${x - 2}px, ${y - 2}px)`,
        width: `${size + 4}px`,
        height: `${size + 4}px`,
        borderRadius: `${round}px`,
      }}
    />
  );
}

function LayerTip({ layer: l }: { layer: number }) {
  const layer = session.value?.layers[l];
  if (!layer) return null;
  return (
    <>
      <b>{layer.path}</b> {layer.kind}
      <br />
      {count(layer.units)} {plural(layer.units, "unit")}; click to look at it by itself
    </>
  );
}

function UnitTip({ unit: u }: { unit: number }) {
  const open = session.value;
  const cells = painted.value;
  if (!open || !cells) return null;
  const layer = open.layers[open.layerOf[u]];
  const { preferred, level, state, flags } = cells.paint;
  const held = state[u] === HELD;
  const name = classes.value[preferred[u]] ?? "";
  const shown = shownGrouping.value;
  const words = shown ? levelWords(shown, preferred[u]) : "";
  return (
    <>
      <b>{layer.path}</b> unit {u - layer.offset}
      <br />
      {held && (
        <i
          class="dot"
          style={{ background: cssColor(palette.value, 4 * (preferred[u] * 101 + 100)) }}
        />
      )}
      {cellSentence(state[u], flags[u], level[u], name, threshold.value, words)}
      {layer.output && shown && baseOf(shown).name === "predicted" && (
        <>
          <br />
          <span class="quiet">
            The output is compared with its own predictions here, so this is circular.
          </span>
        </>
      )}
    </>
  );
}
