// Draws the network: cells, then names, composition bars and numbers.

import { HELD, SUPPRESSED } from "../wire/manifest";
import { count, fixed, percent } from "../format";
import { cellAt, type Block, type Row } from "./layout";
import { drawRounded } from "./rounded";
import { gapOf, insideEdge, isRounded, ringOf, type Scene } from "./scene";
import { Texels } from "./texels";

/** Numbers written under a layer; all of the snapshot at the playhead. */
export interface LayerNumbers {
  /** Units tuned: to the highlighted class, if one is. */
  tuned: number;
  silent: number;
  /** Not silent, but without a color: no data, not finite, not recorded, not defined. */
  missing: number;
  /** Of those, units for which the measure has no meaning; they stand in no share. */
  notDefined: number;
  meanStrength: number;
  /** Whether the snapshot cannot be read back. */
  damaged: boolean;
}

export const FONT = '"Inter", ui-sans-serif, system-ui, sans-serif';
const BAR_LEVEL = 92;
const BAR_HEIGHT = 9;
const STAGE_BAR_HEIGHT = 4;
const LEAST_BAR = 46;
/** A bar of many classes keeps each share visible rather than spaced. */
const SPACED = 3;

let kept: Texels | null = null;

export function drawNetwork(
  g: CanvasRenderingContext2D,
  scene: Scene,
  numbers: readonly LayerNumbers[],
  tunedByClass: Uint32Array | null,
): void {
  const { layout, page, pixelRatio } = scene;
  const { width, height } = g.canvas;
  if (isRounded(layout, scene.order.length)) {
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.fillStyle = `rgb(${page.page.join(",")})`;
    g.fillRect(0, 0, width, height);
    g.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
    drawRounded(g, scene);
  } else {
    if (!kept || kept.width !== width || kept.height !== height) kept = new Texels(width, height);
    kept.draw(scene);
    g.putImageData(kept.image, 0, 0);
    g.setTransform(pixelRatio, 0, 0, pixelRatio, 0, 0);
  }
  if (!scene.paint) drawOutlines(g, scene);
  g.textBaseline = "alphabetic";
  for (const row of layout.rows) if (layout.wrapped) drawRowTitle(g, scene, row, numbers);
  for (const block of layout.blocks) drawBlockText(g, scene, block, numbers, tunedByClass);
}

/** Where cells will be, while the first chunk is on its way. */
function drawOutlines(g: CanvasRenderingContext2D, scene: Scene): void {
  g.strokeStyle = `rgb(${scene.page.hair.join(",")})`;
  g.lineWidth = 1;
  for (const block of scene.layout.blocks)
    g.strokeRect(block.x + 0.5, block.y + 0.5, block.width - 2, block.height - 2);
}

function drawRowTitle(
  g: CanvasRenderingContext2D,
  scene: Scene,
  row: Row,
  numbers: readonly LayerNumbers[],
): void {
  const units = row.layers.reduce((sum, l) => sum + scene.layers[l].units, 0);
  const known = row.layers.filter((l) => numbers[l]);
  const [tuned, missing, notDefined] = known.reduce(
    ([a, b, c], l) => [a + numbers[l].tuned, b + numbers[l].missing, c + numbers[l].notDefined],
    [0, 0, 0],
  );
  let x = row.x;
  if (row.title) {
    g.font = `560 11px ${FONT}`;
    g.fillStyle = scene.page.ink2;
    const title = ellipsis(g, row.title, scene.layout.width - x);
    g.fillText(title, x, row.y);
    x += g.measureText(title).width + 12;
  }
  g.font = `400 11px ${FONT}`;
  g.fillStyle = scene.page.ink3;
  const layers = `${row.layers.length} ${row.layers.length === 1 ? "layer" : "layers"}`;
  const share =
    scene.paint && known.length === row.layers.length
      ? ` · ${shareText({ tuned, missing: missing - notDefined }, units - notDefined)} tuned`
      : "";
  const long = `${layers} · ${count(units)} units${share}`;
  const fits = x + g.measureText(long).width <= scene.layout.width;
  g.fillText(fits ? long : `${count(units)} units${share}`, x, row.y);
}

