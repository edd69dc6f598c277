// Where every layer and unit stands: one cell size for the whole network, the largest that fits,
// so that areas can be compared by eye. Few layers stand in one row; many wrap into rows of stages.

import type { Layer } from "../wire/manifest";
import { count } from "../format";
import { stageRows } from "./stages";

export interface Block {
  layer: number;
  /** Left and top of the cells, in CSS pixels. */
  x: number;
  y: number;
  columns: number;
  /** Cells per column; the last column may be shorter. */
  rows: number;
  width: number;
  /** Height of the cells themselves. */
  height: number;
  /** Room for text, up to the next block. */
  slot: number;
  /** Top of the composition bar. */
  bar: number;
}

export interface Row {
  title: string;
  layers: number[];
  /** Whether layer names and shares are written, or only the row's title. */
  named: boolean;
  x: number;
  /** Baseline of the title. */
  y: number;
}

export interface Layout {
  /** Cell size with its gap, in CSS pixels: a whole number of device pixels. */
  cell: number;
  blocks: Block[];
  rows: Row[];
  wrapped: boolean;
  width: number;
  height: number;
}

const LARGEST_CELL = 30;
/** Where cells hold a picture. */
export const PICTURED_CELL = 44;
const ONE_ROW_LAYERS = 14;
const ONE_ROW = { gap: 30, head: 24, foot: 66, slot: 66, last: 72, barGap: 10, whole: true };
const STAGE = { gap: 5, head: 18, foot: 10, slot: 0, last: 0, barGap: 2, blockGap: 7 };
const NAMED_STAGE = { gap: 14, head: 37, foot: 30, slot: 34, last: 64, barGap: 4, blockGap: 4 };
/** Widths of "100% of" and of one digit, in the font of the numbers under a layer. */
const SHARE_WIDTH = 54;
const DIGIT_WIDTH = 7.5;
/** Stages name their layers where none has more than this. */
const NAMED_LAYERS = 10;
/** Named layers of a row may stand so much farther apart, so that more of their names can be read. */
const NAMED_EXTRA = 24;
/** Layers in a row, where longer rows would make cells smaller than can be seen. */
const SHORT_ROWS = [8, 6, 5, 4, 3];
const SEEN_CELL = 9;
/** Even where fewer rows of cells would do, a block is a column rather than a line. */
const TALL_ROWS = 22;
const WIDEST_EXTRA = 70;
/** The least that keeps blocks, and the numbers below them, apart in one row. */
const LEAST_GAP = 18;
/** Blocks in rows of stages are made up to this tall where there is room, in CSS pixels. */
const TALL_BLOCK = 36;
const LEAST_BETWEEN = 6;
const MOST_BETWEEN = 28;

interface Measures {
  gap: number;
  head: number;
  foot: number;
  /** Least room for the texts of a layer; of the last one's, which have no gap to run into. */
  slot: number;
  last: number;
  barGap: number;
  blockGap?: number;
  /** Whether numbers are always written in full. */
  whole?: boolean;
}

/** Room for the texts of a layer: its numbers grow with its units. */
function slotOf(layer: Layer, m: Measures, isLast: boolean): number {
  if (m.slot === 0) return 0;
  const numbers = SHARE_WIDTH + DIGIT_WIDTH * count(layer.units).length;
  if (isLast) return Math.max(m.last, numbers);
  return m.whole ? Math.max(m.slot, numbers - m.gap) : m.slot;
}

export function layoutNetwork(
  layers: readonly Layer[],
  width: number,
  height: number,
  pixelRatio = 1,
  largest = LARGEST_CELL,
): Layout {
  const one =
    layers.length <= ONE_ROW_LAYERS ? fitOneRow(layers, width, height, pixelRatio, largest) : null;
  const wrapped = () => bestStages(layers, width, height, pixelRatio);
  if (!one) return wrapped();
  // A few very wide layers use the room better in rows.
  if (one.cell >= 7) return one;
  const rows = wrapped();
  return rows.cell > one.cell * 1.3 ? rows : one;
}

const columnsOf = (layer: Layer, rows: number): number => Math.ceil(layer.units / rows);

