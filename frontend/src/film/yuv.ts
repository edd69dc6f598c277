// RGB to the colors of video, by the rule that is written into the file: left to themselves, browsers
// take one of two, and not all of them say which.

/** The primaries, transfer and matrix that players assume of a film of this size. */
export const BT709: VideoColorSpaceInit = {
  primaries: "bt709",
  transfer: "bt709",
  matrix: "bt709",
  fullRange: false,
};

const [RED, GREEN, BLUE] = [0.2126, 0.7152, 0.0722];
const LUMA = 219 / 255;
const CHROMA = 224 / 255;

/** Luma of each pixel, then both chromas of each 2 × 2 of them (I420, 16 … 235).
 *
 * @param rgba pixels, four bytes each; both sides even.
 * @param to `width * height * 3 / 2` bytes. */
export function toYuv(
  rgba: Uint8ClampedArray,
  width: number,
  height: number,
  to: Uint8Array,
): void {
  const size = width * height;
  const half = width / 2;
  for (let i = 0, p = 0; i < size; i++, p += 4)
    to[i] = 16.5 + LUMA * (RED * rgba[p] + GREEN * rgba[p + 1] + BLUE * rgba[p + 2]);
  const [u, v] = [size, size + size / 4];
  const below = 4 * width;
  for (let y = 0, at = 0; y < height; y += 2) {
    let p = 4 * y * width;
    for (let x = 0; x < half; x++, at++, p += 8) {
      const r = (rgba[p] + rgba[p + 4] + rgba[p + below] + rgba[p + below + 4]) / 4;
      const g = (rgba[p + 1] + rgba[p + 5] + rgba[p + below + 1] + rgba[p + below + 5]) / 4;
      const b = (rgba[p + 2] + rgba[p + 6] + rgba[p + below + 2] + rgba[p + below + 6]) / 4;
      const luma = RED * r + GREEN * g + BLUE * b;
      to[u + at] = 128.5 + (CHROMA * (b - luma)) / (2 * (1 - BLUE));
      to[v + at] = 128.5 + (CHROMA * (r - luma)) / (2 * (1 - RED));
    }
  }
}
