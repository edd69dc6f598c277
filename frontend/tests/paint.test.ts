import { describe, expect, it } from "vitest";
import { outward, PaintChunks } from "../src/run/paint";

const UNITS = 4;
const CHUNK = 2;

/** A chunk whose levels are the snapshot's number. */
function chunkBytes(chunk: number, snapshots: number): ArrayBuffer {
  const t = Math.min(CHUNK, snapshots - chunk * CHUNK);
  const cells = t * UNITS;
  const shape = [t, UNITS];
  const header = JSON.stringify({
    preferred: { dtype: "U16", shape, data_offsets: [0, 2 * cells] },
    level: { dtype: "U8", shape, data_offsets: [2 * cells, 3 * cells] },
    state: { dtype: "U8", shape, data_offsets: [3 * cells, 4 * cells] },
    flags: { dtype: "U8", shape, data_offsets: [4 * cells, 5 * cells] },
  });
  const bytes = new Uint8Array(8 + header.length + 5 * cells);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(new TextEncoder().encode(header), 8);
  for (let i = 0; i < cells; i++)
    bytes[8 + header.length + 2 * cells + i] = chunk * CHUNK + Math.floor(i / UNITS);
  return bytes.buffer;
}

function chunks(snapshots: number, budget = 1e9) {
  const asked: number[] = [];
  const paint = new PaintChunks(snapshots, UNITS, CHUNK, budget, async (chunk) => {
    asked.push(chunk);
    return chunkBytes(chunk, snapshots);
  });
  return { paint, asked };
}

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("paint chunks", () => {
  it("go outward from the playhead", () => {
    expect(outward(2, 5)).toEqual([2, 3, 1, 4, 0]);
    expect(outward(0, 3)).toEqual([0, 1, 2]);
  });

  it("come with the playhead's first, then the last, then outward", async () => {
    const { paint, asked } = chunks(11);
    paint.want(4);
    await settled();
    expect(asked).toEqual([2, 5, 3, 1, 4, 0]);
    expect(paint.at(4)?.level[0]).toBe(4);
    expect(paint.at(10)?.level[3]).toBe(10);
  });

  it("give the nearest snapshot here until the one wanted arrives", async () => {
    const { paint } = chunks(4);
    expect(paint.nearest(0)).toBeNull();
    paint.want(3);
    await settled();
    expect(paint.nearest(1)?.snapshot).toBe(1);
  });

  it("stay within their budget and drop what is farthest from the playhead", async () => {
    // Room for three chunks of 2 × 4 units at 5 bytes.
    const { paint } = chunks(20, 3 * CHUNK * UNITS * 5);
    paint.want(0);
    await settled();
    const here = () => Array.from({ length: 10 }, (_, c) => c).filter((c) => paint.isResident(c));
    expect(here().length).toBe(3);
    paint.want(10);
    await settled();
    expect(here()).toContain(5);
    expect(here().length).toBe(3);
    expect(paint.at(10)?.level[0]).toBe(10);
    expect(paint.nearest(0)?.snapshot).not.toBe(0);
  });
});
