// Sentences computed from the data. They are the page's titles, so each must be true of what is
// shown beneath it.

import {
  count,
  fixed,
  list,
  percent,
  plural,
  probability,
  stepText,
  strengthOfLevel,
} from "./format";
import { isolated, said, type Say } from "./inline";
import type { Level } from "./run/groupings";
import {
  FEWEST_SAMPLES,
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
  type Split,
} from "./wire/manifest";

export interface LayerShare {
  name: string;
  units: number;
  tuned: number;
  /** Units that give the same response to every sample. */
  silent?: number;
  output: boolean;
}

export interface NetworkFacts {
  step: number;
  layers: readonly LayerShare[];
  /** Units that are not silent and have data. */
  responding: number;
  /** Units for which the measure has no meaning; they stand in no share. */
  notDefined: number;
  silent: number;
  /** As it was recorded, and by which level it is shown. */
  grouping: { name: string; title: string };
  level?: Level;
  multilabel: boolean;
  measure: Measure;
  /** Classes with samples at this snapshot, and all classes. */
  present: readonly string[];
  classes: number;
  /** `suppressed` of the units tuned to it respond to it least. */
  highlighted: { name: string; tuned: number; suppressed: number; samples: number } | null;
}

const isPredicted = (facts: NetworkFacts): boolean => facts.grouping.name === "predicted";

const total = (facts: NetworkFacts): number =>
  facts.layers.reduce((sum, layer) => sum + layer.units, 0);

export function networkTitle(facts: NetworkFacts, say: Say = said): string {
  const units = total(facts);
  const tuned = facts.layers.reduce((sum, layer) => sum + layer.tuned, 0);
  const at = `Step ${stepText(facts.step)}`;
  if (facts.responding === 0) return nothingTitle(facts, say);
  if (facts.highlighted) return ended(`${at}: ${ofClass(facts, facts.highlighted, units, say)}`);
  const dead = allSilent(facts.layers, say);
  if (facts.step === 0) return `${at}, before training: ${already(tuned, units)}${dead}.`;
  if (tuned === 0)
    return `${at}: no unit is tuned to a ${facts.level === "finest" ? "class or superclass" : typeof facts.level === "number" ? "superclass" : "class"}${dead}.`;
  const living = facts.layers.filter((layer) => layer.silent !== layer.units);
  return `${at}: ${percent(tuned / units)} of units are tuned${extremes(living, say)}${dead}.`;
}

/** Layers of which every unit is silent: they are worth a word of their own. */
function allSilent(layers: readonly LayerShare[], say: Say): string {
  const dead = layers.filter((layer) => layer.silent === layer.units);
  if (dead.length === 0) return "";
  if (dead.length > NAMED_TOGETHER) return `; ${count(dead.length)} layers are silent as a whole`;
  return `; all of ${list(dead.map((layer) => say(spoken(layer.name))))} is silent`;
}

/** Why no unit has a class at the snapshot. */
export const nothingTitle = (facts: NetworkFacts, say: Say = said): string =>
  ended(`Step ${stepText(facts.step)}: ${whyNothing(facts, total(facts), say)}`);

/** A sentence whose last name was cut short has its points already. */
const ended = (sentence: string): string => (sentence.endsWith("…") ? sentence : `${sentence}.`);

function whyNothing(facts: NetworkFacts, units: number, say: Say): string {
  if (units === 0 && facts.notDefined > 0)
    return `${facts.measure.title.toLowerCase()} is not defined for any layer, responses may be negative`;
  if (facts.silent === units) return "every unit is silent";
  if (facts.present.length !== 1) return "no unit has enough data to compare classes";
  const only = say(facts.present[0]);
  const all = facts.multilabel ? "label" : "sample";
  return `nothing to compare, every ${all} is ${isPredicted(facts) ? "predicted as" : "of class"} ${only}`;
}

