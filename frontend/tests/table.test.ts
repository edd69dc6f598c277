import { expect, test } from "vitest";
import {
  allUnreliable,
  asCsv,
  asJson,
  classText,
  fileName,
  inSight,
  intervalText,
  ordered,
  stateText,
  strengthText,
  type Known,
} from "../src/table/rows";
import {
  HELD,
  NO_CLASS,
  NO_DATA,
  SILENT,
  SUPPRESSED,
  TIED,
  UNRELIABLE,
} from "../src/wire/manifest";

const known: Known = {
  preferred: Uint16Array.of(1, 0, 2, NO_CLASS, 1),
  runnerUp: Uint16Array.of(0, 2, 1, NO_CLASS, 2),
  state: Uint8Array.of(HELD, HELD, TIED, NO_DATA, SILENT),
  level: Uint8Array.of(64, 30, 0, 0, 0),
  flags: Uint8Array.of(0, SUPPRESSED, 0, 0, 0),
  value: Float32Array.of(0.75, 0.5, 0.25, NaN, NaN),
  strength: Float32Array.of(0.648, 0.309, 0.1, NaN, NaN),
  sure: Float32Array.of(0.999, 0.98, 0.6, NaN, 0.5),
  n: Uint32Array.of(30, 31, 32, 0, 31),
  mean: Float32Array.of(1, 2, 3, NaN, 0),
  low: Float32Array.of(0.5, 1.5, 2.5, NaN, 0),
  high: Float32Array.of(1.5, 2.5, 3.5, NaN, 0),
};
const names = ["cat", 'a "big", dog', "owl"];
const say = (k: number): string => names[k];

test("a class is told only where it is held; what is tied is told as two", () => {
  expect(classText(known, 0, say)).toEqual({ name: 'a "big", dog', of: 1 });
  expect(classText(known, 2, say)).toEqual({ name: 'owl or a "big", dog', of: -1 });
  expect(classText(known, 3, say)).toBeNull();
  expect(classText(known, 4, say)).toBeNull();
});

test("strength is rounded down, and no data is never 0", () => {
  expect([0, 1, 2, 3].map((u) => strengthText(known, u))).toEqual(["0.64", "0.30", "–", "–"]);
  expect(intervalText(known, 0, 2)).toBe("0.50 … 1.50");
  expect(intervalText(known, 3, 2)).toBe("–");
});

test("a state is told with what qualifies it", () => {
  expect([0, 1, 2, 3, 4].map((u) => stateText(known, u, 50))).toEqual([
    "tuned",
    "below threshold, suppressed",
    "tied",
    "no data",
    "silent",
  ]);
  expect(stateText(known, 0, 65)).toBe("below threshold");
});

test("rows are ordered by a column, those without a number last", () => {
  const places = [4, 3, 2, 1, 0];
  expect([...ordered(known, places, "place", false)]).toEqual(places);
  expect([...ordered(known, places, "unit", false)]).toEqual([0, 1, 2, 3, 4]);
  expect([...ordered(known, places, "value", true)].slice(0, 3)).toEqual([0, 1, 2]);
  expect([...ordered(known, places, "value", false)].slice(0, 3)).toEqual([2, 1, 0]);
  expect([...ordered(known, places, "strength", true)].slice(0, 2)).toEqual([0, 1]);
});

test("only rows in sight are drawn, however many there are", () => {
  const { first, end } = inSight(26 * 5000, 520, 26, 80_000);
  expect(first).toBe(4992);
  expect(end).toBe(5028);
  expect(inSight(0, 520, 26, 3)).toEqual({ first: 0, end: 3 });
  // a shorter table than the one that was scrolled
  expect(inSight(26 * 5000, 520, 26, 10)).toEqual({ first: 2, end: 10 });
});

test("the file quotes what needs it, rounds nothing, and leaves no data empty", () => {
  const told = {
    run: "fashion",
    split: "val",
    grouping: "true",
    step: 94,
    layer: "stage1.relu",
    measure: "margin",
    threshold: 50,
  };
  const lines = asCsv(known, [0, 2, 3], names, told).split("\r\n");
  expect(lines).toHaveLength(5);
  expect(lines[1]).toBe(
    'fashion,val,true,94,stage1.relu,0,"a ""big"", dog",cat,false,0.9990000128746033,margin,0.75,' +
      "0.6480000019073486,tuned,0.5,30,1,0.5,1.5",
  );
  expect(lines[3]).toBe("fashion,val,true,94,stage1.relu,3,,,false,,margin,,,no_data,0.5,0,,,");
  const read = JSON.parse(asJson(known, [0, 3], names, told)) as Record<string, unknown>[];
  expect(Object.keys(read[0]).join()).toBe(lines[0]);
  expect(read[0]).toMatchObject({
    unit: 0,
    preferred: 'a "big", dog',
    value: 0.75,
    state: "tuned",
  });
  expect(read[1]).toMatchObject({ unit: 3, preferred: null, value: null, state: "no_data" });
  expect(fileName(told, "json")).toMatch(/-step94\.json$/);
  expect(fileName({ ...told, run: "../a b", layer: "x/y" })).toBe("_a_b-x_y-step94.csv");
});

test("that few samples speak for a unit is said once where it is so of all that are held", () => {
  const few = { ...known, flags: Uint8Array.of(UNRELIABLE, UNRELIABLE, 0, 0, 0) };
  expect(allUnreliable(known)).toBe(false);
  expect(allUnreliable(few)).toBe(true);
  expect(allUnreliable({ ...few, flags: Uint8Array.of(UNRELIABLE, 0, 0, 0, 0) })).toBe(false);
  expect(stateText(few, 0, 50)).toBe("tuned, few samples");
  expect(stateText(few, 0, 50, false)).toBe("tuned");
});
