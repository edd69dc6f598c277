// The network view's titles: each must be true of what is shown beneath it.

import { count, list, percent, plural, stepText } from "../format";
import { said, type Say } from "../inline";
import type { Level } from "../run/groupings";
import { FEWEST_SAMPLES, type Measure } from "../wire/manifest";

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
  /** The class that most units are tuned to. */
  leading?: { name: string; tuned: number } | null;
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
  const ends = mostly(facts, tuned, say) || extremes(living, say);
  return `${at}: ${percent(tuned / units)} of units are tuned${ends}${dead}.`;
}

/** Fewer tuned units than this say little of one class. */
const FEW_TUNED = 20;

/** That one class has most of the tuned units, and three times its part: that comes before anything else. */
function mostly({ leading, classes }: NetworkFacts, tuned: number, say: Say): string {
  if (!leading || tuned < FEW_TUNED) return "";
  const share = leading.tuned / tuned;
  if (share < 0.5 || share < 3 / classes) return "";
  return `, ${percent(share)} of them to ${say(leading.name)}`;
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
  if (tuned === 1) return "one unit is already tuned to a class";
  return `${percent(tuned / units)} of units are already tuned to a class`;
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
  const two = level === "class" && facts.classes === 2;
  const vivid =
    facts.measure.name === "margin"
      ? "the further ahead of the next"
      : `the greater its ${facts.measure.title.toLowerCase()}`;
  const color = `A cell is a unit. Its color: the ${which} it responds to most; the more vivid, ${two ? vivid.replace("next", "other") : vivid}`;
  return `${color}. Grey: none is surely first. Hollow: silent.${left(facts)}`;
}
