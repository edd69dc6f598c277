// How large the maps of a layer are.

export const GAP = 8;
/** Below a map: the color of its cell. */
export const BAR = 5;
const LARGEST = 104;
const LEAST = 26;

/** The largest tiles of which all have room, or the least. */
export function tileFor(units: number, width: number, height: number): number {
  for (let tile = LARGEST; tile > LEAST; tile -= 2) {
    const columns = Math.floor((width + GAP) / (tile + GAP));
    if (columns > 0 && Math.ceil(units / columns) * (tile + BAR + 2 + GAP) <= height) return tile;
  }
  return LEAST;
}
