import { describe, expect, it } from "vitest";
import { columnsOf, chartOf } from "../src/timeline/chart";
import { axisPositions } from "../src/timeline/scale";
import {
  CLOSEST,
  fitted,
  holding,
  indexAt,
  moved,
  positionAt,
  readSpan,
  scaled,
  writeSpan,
} from "../src/timeline/span";

const steps = Array.from({ length: 500 }, (_, t) => Math.round(1.5 * t * t));
const even = axisPositions(steps, "snapshot");
const log = axisPositions(steps, "log");

describe("what the axis shows", () => {
  it("goes from places between snapshots to positions and back", () => {
    for (const x of [even, log])
      for (const index of [0, 0.25, 17, 99.5, 498.75, 499])
        expect(indexAt(x, positionAt(x, index))).toBeCloseTo(index, 6);
    expect(indexAt([0, 0.5, 0.5, 1], 0.5)).toBe(2);
    expect(indexAt(even, -1)).toBe(0);
    expect(indexAt(even, 2)).toBe(499);
  });

  it("stays within the run, no closer than a few snapshots, and says when it is all of it", () => {
    expect(fitted({ from: -5, to: 20 }, 500)).toEqual({ from: 0, to: 25 });
    expect(fitted({ from: 490, to: 520 }, 500)).toEqual({ from: 469, to: 499 });
    expect(fitted({ from: 100, to: 100.5 }, 500)).toEqual({ from: 98.25, to: 102.25 });
    expect(fitted({ from: 0, to: 499 }, 500)).toBeNull();
    expect(fitted({ from: -9, to: 900 }, 500)).toBeNull();
  });

  it("comes closer around a place that stays where it is", () => {
    for (const x of [even, log]) {
      const span = scaled(x, { from: 0, to: 499 }, 0.5, x[200]);
      if (!span) throw new Error("not closer");
      const [left, right] = [positionAt(x, span.from), positionAt(x, span.to)];
      expect(right - left).toBeCloseTo(0.5, 6);
      expect((x[200] - left) / (right - left)).toBeCloseTo(x[200], 6);
    }
    let span = { from: 0, to: 499 };
    for (let i = 0; i < 80; i++) span = scaled(log, span, 0.7, log[300]) ?? span;
    expect(span.to - span.from).toBeCloseTo(CLOSEST, 6);
    expect(span.from).toBeLessThanOrEqual(300);
    expect(span.to).toBeGreaterThanOrEqual(300);
    expect(scaled(even, { from: 100, to: 200 }, 9, 0.3)).toBeNull();
  });

  it("moves along, and stops at both ends with its width", () => {
    expect(moved(even, { from: 100, to: 200 }, 0.1)?.from).toBeCloseTo(149.9);
    const end = moved(even, { from: 100, to: 200 }, 5);
    expect(end?.to).toBeCloseTo(499);
    expect(end?.from).toBeCloseTo(399);
  });

  it("follows a playhead that leaves it, and no other", () => {
    const span = { from: 100, to: 200 };
    expect(holding(span, 150, 500)).toBe(span);
    const right = holding(span, 201, 500);
    expect(right?.to).toBeGreaterThan(201);
    expect((right?.to ?? 0) - (right?.from ?? 0)).toBeCloseTo(100);
    expect(holding(span, 0, 500)?.from).toBe(0);
  });

  it("is written and read", () => {
    expect(readSpan(writeSpan({ from: 12.34, to: 480 }))).toEqual({ from: 12.3, to: 480 });
    for (const text of ["", "5-", "9-3", "a-b", "1-2-3", "-1-4", "1e3-2e3"])
      expect(readSpan(text)).toBeUndefined();
  });
});

describe("columns", () => {
  it("hold every snapshot once, and each pixel once", () => {
    for (const T of [2, 41, 5000]) {
      const x = Array.from({ length: T }, (_, t) => 20 + (1000 * t) / (T - 1));
      const columns = columnsOf(x, 20, 1020);
      expect(columns[0].from).toBe(0);
      expect(columns[columns.length - 1].to).toBe(T);
      for (let i = 1; i < columns.length; i++) {
        expect(columns[i].from).toBe(columns[i - 1].to);
        expect(columns[i].left).toBe(columns[i - 1].right);
      }
      for (const one of columns) expect(one.right).toBeGreaterThan(one.left);
    }
  });

  it("are only those in view", () => {
    const place = { left: 20, right: 1020, width: 1100 };
    const chart = chartOf(even, { from: 100, to: 199 }, place);
    expect([chart.first, chart.last]).toEqual([100, 199]);
    expect(chart.x[100]).toBeCloseTo(20);
    expect(chart.x[199]).toBeCloseTo(1020);
    expect(chart.columns[0].from).toBeGreaterThanOrEqual(98);
    expect(chart.columns[chart.columns.length - 1].to).toBeLessThanOrEqual(202);
    expect(chart.columns.length).toBeGreaterThan(98);
  });
});
