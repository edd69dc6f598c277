import { describe, expect, it } from "vitest";
import { lineThrough } from "../src/inspector/lines";

const points = (path: string): [number, number][] =>
  [...path.matchAll(/[ML]([-\d.]+),([-\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)]);

describe("a line through snapshots", () => {
  it("has every point while they are few", () => {
    const x = Float64Array.of(0, 10, 20, 30);
    expect(lineThrough(x, (i) => [1, 5, 2, 3][i])).toBe("M0,1L10,5L20,2L30,3");
  });

  it("has a gap where nothing is known, and does not bridge it", () => {
    const x = Float64Array.of(0, 10, 20, 30, 40);
    expect(lineThrough(x, (i) => [1, 2, NaN, 3, 4][i])).toBe("M0,1L10,2M30,3L40,4");
    expect(lineThrough(x, () => NaN)).toBe("");
  });

  it("keeps the least and the greatest of each pixel in their order, of many", () => {
    const many = 4000;
    const x = Float64Array.from({ length: many }, (_, i) => (270 * i) / (many - 1));
    const y = (i: number): number => (i === 1234 ? 90 : i === 1236 ? 1 : 40 + (i % 7));
    const found = points(lineThrough(x, y));
    expect(found.length).toBeLessThanOrEqual(2 * 271);
    const ys = found.map(([, v]) => v);
    expect(Math.max(...ys)).toBe(90);
    expect(Math.min(...ys)).toBe(1);
    expect(found.every(([at], i) => i === 0 || at >= found[i - 1][0])).toBe(true);
    for (let column = 0; column < 270; column++) {
      const own = Array.from({ length: many }, (_, i) => i).filter(
        (i) => Math.floor(x[i]) === column,
      );
      const drawn = found.filter(([at], i) =>
        own.some((j) => Math.abs(x[j] - at) < 0.051 && y(j) === ys[i]),
      );
      expect(Math.min(...drawn.map(([, v]) => v))).toBe(Math.min(...own.map(y)));
      expect(Math.max(...drawn.map(([, v]) => v))).toBe(Math.max(...own.map(y)));
    }
  });

  it("has gaps of many snapshots too", () => {
    const x = Float64Array.from({ length: 1000 }, (_, i) => i / 10);
    const path = lineThrough(x, (i) => (i >= 400 && i < 600 ? NaN : 3));
    expect(path.match(/M/g)).toHaveLength(2);
    expect(points(path).some(([at]) => at > 40 && at < 60)).toBe(false);
  });
});
