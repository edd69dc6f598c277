// How the samples of a class were read.

import { count, list, percent, plural } from "../format";
import { said, type Say } from "../inline";

/** How the samples of a class were read, from one row or column of the confusion. */
export function classSentence(
  name: string,
  right: number,
  n: number,
  others: readonly { name: string; samples: number }[],
  predicted: boolean,
  say: Say = said,
): string {
  if (n === 0)
    return predicted
      ? `No sample is predicted as ${say(name)} here.`
      : `No sample is of class ${say(name)}.`;
  const top = others
    .filter((o) => o.samples > 0)
    .sort((a, b) => b.samples - a.samples)
    .slice(0, 3);
  const rest = list(top.map((o) => `${say(o.name)} (${count(o.samples)})`));
  if (predicted)
    return `${count(n)} ${plural(n, "sample")} predicted as it, ${percent(right / n)} correctly${rest ? `; the others are ${rest}` : ""}.`;
  return `${percent(right / n)} of ${count(n)} ${plural(n, "sample")} correct${rest ? `; mistaken for ${rest}` : ""}.`;
}
