// What is shown of a layer in pictures, and how weights became pictures.

import type { Shows } from "../url";
import type { Split } from "../wire/manifest";

/** What is shown of a layer. First weights stand with the first; elsewhere cells are in their place. */
export const shownOf = (l: number, what: Shows): Shows =>
  what === "weights" && l !== 0 ? "cells" : what;

/** How the pictures of first weights came about, in words. */
export function aboutWeights(split: Pick<Split, "first_weights">): string {
  const of = split.first_weights;
  if (!of) return "";
  const [, inputs, ...positions] = of.shape;
  const [y, x, channels] = of.picture;
  const shown = (): string => {
    if (positions.length === 0)
      return y > 1
        ? `laid out as pictures of ${x} × ${y}`
        : `a column for each of ${inputs} inputs`;
    if (positions.length === 1) return "a row for each input channel";
    const depth = positions.length > 2 ? ", mean over depth" : "";
    if (channels === 3) return `the input channels as red, green and blue${depth}`;
    return inputs === 1
      ? `${x} × ${y}${depth}`
      : `the mean over ${inputs} input channels${depth && " and depth"}`;
  };
  return `Weights of ${of.module}, ${shown()}. Gray is 0, lighter is positive, darker negative`;
}

/** What the pictures in cells are. */
export const aboutInsets = (grouping: string): string =>
  grouping === "true"
    ? "Pictures: where the unit responds to samples of its class; a grey one, to all samples."
    : "Pictures: where the unit responds, over all samples.";
