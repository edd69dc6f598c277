import { describe, expect, it } from "vitest";
import { labelledRows, layoutLayer, placeOf, shownAt } from "../src/layer/geometry";

const room = { width: 700, height: 560 };

describe("layer layout", () => {
  it("gives each unit a column and each snapshot a row where there is room", () => {
    const layout = layoutLayer(128, 10, 41, room);
    expect(layout).toMatchObject({ columns: 128, column: 5, heatRows: 10, timeRows: 41 });
    expect(layout.heatRow).toBe(20);
    expect(layout.timeTop + layout.timeRows * layout.timeRow).toBe(layout.height);
    expect(layout.height).toBeLessThanOrEqual(room.height);
  });

  it("gives a unit a pixel at least, and lets the picture be scrolled", () => {
    const layout = layoutLayer(2048, 10, 41, room);
    expect(layout.column).toBe(1);
    expect(layout.width).toBe(2048);
  });

  it("keeps within the height with a thousand classes and ten thousand snapshots", () => {
    const layout = layoutLayer(64, 1000, 10_000, room);
    expect(layout.heatRow).toBe(1);
    expect(layout.heatRows).toBeLessThan(room.height / 2);
    expect(layout.timeRow).toBe(1);
    expect(layout.height).toBeLessThanOrEqual(room.height);
  });

  it("has a row and a column left in hardly any room", () => {
    const layout = layoutLayer(3, 2, 1, { width: 1, height: 1 });
    expect(Math.min(layout.column, layout.heatRow, layout.timeRow, layout.timeRows)).toBe(1);
  });
});

describe("rows that stand for several things", () => {
  it("show one of those that lie in them", () => {
    for (const [rows, things] of [
      [7, 7],
      [7, 100],
      [100, 7],
      [1, 50],
    ])
      for (let i = 0; i < Math.min(rows, things); i++)
        expect(placeOf(shownAt(i, rows, things), rows, things)).toBe(i);
  });

  it("hold everything, in order", () => {
    const places = Array.from({ length: 100 }, (_, t) => placeOf(t, 7, 100));
    expect(places[0]).toBe(0);
    expect(places[99]).toBe(6);
    expect([...places].sort((a, b) => a - b)).toEqual(places);
  });
});

it("labels rows no closer than a line of text", () => {
  expect(labelledRows(4, 14)).toEqual([0, 1, 2, 3]);
  expect(labelledRows(10, 5)).toEqual([0, 3, 6, 9]);
});