function rowWidth(
  layers: readonly Layer[],
  members: readonly number[],
  rows: number,
  cell: number,
  m: Measures,
): number {
  let width = -m.gap;
  members.forEach((l, i) => {
    const slot = slotOf(layers[l], m, i === members.length - 1);
    width += Math.max(columnsOf(layers[l], rows) * cell, slot) + m.gap;
    if (i > 0 && layers[l].stage !== layers[members[i - 1]].stage) width += m.blockGap ?? 0;
  });
  return width;
}

/** Fewest rows of cells with which a row of blocks is no wider than `width`; 0 if none. */
function fewestRows(
  layers: readonly Layer[],
  members: readonly number[],
  width: number,
  cell: number,
  m: Measures,
): number {
  const tallest = Math.max(...members.map((l) => layers[l].units));
  if (rowWidth(layers, members, tallest, cell, m) > width) return 0;
  let low = 1;
  let high = tallest;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rowWidth(layers, members, middle, cell, m) <= width) high = middle;
    else low = middle + 1;
  }
  return low;
}

function fitOneRow(
  layers: readonly Layer[],
  width: number,
  height: number,
  pixelRatio: number,
  largest: number,
): Layout | null {
  const m = ONE_ROW;
  const members = layers.map((_, l) => l);
  const room = height - m.head - m.foot;
  for (let device = Math.floor(largest * pixelRatio); device >= 1; device--) {
    const cell = device / pixelRatio;
    for (const gap of [m.gap, LEAST_GAP]) {
      const fewest = fewestRows(layers, members, width, cell, { ...m, gap });
      if (!fewest || fewest * cell > room) continue;
      const rows = Math.max(fewest, Math.min(Math.floor(room / cell), TALL_ROWS));
      const used = rowWidth(layers, members, rows, cell, { ...m, gap });
      const extra = Math.min((width - used) / Math.max(1, members.length - 1), WIDEST_EXTRA);
      const row = { title: "", layers: members, named: true, x: 0, y: 0 };
      const blocks = placeRow(
        layers,
        row,
        rows,
        cell,
        { ...m, gap: gap + extra },
        m.head,
        width,
        pixelRatio,
      );
      return { cell, blocks, rows: [row], wrapped: false, width, height };
    }
  }
  return null;
}

/** Stages in as few rows as they have; shorter rows where cells would else be too small to see. */
function bestStages(
  layers: readonly Layer[],
  width: number,
  height: number,
  pixelRatio: number,
): Layout {
  const fit = (widest: number): Layout => fitStages(layers, widest, width, height, pixelRatio);
  let best = fit(Math.max(4, Math.floor(width / 26)));
  if (layers.length > NAMED_LAYERS * 2) return best;
  for (const widest of SHORT_ROWS) {
    if (best.cell >= SEEN_CELL) break;
    const shorter = fit(widest);
    if (shorter.cell > best.cell && shorter.height <= Math.max(height, best.height)) best = shorter;
  }
  return best;
}

