// A small network for tests.

import type { Layer } from "../src/wire/manifest";

export function layersOf(...entries: [path: string, units: number][]): Layer[] {
  let offset = 0;
  return entries.map(([path, units], l) => {
    const layer: Layer = {
      path,
      kind: "ReLU",
      units,
      offset,
      stage: path.split(".").slice(0, -1).join("."),
      signed: false,
      output: l === entries.length - 1,
      shape: [units],
    };
    offset += units;
    return layer;
  });
}

export function resnet50(): Layer[] {
  const entries: [string, number][] = [["relu", 64]];
  [3, 4, 6, 3].forEach((blocks, stage) => {
    const width = 64 * 2 ** stage;
    for (let b = 0; b < blocks; b++)
      entries.push(
        [`layer${stage + 1}.${b}.relu`, width],
        [`layer${stage + 1}.${b}.relu#1`, width],
        [`layer${stage + 1}.${b}.relu#2`, 4 * width],
      );
  });
  return layersOf(...entries, ["fc", 10]);
}
