// What a snapshot sums up, and what of it is not there.

import { count, plural } from "../format";
import { type Split } from "../wire/manifest";

const KINDS: Record<Split["kind"], string> = {
  probe: "the same samples every time",
  window: "the training samples, weights moving",
  evaluation: "the samples of the training’s own evaluation",
};

/** Which part of a snapshot is not there; undefined where all of it is. */
export function missingSentence(split: Split, snapshot: number): string | undefined {
  const one = split.incomplete.find((other) => other.snapshot === snapshot);
  if (one === undefined) return undefined;
  const parts = plural(one.parts, "part");
  return one.expected === null
    ? `Merged of ${count(one.parts)} ${parts}, nobody knows of how many: samples may be missing here.`
    : `Merged of ${count(one.parts)} of ${count(one.expected)} parts: the samples of the others are missing here.`;
}

/** What a snapshot of a split sums up. */
export function splitSentence(split: Split): string {
  const weights = split.weights === "averaged" ? ", averaged weights" : "";
  const mode = split.kind === "window" && split.mode ? `, ${split.mode} mode` : "";
  return `${split.kind}: ${KINDS[split.kind] ?? ""}${weights}${mode}`;
}