function ofClass(
  facts: NetworkFacts,
  cls: NonNullable<NetworkFacts["highlighted"]>,
  units: number,
  say: Say,
): string {
  const name = say(cls.name);
  if (cls.samples < FEWEST_SAMPLES) {
    const few = ["no sample is", "only one sample is", "only two samples are"][cls.samples];
    return `${few} ${isPredicted(facts) ? "predicted as" : "of class"} ${name}`;
  }
  const n = cls.suppressed;
  const least = n > 0 ? ` (${count(n)} of them ${plural(n, "is", "are")} suppressed by it)` : "";
  return `${count(cls.tuned)} of ${count(units)} units ${plural(cls.tuned, "is", "are")} tuned to ${name}${least}`;
}

function already(tuned: number, units: number): string {
  if (tuned === 0) return "no unit is tuned yet";
  if (tuned === 1) return "one unit is already tuned to one class";
  return `${percent(tuned / units)} of units are already tuned to one class`;
}

/** More layers than this that stand at the same end are not worth their names. */
const NAMED_TOGETHER = 2;
/** Letters with which both ends still fit into the title. */
const TITLE_ROOM = 64;

/** Which layers lead and trail; the output is left out, since it is trained to be tuned. */
function extremes(layers: readonly LayerShare[], say: Say): string {
  const hidden = layers.filter((layer) => !layer.output);
  if (hidden.length < 2) return "";
  const share = (layer: LayerShare): number => layer.tuned / layer.units;
  const shares = hidden.map(share);
  const [most, least] = [percent(Math.max(...shares)), percent(Math.min(...shares))];
  if (most === least) return "";
  // Layers that read the same lead or trail together, whatever their decimals.
  const end = (at: string, verb: string): string => {
    const there = hidden.filter((layer) => percent(share(layer)) === at);
    if (there.length > NAMED_TOGETHER) return "";
    const names = list(there.map((layer) => say(spoken(layer.name))));
    return `${names} ${plural(there.length, `${verb}s`, verb)} at ${at}`;
  };
  const [lead, trail] = [end(most, "lead"), end(least, "trail")];
  const both = lead && trail && lead.length + trail.length <= TITLE_ROOM;
  const ends = both ? `${lead}, ${trail}` : lead || trail;
  return ends && `; of the hidden layers, ${ends}`;
}

/** In a sentence a bare number (an nn.Sequential's part) would be taken for a quantity. */
export const spoken = (name: string): string => (/^\d/.test(name) ? `layer ${name}` : name);

/** Units that the measure leaves out. */
const left = ({ notDefined }: NetworkFacts): string =>
  notDefined > 0
    ? ` ${count(notDefined)} ${plural(notDefined, "unit")} that may respond below 0 cannot be judged by it.`
    : "";

export function networkSubtitle(facts: NetworkFacts): string {
  const predicted = isPredicted(facts);
  if (facts.present.length < facts.classes) {
    const some = `${facts.present.length} of ${facts.classes} classes ${predicted ? "predicted" : "have samples"}`;
    return facts.responding === 0
      ? `${some}.`
      : `${some}: units are compared over those alone, so strength reads higher than with all.`;
  }
  const own = `class of “${said(facts.grouping.title)}”`;
  const label = { true: "true label", predicted: "predicted label" }[facts.grouping.name] ?? own;
  const level = facts.level ?? "class";
  const which =
    level === "class"
      ? label
      : level === "finest"
        ? `${label}, or the finest superclass of it,`
        : `superclass of the ${label}`;
  const strength = `Strength: ${facts.measure.title.toLowerCase()}, less one standard error`;
  if (level === "class" && facts.classes === 2) {
    const [one, other] = facts.present.map(said);
    return `Hue: the ${which} that drives the unit most. One scale from ${one} to ${other}, grey where neither is surely first. ${strength}.${left(facts)}`;
  }
  const first = { class: "class", finest: "class or superclass" }[level] ?? "superclass";
  return `Hue: the ${which} that drives the unit most. ${strength}; grey where no ${first} is surely first.${left(facts)}`;
}

