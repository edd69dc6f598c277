// Rows of stages, from module paths: consecutive layers that share the leading parts of their path.

import type { Layer } from "../wire/manifest";
import { commonDepth } from "../names";

export interface StageRow {
  title: string;
  layers: number[];
}

const MOST_ROWS = 8;
const DEEPEST = 4;

/** Rows of at most `widest` layers each. */
export function stageRows(layers: readonly Layer[], widest: number): StageRow[] {
  const paths = layers.map((layer) => layer.path);
  const from = commonDepth(paths);
  for (let depth = 1; depth <= DEEPEST; depth++) {
    const rows = mergeSingles(group(paths, from, depth));
    const fits = rows.every((row) => row.layers.length <= widest);
    if (rows.length >= 2 && rows.length <= MOST_ROWS && fits) return rows;
    if (rows.length > MOST_ROWS) return balance(rows, widest);
  }
  return balance([{ title: "", layers: paths.map((_, l) => l) }], widest);
}

function group(paths: readonly string[], from: number, depth: number): StageRow[] {
  const rows: StageRow[] = [];
  const all = paths.map((path) => path.split(".").slice(from));
  // "blocks.0" belongs with "blocks.0.act": it is the stage itself.
  const stages = new Set(all.filter((p) => p.length > depth).map((p) => stem(p, depth)));
  all.forEach((parts, l) => {
    const whole = stem(parts, depth);
    const title = stages.has(whole) ? whole : stem(parts, Math.max(1, parts.length - 1));
    const last = rows[rows.length - 1];
    if (last && last.title === title) last.layers.push(l);
    else rows.push({ title, layers: [l] });
  });
  return rows;
}

const stem = (parts: readonly string[], depth: number): string => parts.slice(0, depth).join(".");

/** A stem or a head alone joins its neighbor: a row of its own would waste the height. */
function mergeSingles(rows: StageRow[]): StageRow[] {
  const merged: StageRow[] = [];
  let waiting: number[] = [];
  for (const row of rows) {
    if (row.layers.length === 1) {
      if (merged.length > 0) merged[merged.length - 1].layers.push(row.layers[0]);
      else waiting.push(row.layers[0]);
    } else {
      merged.push({ title: row.title, layers: [...waiting, ...row.layers] });
      waiting = [];
    }
  }
  if (waiting.length > 0) merged.push({ title: "", layers: waiting });
  return merged;
}

/** Joins consecutive stages, or cuts a long one, into a few rows of about equal length. */
function balance(stages: StageRow[], widest: number): StageRow[] {
  const total = stages.reduce((sum, stage) => sum + stage.layers.length, 0);
  const count = Math.ceil(total / Math.min(widest, Math.max(4, Math.ceil(total / 5))));
  const ideal = total / count;
  const rows: StageRow[] = [];
  let titles: string[] = [];
  let layers: number[] = [];
  let placed = 0;
  const close = (): void => {
    if (layers.length > 0) rows.push({ title: rangeTitle(titles), layers });
    titles = [];
    layers = [];
  };
  for (const stage of stages)
    for (let i = 0; i < stage.layers.length; i += Math.ceil(ideal)) {
      const piece = stage.layers.slice(i, i + Math.ceil(ideal));
      const over = placed + piece.length / 2 > ideal * (rows.length + 1);
      if (over || layers.length + piece.length > widest) close();
      titles.push(stage.title);
      layers.push(...piece);
      placed += piece.length;
    }
  close();
  return rows;
}

function rangeTitle(titles: readonly string[]): string {
  const named = titles.filter((title) => title !== "");
  if (named.length === 0) return "";
  const [first, last] = [named[0], named[named.length - 1]];
  return first === last ? first : `${first} – ${last}`;
}
