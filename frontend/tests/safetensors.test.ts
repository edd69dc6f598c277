import { describe, expect, it } from "vitest";
import { Tensors, WireError } from "../src/wire/safetensors";

function written(header: object, bytes: Uint8Array, padTo = 8): ArrayBuffer {
  let text = JSON.stringify(header);
  while ((8 + text.length) % padTo) text += " ";
  const buffer = new Uint8Array(8 + text.length + bytes.length);
  new DataView(buffer.buffer).setBigUint64(0, BigInt(text.length), true);
  buffer.set(new TextEncoder().encode(text), 8);
  buffer.set(bytes, 8 + text.length);
  return buffer.buffer;
}

const f64 = new Uint8Array(new Float64Array([0, 1.5, NaN]).buffer);

describe("safetensors", () => {
  it("reads arrays of several types with their shapes", () => {
    const bytes = new Uint8Array([
      ...f64,
      ...new Uint8Array(new Uint16Array([7, 65535]).buffer),
      9,
    ]);
    const tensors = new Tensors(
      written(
        {
          __metadata__: { format: "pt" },
          step: { dtype: "F64", shape: [3], data_offsets: [0, 24] },
          preferred: { dtype: "U16", shape: [1, 2], data_offsets: [24, 28] },
          state: { dtype: "U8", shape: [1], data_offsets: [28, 29] },
        },
        bytes,
      ),
    );
    expect([...tensors.get("step", "F64")]).toEqual([0, 1.5, NaN]);
    expect([...tensors.get("preferred", "U16")]).toEqual([7, 65535]);
    expect(tensors.shape("preferred")).toEqual([1, 2]);
    expect([...tensors.get("state", "U8")]).toEqual([9]);
    expect(tensors.has("__metadata__")).toBe(false);
  });

  it("reads arrays whose bytes are not aligned", () => {
    const buffer = written({ step: { dtype: "F64", shape: [3], data_offsets: [0, 24] } }, f64, 1);
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    expect((8 + length) % 8).not.toBe(0);
    expect([...new Tensors(buffer).get("step", "F64")]).toEqual([0, 1.5, NaN]);
  });

  it("refuses an absent array, another dtype, and bytes that disagree with the shape", () => {
    const entry = { dtype: "F64", shape: [3], data_offsets: [0, 24] };
    const tensors = new Tensors(written({ step: entry }, f64));
    expect(() => tensors.get("epoch", "F64")).toThrow(WireError);
    expect(() => tensors.get("step", "F32")).toThrow("step is F64, expected F32");
    expect(() => new Tensors(written({ step: { ...entry, shape: [4] } }, f64))).toThrow("disagree");
    expect(() => new Tensors(written({ step: { ...entry, dtype: "C64" } }, f64))).toThrow("dtype");
    expect(() => new Tensors(written({ step: entry }, f64.subarray(8)))).toThrow("beyond");
    expect(() => new Tensors(new ArrayBuffer(4))).toThrow(WireError);
  });
});
