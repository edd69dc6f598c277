import { describe, expect, it } from "vitest";
import { colorAt, scaleOf, WIDTH } from "../src/rail/scale";

describe("the scale of the key", () => {
  it("goes from 0 to 1, or of two classes from the middle to either side", () => {
    expect(scaleOf(10).marks(50)).toEqual([WIDTH / 2]);
    expect(scaleOf(10).strengthAt(WIDTH / 4)).toBe(0.25);
    expect(scaleOf(2).marks(50)).toEqual([WIDTH / 4, (3 * WIDTH) / 4]);
    expect(scaleOf(2).strengthAt(0)).toBe(1);
    expect(scaleOf(2).strengthAt(WIDTH / 4)).toBe(0.5);
    expect(scaleOf(2).strengthAt((3 * WIDTH) / 4)).toBe(0.5);
    expect(scaleOf(2).x(100, 0)).toBe(0);
    expect(scaleOf(2).x(100, 1)).toBe(WIDTH);
  });

  it("is neutral in the middle and a class at full strength at each end", () => {
    expect(colorAt(0)).toEqual({ cls: 0, level: 100 });
    expect(colorAt(WIDTH)).toEqual({ cls: 1, level: 100 });
    expect(colorAt(WIDTH / 2 - 0.5).level).toBe(0);
    expect(colorAt(WIDTH / 2 + 0.5)).toEqual({ cls: 1, level: 0 });
  });
});
