import { describe, expect, it } from "vitest";
import { layoutTrellis, RECALL } from "../src/classes/trellis";

describe("the panels of a trellis", () => {
  const wide = (width: number, columns: number): number => {
    const { labels, panel, gap } = layoutTrellis({ width, height: 300 }, columns, 10, true);
    return labels + (columns + 1) * (panel + gap) + RECALL;
  };

  it("stand closer together where they would else be cut off", () => {
    expect(wide(250, 9)).toBeLessThanOrEqual(250);
    expect(layoutTrellis({ width: 250, height: 300 }, 9, 10, true).gap).toBeLessThan(
      layoutTrellis({ width: 900, height: 300 }, 9, 10, true).gap,
    );
  });

  it("can be seen however many there are", () => {
    expect(layoutTrellis({ width: 250, height: 300 }, 40, 10, true).panel).toBeGreaterThanOrEqual(
      12,
    );
  });
});
