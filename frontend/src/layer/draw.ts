// Paints the heat map and the kymograph of one layer, one texel per cell, scaled without smoothing.

import type { CellColors, PageColors } from "../network/colors";
import { rgbOfWord, word } from "../network/colors";
import { dimmed } from "../network/scene";
import { isSuppressed } from "../run/counts";
import type { Paint } from "../run/paint";
import { HELD, LEVELS, NO_HEAT, TIED, type Layer } from "../wire/manifest";
import { shownAt, type LayerLayout } from "./geometry";

export interface LayerScene {
  layout: LayerLayout;
  layer: Layer;
  /** Units of the layer in their columns. */
  order: Uint32Array;
  colors: CellColors;
  page: PageColors;
  /** Classes from the first row down. */
  classOrder: readonly number[];
  highlighted: number;
  threshold: number;
}

/** Cells from which a ring can be told from a cell. */
const RINGED = 6;
/** Columns from which there is a gap between them. */
const SPACED = 5;

/** Units of the scene's columns. */
export function unitAtColumn(scene: Pick<LayerScene, "layout" | "order">, column: number): number {
  const { layout, order } = scene;
  return order[shownAt(column, layout.columns, order.length)];
}

/** What each class does to each unit at one snapshot, in the hue of the class's row. */
export function drawHeat(
  g: CanvasRenderingContext2D,
  scene: LayerScene,
  heat: Uint8Array,
  paint: Paint,
): void {
  const { layout, layer, colors, page, classOrder } = scene;
  const classes = heat.length / layer.units;
  const highlighted = classOrder.indexOf(scene.highlighted);
  const chosen = scene.highlighted >= 0;
  const [ground, neutral] = [word(...page.page), colors.words[0]];
  const faint = (color: number): number => word(...dimmed(rgbOfWord(color), page.page));
  const { image, words } = texels(layout.columns, layout.heatRows);
  for (let row = 0; row < layout.heatRows; row++) {
    const from = Math.floor((row * classes) / layout.heatRows);
    const to = Math.max(from + 1, Math.floor(((row + 1) * classes) / layout.heatRows));
    for (let column = 0; column < layout.columns; column++) {
      const u = unitAtColumn(scene, column);
      const at = row * layout.columns + column;
      if (paint.state[u] > TIED) {
        words[at] = ground;
        continue;
      }
      // where a row stands for several classes, it is the one the unit responds to most of them
      let best = classOrder[from];
      for (let place = from + 1; place < to; place++) {
        const k = classOrder[place];
        const own = heat[k * layer.units + u - layer.offset];
        const most = heat[best * layer.units + u - layer.offset];
        if (own !== NO_HEAT && (most === NO_HEAT || own > most)) best = k;
      }
      const value = heat[best * layer.units + u - layer.offset];
      if (value === NO_HEAT) words[at] = ground;
      else {
        // no more vivid than the unit's own cell: of one for which no class is surely first nothing
        // is claimed, of a weak one little
        const level = Math.round((value * paint.level[u]) / (LEVELS - 1));
        const color = paint.state[u] === HELD ? colors.words[best * LEVELS + level] : neutral;
        const own = highlighted >= from && highlighted < to;
        words[at] = !chosen || own ? color : faint(color);
      }
    }
  }
  blow(g, image, layout.width, layout.heatRows * layout.heatRow);
  gaps(g, scene, layout.heatRows, layout.heatRow);
}

/** The cells' own colors through time, a row for each snapshot. */
export function drawKymograph(
  g: CanvasRenderingContext2D,
  scene: LayerScene,
  snapshots: number,
  at: (t: number) => Paint | null,
): boolean {
  const { layout, layer, colors, page, highlighted, threshold } = scene;
  const [ground, neutral] = [word(...page.page), colors.words[0]];
  const faint = word(...dimmed(rgbOfWord(neutral), page.page));
  const waiting = word(...page.hair);
  const { image, words } = texels(layout.columns, layout.timeRows);
  let complete = true;
  for (let row = 0; row < layout.timeRows; row++) {
    const paint = at(shownAt(row, layout.timeRows, snapshots));
    const from = row * layout.columns;
    if (!paint) {
      complete = false;
      words.fill(waiting, from, from + layout.columns);
      continue;
    }
    for (let column = 0; column < layout.columns; column++) {
      const u = unitAtColumn(scene, column);
      const state = paint.state[u];
      const k = paint.preferred[u];
      const held = state === HELD;
      const dim = highlighted >= 0 && !(held && k === highlighted && paint.level[u] >= threshold);
      words[from + column] =
        state > TIED
          ? ground
          : dim
            ? faint
            : held
              ? colors.words[k * LEVELS + paint.level[u]]
              : neutral;
    }
  }
  blow(g, image, layout.width, layout.timeRows * layout.timeRow);
  gaps(g, scene, layout.timeRows, layout.timeRow);
  if (layer.signed && layout.column >= RINGED && layout.timeRow >= RINGED)
    rings(g, scene, snapshots, at);
  return complete;
}

function texels(width: number, height: number): { image: ImageData; words: Uint32Array } {
  const image = new ImageData(width, height);
  return { image, words: new Uint32Array(image.data.buffer) };
}

let small: HTMLCanvasElement | null = null;

function blow(g: CanvasRenderingContext2D, image: ImageData, width: number, height: number): void {
  small ??= document.createElement("canvas");
  small.width = image.width;
  small.height = image.height;
  (small.getContext("2d") as CanvasRenderingContext2D).putImageData(image, 0, 0);
  g.imageSmoothingEnabled = false;
  g.clearRect(0, 0, width, height);
  g.drawImage(small, 0, 0, width, height);
}

function gaps(g: CanvasRenderingContext2D, scene: LayerScene, rows: number, row: number): void {
  const { column, columns, width } = scene.layout;
  g.fillStyle = `rgb(${scene.page.page.join(",")})`;
  if (column >= SPACED)
    for (let i = 1; i <= columns; i++) g.fillRect(i * column - 1, 0, 1, rows * row);
  if (row >= SPACED) for (let i = 1; i <= rows; i++) g.fillRect(0, i * row - 1, width, 1);
}

/** Units that respond least to the class they hold. */
function rings(
  g: CanvasRenderingContext2D,
  scene: LayerScene,
  snapshots: number,
  at: (t: number) => Paint | null,
): void {
  const { column, columns, timeRow, timeRows } = scene.layout;
  g.fillStyle = `rgb(${scene.page.page.join(",")})`;
  for (let row = 0; row < timeRows; row++) {
    const paint = at(shownAt(row, timeRows, snapshots));
    if (!paint) continue;
    for (let i = 0; i < columns; i++)
      if (isSuppressed(paint, unitAtColumn(scene, i)))
        g.fillRect(i * column + 1.5, row * timeRow + 1.5, column - 4, timeRow - 4);
  }
}
