// The sentence above each view, computed from what the view shows.

import { computed } from "@preact/signals";
import { confusionNow, largestConfusion } from "./confusion/now";
import { layerNumbers, title as networkTitle } from "./derive";
import { count, list, plural, stepText } from "./format";
import { said } from "./inline";
import { tunedToClass } from "./run/counts";
import { NO_PREDICTION, samplesNow } from "./samples/now";
import {
  classes,
  highlighted,
  session,
  shownLayer,
  snapshot,
  threshold,
  track,
  view,
} from "./state";

const step = computed(() => stepText(session.value?.scalars.step[snapshot.value] ?? 0));

const layerTitle = computed(() => {
  const open = session.value;
  const l = shownLayer.value;
  const numbers = layerNumbers.value[l];
  if (!open || !numbers) return "";
  const { units } = open.layers[l];
  const at = `${said(open.names[l])} at step ${step.value}`;
  if (numbers.notDefined === units)
    return `${at}: ${open.measure.title.toLowerCase()} is not defined here, responses may be negative.`;
  if (numbers.silent === units) return `${at}: all ${count(units)} units are silent.`;
  const to = highlighted.value >= 0 ? ` to ${said(classes.value[highlighted.value] ?? "")}` : "";
  const lost = numbers.missing - numbers.notDefined;
  const rest = [
    numbers.silent > 0 && `${count(numbers.silent)} ${plural(numbers.silent, "is", "are")} silent`,
    lost > 0 && `${count(lost)} ${plural(lost, "has", "have")} no data`,
  ].filter((text) => text !== false);
  const tuned = `${count(numbers.tuned)} of ${count(units)} units ${plural(numbers.tuned, "is", "are")} tuned${to}`;
  return `${at}: ${list([tuned, ...rest])}.`;
});

export const layerSubtitle = computed(() => {
  const layer = session.value?.layers[shownLayer.value];
  if (!layer) return "";
  return `${layer.kind}. A column is a unit; it keeps its place, by its class at the last snapshot. On top: how much each class drives it now.`;
});

const classesTitle = computed(() => {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return "";
  const names = current.grouping.classes;
  const tuned = names.map((_, k) =>
    tunedToClass(current.classBins, names.length, snapshot.value, k, threshold.value),
  );
  const most = Math.max(...tuned);
  const at = `Step ${step.value}`;
  if (most === 0) return `${at}: no class has a unit tuned to it.`;
  const first = tuned.indexOf(most);
  const some = tuned.filter((n) => n > 0).length;
  const all =
    some === names.length
      ? `all ${count(some)} classes have`
      : `${count(some)} of ${count(names.length)} classes ${plural(some, "has", "have")}`;
  return `${at}: ${all} units tuned to ${plural(some, "it", "them")}; most are tuned to ${said(names[first])} (${count(most)}).`;
});

const confusionTitle = computed(() => {
  const now = confusionNow.value;
  const open = session.value;
  if (!open) return "";
  if (!open.split.resources.includes("confusion"))
    return "There is no confusion of this split: a sample may have several classes.";
  if (!now) return `Step ${step.value}`;
  const { names, matrix } = now;
  const K = names.length;
  let all = 0;
  let right = 0;
  for (let i = 0; i < K * K; i++) all += matrix[i];
  for (let k = 0; k < K; k++) right += matrix[k * K + k];
  const at = `Step ${stepText(open.scalars.step[now.snapshot])}`;
  const worst = largestConfusion.value;
  if (all === right || !worst) return `${at}: all ${count(all)} samples are right.`;
  const n = matrix[worst.true * K + worst.predicted];
  return `${at}: ${count(all - right)} of ${count(all)} samples are wrong; most often ${said(names[worst.true])} is read as ${said(names[worst.predicted])} (${count(n)}).`;
});

const samplesTitle = computed(() => {
  const open = session.value;
  if (!open) return "";
  if (!open.split.resources.includes("samples")) return "The samples of this split were not kept.";
  const now = samplesNow.value;
  if (!now) return `Step ${step.value}`;
  const { label, prediction } = now.samples;
  let all = 0;
  let wrong = 0;
  for (let i = 0; i < label.length; i++) {
    if (label[i] === NO_PREDICTION) continue;
    all++;
    if (label[i] !== prediction[i]) wrong++;
  }
  const at = `Step ${stepText(open.scalars.step[now.snapshot])}`;
  return `${at}: ${count(wrong)} of ${count(all)} samples are read wrongly.`;
});

export const viewTitle = computed(
  () =>
    ({
      network: networkTitle,
      layer: layerTitle,
      classes: classesTitle,
      confusion: confusionTitle,
      samples: samplesTitle,
    })[view.value].value,
);
