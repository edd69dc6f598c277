// Where the row of each layer stands.

import { session } from "../state/chosen";
import { ROOM, STRIP_TOP } from "./chart";

const TALLEST_ROW = 22;
/** From this height on, each row has its name and number beside it. */
export const NAMED_ROW = 8;

export function rowHeight(layers: number): number {
  return Math.min(TALLEST_ROW, ROOM / layers);
}

/** Top and height of a row, on whole pixels. */
export function rowAt(layers: number, l: number): [number, number] {
  const row = rowHeight(layers);
  const top = Math.round(STRIP_TOP + l * row);
  const end = Math.round(STRIP_TOP + (l + 1) * row) - (row >= 6 ? 1 : 0);
  return [top, Math.max(1, end - top)];
}

/** Which row is at a height; -1 for none. */
export function layerAt(y: number): number {
  const L = session.peek()?.layers.length ?? 0;
  const l = Math.floor((y - STRIP_TOP) / rowHeight(L));
  return l >= 0 && l < L ? l : -1;
}
