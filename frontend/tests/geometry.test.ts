import { describe, expect, it } from "vitest";
import {
  axisText,
  domainOf,
  lineColor,
  nearestKnown,
  PANELS,
  panelsOf,
  placeOf,
} from "../src/geometry/panels";

const of = (...values: number[]) => Float32Array.from(values);

describe("axes of the geometry", () => {
  it("hold every finite number, decades where they are logarithmic", () => {
    expect(domainOf(of(0.25, 40, NaN, Infinity), "log")).toEqual([0.1, 100]);
    expect(domainOf(of(1, 1), "log")).toEqual([1, 10]);
    expect(domainOf(of(0.2, 0.4), "linear")[0]).toBe(0);
    expect(domainOf(of(0.2, 0.9), "share")).toEqual([0, 1]);
    const [low, high] = domainOf(of(-0.1, 0.3), "signed");
    expect(low).toBe(-high);
    expect(high).toBeCloseTo(0.3);
  });
  it("have some extent though nothing is known", () => {
    for (const scale of ["log", "linear", "signed", "share"] as const) {
      const [low, high] = domainOf(of(NaN), scale);
      expect(high).toBeGreaterThan(low);
    }
  });
  it("place a number, and nothing that is none", () => {
    expect(placeOf(1, [0.1, 10], "log")).toBeCloseTo(0.5);
    expect(placeOf(0, [0.1, 10], "log")).toBe(0);
    expect(placeOf(Infinity, [0.1, 10], "log")).toBe(Infinity);
    expect(placeOf(NaN, [0.1, 10], "log")).toBeNaN();
    expect(placeOf(NaN, [0, 1], "linear")).toBeNaN();
    expect(placeOf(0, [-2, 2], "signed")).toBe(0.5);
  });
});

describe("what stands at the playhead", () => {
  it("is the nearest snapshot that is known", () => {
    expect(nearestKnown([0, 10, 40], 12)).toBe(1);
    expect(nearestKnown([0, 10, 40], 39)).toBe(2);
    expect(nearestKnown([], 3)).toBe(-1);
  });
});

describe("ends of an axis", () => {
  it("are short", () => {
    const log = { scale: "log", text: String } as const;
    expect([1e5, 1000, 1, 0.1, 0.01, 1e-4].map((v) => axisText(v, log))).toEqual([
      "1e5",
      "1000",
      "1",
      "0.1",
      "0.01",
      "1e-4",
    ]);
  });
});

describe("panels of a run", () => {
  it("leaves out what two classes always are", () => {
    const terms = (classes: number) => panelsOf(classes, true).map((panel) => panel.term);
    expect(terms(2)).not.toContain("NC2, norms");
    expect(terms(2)).not.toContain("NC2, angles");
    expect(terms(3)).toHaveLength(PANELS.length);
  });
});

describe("sentences of panels", () => {
  it("say which side of random directions the units are", () => {
    const above = PANELS.find((panel) => panel.name === "above");
    expect(above?.sentence(0.2)).toContain("0.20 more selective");
    expect(above?.sentence(-0.2)).toContain("0.20 less selective");
    expect(above?.sentence(0.001)).toContain("as selective as");
  });
  it("write what is infinite as such", () => {
    expect(PANELS.find((panel) => panel.name === "cdnv")?.sentence(Infinity)).toContain("∞");
  });
  it("name a source each", () => {
    for (const panel of PANELS) expect(panel.source).toMatch(/\d{4}/);
  });
});

describe("lines", () => {
  it("are neutral, and later layers stand out more on either page", () => {
    const lightness = (l: number, light: boolean) =>
      Number(/oklch\(([\d.]+) /.exec(lineColor(l, 9, light))?.[1]);
    expect(lightness(8, false)).toBeGreaterThan(lightness(0, false));
    expect(lightness(8, true)).toBeLessThan(lightness(0, true));
    expect(lineColor(0, 1, true)).not.toContain("NaN");
  });
});
