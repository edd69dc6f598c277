import { describe, expect, it } from "vitest";
import { columnsOf, ShareCounter, shareOf, shareScale } from "../src/classes/shares";
import { confusionScale, topConfusions } from "../src/confusion/scale";
import type { Paint } from "../src/run/paint";
import type { Track } from "../src/run/tracks";
import { HELD, TIED, type Layer } from "../src/wire/manifest";

describe("confusion", () => {
  it("is scaled by what is confused in the second half", () => {
    const square = Uint32Array.from([0, 90, 0, 90, 80, 10, 7, 83]);
    expect(confusionScale(square, 2, 2)).toBe(10);
    expect(confusionScale(Uint32Array.from([5, 0, 0, 5]), 2, 1)).toBe(4);
  });

  it("lists the greatest first, and never what is right", () => {
    const matrix = Uint32Array.from([50, 3, 0, 9, 40, 0, 1, 0, 60]);
    expect(topConfusions(matrix, 3, 2)).toEqual([
      { true: 1, predicted: 0, samples: 9 },
      { true: 0, predicted: 1, samples: 3 },
    ]);
  });
});

const layers = [
  { path: "a", units: 2, offset: 0, output: false },
  { path: "b", units: 2, offset: 2, output: true },
] as unknown as Layer[];

/** Two chunks of one snapshot each; the second comes later. */
function trackOf(resident: Set<number>): Track {
  const paints: Paint[] = [
    {
      preferred: Uint16Array.of(0, 1, 0, 0),
      level: Uint8Array.of(60, 40, 90, 50),
      state: Uint8Array.of(HELD, HELD, TIED, HELD),
      flags: new Uint8Array(4),
    },
    {
      preferred: Uint16Array.of(1, 1, 1, 1),
      level: Uint8Array.of(60, 70, 90, 50),
      state: new Uint8Array(4).fill(HELD),
      flags: new Uint8Array(4),
    },
  ];
  return {
    grouping: { name: "true", title: "", classes: ["x", "y"] },
    summary: { missing: new Uint8Array(2) },
    paint: {
      chunks: 2,
      chunkLength: 1,
      isResident: (c: number) => resident.has(c),
      at: (t: number) => (resident.has(t) ? paints[t] : null),
    },
  } as unknown as Track;
}

describe("shares of classes", () => {
  const columns = layers.map((layer, l) => ({ title: layer.path, layers: [l] }));

  it("count held units from the threshold on, chunk by chunk", () => {
    const resident = new Set([0]);
    const counter = new ShareCounter(trackOf(resident), layers, columns, 50, 2);
    expect(counter.more()).toBe(true);
    expect(counter.more()).toBe(false);
    expect(counter.complete).toBe(false);
    expect(Array.from(counter.shares.values)).toEqual([0.5, 0, 0.5, 0, NaN, NaN, NaN, NaN]);
    resident.add(1);
    expect(counter.more()).toBe(true);
    expect(counter.complete).toBe(true);
    expect(Array.from(counter.shares.values.slice(4))).toEqual([0, 1, 0, 1]);
  });

  it("join layers of a stage, and classes of a superclass", () => {
    const stage = [{ title: "all", layers: [0, 1] }];
    const counter = new ShareCounter(trackOf(new Set([0, 1])), layers, stage, 50, 2);
    counter.more();
    expect(shareOf(counter.shares, 0, 0, [1])).toBe(0);
    expect(shareOf(counter.shares, 1, 0, [0])).toBe(0);
    expect(shareOf(counter.shares, 0, 0, [0, 1])).toBe(0.5);
    expect(shareOf(counter.shares, 1, 0, [0, 1])).toBe(1);
  });

  it("are scaled by hidden layers that are not small", () => {
    const large = [{ ...layers[0], units: 20 }, layers[1]];
    const shares = { values: Float32Array.of(0.3, 0.9), columns, classes: 1 };
    expect(shareScale(shares, large, [[0]]).most).toBeCloseTo(0.3);
    expect(shareScale(shares, large, [[0]]).cut?.share).toBeCloseTo(0.9);
    expect(shareScale(shares, layers, [[0]]).most).toBeCloseTo(0.06);
    const many = { values: new Float32Array(200), columns, classes: 100 };
    expect(shareScale(many, large, [[0]])).toEqual({ most: expect.closeTo(0.006), cut: null });
  });

  it("are not flattened by one class of many", () => {
    const large = [{ ...layers[0], units: 200 }, layers[1]];
    const rows = Array.from({ length: 40 }, (_, k) => [k]);
    const values = new Float32Array(80).fill(0.02, 0, 40);
    const shares = { values, columns, classes: 40 };
    expect(shareScale(shares, large, rows)).toEqual({ most: expect.closeTo(0.02), cut: null });
    values[7] = 0.6;
    expect(shareScale(shares, large, rows).most).toBeCloseTo(0.04);
    expect(shareScale(shares, large, rows).cut).toEqual({ row: 7, share: expect.closeTo(0.6) });
  });

  it("have a column for each layer, or stage, or for all where they would be too many", () => {
    const stages = Array.from({ length: 20 }, (_, l) => ({
      path: `s${Math.floor(l / 10)}.${l}`,
    })) as unknown as Layer[];
    const names = stages.map((layer) => layer.path);
    expect(columnsOf(layers, ["a", "b"], 10, 10)).toEqual(columns);
    expect(columnsOf(stages, names, 100, 1000)).toHaveLength(2);
    expect(columnsOf(stages, names, 10_000, 1000)).toHaveLength(1);
  });
});
