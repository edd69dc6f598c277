// A layer's units as rows: what each column says, in which order, and as files.

import { safeName } from "../frame/download";
import { fixed, strengthOfLevel } from "../format";
import type { UnitTable } from "../run/resources";
import {
  ALWAYS_ON,
  HELD,
  NO_CLASS,
  SUPPRESSED,
  TIED,
  UNRELIABLE,
  NO_DATA,
  NOT_DEFINED,
  NOT_FINITE,
  NOT_RECORDED,
  SILENT,
} from "../wire/manifest";

/** What is known of a layer's units, by index in the layer: of a small file the colors alone. */
export type Known = Pick<UnitTable, "preferred" | "level" | "state" | "flags"> & Partial<UnitTable>;

export type Column = "place" | "unit" | "strength" | "value";

const STATES: Record<number, string> = {
  [TIED]: "tied",
  [SILENT]: "silent",
  [NO_DATA]: "no data",
  [NOT_FINITE]: "not finite",
  [NOT_RECORDED]: "not recorded",
  [NOT_DEFINED]: "not defined",
};

/** Whether few samples speak for every unit that is held: then it is said once, not in each row. */
export function allUnreliable({ state, flags }: Known): boolean {
  let held = 0;
  for (let u = 0; u < state.length; u++) {
    if (state[u] !== HELD) continue;
    if (!(flags[u] & UNRELIABLE)) return false;
    held++;
  }
  return held > 1;
}

/** @param few whether it says of a unit that few samples speak for it. */
export function stateText(known: Known, u: number, threshold: number, few = true): string {
  const { state, level, flags } = known;
  const held = state[u] === HELD;
  const words = [held ? (level[u] >= threshold ? "tuned" : "below threshold") : STATES[state[u]]];
  if (flags[u] & SUPPRESSED && state[u] <= TIED) words.push("suppressed");
  if (flags[u] & ALWAYS_ON) words.push("always on");
  if (few && flags[u] & UNRELIABLE) words.push("few samples");
  return words.join(", ");
}

/** The class, or the two that cannot be told apart; null where there is none. */
export function classText(
  known: Known,
  u: number,
  say: (k: number) => string,
): { name: string; of: number } | null {
  const first = known.preferred[u];
  if (known.state[u] === HELD) return { name: say(first), of: first };
  if (known.state[u] !== TIED || first === NO_CLASS) return null;
  const second = known.runnerUp?.[u];
  if (second === undefined || second === NO_CLASS) return null;
  return { name: `${say(first)} or ${say(second)}`, of: -1 };
}

/** Strength as shown: rounded down, and only where the preference is held. */
export const strengthText = (known: Known, u: number): string =>
  known.state[u] === HELD ? strengthOfLevel(known.level[u]) : "–";

export const intervalText = (known: Known, u: number, digits: number): string =>
  known.low && known.high && Number.isFinite(known.low[u])
    ? `${fixed(known.low[u], digits)} … ${fixed(known.high[u], digits)}`
    : "–";

/** Units in the order of a column; `place` as in the picture. Units without a number come last. */
export function ordered(
  known: Known,
  places: ArrayLike<number>,
  by: Column,
  down: boolean,
): Uint32Array {
  const units = Uint32Array.from(places);
  if (by === "place") return down ? units.reverse() : units;
  const key = (u: number): number => {
    if (by === "unit") return u;
    if (by === "strength") return known.state[u] === HELD ? known.level[u] : NaN;
    return known.value?.[u] ?? NaN;
  };
  return units.sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (Number.isNaN(x) || Number.isNaN(y))
      return Number(Number.isNaN(x)) - Number(Number.isNaN(y));
    return (down ? y - x : x - y) || a - b;
  });
}

/** Which rows are drawn: those in sight, and a few beside. */
export function inSight(
  top: number,
  height: number,
  row: number,
  rows: number,
  beside = 8,
): { first: number; end: number } {
  const first = Math.max(0, Math.min(rows, Math.floor(top / row)) - beside);
  return { first, end: Math.min(rows, Math.ceil((top + height) / row) + beside) };
}

/** What every row of the file repeats, so that files can be put together. */
export interface Told {
  run: string;
  split: string;
  grouping: string;
  step: number;
  layer: string;
  measure: string;
  /** As a level. */
  threshold: number;
}

/** A unit as the files have it: nothing rounded; null where there is no data. */
type Fields = Record<string, string | number | boolean | null>;

function recordOf(known: Known, u: number, names: readonly string[], told: Told): Fields {
  const number = (value: number | undefined): number | null =>
    value === undefined || !Number.isFinite(value) ? null : value;
  const name = (k: number | undefined): string | null =>
    k === undefined ? null : (names[k] ?? null);
  const level = known.state[u] === HELD ? Number(strengthOfLevel(known.level[u])) : null;
  return {
    run: told.run,
    split: told.split,
    grouping: told.grouping,
    step: told.step,
    layer: told.layer,
    unit: u,
    preferred: name(known.preferred[u]),
    runner_up: name(known.runnerUp?.[u]),
    suppressed: Boolean(known.flags[u] & SUPPRESSED),
    sure: number(known.sure?.[u]),
    measure: told.measure,
    value: number(known.value?.[u]),
    strength: known.strength ? number(known.strength[u]) : level,
    state: stateWord(known, u, told.threshold),
    threshold: Number(strengthOfLevel(told.threshold)),
    n: number(known.n?.[u]),
    mean: number(known.mean?.[u]),
    low: number(known.low?.[u]),
    high: number(known.high?.[u]),
  };
}

/** How the table is saved. */
export const FORMATS = {
  csv: { name: "CSV", type: "text/csv;charset=utf-8", write: asCsv },
  json: { name: "JSON", type: "application/json", write: asJson },
} as const;
export type Format = keyof typeof FORMATS;

/** The table as CSV (RFC 4180): a row per unit; no data is an empty field. */
export function asCsv(
  known: Known,
  units: ArrayLike<number>,
  names: readonly string[],
  told: Told,
): string {
  const records = Array.from(units, (u) => recordOf(known, u, names, told));
  const head = Object.keys(records[0] ?? recordOf(known, 0, names, told)).join(",");
  const lines = records.map((record) =>
    Object.values(record)
      .map((field) => quoted(field === null ? "" : String(field)))
      .join(","),
  );
  return [head, ...lines, ""].join("\r\n");
}

/** The table as JSON: a list with an object per unit. */
export function asJson(
  known: Known,
  units: ArrayLike<number>,
  names: readonly string[],
  told: Told,
): string {
  const records = Array.from(units, (u) => JSON.stringify(recordOf(known, u, names, told)));
  return `[\n${records.join(",\n")}\n]\n`;
}

/** As the files of `huelapse export --per unit` call it. */
function stateWord(known: Known, u: number, threshold: number): string {
  if (known.state[u] === HELD) return known.level[u] >= threshold ? "tuned" : "unselective";
  return (STATES[known.state[u]] ?? "").replace(" ", "_");
}

const quoted = (field: string): string =>
  /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;

export const fileName = (told: Told, format: Format = "csv"): string =>
  `${safeName(`${told.run}-${told.layer}-step${told.step}`)}.${format}`;
