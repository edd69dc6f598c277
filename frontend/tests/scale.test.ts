import { describe, expect, it } from "vitest";
import {
  axisPositions,
  defaultAxis,
  labelled,
  nearestSnapshot,
  snapshotAtStep,
  spans,
  takeOf,
  type Axis,
} from "../src/timeline/scale";

const log = [0, 10, 20, 40, 80, 160, 320];

describe("timeline scale", () => {
  it("opens on log step where steps are spread unevenly", () => {
    expect(defaultAxis(log)).toBe("log");
    expect(defaultAxis([0, 100, 200, 300])).toBe("step");
    expect(defaultAxis([0])).toBe("snapshot");
  });

  it("runs from 0 to 1 and never backwards", () => {
    for (const axis of ["snapshot", "log", "step"] as Axis[]) {
      const x = axisPositions(log, axis);
      expect(x[0]).toBe(0);
      expect(x[x.length - 1]).toBe(1);
      for (let t = 1; t < x.length; t++) expect(x[t]).toBeGreaterThan(x[t - 1]);
    }
  });

  it("gives doublings equal room on the log axis, whatever the unit of step", () => {
    const x = axisPositions(log, "log");
    const late = x[6] - x[5];
    expect((x[5] - x[4]) / late).toBeGreaterThan(0.9);
    const scaled = axisPositions(
      log.map((s) => 50 * s),
      "log",
    );
    x.forEach((v, t) => expect(scaled[t]).toBeCloseTo(v, 12));
  });

  it("spaces snapshots evenly, or steps in proportion", () => {
    expect(axisPositions(log, "snapshot")[1]).toBeCloseTo(1 / 6);
    expect(axisPositions(log, "step")[1]).toBeCloseTo(10 / 320);
  });

  it("does not fail on one snapshot, or on steps that repeat", () => {
    expect([...axisPositions([5], "log")]).toEqual([0.5]);
    expect([...axisPositions([5, 5], "log")]).toEqual([0, 1]);
    const long = Float64Array.from({ length: 300_000 }, (_, t) => t);
    expect(axisPositions(long, "log")[299_999]).toBe(1);
    expect(defaultAxis(long)).toBe("step");
  });

  it("shows each snapshot half-way to its neighbors", () => {
    expect([...spans([10, 20, 40], 9)]).toEqual([5, 15, 30, 49]);
  });

  it("finds the nearest snapshot", () => {
    expect(nearestSnapshot([0, 10, 30], 19)).toBe(1);
    expect(nearestSnapshot([0, 10, 30], 21)).toBe(2);
    expect(snapshotAtStep(log, 100)).toBe(4);
  });

  it("tells snapshots of one step apart, and means the last where nothing is said", () => {
    const steps = [0, 10, 20, 10, 20, 30];
    expect([0, 1, 2, 3, 4, 5].map((t) => takeOf(steps, t))).toEqual([0, 1, 1, 0, 0, 0]);
    for (let t = 0; t < steps.length; t++)
      expect(snapshotAtStep(steps, steps[t], takeOf(steps, t))).toBe(t);
    expect(snapshotAtStep(steps, 20)).toBe(4);
    expect(snapshotAtStep(steps, 20, 9)).toBe(4);
  });

  it("labels no two steps closer than the room they need, and always the last", () => {
    const x = Array.from({ length: 200 }, (_, t) => t * 5);
    const shown = labelled(x, 46);
    expect(shown[shown.length - 1]).toBe(199);
    for (let i = 1; i < shown.length; i++)
      expect(x[shown[i]] - x[shown[i - 1]]).toBeGreaterThanOrEqual(46);
  });
});
