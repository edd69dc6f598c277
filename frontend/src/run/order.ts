// Units keep fixed places, decided by the last snapshot, so that color crystallizes in place.

import { HELD, TIED, type Layer } from "../wire/manifest";
import type { Paint } from "./paint";

const TIED_RANK = 2 ** 25;
const REST_RANK = TIED_RANK + 256;

/** Units layer by layer: held ones by class, strongest first; then tied; then the rest. Two classes are
 * the ends of one scale: tied units stand between them.
 *
 * @param places of the classes, the first of them 0; default: as they are numbered */
export function unitOrder(
  last: Paint,
  layers: readonly Layer[],
  places?: ArrayLike<number>,
): Uint32Array {
  const order = new Uint32Array(last.state.length);
  const two = places?.length === 2;
  // One sortable number per unit: state group, class, level reversed, and the unit itself last.
  const rank = (u: number): number => {
    const cls = last.preferred[u];
    const place = places?.[cls] ?? cls;
    if (last.state[u] === HELD) {
      if (two && place === 1) return TIED_RANK + 1 + last.level[u];
      return place * 128 + (127 - last.level[u]);
    }
    return last.state[u] === TIED ? TIED_RANK : REST_RANK + last.state[u];
  };
  const keys = Float64Array.from(order, (_, u) => rank(u) * 2 ** 26 + u);
  for (const layer of layers) {
    const span = keys.subarray(layer.offset, layer.offset + layer.units).sort();
    for (let i = 0; i < layer.units; i++) order[layer.offset + i] = span[i] % 2 ** 26;
  }
  return order;
}

export function indexOrder(units: number): Uint32Array {
  return Uint32Array.from({ length: units }, (_, u) => u);
}
