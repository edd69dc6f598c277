// Lines through many snapshots, in no more points than can be seen.

const tenths = (v: number): number => Math.round(v * 10) / 10;

/** An SVG path through the points that are known; of more than two in a pixel the least and the
 * greatest, so that nothing that stands out is lost.
 *
 * @param x where each point is, in pixels, from left to right.
 * @param y its height; NaN where there is none. */
export function lineThrough(x: Float64Array, y: (i: number) => number): string {
  const all = x.length <= 2 * (x[x.length - 1] - x[0]);
  let path = "";
  let pen = "M";
  let column = NaN;
  let [least, greatest] = [-1, -1];
  let [low, high] = [0, 0];
  const put = (i: number, v: number): void => {
    path += `${pen}${tenths(x[i])},${tenths(v)}`;
    pen = "L";
  };
  const flush = (): void => {
    if (least < 0) return;
    if (least === greatest) put(least, low);
    else if (least < greatest) {
      put(least, low);
      put(greatest, high);
    } else {
      put(greatest, high);
      put(least, low);
    }
    least = greatest = -1;
  };
  for (let i = 0; i < x.length; i++) {
    const v = y(i);
    if (Number.isNaN(v)) {
      flush();
      pen = "M";
      continue;
    }
    const own = all ? i : Math.floor(x[i]);
    if (own !== column || least < 0) {
      flush();
      column = own;
      [least, greatest, low, high] = [i, i, v, v];
    } else if (v < low) [least, low] = [i, v];
    else if (v > high) [greatest, high] = [i, v];
  }
  flush();
  return path;
}