const KINDS: Record<Split["kind"], string> = {
  probe: "the same samples each time",
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

/** What the threshold means, in pairs of samples where the measure is a margin. */
export function thresholdSentence(level: number, measure: Measure): string {
  const strength = strengthOfLevel(level);
  if (measure.name !== "margin")
    return `Tuned: strength ${strength} or more. ${measure.about[0].toUpperCase()}${measure.about.slice(1)}.`;
  const pairs = Math.round(50 + level / 2);
  return `At ${strength}, a sample of the class drives the unit more than one of the runner-up class in about ${pairs} of 100 pairs, or more.`;
}

/** Up to where strength is noise: the 95th percentile under permuted labels, of the worst layer. As
 * long while it is not known, or not there for the grouping: nothing below it may jump. */
export function floorSentence(value: number | null, ofTrue = true): string {
  const number = !ofTrue ? "–" : value === null ? "…" : fixed(Math.max(0, value));
  return `Noise floor ${number}: what 95 of 100 units read at most when labels are permuted.`;
}

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
      ? `in about ${pairs > 99.5 && pairs < 100 ? "99" : Math.round(pairs)} of 100 pairs a sample of ${preferred} drives it ${verb} than one of ${runnerUp}`
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
    return `${count(n)} ${plural(n, "sample")} predicted as it, ${percent(right / n)} rightly${rest ? `; the others are ${rest}` : ""}.`;
  return `${percent(right / n)} of ${count(n)} ${plural(n, "sample")} right${rest ? `; missed as ${rest}` : ""}.`;
}

/** What an event says of its unit or layer. */
export function eventWords(
  kind: string,
  before: string,
  after: string,
  more: { suppressed: boolean; share: string },
): string {
  const by = more.suppressed ? "suppressed by " : "";
  switch (kind) {
    case "tuned":
      return more.suppressed ? `suppressed by ${after}` : `tuned to ${after}`;
    case "switched":
      return `${before} → ${by}${after}`;
    case "lost":
      return before ? `no longer tuned to ${before}` : "no longer tuned";
    case "died":
      return before ? `silent, was tuned to ${before}` : "silent";
    case "revived":
      return "responds again";
    case "half_tuned":
      return `half tuned, ${more.share} of its units`;
    case "half_lost":
      return `less than half tuned, ${more.share} of its units`;
    default:
      return kind;
  }
}

const EVENT_TITLES: Record<string, string> = {
  tuned: "Became tuned",
  switched: "Switched to another class",
  lost: "No longer tuned",
  died: "Fell silent",
  revived: "Responds again",
  half_tuned: "Half of its units are tuned",
  half_lost: "Less than half of its units are tuned",
};

export const eventTitle = (kind: string): string => EVENT_TITLES[kind] ?? kind;

/** What an event says, and what made it sure. */
export function eventSentence(
  kind: string,
  of: {
    before: string;
    after: string;
    suppressed: boolean;
    step: string;
    confirmed: string;
    snapshots: number;
  },
): string {
  const sure = `sure at step ${of.confirmed}, the third snapshot in a row`;
  const by = of.suppressed ? "responds least to" : "responds most to";
  switch (kind) {
    case "tuned":
      return `From step ${of.step} on it ${by} ${of.after}, at a strength of 0.50 or more; ${sure} at 0.40 or more.`;
    case "switched":
      return `From step ${of.step} on ${of.after} is ahead of ${of.before}; ${sure} at which the unit surely ${by} it (snapshot ${count(of.snapshots)} since it took the lead).`;
    case "lost":
      return `From step ${of.step} on its strength is below 0.40; ${sure} below 0.50.`;
    case "died":
      return `From step ${of.step} on it gives the same response to every sample; ${sure}.`;
    case "revived":
      return `From step ${of.step} on its responses differ between samples; ${sure}.`;
    case "half_tuned":
      return `From step ${of.step} on half of its units or more are tuned; ${sure} at 40% or more.`;
    case "half_lost":
      return `From step ${of.step} on less than 40% of its units are tuned; ${sure} below 50%.`;
    default:
      return "";
  }
}

/** How many events of a kind noise alone would give, beside how many there are. */
export function noiseSentence(kind: string, expected: number, found: number): string {
  const what = kind.replace("_", " ");
  const n = `${count(found)} ${plural(found, "was", "were")} found`;
  if (Number.isNaN(expected))
    return `How many events “${what}” noise alone would give cannot be said; ${n}.`;
  const most = expected < 0.05 ? "hardly any" : `at most ${fixed(expected, 1)}`;
  return `Noise alone would give ${most} of the events “${what}” in this run; ${n}.`;
}
