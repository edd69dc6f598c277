import { describe, expect, it } from "vitest";
import { cellAt, labelAt, layoutNetwork, placeAt, type Layout } from "../src/network/layout";
import { stageRows } from "../src/network/stages";
import type { Layer } from "../src/wire/manifest";
import { layersOf, resnet50 } from "./network-example";

const demo = layersOf(
  ["stem.2", 16],
  ["block1.relu", 24],
  ["block1.join", 24],
  ["block2.relu", 48],
  ["block2.join", 48],
  ["conv3.2", 64],
  ["fc1.1", 128],
  ["fc2.1", 64],
  ["output", 10],
);
const small = layersOf(["stem", 24], ["block1.relu", 64], ["fc1", 128], ["head", 10]);

function expectApart(layout: Layout, width: number): void {
  const seen = new Set<number>();
  for (const a of layout.blocks) {
    expect(a.x).toBeGreaterThanOrEqual(0);
    expect(a.x + a.width).toBeLessThanOrEqual(width + 0.5);
    expect(seen.has(a.layer)).toBe(false);
    seen.add(a.layer);
    for (const b of layout.blocks) {
      if (a === b) continue;
      const apart =
        a.x + a.width <= b.x ||
        b.x + b.width <= a.x ||
        a.y + a.height <= b.y ||
        b.y + b.height <= a.y;
      expect(apart).toBe(true);
    }
  }
}

const holdsAll = (layout: Layout, layers: readonly Layer[]): boolean =>
  layout.blocks.every((b) => b.columns * b.rows >= layers[b.layer].units);

describe("network layout", () => {
  it("stands few layers in one row, with one cell size that fits", () => {
    const layout = layoutNetwork(small, 840, 560);
    expect(layout.wrapped).toBe(false);
    expect(layout.cell).toBeGreaterThanOrEqual(16);
    expect(new Set(layout.blocks.map((b) => b.y)).size).toBe(1);
    expect(holdsAll(layout, small)).toBe(true);
    expectApart(layout, 840);
  });

  it("keeps the numbers under the last block inside the canvas", () => {
    // "100% of 10" is 66 px wide in one row, 56 px in a row of stages; "output" 38 px.
    const widths: [number, number, number][] = [
      [866, 560, 69],
      [768, 440, 69],
      [648, 270, 60],
      [308, 300, 60],
    ];
    for (const [width, height, room] of widths) {
      const last = layoutNetwork(demo, width, height).blocks.at(-1);
      expect((last?.x ?? 0) + room).toBeLessThanOrEqual(width);
      expect(last?.slot).toBeGreaterThanOrEqual(room);
    }
    const thousand = layersOf(["a", 24], ["b", 24], ["head", 1000]);
    const last = layoutNetwork(thousand, 300, 560).blocks.at(-1);
    expect((last?.x ?? 0) + (last?.slot ?? 0)).toBeLessThanOrEqual(301);
  });

  it("breaks rows of stages where cells would else be too small to see", () => {
    const layout = layoutNetwork(demo, 308, 300);
    expect(layout.cell).toBeGreaterThanOrEqual(5);
    expect(layout.rows.length).toBe(3);
    expect(layout.height).toBe(300);
    expectApart(layout, 308);
  });

  it("knows whose name and numbers are under the pointer", () => {
    const layout = layoutNetwork(small, 840, 560);
    const block = layout.blocks[2];
    expect(labelAt(layout, block.x + 4, block.y - 10)).toBe(2);
    expect(labelAt(layout, block.x + 4, block.bar + 20)).toBe(2);
    expect(labelAt(layout, block.x + 4, block.y + 4)).toBe(-1);
  });

  it("takes the largest cell: a larger canvas never has smaller ones", () => {
    let before = 0;
    for (const scale of [0.5, 0.75, 1, 1.5, 2]) {
      const { cell } = layoutNetwork(small, 840 * scale, 560 * scale);
      expect(cell).toBeGreaterThanOrEqual(before);
      before = cell;
    }
  });

  it("wraps a ResNet-50 into its stages and fits it into one screen", () => {
    const layers = resnet50();
    const layout = layoutNetwork(layers, 844, 560);
    expect(layout.wrapped).toBe(true);
    expect(layout.rows.map((row) => row.title)).toEqual([
      "relu – layer1",
      "layer2",
      "layer3",
      "layer4 – fc",
    ]);
    expect(layout.height).toBe(560);
    expect(layout.cell).toBeGreaterThanOrEqual(3);
    expect(holdsAll(layout, layers)).toBe(true);
    expectApart(layout, 844);
  });

  it("fits 80,000 units", () => {
    const layers = layersOf(
      ...Array.from({ length: 40 }, (_, i): [string, number] => [
        `layer${i % 4 === 0 ? 1 : 2}.${i}.relu`,
        2000,
      ]),
    );
    const layout = layoutNetwork(layers, 844, 560);
    expect(layout.cell).toBeGreaterThanOrEqual(1);
    expect(layout.height).toBe(560);
    expectApart(layout, 844);
  });

  it("scrolls rather than losing units where nothing fits", () => {
    const layers = layersOf(["a.0", 100_000], ["a.1", 100_000]);
    const layout = layoutNetwork(layers, 200, 120);
    expect(layout.height).toBeGreaterThan(120);
    expect(holdsAll(layout, layers)).toBe(true);
  });

  it("makes cells a whole number of device pixels, at whole device pixels", () => {
    for (const ratio of [1, 1.5, 2]) {
      const layout = layoutNetwork(small, 840, 560, ratio);
      expect(Math.abs(layout.cell * ratio - Math.round(layout.cell * ratio))).toBeLessThan(1e-9);
      for (const b of layout.blocks)
        expect(Math.abs(b.x * ratio - Math.round(b.x * ratio))).toBeLessThan(1e-9);
    }
  });

  it("finds the unit whose cell is under the pointer", () => {
    const layout = layoutNetwork(small, 840, 560);
    const block = layout.blocks[2];
    for (const place of [0, 1, block.rows, 127]) {
      const { x, y } = cellAt(block, layout.cell, place);
      expect(placeAt(layout, small, x + 2, y + 2)).toEqual({ layer: 2, place });
    }
    expect(placeAt(layout, small, block.x - 3, block.y + 2)).toBeNull();
  });
});

