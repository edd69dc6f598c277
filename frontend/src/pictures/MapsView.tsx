// Where each unit of a layer responds: its mean map, and below it the color of its cell.

import { effect } from "@preact/signals";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { digitsFor, fixed } from "../format";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import { cellColorsNow, pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { useLatest } from "../run/latest";
import type { Session } from "../run/session";
import { cellSentence } from "../sentences/units";
import { classes, painted, palette, placedOrder } from "../state/shown";
import { selectUnit } from "../state/choosing";
import { session, snapshot, theme, threshold, unit } from "../state/chosen";
import { HELD, TIED } from "../wire/manifest";
import { Missing } from "./Missing";
import { layerMaps } from "./recorded";
import { boxIn, drawFrom, inLuminance, rampNow, sheetOf } from "./sheet";
import { mapsClass } from "./shown";
import { BAR, GAP, tileFor } from "./tiles";
import { hasPositions } from "./UnitMaps";

export function MapsView({ l }: { l: number }) {
  const open = session.value;
  const there = (open?.has("maps") && open.split.maps?.includes(l)) ?? false;
  useEffect(() => {
    if (open && !there) drawn.view(true, 0);
  }, [open, there]);
  if (!open) return null;
  if (!there)
    return (
      <div class="no-pictures">
        {hasPositions(open.layers[l]) ? (
          <Missing open={open} what="maps" />
        ) : (
          <p class="note">
            Units of {open.names[l]} respond at no position of their own: there is no map of them.
          </p>
        )}
      </div>
    );
  return <Maps key={l} open={open} l={l} />;
}

function Maps({ open, l }: { open: Session; l: number }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const t = snapshot.value;
  const cls = mapsClass();
  const found = useLatest([open, l, cls], t, () => layerMaps(open, t, l, cls));
  const layer = open.layers[l];
  const light = theme.value;
  const sheet = useMemo(
    () => found && sheetOf(found.value, inLuminance(rampNow(light))),
    [found, light],
  );
  const tile = size ? tileFor(layer.units, size.width - 4, size.height - 4) : 0;
  const columns = Math.max(1, Math.floor(((size?.width ?? 0) - 4 + GAP) / (tile + GAP)));
  const row = tile + BAR + 2 + GAP;
  const rows = Math.ceil(layer.units / columns);
  useEffect(() => {
    if (!canvas.current || !size) return;
    const target = canvas.current;
    const [width, height] = [columns * (tile + GAP), rows * row];
    let pending = 0;
    const draw = (): void => {
      pending = 0;
      const began = performance.now();
      const g = fitCanvas(target, width, height);
      g.clearRect(0, 0, width, height);
      const cells = painted.peek();
      if (!sheet || !found || session.peek() !== open) return;
      const order = placedOrder.peek().subarray(layer.offset, layer.offset + layer.units);
      const colors = cellColorsNow();
      const page = pageColorsNow();
      const [w, h] = boxIn(tile, sheet.width, sheet.height);
      order.forEach((u, place) => {
        const x = 2 + (place % columns) * (tile + GAP);
        const y = 2 + Math.floor(place / columns) * row;
        g.fillStyle = `rgb(${page.hair.join(",")})`;
        g.fillRect(x, y, tile, tile);
        const [dx, dy] = [Math.floor((tile - w) / 2), Math.floor((tile - h) / 2)];
        drawFrom(g, sheet, u - layer.offset, x + dx, y + dy, w, h);
        // cells are of the snapshot that the maps are of, or not there
        if (cells?.snapshot === found.at) {
          const { state, preferred, level } = cells.paint;
          if (state[u] <= TIED) {
            const k = state[u] === HELD ? preferred[u] : 0;
            g.fillStyle = colors.of(k, state[u] === HELD ? level[u] : 0);
            g.fillRect(x, y + tile + 2, tile, BAR);
          }
        }
        if (u !== unit.peek()) return;
        g.strokeStyle = page.ink;
        g.lineWidth = 1.5;
        g.strokeRect(x - 1.25, y - 1.25, tile + 2.5, tile + BAR + 4.5);
      });
      drawn.view(found.at === snapshot.peek(), performance.now() - began);
    };
    const stop = effect(() => {
      void [painted.value, placedOrder.value, palette.value, unit.value, theme.value];
      pending ||= requestAnimationFrame(draw);
    });
    return () => {
      stop();
      cancelAnimationFrame(pending);
    };
  }, [sheet, found, tile, columns, rows, size, open, layer]);
  const unitAt = (event: MouseEvent): number => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - 2) / (tile + GAP));
    const place = Math.floor((event.clientY - box.top - 2) / row) * columns + column;
    if (column < 0 || column >= columns || place < 0 || place >= layer.units) return -1;
    return placedOrder.peek()[layer.offset + place];
  };
  return (
    <div class="maps-view" ref={frame}>
      <canvas
        ref={canvas}
        data-testid="maps"
        role="img"
        aria-label={`Where each unit of ${layer.path} responds, with the color of its cell`}
        onClick={(event) => {
          const u = unitAt(event);
          if (u >= 0) selectUnit(u);
        }}
        onPointerMove={(event) => {
          const u = unitAt(event);
          event.currentTarget.style.cursor = u >= 0 ? "pointer" : "default";
          if (u < 0) return hideTip();
          const { low, high } = found?.value ?? {};
          const own = u - layer.offset;
          const content = (
            <MapTip layer={layer.path} own={own} unit={u} low={low?.[own]} high={high?.[own]} />
          );
          tip.value = { x: event.clientX, y: event.clientY, content };
        }}
        onPointerLeave={hideTip}
      />
    </div>
  );
}

function MapTip(of: {
  layer: string;
  own: number;
  unit: number;
  low: number | undefined;
  high: number | undefined;
}) {
  const cells = painted.value;
  const { low = NaN, high = NaN } = of;
  const digits = digitsFor(high - low);
  return (
    <>
      <b>{of.layer}</b> unit {of.own}
      <br />
      {cells &&
        cellSentence(
          cells.paint.state[of.unit],
          cells.paint.flags[of.unit],
          cells.paint.level[of.unit],
          said(classes.value[cells.paint.preferred[of.unit]] ?? ""),
          threshold.value,
        )}
      <br />
      {Number.isNaN(high)
        ? "no map: not kept, or not finite"
        : `map from ${fixed(low, digits)} to ${fixed(high, digits)}`}
    </>
  );
}
