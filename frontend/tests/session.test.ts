import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { server } from "../src/run/asking";
import { Session } from "../src/run/session";
import { RefusedError, UnreachableError, type Source } from "../src/wire/source";
import { layersOf } from "./network-example";
import type { Manifest } from "../src/wire/manifest";

/** Arrays as the server would send them. */
function tensors(arrays: Record<string, [dtype: string, shape: number[], data: ArrayBufferView]>) {
  let at = 0;
  const header: Record<string, unknown> = {};
  for (const [name, [dtype, shape, data]] of Object.entries(arrays))
    header[name] = { dtype, shape, data_offsets: [at, (at += data.byteLength)] };
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + at);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  let end = 8 + text.length;
  for (const [, , data] of Object.values(arrays)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), end);
    end += data.byteLength;
  }
  return bytes.buffer;
}

const grouping = { name: "true", title: "True label", classes: ["a", "b"] };
const own = { name: "kind", title: "kind", classes: ["x", "y", "z"] };
const split = (name: string, snapshots: number) => ({
  ...{ name, kind: "probe", samples: 9, mode: "eval", weights: null, multilabel: false, snapshots },
  ...{ metrics: [], incomplete: [], resources: ["confusion"], groupings: [own, grouping] },
});
const manifest = {
  ...{ format: 1, name: "r", created: "", state: "complete", version: "1", levels: 101 },
  ...{ chunk: 16, threshold: 0.5, model: { name: "Net", parameters: 9 }, versions: {} },
  measures: ["margin", "precision"].map((name) => ({ name, title: name, about: "" })),
  event_kinds: ["tuned"],
  layers: layersOf(["fc", 3], ["output", 2]),
  splits: [split("val", 2), split("train", 1)],
} as unknown as Manifest;

let refuse: Error | null = null;
const colors = (k: number): [string, number[], Uint8Array] => [
  "U8",
  [k, 101, 4],
  new Uint8Array(k * 404).fill(k),
];
const source: Source = {
  runs: async () => [],
  manifest: async () => manifest,
  get: async (key) => {
    if (refuse) throw refuse;
    const T = key.includes("/train/") ? 1 : 2;
    if (key.endsWith("palette.st"))
      return tensors({
        "dark.2": colors(2),
        "light.2": colors(2),
        "dark.3": colors(3),
        "light.3": colors(3),
        "dark/val/own": ["U8", [2, 101, 4], new Uint8Array(808).fill(7)],
      });
    if (key.endsWith("confusion.st"))
      return tensors({
        confusion: ["U32", [T, 2, 2], new Uint32Array(4 * T)],
        samples: ["U32", [T, 2], new Uint32Array(2 * T)],
      });
    const time: [string, number[], Float64Array] = ["F64", [T], new Float64Array(T)];
    return tensors({ step: time, epoch: time, wall_time: time });
  },
};

