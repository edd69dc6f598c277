// What the threshold and the noise floor mean.

import { fixed, strengthOfLevel } from "../format";
import { type Measure } from "../wire/manifest";

/** What the threshold means, in pairs of samples where the measure is a margin. */
export function thresholdSentence(level: number, measure: Measure): string {
  const strength = strengthOfLevel(level);
  if (measure.name !== "margin")
    return `Tuned from ${strength} on. ${measure.about[0].toUpperCase()}${measure.about.slice(1)}.`;
  const pairs = Math.round(50 + level / 2);
  return `Tuned from ${strength} on: in about ${pairs} of 100 pairs or more, a sample of the class drives the unit more than a sample of the next class.`;
}

/** Up to where strength is noise: the 95th percentile under permuted labels, of the worst layer. As
 * long while it is not known, or not there for the grouping: nothing below it may jump. */
export function floorSentence(value: number | null, ofTrue = true): string {
  const number = !ofTrue ? "–" : value === null ? "…" : fixed(Math.max(0, value));
  return `Noise floor ${number} (dotted): with labels shuffled, 95 of 100 units stay at or below it.`;
}
