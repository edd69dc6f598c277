// A picture in at most 256 colors: those that most of it has, exactly; every other the nearest of them.

export const MOST_COLORS = 256;

export interface Indexed {
  /** For each pixel its color's place. */
  index: Uint8Array;
  palette: number[][];
}

/** @param rgba pixels, four bytes each, without transparency. */
export function indexed(rgba: Uint8ClampedArray): Indexed {
  const pixels = new Uint32Array(rgba.buffer, rgba.byteOffset, rgba.byteLength / 4);
  const counts = new Map<number, number>();
  // neighbors mostly have one color: a run of them is counted at once
  for (let i = 0; i < pixels.length;) {
    const color = pixels[i];
    let end = i + 1;
    while (end < pixels.length && pixels[end] === color) end++;
    counts.set(color, (counts.get(color) ?? 0) + end - i);
    i = end;
  }
  const kept = [...counts.entries()]
    .sort((a, b) => b[1] - a[1])
    .slice(0, MOST_COLORS)
    .map(([color]) => color);
  const palette = kept.map(bytesOf);
  const places = new Map(kept.map((color, place) => [color, place]));
  for (const color of counts.keys())
    if (!places.has(color)) places.set(color, nearest(bytesOf(color), palette));
  const index = new Uint8Array(pixels.length);
  let [before, place] = [-1, 0];
  for (let i = 0; i < pixels.length; i++) {
    if (pixels[i] !== before) {
      before = pixels[i];
      place = places.get(before) as number;
    }
    index[i] = place;
  }
  return { index, palette };
}

const scratch = new Uint32Array(1);
const scratchBytes = new Uint8Array(scratch.buffer);

function bytesOf(color: number): number[] {
  scratch[0] = color;
  return [scratchBytes[0], scratchBytes[1], scratchBytes[2]];
}

function nearest([r, g, b]: readonly number[], palette: readonly (readonly number[])[]): number {
  let [best, least] = [0, Infinity];
  for (let i = 0; i < palette.length; i++) {
    const [x, y, z] = palette[i];
    const distance = (x - r) ** 2 + (y - g) ** 2 + (z - b) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}
