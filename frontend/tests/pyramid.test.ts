import { describe, expect, it } from "vitest";
import { Pyramid } from "../src/timeline/pyramid";

describe("a pyramid", () => {
  const rows = 3;
  const T = 77;
  const values = Float32Array.from({ length: T * rows }, (_, i) =>
    i % 11 === 0 ? NaN : Math.fround(Math.sin(i * 12.9898) * 43.5),
  );
  const pyramid = new Pyramid(values, rows);

  it("says of any range what going through it says", () => {
    for (let from = 0; from < T; from += 3)
      for (let to = from + 1; to <= T; to += 4)
        for (let row = 0; row < rows; row++) {
          const there: number[] = [];
          for (let t = from; t < to; t++) there.push(values[t * rows + row]);
          const known = there.filter((v) => !Number.isNaN(v));
          const found = pyramid.over(row, from, to);
          if (known.length === 0) {
            expect(found).toEqual({ mean: NaN, least: NaN, most: NaN });
            continue;
          }
          expect(found.mean).toBeCloseTo(known.reduce((a, b) => a + b, 0) / known.length, 5);
          expect(found.least).toBe(Math.min(...known));
          expect(found.most).toBe(Math.max(...known));
        }
  });

  it("knows nothing where there is nothing", () => {
    expect(new Pyramid([], 3).over(0, 0, 5).mean).toBeNaN();
    expect(pyramid.over(1, 90, 99).mean).toBeNaN();
  });

  it("looks at as many blocks as a range has bits", () => {
    let reads = 0;
    const counted = new Proxy(new Float32Array(10000), {
      get: (target, key) => {
        if (typeof key === "string" && /^\d+$/.test(key)) reads++;
        return Reflect.get(target, key);
      },
    });
    const long = new Pyramid(counted, 1);
    reads = 0;
    for (let t = 0; t < 10000; t += 10) long.over(0, t, t + 1000);
    expect(reads).toBeLessThan(2001);
  });
});
