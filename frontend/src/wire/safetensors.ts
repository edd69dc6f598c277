// The safetensors layout: u64 header length, JSON header, raw little-endian bytes.
// https://huggingface.co/docs/safetensors

const ARRAYS = {
  U8: Uint8Array,
  U16: Uint16Array,
  U32: Uint32Array,
  F32: Float32Array,
  F64: Float64Array,
} as const;

export type Dtype = keyof typeof ARRAYS;
export type TypedArray<D extends Dtype = Dtype> = InstanceType<(typeof ARRAYS)[D]>;

export interface Tensor {
  dtype: Dtype;
  shape: number[];
  data: TypedArray;
}

interface HeaderEntry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

export class WireError extends Error {
  override name = "WireError";
}

export class Tensors {
  private readonly tensors = new Map<string, Tensor>();

  constructor(buffer: ArrayBuffer) {
    if (buffer.byteLength < 8) throw new WireError("shorter than a safetensors header");
    const length = Number(new DataView(buffer).getBigUint64(0, true));
    if (8 + length > buffer.byteLength) throw new WireError("header longer than the resource");
    const text = new TextDecoder().decode(new Uint8Array(buffer, 8, length));
    const header = JSON.parse(text) as Record<string, HeaderEntry>;
    for (const [name, entry] of Object.entries(header)) {
      if (name === "__metadata__") continue;
      if (!(entry.dtype in ARRAYS)) throw new WireError(`${name}: unknown dtype ${entry.dtype}`);
      const dtype = entry.dtype as Dtype;
      const [start, end] = entry.data_offsets.map((offset) => offset + 8 + length);
      if (end > buffer.byteLength) throw new WireError(`${name}: ends beyond the resource`);
      const View = ARRAYS[dtype];
      const count = entry.shape.reduce((a, b) => a * b, 1);
      if (count * View.BYTES_PER_ELEMENT !== end - start)
        throw new WireError(`${name}: shape and bytes disagree`);
      // A view where the bytes are aligned, a copy where a writer did not pad the header.
      const data =
        start % View.BYTES_PER_ELEMENT === 0
          ? new View(buffer, start, count)
          : new View(buffer.slice(start, end));
      this.tensors.set(name, { dtype, shape: entry.shape, data });
    }
  }

  get names(): string[] {
    return [...this.tensors.keys()];
  }

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): number[] {
    const found = this.tensors.get(name);
    if (!found) throw new WireError(`no array ${name}, only ${this.names.join(", ")}`);
    return found.shape;
  }

  /** The array `name`; throws unless it has this dtype. */
  get<D extends Dtype>(name: string, dtype: D): TypedArray<D> {
    const found = this.tensors.get(name);
    if (!found) throw new WireError(`no array ${name}, only ${this.names.join(", ")}`);
    if (found.dtype !== dtype) throw new WireError(`${name} is ${found.dtype}, expected ${dtype}`);
    return found.data as TypedArray<D>;
  }
}