describe("a session", () => {
  it("asks for the state it began with, though the run goes on", async () => {
    const asked: string[] = [];
    const growing = (addressed: boolean): Source => ({
      runs: async () => [],
      manifest: async () => ({ ...manifest, version: "v1", ...(addressed ? { addressed } : {}) }),
      get: async (key) => {
        asked.push(key);
        return source.get(key);
      },
    });
    await (await Session.open(growing(true), "r", "val")).ofClasses.confusion();
    expect(asked).toEqual(["r@v1/palette.st", "r@v1/val/scalars.st", "r@v1/val/confusion.st"]);
    asked.length = 0;
    await Session.open(growing(false), "r", "val");
    expect(asked).toEqual(["r/palette.st", "r/val/scalars.st"]);
  });

  beforeEach(() => {
    vi.useFakeTimers();
    refuse = null;
    server.value = "answers";
  });
  afterEach(() => void vi.useRealTimers());

  it("stays with what it has when the server was restarted, and goes on when let in again", async () => {
    const session = await Session.open(source, "r", "val");
    refuse = new RefusedError("r/val/confusion.st", 403);
    let came: { counts: Uint32Array } | null = null;
    const failed = vi.fn();
    session.ofClasses.confusion().then((array) => (came = array), failed);
    await vi.advanceTimersByTimeAsync(3000);
    expect(server.value).toBe("restarted");
    expect(came).toBeNull();
    refuse = new UnreachableError("nobody");
    await vi.advanceTimersByTimeAsync(9000);
    expect(server.value).toBe("away");
    refuse = null;
    await vi.advanceTimersByTimeAsync(9000);
    expect(server.value).toBe("answers");
    expect(came).toMatchObject({ counts: new Uint32Array(8), samples: new Uint32Array(4) });
    expect(failed).not.toHaveBeenCalled();
  });

  it("does not ask again for what the server does not have", async () => {
    const session = await Session.open(source, "r", "val");
    refuse = new RefusedError("r/val/confusion.st", 404);
    await expect(session.ofClasses.confusion()).rejects.toThrow("404");
    expect(server.value).toBe("answers");
  });

  it("takes a server that does not say in time how far the run is for one that is away", async () => {
    const hangs: Source = {
      ...source,
      patience: 5000,
      get: (key, signal) =>
        key.endsWith("live.json")
          ? new Promise((_, reject) =>
              signal?.addEventListener("abort", () => reject(signal.reason)),
            )
          : source.get(key),
    };
    const live = (await Session.open(hangs, "r", "val")).live().catch((error: unknown) => error);
    let told: unknown = null;
    void live.then((error) => (told = error));
    await vi.advanceTimersByTimeAsync(4900);
    expect(told).toBeNull();
    await vi.advanceTimersByTimeAsync(200);
    expect(told).toBeInstanceOf(UnreachableError);
  });

  it("has other splits of its run, and the colors of every grouping", async () => {
    const session = await Session.open(source, "r", "val");
    expect(session.snapshots).toBe(2);
    const grouping = (name: string, classes: string[]) => ({ name, title: name, classes });
    expect(session.palette("dark", grouping("true", ["a", "b"]))).toHaveLength(2 * 404);
    expect(session.palette("light", grouping("true", ["a", "b", "c"]))[0]).toBe(3);
    expect(session.palette("dark", grouping("own", ["a", "b"]))[0]).toBe(7);
    const other = await session.other("train", "margin");
    expect(other.split.name).toBe("train");
    expect(other.snapshots).toBe(1);
  });

  it("is of one measure, the first where it has none of that name", async () => {
    const session = await Session.open(source, "r", "val");
    expect(session.measure.name).toBe("margin");
    expect((await session.other("val", "precision")).measure.name).toBe("precision");
    expect((await session.other("val", "nothing")).measure.name).toBe("margin");
  });

  describe("that grows", () => {
    let T = 2;
    let first = 0;
    const asked: string[] = [];
    const growing: Source = {
      ...source,
      manifest: async () => ({
        ...manifest,
        version: String(T),
        splits: [split("val", T) as never],
      }),
      get: async (key) => {
        asked.push(key);
        if (key.endsWith("palette.st")) return source.get(key);
        const steps = Float64Array.from({ length: T }, (_, t) => first + t);
        const time: [string, number[], Float64Array] = ["F64", [T], steps];
        if (key.endsWith("scalars.st"))
          return tensors({ step: time, epoch: time, wall_time: time });
        const from = Number(/\/(\d+)(?:-\d+)?\.st$/.exec(key)?.[1] ?? 0);
        if (key.includes("/paint/")) {
          const n = Math.min(16, T - 16 * from);
          const cells = (a: Uint8Array | Uint16Array): [string, number[], ArrayBufferView] => [
            a instanceof Uint8Array ? "U8" : "U16",
            [n, 5],
            a,
          ];
          const bytes = () => cells(new Uint8Array(5 * n).fill(T));
          return tensors({
            ...{ preferred: cells(new Uint16Array(5 * n)), level: bytes() },
            ...{ state: bytes(), flags: bytes() },
          });
        }
        const n = Number(/-(\d+)\.st$/.exec(key)?.[1] ?? T) - from;
        const values = Float32Array.from({ length: n * 2 }, (_, i) => 2 * from + i);
        if (key.includes("/classes"))
          return tensors({ bins: ["U32", [n, 2, 21], new Uint32Array(n * 42).fill(T)] });
        return tensors({
          n: ["U32", [n, 2], new Uint32Array(n * 2).fill(T)],
          mean_strength: ["F32", [n, 2], values],
          bins: ["U32", [n, 2, 21], new Uint32Array(n * 42)],
          states: ["U32", [n, 2, 7], new Uint32Array(n * 14)],
          damaged: ["U8", [n], new Uint8Array(n)],
        });
      },
    };
    beforeEach(() => {
      [T, first, asked.length] = [18, 0, 0];
    });

    it("keeps what is still true and asks for the end alone", async () => {
      const session = await Session.open(growing, "r", "val");
      const track = await session.track("true", 17);
      session.placed.set("true", { order: new Uint32Array(5), by: 17 });
      track.paint.want(17);
      await vi.advanceTimersByTimeAsync(1);
      T = 20;
      asked.length = 0;
      const grown = await session.grown();
      if (!grown) throw new Error("not grown");
      expect(grown.snapshots).toBe(20);
      expect(grown.lineage).toBe(session.lineage);
      expect(grown.placed.get("true")?.by).toBe(17);
      const longer = await grown.track("true", 19);
      expect(asked.filter((key) => /summary|classes/.test(key))).toEqual([
        "r/val/true/margin/summary/18-20.st",
        "r/val/true/margin/classes/18-20.st",
      ]);
      expect([...longer.summary.meanStrength]).toEqual(Array.from({ length: 40 }, (_, i) => i));
      expect([...longer.summary.n.subarray(34)]).toEqual([18, 18, 20, 20, 20, 20]);
      expect(longer.classBins).toHaveLength(20 * 42);
      // whole chunks stay; that of the end, which has grown, comes anew
      expect(longer.paint.at(3)?.level[0]).toBe(18);
      await vi.advanceTimersByTimeAsync(1);
      expect(longer.paint.at(17)?.level[0]).toBe(20);
      expect(asked.filter((key) => key.includes("paint"))).toEqual([
        "r/val/true/margin/paint/1.st",
      ]);
    });

    it("asks for a long run piece by piece, around the playhead first", async () => {
      T = 1100;
      const session = await Session.open(growing, "r", "val");
      asked.length = 0;
      let track = await session.track("true", 700);
      const pieces = () => asked.filter((key) => key.includes("summary")).map((k) => k.slice(26));
      expect(pieces()).toEqual(["688-704.st"]);
      expect(track.complete).toBe(false);
      expect([687, 688, 703, 704].map((t) => track.summary.missing[t])).toEqual([2, 0, 0, 2]);
      expect(track.summary.meanStrength[2 * 700]).toBe(1400);
      expect(track.summary.meanStrength[0]).toBeNaN();
      track = await session.more(track, 700);
      track = await session.more(track, 1090); // the playhead has gone elsewhere
      while (!track.complete) track = await session.more(track, 1090);
      expect(pieces()).toEqual(
        ["688-704", "0-512", "1088-1100", "512-688", "704-1088"].map((piece) => `${piece}.st`),
      );
      expect([...track.summary.meanStrength]).toEqual(Array.from({ length: 2200 }, (_, i) => i));
      expect(await session.track("true", 0)).toBe(track);
    });

    it("is another where snapshots that were there are others now", async () => {
      const session = await Session.open(growing, "r", "val");
      [T, first] = [20, 1];
      expect(await session.grown()).toBeNull();
      [T, first] = [17, 0];
      expect(await session.grown()).toBeNull();
    });
  });
});
