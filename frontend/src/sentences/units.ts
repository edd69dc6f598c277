// Why a unit has the color it has.

import { count, fixed, plural, probability, strengthOfLevel } from "../format";
import { isolated, said, type Say } from "../inline";
import {
  HELD,
  NOT_DEFINED,
  NOT_FINITE,
  NOT_RECORDED,
  NO_DATA,
  SILENT,
  SUPPRESSED,
  TIED,
  UNRELIABLE,
  type Measure,
} from "../wire/manifest";

/** What `n` counts: with several classes to a sample, the sample counts in each. */
export type Counted = "sample" | "label";

export interface UnitFacts {
  state: number;
  level: number;
  flags: number;
  value: number;
  sure: number;
  preferred: string;
  runnerUp: string;
  /** Samples of the preferred class, and of all (labels, where a sample may have several). */
  nPreferred: number;
  n: number;
  counted: Counted;
  activeSamples: number;
  threshold: number;
  measure: Measure;
}

const FEWEST_TO_HOLD = 10;
const FEW_ACTIVE = 30;

/** Why the cell has the color it has. */
export function unitSentence(unit: UnitFacts, say: Say = said): string {
  const [preferred, runnerUp] = [say(unit.preferred), say(unit.runnerUp)];
  switch (unit.state) {
    case HELD:
      return heldSentence({ ...unit, preferred, runnerUp });
    case TIED:
      if (unit.nPreferred < FEWEST_TO_HOLD)
        return `Responds most to ${preferred}, but over only ${count(unit.nPreferred)} ${plural(unit.nPreferred, "sample")}; ${FEWEST_TO_HOLD} are needed, so it is drawn neutral.`;
      return `No class is surely first: ${probability(unit.sure)} sure that it is ${preferred} rather than ${runnerUp} or another, so it is drawn neutral.`;
    case SILENT:
      return `Silent: it gives the same response to all ${count(unit.n)} ${unit.counted}s.`;
    case NO_DATA:
      return "No data: fewer than two classes have three samples here.";
    case NOT_FINITE:
      return "Not finite: some of its responses are NaN or infinite here.";
    case NOT_RECORDED:
      return "Cannot be read back: this snapshot is damaged.";
    case NOT_DEFINED:
      return `Not defined: its responses may be negative, and ${unit.measure.title.toLowerCase()} has a meaning only where they cannot.`;
    default:
      return "";
  }
}

function heldSentence(unit: UnitFacts): string {
  const { preferred, runnerUp, threshold } = unit;
  const suppressed = (unit.flags & SUPPRESSED) !== 0;
  const tuned = unit.level >= threshold;
  const verb = suppressed ? "less" : "more";
  const pairs = Math.min(100, Math.max(50, 50 + 50 * unit.value));
  const evidence =
    unit.measure.name === "margin"
      ? `in ${pairs > 99.5 ? "more than 99" : `about ${Math.round(pairs)}`} of 100 pairs a sample of ${preferred} drives it ${verb} than a sample of ${runnerUp}`
      : `its ${unit.measure.title.toLowerCase()} is ${fixed(unit.value)}, ahead of ${runnerUp}`;
  const lead = suppressed
    ? tuned
      ? `Suppressed by ${preferred}`
      : `Weakly suppressed by ${preferred}`
    : tuned
      ? `Tuned to ${preferred}`
      : `Prefers ${preferred}`;
  const below = tuned
    ? ""
    : ` Its strength, ${strengthOfLevel(unit.level)}, is below the threshold of ${strengthOfLevel(threshold)}.`;
  return `${lead}: ${evidence}.${below}`;
}

/** What to mind before believing a unit; empty if nothing. */
export function unitWarning(unit: UnitFacts): string {
  if (unit.state > TIED) return "";
  if (unit.flags & UNRELIABLE)
    return `Unreliable: fewer than ${FEW_ACTIVE} active ${unit.counted}s of ${said(unit.preferred)} speak for it.`;
  if (unit.activeSamples < FEW_ACTIVE)
    return `Active for only ${count(unit.activeSamples)} of ${count(unit.n)} ${unit.counted}s.`;
  return "";
}

export const STATE_WORDS: Record<number, string> = {
  [TIED]: "tied: no class is surely first",
  [SILENT]: "silent: the same response to every sample",
  [NO_DATA]: "no data: too few samples",
  [NOT_FINITE]: "not finite: NaN or infinite responses",
  [NOT_RECORDED]: "cannot be read: the snapshot is damaged",
  [NOT_DEFINED]: "not defined: responses may be negative",
};

/** One line for the tip of a cell. */
export function cellSentence(
  state: number,
  flags: number,
  level: number,
  preferred: string,
  threshold: number,
  /** Of the class, where it is a superclass. */
  words = "",
  say: Say = isolated,
): string {
  if (state !== HELD) return STATE_WORDS[state] ?? "";
  const verb = flags & SUPPRESSED ? "suppressed by" : level >= threshold ? "tuned to" : "prefers";
  const few = flags & UNRELIABLE ? ", unreliable: few samples" : "";
  const what = words && `, ${words}`;
  return `${verb} ${say(preferred)}${what}, strength ${strengthOfLevel(level)}${few}`;
}
