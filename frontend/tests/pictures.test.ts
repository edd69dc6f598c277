import { describe, expect, it } from "vitest";
import { aboutWeights, shownOf } from "../src/pictures/about";
import { insetOf } from "../src/pictures/insets";
import { aroundGray, boxIn, FULL, inLuminance, NOTHING, rampOf } from "../src/pictures/sheet";
import { tileFor } from "../src/pictures/tiles";

const painted = (paint: ReturnType<typeof aroundGray>, bytes: number[]): number[] => {
  const out = new Uint8ClampedArray(4);
  paint(out, 0, Uint8Array.from(bytes), 0);
  return [...out];
};

describe("luminance", () => {
  it("is more ink for more, in both themes, evenly", () => {
    const [dark, light] = [rampOf("dark"), rampOf("light")];
    for (let v = 1; v <= FULL; v++) {
      expect(dark[v]).toBeGreaterThanOrEqual(dark[v - 1]);
      expect(light[v]).toBeLessThanOrEqual(light[v - 1]);
    }
    expect(dark[FULL] - dark[0]).toBeGreaterThan(180);
    expect(light[0] - light[FULL]).toBeGreaterThan(180);
  });

  it("has no hue, and leaves what is not known clear", () => {
    const paint = inLuminance(rampOf("dark"));
    const [r, g, b, a] = painted(paint, [100]);
    expect([g, b, a]).toEqual([r, r, 255]);
    expect(painted(paint, [NOTHING])).toEqual([0, 0, 0, 0]);
  });
});

describe("weights", () => {
  it("are around gray, on the scale of all that is shown", () => {
    expect(painted(aroundGray(1, 1), [255])).toEqual([255, 255, 255, 255]);
    expect(painted(aroundGray(1, 1), [1])).toEqual([1, 1, 1, 255]);
    expect(painted(aroundGray(0.5, 1), [255])).toEqual([192, 192, 192, 255]);
    expect(painted(aroundGray(0.5, 3), [255, 128, 2])).toEqual([192, 128, 65, 255]);
    expect(painted(aroundGray(1, 1), [0])).toEqual([0, 0, 0, 0]);
  });

  it("say how they became pictures", () => {
    const about = (picture: [number, number, number], shape: number[]): string =>
      aboutWeights({ first_weights: { module: "conv", filters: shape[0], picture, shape } });
    expect(about([7, 7, 3], [8, 3, 7, 7])).toContain("input channels as red, green and blue.");
    expect(about([7, 7, 1], [8, 1, 7, 7])).toContain("conv, 7 × 7.");
    expect(about([7, 7, 1], [8, 16, 7, 7])).toContain("the mean over 16 input channels.");
    expect(about([7, 7, 1], [8, 16, 2, 7, 7])).toContain("16 input channels and depth.");
    expect(about([16, 9, 1], [8, 16, 9])).toContain("a row for each input channel.");
    expect(about([28, 28, 1], [8, 784])).toContain("laid out as pictures of 28 × 28.");
    expect(about([1, 13, 1], [8, 13])).toContain("a column for each of 13 inputs.");
    expect(aboutWeights({})).toBe("");
  });

  it("stand with the first layer alone", () => {
    expect(shownOf(0, "weights")).toBe("weights");
    expect(shownOf(3, "weights")).toBe("cells");
    expect(shownOf(3, "maps")).toBe("maps");
  });
});

describe("sizes", () => {
  it("leave a cell's color the larger part", () => {
    for (let size = 26; size <= 60; size++) {
      const inset = insetOf(size) + 2;
      expect(inset * inset).toBeLessThan((size * size) / 2);
    }
  });

  it("keep a picture's shape", () => {
    expect(boxIn(60, 14, 14)).toEqual([60, 60]);
    expect(boxIn(60, 20, 10)).toEqual([60, 30]);
    expect(boxIn(60, 100, 1)).toEqual([60, 1]);
  });

  it("are the largest of which all have room, or the least", () => {
    expect(tileFor(4, 800, 500)).toBe(104);
    const tile = tileFor(200, 800, 500);
    const fits = (t: number): boolean =>
      Math.ceil(200 / Math.floor(808 / (t + 8))) * (t + 15) <= 500;
    expect(fits(tile)).toBe(true);
    expect(fits(tile + 2)).toBe(false);
    expect(tileFor(5000, 800, 500)).toBe(26);
  });
});
