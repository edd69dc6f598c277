import { describe, expect, it } from "vitest";
import { columnsFor } from "../src/rail/columns";

const ROW = 184;

describe("the legend's columns", () => {
  it("keep the picture while all names fit beside it", () => {
    expect(columnsFor([60, 42], ROW, "426", true).spark).toBe(40);
  });

  it("narrow the picture, then drop it, before a name is cut", () => {
    const sparks = [70, 88, 99, 115].map((w) => columnsFor([w, 30], ROW, "426", true).spark);
    expect(sparks).toEqual([40, 24, 0, 0]);
  });

  it("keep the picture where a name fits in no case", () => {
    expect(columnsFor([900, 42], ROW, "426", true).spark).toBe(40);
    expect(columnsFor([900, 100], ROW, "426", true).spark).toBe(0);
  });

  it("give the counts the room of the longest", () => {
    expect(columnsFor([], ROW, "80,000", false).counts).toBeGreaterThanOrEqual(45);
    expect(columnsFor([], ROW, "9", false).counts).toBe(columnsFor([], ROW, "426", false).counts);
  });
});
