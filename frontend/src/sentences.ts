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
import {
  HELD,
  NOT_FINITE,
  NOT_RECORDED,
  NO_DATA,
  SILENT,
  SUPPRESSED,
  TIED,
  type Measure,
} from "./wire/manifest";

export interface LayerShare {
  name: string;
  units: number;
  tuned: number;
  output: boolean;
}

export interface NetworkFacts {
  step: number;
  layers: readonly LayerShare[];
  /** Units that are not silent and have data. */
  responding: number;
  silent: number;
  groupingTitle: string;
  predicted: boolean;
  measure: Measure;
  /** Classes with samples at this snapshot, and all classes. */
  present: readonly string[];
  classes: number;
  highlighted: { name: string; tuned: number } | null;
}

const total = (facts: NetworkFacts): number =>
  facts.layers.reduce((sum, layer) => sum + layer.units, 0);

export function networkTitle(facts: NetworkFacts): string {
  const units = total(facts);
  const tuned = facts.layers.reduce((sum, layer) => sum + layer.tuned, 0);
  const at = `Step ${stepText(facts.step)}`;
  if (facts.responding === 0) {
    if (facts.silent === units) return `${at}: every unit is silent.`;
    if (facts.present.length === 1)
      return `${at}: nothing to compare, every sample is ${facts.predicted ? "predicted as" : "of class"} ${facts.present[0]}.`;
    return `${at}: no unit has enough data to compare classes.`;
  }
  if (facts.highlighted) {
    const { name, tuned: n } = facts.highlighted;
    return `${at}: ${count(n)} of ${count(units)} units ${plural(n, "is", "are")} tuned to ${name}.`;
  }
  if (facts.step === 0) {
    if (tuned === 0) return `${at}, before training: no unit favors one class.`;
    const favor =
      tuned === 1
        ? "one unit already favors one class"
        : `${percent(tuned / units)} of units already favor one class`;
    return `${at}, before training: ${favor}.`;
  }
  if (tuned === 0) return `${at}: no unit is tuned to a class.`;
  return `${at}: ${percent(tuned / units)} of units are tuned${extremes(facts.layers)}.`;
}

/** Which layers lead and trail; the output is left out, since it is trained to be tuned. */
function extremes(layers: readonly LayerShare[]): string {
  const inner = layers.filter((layer) => !layer.output);
  if (inner.length < 2) return "";
  const share = (layer: LayerShare): number => layer.tuned / layer.units;
  const lead = inner.reduce((a, b) => (share(b) > share(a) ? b : a));
  const trail = inner.reduce((a, b) => (share(b) < share(a) ? b : a));
  const [most, least] = [percent(share(lead)), percent(share(trail))];
  if (most === least) return "";
  return `; ${spoken(lead.name)} leads at ${most}, ${spoken(trail.name)} trails at ${least}`;
}

/** In a sentence a bare number (an nn.Sequential's part) would be taken for a quantity. */
const spoken = (name: string): string => (/^\d/.test(name) ? `layer ${name}` : name);

export function networkSubtitle(facts: NetworkFacts): string {
  if (facts.present.length < facts.classes) {
    const some = `${facts.present.length} of ${facts.classes} classes ${facts.predicted ? "predicted" : "have samples"}`;
    return facts.responding === 0
      ? `${some}.`
      : `${some}: units are compared over those alone, so strength reads higher than with all.`;
  }
  const label = facts.groupingTitle.toLowerCase();
  const which = label.includes("label") ? label : `${label} label`;
  return `Hue: the ${which} that drives the unit most. Strength: ${facts.measure.title.toLowerCase()}, less one standard error; grey where no class is surely first.`;
}

/** What the threshold means, in pairs of samples where the measure is a margin. */
export function thresholdSentence(level: number, measure: Measure): string {
  const strength = strengthOfLevel(level);
  if (measure.name !== "margin") return `Tuned: strength ${strength} or more. ${measure.about}`;
  const pairs = Math.round(50 + level / 2);
  return `At ${strength}, a sample of the class drives the unit more than one of the runner-up class in about ${pairs} of 100 pairs, or more.`;
}

export interface UnitFacts {
  state: number;
  level: number;
  flags: number;
  value: number;
  sure: number;
  preferred: string;
  runnerUp: string;
  /** Samples of the preferred class, and of all. */
  nPreferred: number;
  n: number;
  activeSamples: number;
  threshold: number;
  measure: Measure;
}

const FEWEST_SAMPLES = 10;
const FEW_ACTIVE = 30;

/** Why the cell has the color it has. */
export function unitSentence(unit: UnitFacts): string {
  const { preferred, runnerUp } = unit;
  switch (unit.state) {
    case HELD:
      return heldSentence(unit);
    case TIED:
      if (unit.nPreferred < FEWEST_SAMPLES)
        return `Responds most to ${preferred}, but over only ${count(unit.nPreferred)} ${plural(unit.nPreferred, "sample")}; ${FEWEST_SAMPLES} are needed, so it is drawn neutral.`;
      return `No class is surely first: ${probability(unit.sure)} sure that it is ${preferred} rather than ${runnerUp} or another, so it is drawn neutral.`;
    case SILENT:
      return `Silent: it gives the same response to all ${count(unit.n)} samples.`;
    case NO_DATA:
      return "No data: fewer than two classes have three samples here.";
    case NOT_FINITE:
      return "Not finite: some of its responses are NaN or infinite here.";
    case NOT_RECORDED:
      return "Not recorded at this snapshot.";
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
  if (unit.activeSamples < FEW_ACTIVE)
    return `Active for only ${count(unit.activeSamples)} of ${count(unit.n)} samples.`;
  return "";
}

export const STATE_WORDS: Record<number, string> = {
  [TIED]: "tied: no class is surely first",
  [SILENT]: "silent: the same response to every sample",
  [NO_DATA]: "no data: too few samples",
  [NOT_FINITE]: "not finite: NaN or infinite responses",
  [NOT_RECORDED]: "not recorded",
};

/** One line for the tip of a cell. */
export function cellSentence(
  state: number,
  flags: number,
  level: number,
  preferred: string,
  threshold: number,
): string {
  if (state !== HELD) return STATE_WORDS[state] ?? "";
  const words = flags & SUPPRESSED ? "suppressed by" : level >= threshold ? "tuned to" : "prefers";
  return `${words} ${preferred}, strength ${strengthOfLevel(level)}`;
}

/** How the samples of a class were read, from one row or column of the confusion. */
export function classSentence(
  name: string,
  right: number,
  n: number,
  others: readonly { name: string; samples: number }[],
  predicted: boolean,
): string {
  if (n === 0)
    return predicted ? `No sample is predicted as ${name} here.` : `No sample of ${name}.`;
  const top = others
    .filter((o) => o.samples > 0)
    .sort((a, b) => b.samples - a.samples)
    .slice(0, 3);
  const rest = list(top.map((o) => `${o.name} (${count(o.samples)})`));
  if (predicted)
    return `${count(n)} ${plural(n, "sample")} predicted as it, ${percent(right / n)} rightly${rest ? `; the others are ${rest}` : ""}.`;
  return `${percent(right / n)} of ${count(n)} ${plural(n, "sample")} right${rest ? `; missed as ${rest}` : ""}.`;
}
