import { afterEach, describe, expect, it, vi } from "vitest";
import { codecFor, whyNoFilm } from "../src/film/film";
import { indexed, MOST_COLORS } from "../src/film/indexed";
import { toYuv } from "../src/film/yuv";

const solid = (r: number, g: number, b: number, pixels: number): Uint8ClampedArray =>
  Uint8ClampedArray.from({ length: 4 * pixels }, (_, i) => [r, g, b, 255][i % 4]);

/** As a player turns it back (BT.709, 16 … 235). */
function shown([y, u, v]: number[]): number[] {
  const [l, cb, cr] = [(y - 16) / 219, (u - 128) / 224, (v - 128) / 224];
  const r = l + 1.5748 * cr;
  const b = l + 1.8556 * cb;
  return [r, (l - 0.2126 * r - 0.0722 * b) / 0.7152, b].map((c) => Math.round(255 * c));
}

describe("a picture as video", () => {
  it("has white, black and grey where the standard has them", () => {
    const yuv = new Uint8Array(6);
    for (const [level, luma] of [
      [255, 235],
      [0, 16],
      [128, 126],
    ]) {
      toYuv(solid(level, level, level, 4), 2, 2, yuv);
      expect([...yuv]).toEqual([luma, luma, luma, luma, 128, 128]);
    }
  });

  it("comes back as the color it was, but for rounding", () => {
    const yuv = new Uint8Array(6);
    for (const color of [
      [229, 89, 95],
      [213, 99, 0],
      [0, 160, 125],
      [112, 139, 255],
    ]) {
      toYuv(solid(color[0], color[1], color[2], 4), 2, 2, yuv);
      shown([yuv[0], yuv[4], yuv[5]]).forEach((c, i) =>
        expect(Math.abs(c - color[i])).toBeLessThanOrEqual(2),
      );
    }
  });

  it("has one color for two by two pixels, each its own luma", () => {
    const rgba = new Uint8ClampedArray([...solid(255, 0, 0, 2), ...solid(0, 0, 255, 2)]);
    const yuv = new Uint8Array(6);
    toYuv(rgba, 2, 2, yuv);
    expect([...yuv.subarray(0, 4)]).toEqual([63, 63, 32, 32]);
    expect(yuv[4]).toBe(Math.floor(128.5 + (224 / 2) * ((0.5 - (0.1063 + 0.0361)) / 0.9278)));
  });
});

describe("a picture in few colors", () => {
  it("keeps those that most of it has, exactly, however many there are", () => {
    const cells = Array.from({ length: 200 }, (_, i) => [i, 255 - i, (7 * i) % 256]);
    const edges = Array.from({ length: 3000 }, (_, i) => [i % 256, (i >> 3) % 256, 3]);
    const pixels = [...cells.flatMap((color) => new Array<number[]>(40).fill(color)), ...edges];
    const rgba = Uint8ClampedArray.from(pixels.flatMap((color) => [...color, 255]));
    const { index, palette } = indexed(rgba);
    expect(palette).toHaveLength(MOST_COLORS);
    cells.forEach((color, i) => expect(palette[index[40 * i]]).toEqual(color));
  });

  it("gives every other the nearest of them", () => {
    const rgba = new Uint8ClampedArray([...solid(0, 0, 0, 9), ...solid(255, 255, 255, 9)]);
    const { index, palette } = indexed(rgba);
    expect(palette[index[0]]).toEqual([0, 0, 0]);
    expect(palette[index[17]]).toEqual([255, 255, 255]);
    const many = Array.from({ length: 300 }, (_, i) => [i % 256, i > 255 ? 1 : 0, 0, 255]);
    const few = indexed(Uint8ClampedArray.from(many.flat()));
    many.forEach((color, i) => {
      const found = few.palette[few.index[i]];
      expect(Math.abs(found[0] - color[0]) + Math.abs(found[1] - color[1])).toBeLessThanOrEqual(1);
    });
  });
});

describe("the codec of a film", () => {
  afterEach(() => vi.unstubAllGlobals());
  const supports = (names: string[]) =>
    vi.stubGlobal("VideoEncoder", {
      isConfigSupported: async ({ codec }: { codec: string }) => {
        if (codec.startsWith("av01")) throw new TypeError("never heard of it");
        return { supported: names.some((name) => codec.startsWith(name)) };
      },
    });

  it("is the one that every player shows, where there is one", async () => {
    supports(["avc1", "vp09"]);
    expect((await codecFor(1920, 1080))?.codec).toBe("avc1.640028");
    supports(["vp09"]);
    expect((await codecFor(1920, 1080))?.codec).toBe("vp09.00.40.08");
    supports([]);
    expect(await codecFor(1920, 1080)).toBeNull();
  });

  it("is none without an encoder, and the page says what to do", async () => {
    expect(await codecFor(1920, 1080)).toBeNull();
    for (const secure of [true, false])
      expect(whyNoFilm(secure)).toContain("huelapse export RUN -o run.mp4");
    expect(whyNoFilm(false)).toContain("https");
  });
});
