// Units keep fixed places, decided by the last snapshot, so that color crystallizes in place.

import { HELD, TIED, type Layer } from "../wire/manifest";
import type { Paint } from "./paint";

/** Units layer by layer: held ones by class, strongest first; then tied; then the rest.
 *
 * @param places of the classes; default: as they are numbered */
export function unitOrder(
  last: Paint,
  layers: readonly Layer[],
  places?: ArrayLike<number>,
): Uint32Array {
  const order = new Uint32Array(last.state.length);
  // One sortable number per unit: state group, class, level reversed, and the unit itself last.
  const rank = (u: number): number => {
    const cls = last.preferred[u];
    if (last.state[u] === HELD) return (places?.[cls] ?? cls) * 128 + (127 - last.level[u]);
    return 2 ** 25 + (last.state[u] === TIED ? 0 : last.state[u]);
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