function drawBlockText(
  g: CanvasRenderingContext2D,
  scene: Scene,
  block: Block,
  numbers: readonly LayerNumbers[],
  tunedByClass: Uint32Array | null,
): void {
  const { layout, page, layers, names } = scene;
  const { units } = layers[block.layer];
  const n = numbers[block.layer];
  const one = !layout.wrapped;
  const named = layout.rows.some((row) => row.named && row.layers.includes(block.layer));
  const room = block.slot - 6;
  if (named) {
    g.font = one ? `560 11.5px ${FONT}` : `500 10.5px ${FONT}`;
    g.fillStyle = one ? page.ink : page.ink2;
    g.fillText(ellipsis(g, names[block.layer], room), block.x, block.y - (one ? 9 : 6));
  }
  const gap = gapOf(layout.cell);
  const width = one ? Math.max(block.width - gap, LEAST_BAR) : Math.max(block.width - gap, 4);
  const height = one ? BAR_HEIGHT : STAGE_BAR_HEIGHT;
  if (!scene.paint || !n) return;
  drawComposition(g, scene, block, n, tunedByClass, width, height);
  const share = shareText(n, units);
  if (one) {
    const y = block.bar + height;
    g.font = `560 12px ${FONT}`;
    g.fillStyle = page.ink;
    g.fillText(share, block.x, y + 16);
    const after = block.x + g.measureText(share).width + 4;
    g.font = `400 11px ${FONT}`;
    g.fillStyle = page.ink3;
    const silent = n.silent > 0 ? `${count(n.silent)} silent` : "";
    const wide = room >= 128;
    const none = n.damaged ? "cannot be read" : n.notDefined === units ? "not defined" : "no data";
    const mean = Number.isNaN(n.meanStrength) ? none : `strength ${fixed(n.meanStrength)}`;
    g.fillText(wide ? `of ${count(units)} tuned` : `of ${count(units)}`, after, y + 16);
    g.fillText(wide && silent ? `${mean} · ${silent}` : mean, block.x, y + 31);
    if (!wide && silent) g.fillText(silent, block.x, y + 45);
  } else if (named) {
    g.font = `400 10.5px ${FONT}`;
    g.fillStyle = page.ink3;
    const y = block.bar + height + 12;
    const long = `${share} of ${count(units)}`;
    g.fillText(g.measureText(long).width <= room ? long : share, block.x, y);
  }
}

/** The share of units tuned; where none has data that is not known, and never 0. */
export function shareText(n: Pick<LayerNumbers, "tuned" | "missing">, units: number): string {
  return n.missing === units ? "–" : percent(n.tuned / units);
}

/** Units tuned to each class, then held below the threshold and tied, then silent. */
function drawComposition(
  g: CanvasRenderingContext2D,
  scene: Scene,
  block: Block,
  n: LayerNumbers,
  tunedByClass: Uint32Array | null,
  width: number,
  height: number,
): void {
  const { colors, page, highlighted, layers } = scene;
  const { units } = layers[block.layer];
  const y = block.bar;
  const right = block.x + width;
  const { classes } = colors;
  let x = block.x;
  if (!tunedByClass) {
    // not counted yet: a bar that is all neutral would say that nothing is tuned
    g.strokeStyle = `rgb(${page.ink4.join(",")})`;
    g.lineWidth = 1;
    g.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
    return;
  }
  for (const k of scene.classOrder) {
    const tuned = tunedByClass[block.layer * classes + k];
    if (tuned === 0) continue;
    const w = (tuned / units) * width;
    g.fillStyle =
      highlighted >= 0 && highlighted !== k ? colors.of(k, 25) : colors.of(k, BAR_LEVEL);
    g.fillRect(x, y, Math.max(w - (w > SPACED ? 0.75 : 0), 0.5), height);
    x += w;
  }
  const empty = ((n.silent + n.missing) / units) * width;
  g.fillStyle = colors.neutral;
  g.fillRect(x, y, Math.max(0, right - empty - x), height);
  if (empty > 1) {
    g.strokeStyle = `rgb(${page.ink4.join(",")})`;
    g.lineWidth = 1;
    g.strokeRect(right - empty + 0.5, y + 0.5, empty - 1, height - 1);
  }
}

function ellipsis(g: CanvasRenderingContext2D, text: string, room: number): string {
  if (g.measureText(text).width <= room) return text;
  // The end of a path tells layers apart, so the start is what goes.
  for (let cut = 1; cut < text.length; cut++) {
    if (text[cut] === ".") continue;
    const shorter = `…${text.slice(cut)}`;
    if (g.measureText(shorter).width <= room) return shorter;
  }
  return "";
}

/** A device pixel that shows a unit's color and nothing else: its ring where it is suppressed. */
export function colorPixel(
  scene: Scene,
  block: Block,
  place: number,
  unit: number,
): { x: number; y: number } {
  const { layout, pixelRatio, paint } = scene;
  const { x, y } = cellAt(block, layout.cell, place);
  const size = (layout.cell - gapOf(layout.cell)) * pixelRatio;
  const ring =
    paint !== null &&
    paint.state[unit] === HELD &&
    (paint.flags[unit] & SUPPRESSED) !== 0 &&
    layout.cell >= 4;
  const middle = Math.floor(size / 2);
  return {
    x:
      Math.round(x * pixelRatio) +
      (ring ? Math.floor((ringOf(layout.cell) * pixelRatio) / 2) : middle),
    y: Math.round(y * pixelRatio) + (ring ? middle : Math.floor(insideEdge(scene) * pixelRatio)),
  };
}
