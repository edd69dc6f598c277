// A layer's units as rows: what each column says, in which order, and as CSV.

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

export function stateText(known: Known, u: number, threshold: number): string {
  const { state, level, flags } = known;
  const held = state[u] === HELD;
  const words = [held ? (level[u] >= threshold ? "tuned" : "below threshold") : STATES[state[u]]];
  if (flags[u] & SUPPRESSED && state[u] <= TIED) words.push("suppressed");
  if (flags[u] & ALWAYS_ON) words.push("always on");
  if (flags[u] & UNRELIABLE) words.push("few samples");
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

/** The table as CSV (RFC 4180): a row per unit, nothing rounded; no data is an empty field. */
export function asCsv(
  known: Known,
  units: ArrayLike<number>,
  names: readonly string[],
  told: Told,
): string {
  const number = (value: number | undefined): string =>
    value === undefined || !Number.isFinite(value) ? "" : String(value);
  const name = (k: number | undefined): string => (k === undefined ? "" : (names[k] ?? ""));
  const head =
    "run,split,grouping,step,layer,unit,preferred,runner_up,suppressed,sure,measure,value,strength," +
    "state,threshold,n,mean,low,high";
  const lines = Array.from(units, (u) =>
    [
      told.run,
      told.split,
      told.grouping,
      String(told.step),
      told.layer,
      String(u),
      name(known.preferred[u]),
      name(known.runnerUp?.[u]),
      String(Boolean(known.flags[u] & SUPPRESSED)),
      number(known.sure?.[u]),
      told.measure,
      number(known.value?.[u]),
      known.strength
        ? number(known.strength[u])
        : known.state[u] === HELD
          ? strengthOfLevel(known.level[u])
          : "",
      stateWord(known, u, told.threshold),
      strengthOfLevel(told.threshold),
      number(known.n?.[u]),
      number(known.mean?.[u]),
      number(known.low?.[u]),
      number(known.high?.[u]),
    ]
      .map(quoted)
      .join(","),
  );
  return [head, ...lines, ""].join("\r\n");
}

/** As the files of `huelapse export --per unit` call it. */
function stateWord(known: Known, u: number, threshold: number): string {
  if (known.state[u] === HELD) return known.level[u] >= threshold ? "tuned" : "unselective";
  return (STATES[known.state[u]] ?? "").replace(" ", "_");
}

const quoted = (field: string): string =>
  /[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field;

export const fileName = (told: Told): string =>
  `${safeName(`${told.run}-${told.layer}-step${told.step}`)}.csv`;
