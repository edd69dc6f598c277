import { describe, expect, it } from "vitest";
import { unitOrder } from "../src/run/order";
import { HELD, NO_CLASS, NO_DATA, SILENT, TIED } from "../src/wire/manifest";
import { layersOf } from "./network-example";

const paint = (cells: [state: number, cls: number, level: number][]) => ({
  state: Uint8Array.from(cells, (c) => c[0]),
  preferred: Uint16Array.from(cells, (c) => c[1]),
  level: Uint8Array.from(cells, (c) => c[2]),
  flags: new Uint8Array(cells.length),
});

describe("unit order", () => {
  it("puts held units by class, strongest first; then tied; then silent and no data", () => {
    const last = paint([
      [SILENT, 0, 0],
      [HELD, 1, 40],
      [TIED, 0, 0],
      [HELD, 0, 20],
      [NO_DATA, NO_CLASS, 0],
      [HELD, 1, 90],
      [HELD, 0, 0],
      [HELD, 999, 100],
    ]);
    expect([...unitOrder(last, layersOf(["a", 8]))]).toEqual([3, 6, 5, 1, 7, 2, 0, 4]);
  });

  it("keeps each layer's units in that layer, and equal units by index", () => {
    const last = paint([
      [TIED, 0, 0],
      [HELD, 2, 50],
      [HELD, 2, 50],
      [TIED, 5, 0],
      [HELD, 0, 1],
    ]);
    expect([...unitOrder(last, layersOf(["a", 3], ["b", 2]))]).toEqual([1, 2, 0, 4, 3]);
  });

  it("puts two classes at the ends of one scale, tied units between them", () => {
    const last = paint([
      [HELD, 1, 90],
      [TIED, 1, 0],
      [HELD, 0, 20],
      [HELD, 1, 10],
      [SILENT, 0, 0],
      [HELD, 0, 80],
    ]);
    expect([...unitOrder(last, layersOf(["a", 6]), [0, 1])]).toEqual([5, 2, 1, 3, 0, 4]);
  });
});
