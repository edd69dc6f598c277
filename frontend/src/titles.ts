// The sentence above each view, computed from what the view shows.

import { computed } from "@preact/signals";
import { compareTitle } from "./compare/now";
import { confusionNow, confusionProblem, largestConfusion } from "./confusion/now";
import { geometryTitle } from "./geometry/now";
import {
  damagedReason,
  facts,
  isDamaged,
  layerNumbers,
  missingTitle,
  title as networkTitle,
} from "./derive";
import { count, list, plural, stepText } from "./format";
import { said } from "./inline";
import { nothingTitle, spoken } from "./sentences/network";
import { tunedToClass } from "./run/counts";
import { levelOf } from "./run/groupings";
import { picturesSubtitle } from "./pictures/titles";
import { samplesNow, samplesProblem } from "./samples/now";
import { countWrong } from "./samples/reading";
import { approximate, classes, placedBy, shownLayer } from "./state/shown";
import { highlighted, session, snapshot, threshold, track, view } from "./state/chosen";

const step = computed(() => stepText(session.value?.scalars.step[snapshot.value] ?? 0));

const layerTitle = computed(() => {
  const open = session.value;
  const l = shownLayer.value;
  if (missingTitle.value) return missingTitle.value;
  const numbers = layerNumbers.value[l];
  if (!open || !numbers) return "";
  const { units } = open.layers[l];
  const at = `${said(spoken(open.names[l]).replace(/^layer /, "Layer "))} at step ${step.value}`;
  if (numbers.notDefined === units)
    return `${at}: ${open.measure.title.toLowerCase()} is not defined here, responses may be negative.`;
  if (numbers.silent === units) return `${at}: all ${count(units)} units are silent.`;
  const to = highlighted.value >= 0 ? ` to ${said(classes.value[highlighted.value] ?? "")}` : "";
  const lost = numbers.missing - numbers.notDefined;
  const rest = [
    numbers.silent > 0 && `${count(numbers.silent)} ${plural(numbers.silent, "is", "are")} silent`,
    lost > 0 && `${count(lost)} cannot be judged (no data, or not finite)`,
  ].filter((text) => text !== false);
  const one = highlighted.value >= 0;
  // of the class alone the count is made from the cells, which may be those of a snapshot beside
  if (one && approximate.value) return `${at}: loading.`;
  const tuned = `${count(numbers.tuned)} of ${count(units)} units ${plural(numbers.tuned, "is", "are")} tuned${to}`;
  return `${at}: ${list([tuned, ...rest])}.`;
});

export const layerSubtitle = computed(() => {
  const layer = session.value?.layers[shownLayer.value];
  if (!layer) return "";
  if (isDamaged.value) return damagedReason.value;
  const pictures = picturesSubtitle(shownLayer.value);
  if (pictures) return pictures;
  const by = placedBy.value;
  const last = by < 0 || by === (session.value?.snapshots ?? 0) - 1;
  const where = last
    ? "the last snapshot"
    : `step ${stepText(session.value?.scalars.step[by] ?? 0)}`;
  return `A column is a unit (${layer.kind}). Units stand by their class at ${where}, and keep their places.`;
});

export const heatTitle = computed(
  () => `What drives each unit at step ${step.value}, no more vivid than its strength`,
);

const classesTitle = computed(() => {
  const open = session.value;
  const current = track.value;
  if (missingTitle.value) return missingTitle.value;
  if (!open || !current) return "";
  const names = current.grouping.classes;
  const tuned = names.map((_, k) =>
    tunedToClass(current.classBins, names.length, snapshot.value, k, threshold.value),
  );
  const most = Math.max(...tuned);
  const at = `Step ${step.value}`;
  if (facts.value?.responding === 0) return nothingTitle(facts.value);
  const [one, several] =
    levelOf(current.grouping) === "class"
      ? ["class", "classes"]
      : levelOf(current.grouping) === "finest"
        ? ["class or superclass", "classes and superclasses"]
        : ["superclass", "superclasses"];
  if (most === 0) return `${at}: no ${one} has a unit tuned to it.`;
  const first = tuned.indexOf(most);
  const some = tuned.filter((n) => n > 0).length;
  const all =
    some === names.length
      ? `${some === 2 ? "both" : `all ${count(some)}`} ${several} have`
      : `${count(some)} of ${count(names.length)} ${several} ${plural(some, "has", "have")}`;
  return `${at}: ${all} units tuned to ${plural(some, "it", "them")}; most are tuned to ${said(names[first])} (${count(most)}).`;
});

const confusionTitle = computed(() => {
  const now = confusionNow.value;
  const open = session.value;
  if (!open) return "";
  if (!open.has("confusion") && !open.has("confusion_at"))
    return open.split.multilabel
      ? "There is no confusion of this split: a sample may have several classes."
      : "There is no confusion of this split.";
  if (!now)
    return confusionProblem.value
      ? `Step ${step.value}: the confusion of this snapshot cannot be read back.`
      : `Step ${step.value}`;
  const { names, matrix, samples } = now;
  const K = names.length;
  const all = samples.reduce((sum, n) => sum + n, 0);
  const predicted = matrix.reduce((sum, n) => sum + n, 0);
  let right = 0;
  for (let k = 0; k < K; k++) right += matrix[k * K + k];
  const at = `Step ${stepText(open.scalars.step[now.snapshot])}`;
  const worst = largestConfusion.value;
  if (all === 0) return `${at}: there is no sample.`;
  if (all === right) return `${at}: all ${count(all)} samples are correct.`;
  const none = all - predicted;
  if (predicted === 0) return `${at}: none of ${count(all)} samples has a prediction.`;
  if (!worst)
    return `${at}: ${count(none)} of ${count(all)} samples ${plural(none, "has", "have")} no prediction, the others are correct.`;
  const n = matrix[worst.true * K + worst.predicted];
  return `${at}: ${count(all - right)} of ${count(all)} samples are wrong; most often ${said(names[worst.true])} is predicted as ${said(names[worst.predicted])} (${count(n)}).`;
});

const samplesTitle = computed(() => {
  const open = session.value;
  if (!open) return "";
  if (!open.has("samples"))
    return open.leftOut("samples")
      ? "The samples are not in this file."
      : "The samples of this split were not kept.";
  const now = samplesNow.value;
  if (!now)
    return samplesProblem.value
      ? `Step ${step.value}: the samples of this snapshot cannot be read back.`
      : `Step ${step.value}`;
  const { all, wrong, unknown } = countWrong(now.samples.label, now.samples.prediction);
  const at = `Step ${stepText(open.scalars.step[now.snapshot])}`;
  if (all === 0 && unknown > 0) return `${at}: what samples are predicted as was not kept here.`;
  const rest = unknown > 0 ? `; of ${count(unknown)} more it was not kept` : "";
  return `${at}: ${count(wrong)} of ${count(all)} samples are wrong${rest}.`;
});

export const viewTitle = computed(
  () =>
    ({
      network: networkTitle,
      layer: layerTitle,
      classes: classesTitle,
      confusion: confusionTitle,
      samples: samplesTitle,
      table: layerTitle,
      compare: compareTitle,
      geometry: geometryTitle,
    })[view.value].value,
);
