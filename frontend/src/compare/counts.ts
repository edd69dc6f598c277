// Units tuned on one side, from what the server has counted.

import { stateCounts, tunedInLayer, tunedToClass } from "../run/counts";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { HELD, NOT_DEFINED, SILENT, TIED } from "../wire/manifest";

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
