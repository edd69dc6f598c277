import { describe, expect, it } from "vitest";
import {
  classesWithSamples,
  mostTunedToAClass,
  samplesAt,
  stateCounts,
  strongestUnits,
  suppressedCount,
  tunedInLayer,
  tunedPerLayerAndClass,
  tunedToClass,
} from "../src/run/counts";
import { ALWAYS_ON, BINS, HELD, SILENT, SUPPRESSED, TIED } from "../src/wire/manifest";
import { layersOf } from "./network-example";

const layers = layersOf(["a", 4], ["b", 3]);
// Units: level 49, 50, 100 and one tied; then 50, one silent, 7.
const paint = {
  state: Uint8Array.from([HELD, HELD, HELD, TIED, HELD, SILENT, HELD]),
  preferred: Uint16Array.from([0, 1, 1, 0, 1, 0, 0]),
  level: Uint8Array.from([49, 50, 100, 0, 50, 0, 7]),
  flags: Uint8Array.from([0, 0, SUPPRESSED | ALWAYS_ON, SUPPRESSED, ALWAYS_ON, 0, 0]),
};

function binned(groups: number, groupOf: (u: number) => number): Uint32Array {
  const bins = new Uint32Array(groups * BINS);
  paint.state.forEach((s, u) => {
    if (s === HELD) bins[groupOf(u) * BINS + Math.floor(paint.level[u] / 5)]++;
  });
  return bins;
}

const summary = {
  n: Uint32Array.from([100, 0]),
  meanStrength: new Float32Array(2),
  missing: new Uint8Array(1),
  bins: binned(2, (u) => (u < 4 ? 0 : 1)),
  states: Uint32Array.from([3, 1, 0, 0, 0, 0, 4, 2, 0, 1, 0, 0, 0, 5]),
};
const classBins = binned(2, (u) => paint.preferred[u]);

describe("counts", () => {
  it("counts from bins exactly what counting cells gives, at every threshold", () => {
    for (let threshold = 5; threshold <= 100; threshold += 5) {
      const cells = tunedPerLayerAndClass(paint, layers, 2, threshold);
      for (const l of [0, 1])
        expect(tunedInLayer(summary, 2, 0, l, threshold)).toBe(cells[2 * l] + cells[2 * l + 1]);
      for (const k of [0, 1])
        expect(tunedToClass(classBins, 2, 0, k, threshold)).toBe(cells[k] + cells[2 + k]);
    }
  });

  it("includes the threshold itself and level 100", () => {
    expect(tunedInLayer(summary, 2, 0, 0, 50)).toBe(2);
    expect(tunedInLayer(summary, 2, 0, 0, 45)).toBe(3);
    expect(mostTunedToAClass(classBins, 1, 2, 50)).toBe(3);
  });

  it("counts states, samples and classes with samples", () => {
    expect(stateCounts(summary, 2, 0)).toEqual([5, 1, 1, 0, 0, 0, 9]);
    expect(stateCounts(summary, 2, 0, 1)).toEqual([2, 0, 1, 0, 0, 0, 5]);
    expect(samplesAt(summary, 2, 0)).toBe(100);
    expect(classesWithSamples(summary, 2, 0)).toEqual([0]);
  });

  it("counts as suppressed only what is held", () => {
    expect(suppressedCount(paint)).toBe(1);
  });

  it("lists a class's units strongest first, and no others", () => {
    expect(strongestUnits(paint, 1, 10)).toEqual([2, 1, 4]);
    expect(strongestUnits(paint, 1, 2)).toEqual([2, 1]);
    expect(strongestUnits(paint, 0, 10)).toEqual([0, 6]);
  });
});