describe("rows of stages", () => {
  const covers = (layers: Layer[], widest = 100): number[] =>
    stageRows(layers, widest).flatMap((row) => row.layers);

  it("holds every layer once, in call order", () => {
    const vit = layersOf(
      ["patch", 8],
      ...Array.from({ length: 12 }, (_, i): [string, number][] => [
        [`blocks.${i}.mlp.act`, 8],
        [`blocks.${i}`, 8],
      ]).flat(),
      ["head", 2],
    );
    const flat = layersOf(
      ...Array.from({ length: 30 }, (_, i): [string, number] => [`features.${i}`, 8]),
    );
    for (const layers of [resnet50(), vit, flat])
      expect(covers(layers)).toEqual(layers.map((_, l) => l));
    expect(stageRows(vit, 100).length).toBeLessThanOrEqual(8);
    expect(Math.min(...stageRows(vit, 100).map((r) => r.layers.length))).toBeGreaterThan(2);
    for (const row of stageRows(flat, 7)) expect(row.layers.length).toBeLessThanOrEqual(7);
  });

  it("gives a lone stem or head no row of its own, and a title that holds them", () => {
    const rows = stageRows(resnet50(), 100);
    expect(rows[0].title).toBe("relu – layer1");
    expect(rows[0].layers).toContain(0);
    expect(rows[rows.length - 1].title).toBe("layer4 – fc");
  });

  it("titles each row by the first and the last stage it holds", () => {
    const titles = stageRows(demo, 100).map((row) => row.title);
    expect(titles).toEqual(["stem – block1", "block2 – output"]);
    const cut = stageRows(demo, 4);
    expect(cut.map((row) => row.title)).toEqual([
      "stem – block1",
      "block2 – conv3",
      "fc1 – output",
    ]);
    expect(cut.flatMap((row) => row.layers)).toEqual(demo.map((_, l) => l));
  });
});
