import { describe, expect, it } from "vitest";
import { shareRight } from "../src/confusion/scale";
import { same } from "../src/run/latest";
import { countWrong, isWrong } from "../src/samples/reading";
import { NO_PREDICTION, NOT_KEPT } from "../src/wire/manifest";

describe("how a sample is read", () => {
  it("is wrong by an output that is no class, never by one that was not kept", () => {
    expect(isWrong(1, 0)).toBe(true);
    expect(isWrong(1, 1)).toBe(false);
    expect(isWrong(1, NO_PREDICTION)).toBe(true);
    expect(isWrong(1, NOT_KEPT)).toBe(false);
    expect(isWrong(NO_PREDICTION, 0)).toBe(false);
  });

  it("is counted among samples with a label of which it is known", () => {
    const label = [0, 0, 1, 1, NO_PREDICTION];
    expect(countWrong(label, [0, 1, NO_PREDICTION, NOT_KEPT, 0])).toEqual({
      all: 3,
      wrong: 2,
      unknown: 1,
    });
  });
});

describe("the share that is right", () => {
  // of 4 samples of the first class one has no prediction
  const [matrix, samples] = [Uint32Array.of(2, 1, 1, 3), Uint32Array.of(4, 4)];
  it("is of all samples of a true class", () => {
    expect(shareRight(matrix, samples, 0, "true")).toBe(0.5);
    expect(shareRight(matrix, samples, 1, "true")).toBe(0.75);
  });
  it("is of all that are read as a predicted one", () => {
    expect(shareRight(matrix, samples, 0, "predicted")).toBeCloseTo(2 / 3);
  });
  it("is not a number where there are none", () => {
    expect(shareRight(new Uint32Array(4), new Uint32Array(2), 0, "true")).toBeNaN();
  });
});

describe("scopes", () => {
  it("are the same only part by part", () => {
    const open = {};
    expect(same([open, 1], [open, 1])).toBe(true);
    expect(same([open, 1], [{}, 1])).toBe(false);
    expect(same([open], [open, 1])).toBe(false);
  });
});
