import { describe, expect, it } from "vitest";
import { mp4Of, type Encoded } from "../src/film/container";

interface Box {
  name: string;
  start: number;
  bytes: Uint8Array;
}

const NESTED = new Set(["moov", "trak", "mdia", "minf", "stbl", "edts", "dinf"]);

function* boxes(bytes: Uint8Array, at = 0, end = bytes.length): Generator<Box> {
  const view = new DataView(bytes.buffer);
  while (at < end) {
    const size = view.getUint32(at);
    const name = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    yield { name, start: at + 8, bytes: bytes.subarray(at + 8, at + size) };
    if (NESTED.has(name)) yield* boxes(bytes, at + 8, at + size);
    at += size;
  }
  expect(at).toBe(end);
}

function words({ bytes }: Box): number[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: Math.floor(bytes.length / 4) }, (_, i) => view.getUint32(4 * i));
}

const frame = (shown: number, ...data: number[]): Encoded => ({
  data: Uint8Array.from(data),
  shown,
  key: shown % 3 === 0,
});

async function written(
  frames: Encoded[],
  config: Pick<VideoDecoderConfig, "codec" | "description">,
) {
  const parts = mp4Of({ width: 1920, height: 1080, rate: 10, config, frames });
  const file = new Uint8Array(await new Blob(parts).arrayBuffer());
  const found = new Map([...boxes(file)].map((box) => [box.name, box]));
  const of = (name: string): Box => {
    const box = found.get(name);
    if (!box) throw new Error(`no ${name} in the file`);
    return box;
  };
  return { file, found, of };
}

const AVC = { codec: "avc1.640028", description: Uint8Array.of(1, 100, 0, 40) };

describe("a film's file", () => {
  it("says where each frame is, before all frames", async () => {
    const frames = [frame(0, 1, 2, 3), frame(1, 4), frame(2, 5, 6), frame(3, 7, 8)];
    const { file, found, of } = await written(frames, AVC);
    const [, n, ...places] = words(of("stco"));
    const [, , , ...sizes] = words(of("stsz"));
    expect(n).toBe(4);
    frames.forEach(({ data }, i) =>
      expect(file.slice(places[i], places[i] + sizes[i])).toEqual(data),
    );
    expect(of("moov").start).toBeLessThan(of("mdat").start);
    expect(words(of("stss"))).toEqual([0, 2, 1, 4]);
    expect(words(of("stts"))).toEqual([0, 1, 4, 1000]);
    expect(words(of("mdhd")).slice(3, 5)).toEqual([10_000, 4000]); // 10 frames a second
    expect(found.has("ctts")).toBe(false);
  });

  it("shows frames in their order where they are decoded in another", async () => {
    const order = [0, 3, 1, 2, 4];
    const { of } = await written(
      order.map((shown) => frame(shown, shown)),
      AVC,
    );
    const [, , ...waits] = words(of("ctts"));
    const late = words(of("elst"))[3];
    const times = order.map((_, i) => i * 1000 + waits[2 * i + 1] - late);
    expect(times).toEqual(order.map((shown) => shown * 1000));
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
  });

  it("refuses what its index cannot tell", () => {
    const data = { length: 2 ** 31 } as Uint8Array<ArrayBuffer>; // no such memory is needed
    const frames = [0, 1].map((shown) => ({ data, shown, key: true }));
    const video = { width: 2, height: 2, rate: 10, config: AVC, frames };
    expect(() => mp4Of(video)).toThrow("larger than 4 GB");
  });

  it("says how frames are decoded, whatever the codec", async () => {
    const sample = async (config: typeof AVC | { codec: string }) => {
      const { of } = await written([frame(0, 1)], config);
      return String.fromCharCode(...of("stsd").bytes);
    };
    expect(await sample(AVC)).toContain("avcC\x01\x64\0\x28");
    expect(await sample({ codec: "vp09.00.40.08" })).toContain(
      "vpcC\x01\0\0\0\0\x28\x82\x01\x01\x01",
    );
    expect(await sample({ codec: "av01.0.08M.08" })).toContain("av1C\x81\x08\x0c\0");
    expect(await sample(AVC)).toContain("nclx\0\x01\0\x01\0\x01\0");
    await expect(sample({ codec: "hvc1.1.6" })).rejects.toThrow("hvc1");
  });
});