function fitStages(
  layers: readonly Layer[],
  widest: number,
  width: number,
  height: number,
  pixelRatio: number,
): Layout {
  const groups = stageRows(layers, widest);
  const m = groups.every((g) => g.layers.length <= NAMED_LAYERS) ? NAMED_STAGE : STAGE;
  const fixed = groups.length * (m.head + m.foot);
  let fallback: { cell: number; fewest: number[] } | null = null;
  for (let device = Math.floor(LARGEST_CELL * pixelRatio); device >= 1; device--) {
    const cell = device / pixelRatio;
    const fewest = groups.map((g) => fewestRows(layers, g.layers, width, cell, m));
    if (fewest.includes(0)) continue;
    const used = fixed + fewest.reduce((sum, rows) => sum + rows * cell, 0);
    if (used <= height) return place(cell, taller(fewest, cell, height - used), height);
    fallback = { cell, fewest };
  }
  // Nothing fits: the smallest cells, and the view scrolls.
  const least = fallback ?? {
    cell: 1 / pixelRatio,
    fewest: groups.map((g) => Math.max(...g.layers.map((l) => layers[l].units))),
  };
  return place(least.cell, least.fewest, 0);

  /** Gives spare height to the flattest rows, so that blocks do not become lines. */
  function taller(fewest: number[], cell: number, spare: number): number[] {
    const rows = [...fewest];
    const most = groups.map((g) => Math.max(...g.layers.map((l) => layers[l].units)));
    for (let left = spare - groups.length * LEAST_BETWEEN; left >= cell; left -= cell) {
      let flattest = -1;
      rows.forEach((n, i) => {
        const grows = n < most[i] && n * cell < TALL_BLOCK;
        if (grows && (flattest < 0 || n < rows[flattest])) flattest = i;
      });
      if (flattest < 0) break;
      rows[flattest]++;
    }
    return rows;
  }

  function place(cell: number, rowsOfCells: number[], room: number): Layout {
    const blocks: Block[] = [];
    const rows: Row[] = [];
    const used = fixed + rowsOfCells.reduce((sum, n) => sum + n * cell, 0);
    // Spare height goes between the rows, but not so much that they fall apart.
    const between = Math.max(0, Math.min(MOST_BETWEEN, (room - used) / groups.length));
    let y = 0;
    groups.forEach((group, i) => {
      const { title } = group;
      const row = { title, layers: group.layers, named: m === NAMED_STAGE, x: 0, y: y + 12 };
      rows.push(row);
      const spare = width - rowWidth(layers, group.layers, rowsOfCells[i], cell, m);
      const extra = m === NAMED_STAGE ? spare / Math.max(1, group.layers.length - 1) : 0;
      const gap = m.gap + Math.max(0, Math.min(extra, NAMED_EXTRA));
      const spread = { ...m, gap };
      blocks.push(
        ...placeRow(layers, row, rowsOfCells[i], cell, spread, y + m.head, width, pixelRatio),
      );
      y += m.head + rowsOfCells[i] * cell + m.foot + between;
    });
    return { cell, blocks, rows, wrapped: true, width, height: Math.max(height, Math.ceil(y)) };
  }
}

function placeRow(
  layers: readonly Layer[],
  row: Row,
  rows: number,
  cell: number,
  m: Measures,
  top: number,
  right: number,
  pixelRatio: number,
): Block[] {
  const snap = (v: number): number => Math.round(v * pixelRatio) / pixelRatio;
  const y = snap(top);
  const tallest = Math.min(rows, Math.max(...row.layers.map((l) => layers[l].units)));
  let x = row.x;
  return row.layers.map((l, i) => {
    if (i > 0 && layers[l].stage !== layers[row.layers[i - 1]].stage) x += m.blockGap ?? 0;
    const columns = columnsOf(layers[l], rows);
    const width = columns * cell;
    const slot = Math.max(width, slotOf(layers[l], m, i === row.layers.length - 1));
    const block = {
      layer: l,
      x: snap(x),
      y,
      columns,
      rows,
      width,
      height: Math.min(rows, layers[l].units) * cell,
      slot: i === row.layers.length - 1 ? Math.max(slot, right - snap(x)) : slot + m.gap,
      bar: snap(y + tallest * cell + m.barGap),
    };
    x += slot + m.gap;
    return block;
  });
}

/** Left and top of the cell at `place` within a block. */
export function cellAt(block: Block, cell: number, place: number): { x: number; y: number } {
  return {
    x: block.x + Math.floor(place / block.rows) * cell,
    y: block.y + (place % block.rows) * cell,
  };
}

const NAME_HEIGHT = 22;
const NUMBERS_HEIGHT = 46;

/** The layer whose name, or whose numbers, stand at a point; -1 if none. */
export function labelAt(layout: Layout, x: number, y: number): number {
  for (const block of layout.blocks) {
    if (x < block.x || x >= block.x + block.slot) continue;
    const row = layout.rows.find((r) => r.layers.includes(block.layer));
    if (!row?.named) continue;
    const name = y < block.y && y >= block.y - NAME_HEIGHT;
    const below = layout.wrapped ? NUMBERS_HEIGHT / 2 : NUMBERS_HEIGHT;
    if (name || (y >= block.bar && y < block.bar + below)) return block.layer;
  }
  return -1;
}

/** The place in its layer of the cell under a point, or null. */
export function placeAt(
  layout: Layout,
  layers: readonly Layer[],
  x: number,
  y: number,
): { layer: number; place: number } | null {
  for (const block of layout.blocks) {
    const column = Math.floor((x - block.x) / layout.cell);
    const row = Math.floor((y - block.y) / layout.cell);
    if (column < 0 || column >= block.columns || row < 0 || row >= block.rows) continue;
    const place = column * block.rows + row;
    if (place < layers[block.layer].units) return { layer: block.layer, place };
  }
  return null;
}
