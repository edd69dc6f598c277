// Cells large enough for round corners and glyphs, drawn as paths.

import {
  HELD,
  NOT_DEFINED,
  NOT_FINITE,
  NOT_RECORDED,
  NO_DATA,
  SILENT,
  SUPPRESSED,
  TIED,
} from "../wire/manifest";
import { INSET_CELL, insetOf } from "../pictures/insets";
import { boxIn, drawFrom } from "../pictures/sheet";
import { cellAt, type Block } from "./layout";
import { css, darker } from "./colors";
import { dimmed, gapOf, hasEdge, ringOf, type Scene } from "./scene";

const RADIUS = 3.5;

export function drawRounded(g: CanvasRenderingContext2D, scene: Scene): void {
  const { paint, layers, layout, order, colors, page, highlighted, threshold } = scene;
  if (!paint) return;
  const size = layout.cell - gapOf(layout.cell);
  const faint = css(dimmed(colors.rgb(0, 0), page.page));
  const line = css(page.ink4);
  const ground = css(page.page);
  const ring = ringOf(layout.cell);
  const edged = hasEdge(scene);
  // every cell has an outline for those who ask for contrast; its color inside stays exact
  const contrast = matchMedia("(prefers-contrast: more)").matches;

  const fill = (x: number, y: number, inset: number, color: string): void => {
    g.fillStyle = color;
    g.beginPath();
    g.roundRect(
      x + inset,
      y + inset,
      size - 2 * inset,
      size - 2 * inset,
      Math.max(0, RADIUS - inset),
    );
    g.fill();
  };
  const solid = (x: number, y: number, k: number, level: number): void => {
    if (edged) fill(x, y, 0, css(darker(colors.rgb(k, level))));
    fill(x, y, edged ? 1 : 0, colors.of(k, level));
    if (contrast) outline(x, y, line);
  };
  const outline = (x: number, y: number, color: string): void => {
    g.strokeStyle = color;
    g.lineWidth = 1;
    g.beginPath();
    g.roundRect(x + 0.5, y + 0.5, size - 1, size - 1, RADIUS - 0.5);
    g.stroke();
  };

  const drawCell = (u: number, x: number, y: number): void => {
    const state = paint.state[u];
    switch (state) {
      case HELD: {
        const k = paint.preferred[u];
        const level = paint.level[u];
        if (highlighted >= 0 && !(k === highlighted && level >= threshold)) {
          fill(x, y, 0, faint);
        } else if (paint.flags[u] & SUPPRESSED) {
          fill(x, y, 0, colors.of(k, level));
          fill(x, y, ring, ground);
        } else solid(x, y, k, level);
        break;
      }
      case TIED:
        if (highlighted >= 0) fill(x, y, 0, faint);
        else solid(x, y, 0, 0);
        break;
      case SILENT:
        outline(x, y, line);
        break;
      case NO_DATA:
        outline(x, y, line);
        slash(g, x, y, size, line);
        break;
      case NOT_FINITE:
        hatch(g, x, y, size, page.ink3);
        break;
      case NOT_RECORDED:
        g.fillStyle = line;
        g.fillRect(x + size / 2 - 1, y + size / 2 - 1, 2, 2);
        break;
      case NOT_DEFINED:
        g.fillStyle = line;
        g.fillRect(x + size / 4, y + size / 2 - 0.5, size / 2, 1);
    }
  };

  const inset = layout.cell >= INSET_CELL ? insetOf(size) : 0;
  /** Its mean map, where its color says something of it. */
  const drawMap = (u: number, place: number, x: number, y: number, layer: number): void => {
    const sheet = scene.maps?.get(layer);
    if (!sheet || inset === 0 || paint.state[u] > TIED) return;
    const shown = paint.state[u] === HELD && paint.preferred[u] === highlighted;
    if (highlighted >= 0 && !(shown && paint.level[u] >= threshold)) return;
    const [w, h] = boxIn(inset, sheet.width, sheet.height);
    const [left, top] = [x + Math.round((size - w) / 2), y + Math.round((size - h) / 2)];
    g.fillStyle = ground;
    g.fillRect(left - 1, top - 1, w + 2, h + 2);
    drawFrom(g, sheet, place, left, top, w, h);
  };

  for (const block of layout.blocks) eachCell(block, layers[block.layer].offset);

  function eachCell(block: Block, offset: number): void {
    const units = layers[block.layer].units;
    for (let place = 0; place < units; place++) {
      const { x, y } = cellAt(block, layout.cell, place);
      const u = order[offset + place];
      drawCell(u, x, y);
      drawMap(u, u - offset, x, y, block.layer);
    }
  }
}

function slash(
  g: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  color: string,
): void {
  const inset = size / 4;
  g.strokeStyle = color;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(x + inset, y + size - inset);
  g.lineTo(x + size - inset, y + inset);
  g.stroke();
}

function hatch(
  g: CanvasRenderingContext2D,
  x: number,
  y: number,
  size: number,
  color: string,
): void {
  g.save();
  g.beginPath();
  g.roundRect(x, y, size, size, RADIUS);
  g.clip();
  g.strokeStyle = color;
  g.lineWidth = 1;
  g.beginPath();
  for (let d = 3; d < 2 * size; d += 5) {
    g.moveTo(x + d, y);
    g.lineTo(x, y + d);
  }
  g.stroke();
  g.restore();
}
