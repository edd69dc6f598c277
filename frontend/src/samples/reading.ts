// How a sample is read: rightly, wrongly, or nobody knows.

import { NO_PREDICTION, NOT_KEPT } from "../wire/manifest";

/** Whether this is a class, rather than none or not known. */
export const isClass = (k: number): boolean => k !== NO_PREDICTION && k !== NOT_KEPT;

/** An output that is no class is wrong; what was not kept is not. */
export const isWrong = (label: number, prediction: number): boolean =>
  isClass(label) && prediction !== NOT_KEPT && prediction !== label;

export interface Wrong {
  /** Samples with a label of which it is known what they are read as. */
  all: number;
  wrong: number;
  /** With a label, but not known. */
  unknown: number;
}

export function countWrong(label: ArrayLike<number>, prediction: ArrayLike<number>): Wrong {
  const found = { all: 0, wrong: 0, unknown: 0 };
  for (let i = 0; i < label.length; i++) {
    if (!isClass(label[i])) continue;
    if (prediction[i] === NOT_KEPT) found.unknown++;
    else {
      found.all++;
      if (isWrong(label[i], prediction[i])) found.wrong++;
    }
  }
  return found;
}
