// What the compare view says, in sentences that are true of what is beneath them.

import { count, fixed, list, percent, plural, stepText } from "../format";
import { said } from "../inline";
import { spoken } from "../sentences/network";
import type { By } from "../url";

/** One side at the playhead; NaN where it has no such number. */
export interface SideFacts {
  step: number;
  epoch: number;
  accuracy: number;
  /** Of its units, those tuned: to the highlighted class, if one is. */
  share: number;
}

export const BY_TITLES: Record<By, string> = { step: "step", epoch: "epoch", accuracy: "accuracy" };

const epochText = (epoch: number): string => String(Math.round(epoch * 100) / 100);
const accuracyText = (accuracy: number): string => `${fixed(100 * accuracy, 1)}%`;

/** Of the same units, how many differ, and the layer where most do. */
export interface Differ {
  units: number;
  all: number;
  layer: string;
  inLayer: number;
}

/** @param cls the highlighted class, or null.
 * @param differ where both sides are of the same units, and all of them are here. */
export function compareSentence(
  by: By,
  paired: boolean,
  a: SideFacts,
  b: SideFacts,
  cls: string | null,
  differ: Differ | null = null,
): string {
  if (!paired) return `Step ${stepText(a.step)}: the two cannot be aligned by ${BY_TITLES[by]}.`;
  if (Number.isNaN(b.step))
    return `Step ${stepText(a.step)}: A has no ${BY_TITLES[by]} here to align B by.`;
  const to = cls === null ? "" : ` to ${said(cls)}`;
  const [one, two] = [shareText(a.share), shareText(b.share)];
  if (differ && !Number.isNaN(a.share) && !Number.isNaN(b.share)) {
    const { units, all, layer, inLayer } = differ;
    const same =
      units === 0
        ? "no unit differs"
        : `${count(units)} of ${count(all)} units ${plural(units, "differs", "differ")}`;
    const most =
      inLayer > 0 && inLayer < units ? `, most in ${said(spoken(layer))} (${count(inLayer)})` : "";
    const both =
      one === two ? `${one} are tuned${to} in both` : `${one} are tuned${to} in A, ${two} in B`;
    return `${moment(by, a, b)}: ${same}${most}; ${both}.`;
  }
  return `${moment(by, a, b)}: ${one} of units are tuned${to} in A, ${two} in B.`;
}

const shareText = (share: number): string => (Number.isNaN(share) ? "no data" : percent(share));

function moment(by: By, a: SideFacts, b: SideFacts): string {
  if (by === "step") {
    if (a.step === b.step) return `Step ${stepText(a.step)}`;
    return `Step ${stepText(a.step)} of A, ${stepText(b.step)} of B`;
  }
  const text = by === "epoch" ? epochText : accuracyText;
  const [one, two] = [text(a[by]), text(b[by])];
  if (by === "epoch") return one === two ? `Epoch ${one}` : `Epoch ${one} of A, ${two} of B`;
  return one === two ? `At ${one} accuracy` : `At ${one} accuracy in A, ${two} in B`;
}

/** What stands beside the name of a side: where it is, how well it does, how much of it is tuned. */
export function sideText(side: SideFacts): string {
  if (Number.isNaN(side.step)) return "no snapshot to stand here";
  const told = [`step ${stepText(side.step)}`];
  if (Number.isFinite(side.accuracy)) told.push(`${accuracyText(side.accuracy)} accuracy`);
  return told.join(" · ");
}

export interface Caveats {
  /** Whether a unit of A is that of B. */
  sameUnits: boolean;
  otherSamples: boolean;
  /** Where the layers first differ. */
  layers: string | null;
  /** Samples behind each. */
  n: readonly [number, number];
}

export function compareSubtitle({ sameUnits, otherSamples, layers, n }: Caveats): string {
  const told = [
    layers !== null
      ? `Other layers (${layers}), so none stands beside another: of each, the share of units tuned to a class, on A’s time.`
      : sameUnits
        ? "The same units in the same places: they differ where one is tuned on one side alone, or to another class."
        : "Units stand in each run’s own order: unit 7 of A is not unit 7 of B.",
  ];
  if (otherSamples) told.push("The samples differ, and a difference may be theirs.");
  if (n[0] !== n[1])
    told.push(
      `Of ${count(n[0])} samples in A and ${count(n[1])} in B: with fewer, strength is lower by itself.`,
    );
  return told.join(" ");
}

export const configText = (names: readonly string[]): string => {
  const few = names.slice(0, 3).map((name) => said(name));
  const rest = names.length - few.length;
  return `Configs differ in ${list(rest > 0 ? [...few, `${count(rest)} more`] : few)}`;
};
