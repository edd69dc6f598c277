import { describe, expect, it } from "vitest";
import { classRows, ShareCounter, shareScale } from "../src/classes/shares";
import { confusionScale, topConfusions } from "../src/confusion/scale";
import type { Paint } from "../src/run/paint";
import type { Track } from "../src/run/session";
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
    const counter = new ShareCounter(trackOf(resident), layers, columns, [0, 1], 50, 2);
    expect(counter.more()).toBe(true);
    expect(counter.more()).toBe(false);
    expect(counter.complete).toBe(false);
    expect(Array.from(counter.shares.values)).toEqual([0.5, 0, 0.5, 0, NaN, NaN, NaN, NaN]);
    resident.add(1);
    expect(counter.more()).toBe(true);
    expect(counter.complete).toBe(true);
    expect(Array.from(counter.shares.values.slice(4))).toEqual([0, 1, 0, 1]);
  });

  it("join layers of a stage, and leave classes out that have no row", () => {
    const stage = [{ title: "all", layers: [0, 1] }];
    const counter = new ShareCounter(trackOf(new Set([0, 1])), layers, stage, [1], 50, 2);
    counter.more();
    expect(Array.from(counter.shares.values)).toEqual([0, 1]);
  });

  it("are scaled by hidden layers that are not small", () => {
    const large = [{ ...layers[0], units: 20 }, layers[1]];
    const shares = { values: Float32Array.of(0.3, 0.9), columns, rows: [0] };
    expect(shareScale(shares, large)).toBeCloseTo(0.3);
    expect(shareScale(shares, layers)).toBeCloseTo(0.06);
  });

  it("have rows for the classes most units are tuned to, in order", () => {
    const bins = new Uint32Array(4 * 21);
    bins[0 * 21 + 20] = 1;
    bins[2 * 21 + 20] = 9;
    bins[3 * 21 + 20] = 5;
    expect(classRows(bins, 1, 4, 50, 2)).toEqual([2, 3]);
    expect(classRows(bins, 1, 4, 50, 4)).toEqual([0, 1, 2, 3]);
  });
});
