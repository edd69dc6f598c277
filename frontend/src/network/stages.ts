// Rows of stages, from module paths: consecutive layers that share the leading parts of their path.

import type { Layer } from "../wire/manifest";
import { commonDepth } from "../names";

export interface StageRow {
  title: string;
  layers: number[];
}

/** Consecutive layers and the stages they are of, in their order. */
interface Stretch {
  stages: string[];
  layers: number[];
}

const MOST_ROWS = 8;
const DEEPEST = 4;

/** Rows of at most `widest` layers each, titled by the first and last stage they hold. */
export function stageRows(layers: readonly Layer[], widest: number): StageRow[] {
  const paths = layers.map((layer) => layer.path);
  return stretches(paths, widest).map((row) => ({ title: rangeTitle(row), layers: row.layers }));
}

function stretches(paths: readonly string[], widest: number): Stretch[] {
  const from = commonDepth(paths);
  for (let depth = 1; depth <= DEEPEST; depth++) {
    const rows = mergeSingles(group(paths, from, depth));
    const fits = rows.every((row) => row.layers.length <= widest);
    if (rows.length >= 2 && rows.length <= MOST_ROWS && fits) return rows;
    if (rows.length > MOST_ROWS) return balance(rows, widest);
  }
  return balance(group(paths, from, 1), widest);
}

function group(paths: readonly string[], from: number, depth: number): Stretch[] {
  const rows: Stretch[] = [];
  const all = paths.map((path) => path.split(".").slice(from));
  // "blocks.0" belongs with "blocks.0.act": it is the stage itself.
  const stages = new Set(all.filter((p) => p.length > depth).map((p) => stem(p, depth)));
  all.forEach((parts, l) => {
    const whole = stem(parts, depth);
    const stage = stages.has(whole) ? whole : stem(parts, Math.max(1, parts.length - 1));
    const last = rows[rows.length - 1];
    if (last && last.stages[0] === stage) last.layers.push(l);
    else rows.push({ stages: [stage], layers: [l] });
  });
  return rows;
}

const stem = (parts: readonly string[], depth: number): string => parts.slice(0, depth).join(".");

/** A stem or a head alone joins its neighbor: a row of its own would waste the height. */
function mergeSingles(rows: readonly Stretch[]): Stretch[] {
  const merged: Stretch[] = [];
  let waiting: Stretch = { stages: [], layers: [] };
  for (const row of rows) {
    if (row.layers.length > 1) {
      merged.push(joined(waiting, row));
      waiting = { stages: [], layers: [] };
    } else if (merged.length > 0) merged.push(joined(merged.pop() as Stretch, row));
    else waiting = joined(waiting, row);
  }
  return waiting.layers.length > 0 ? [...merged, waiting] : merged;
}

const joined = (a: Stretch, b: Stretch): Stretch => ({
  stages: [...a.stages, ...b.stages],
  layers: [...a.layers, ...b.layers],
});

/** Joins consecutive stages, or cuts a long one, into a few rows of about equal length. */
function balance(given: readonly Stretch[], widest: number): Stretch[] {
  const total = given.reduce((sum, row) => sum + row.layers.length, 0);
  const count = Math.ceil(total / Math.min(widest, Math.max(4, Math.ceil(total / 5))));
  const ideal = total / count;
  const rows: Stretch[] = [];
  let now: Stretch = { stages: [], layers: [] };
  let placed = 0;
  const close = (): void => {
    if (now.layers.length > 0) rows.push(now);
    now = { stages: [], layers: [] };
  };
  for (const { stages, layers } of given)
    for (let i = 0; i < layers.length; i += Math.ceil(ideal)) {
      const piece = layers.slice(i, i + Math.ceil(ideal));
      const over = placed + piece.length / 2 > ideal * (rows.length + 1);
      if (over || now.layers.length + piece.length > widest) close();
      now = joined(now, { stages, layers: piece });
      placed += piece.length;
    }
  close();
  return rows;
}

function rangeTitle({ stages }: Stretch): string {
  const [first, last] = [stages[0], stages[stages.length - 1]];
  return first === last ? first : `${first} – ${last}`;
}
