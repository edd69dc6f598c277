// Units tuned on one side, from what the server has counted.

import { stateCounts, tunedInLayer, tunedToClass } from "../run/counts";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import type { Paint } from "../run/paint";
import { HELD, NOT_DEFINED, SILENT, TIED, type Layer } from "../wire/manifest";

/** Share of units tuned, to class `k` if it is not -1, of those for which the measure has a meaning;
 * NaN where no unit has data. */
export function tunedShare(
  open: Pick<Session, "layers" | "units">,
  track: Pick<Track, "summary" | "classBins" | "grouping">,
  t: number,
  k: number,
  level: number,
): number {
  const L = open.layers.length;
  const states = stateCounts(track.summary, L, t);
  if (states[HELD] + states[TIED] + states[SILENT] === 0) return NaN;
  const units = open.units - states[NOT_DEFINED];
  let tuned = 0;
  if (k >= 0) tuned = tunedToClass(track.classBins, track.grouping.classes.length, t, k, level);
  else for (let l = 0; l < L; l++) tuned += tunedInLayer(track.summary, L, t, l, level);
  return tuned / units;
}

/** Units that are tuned on one side alone, or to another class. */
export interface Differing {
  units: number;
  /** The layer with most of them, and how many; -1 for none. */
  layer: number;
  inLayer: number;
}

/** How many of the same units differ between two readings of them.
 *
 * @param classes of each class of the first its index in the second.
 * @param k the class that alone is looked at, in the first, or -1. */
export function differing(
  a: Paint,
  b: Paint,
  layers: readonly Pick<Layer, "offset" | "units">[],
  classes: readonly number[],
  level: number,
  k: number,
): Differing {
  const found = { units: 0, layer: -1, inLayer: 0 };
  const tuned = (of: Paint, u: number): number =>
    of.state[u] === HELD && of.level[u] >= level ? of.preferred[u] : -1;
  layers.forEach(({ offset, units }, l) => {
    let n = 0;
    for (let u = offset; u < offset + units; u++) {
      const first = tuned(a, u);
      const [one, two] = [first < 0 ? -1 : (classes[first] ?? first), tuned(b, u)];
      const cls = k < 0 ? -1 : (classes[k] ?? k);
      if (k < 0 ? one !== two : (one === cls) !== (two === cls)) n++;
    }
    found.units += n;
    if (n > found.inLayer) [found.layer, found.inLayer] = [l, n];
  });
  return found;
}
