// What is shown while nothing is selected: the snapshot, and how strength grew layer by layer.

import { area } from "d3-shape";
import { computed, type ReadonlySignal } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { counted, samples, story } from "../derive";
import { count, fixed, list, stepText } from "../format";
import { isolated } from "../inline";
import { missingSentence, splitSentence } from "../sentences/snapshots";
import { Happened } from "./Happened";
import { HowToRead } from "../frame/HowToRead";
import { Reading } from "../frame/Reading";
import { stageRows, type StageRow } from "../network/stages";
import { segmentSentence } from "../timeline/Axis";
import { positions } from "../state/shown";
import { session, snapshot, track } from "../state/chosen";

const WIDTH = 120;
const HEIGHT = 16;
/** More layers than this are listed by stage. */
const LONG_LIST = 20;

const at = (values: Float64Array | null | undefined): number => values?.[snapshot.value] ?? NaN;

const texts = {
  place: computed(() => {
    const open = session.value;
    if (!open) return "";
    const { split } = open;
    const place = `Number ${count(snapshot.value + 1)} of ${count(open.snapshots)}, split ${isolated(split.name)}`;
    const mode = split.kind === "window" || !split.mode ? "" : `, model in ${split.mode} mode`;
    const what = splitSentence(split);
    return `${place}. ${what[0].toUpperCase()}${what.slice(1)}${mode}.`;
  }),
  step: computed(() => stepText(at(session.value?.scalars.step))),
  epoch: computed(() => {
    const epoch = at(session.value?.scalars.epoch);
    return fixed(epoch, epoch < 100 ? 1 : 0);
  }),
  accuracy: computed(() => {
    const accuracy = at(session.value?.scalars.accuracy);
    return Number.isFinite(accuracy) ? `${fixed(100 * accuracy, 1)}%` : "–";
  }),
  samples: computed(() =>
    track.value && !Number.isNaN(samples.value) ? count(samples.value) : "–",
  ),
  missing: computed(() => {
    const open = session.value;
    return open ? (missingSentence(open.split, snapshot.value) ?? "") : "";
  }),
};

export function SnapshotCard() {
  const open = session.value;
  if (!open) return null;
  const { epoch, accuracy } = open.scalars;
  return (
    <>
      <h1>This snapshot</h1>
      <p class="subtitle">{texts.place}</p>
      <div class="facts">
        <Fact name="step" value={texts.step} />
        {epoch.some(Number.isFinite) && <Fact name="epoch" value={texts.epoch} />}
        {accuracy?.some(Number.isFinite) && <Fact name="accuracy" value={texts.accuracy} />}
        <Fact name={`${counted.value}s`} value={texts.samples} />
      </div>
      {segmentSentence.value && (
        <p class="note" data-testid="segment">
          {segmentSentence}
        </p>
      )}
      {texts.missing.value && <p class="warning">{texts.missing}</p>}
      <HowToRead />
      {story.value && (
        <section data-testid="story">
          <h2>The whole run</h2>
          <p class="ink2">{story}</p>
        </section>
      )}
      <Happened />
      <Strengths />
      <Recorded />
    </>
  );
}

/** Layers, or stages where there are too many layers to list. */
function Strengths() {
  const open = session.value;
  const rows = useMemo((): StageRow[] => {
    if (!open) return [];
    if (open.layers.length > LONG_LIST) return stageRows(open.layers, open.layers.length);
    return open.names.map((title, l) => ({ title, layers: [l] }));
  }, [open]);
  if (!open) return null;
  const what = open.layers.length > LONG_LIST ? "by stage" : "by layer";
  return (
    <section>
      <h2>
        Mean strength <small>{what}, through training</small>
      </h2>
      <div class="layer-rows">
        {rows.map((row) => (
          <StrengthRow key={row.layers[0]} title={row.title} layers={row.layers} />
        ))}
        <Reading width={WIDTH} />
      </div>
    </section>
  );
}

function Recorded() {
  const open = session.value;
  if (!open) return null;
  const { manifest } = open;
  return (
    <section>
      <h2>This model</h2>
      <p class="note">
        {manifest.model.name}, {count(manifest.model.parameters)} parameters, {count(open.units)}{" "}
        units in {count(open.layers.length)} layers.
      </p>
      {manifest.left_out && manifest.left_out.length > 0 && (
        <p class="note" data-testid="left-out">
          Left out of this file to keep it small: {list(manifest.left_out)}.
        </p>
      )}
      {manifest.unreadable && (
        <p class="note" data-testid="unreadable">
          Damaged in the run, and left out of this file: {list(manifest.unreadable)}.
        </p>
      )}
    </section>
  );
}

/** Mean strength over the units of some layers; NaN where none of them has data. */
function meanStrength(t: number, layers: readonly number[]): number {
  const open = session.value;
  const current = track.value;
  if (!open || !current) return NaN;
  let sum = 0;
  let units = 0;
  for (const l of layers) {
    const mean = current.summary.meanStrength[t * open.layers.length + l];
    if (Number.isNaN(mean)) continue;
    sum += mean * open.layers[l].units;
    units += open.layers[l].units;
  }
  return units > 0 ? sum / units : NaN;
}

function StrengthRow({ title, layers }: { title: string; layers: readonly number[] }) {
  const open = session.value;
  const current = track.value;
  const x = positions.value;
  const value = useMemo(
    () => computed(() => fixed(meanStrength(snapshot.value, layers))),
    [layers],
  );
  const path = useMemo(() => {
    if (!open || !current) return "";
    const means = Array.from({ length: open.snapshots }, (_, t) => meanStrength(t, layers));
    return (
      area<number>()
        .defined((v) => !Number.isNaN(v))
        .x((_, t) => Math.round(x[t] * WIDTH * 10) / 10)
        .y0(HEIGHT)
        .y1((v) => Math.round((HEIGHT - v * (HEIGHT - 1)) * 10) / 10)(means) ?? ""
    );
  }, [open, current, layers, x]);
  if (!open || !current) return null;
  const paths = layers.map((l) => open.layers[l].path);
  return (
    <div class="layer-row">
      <span class="path" title={paths.length > 4 ? `${paths.length} layers` : paths.join(", ")}>
        {title || open.names[layers[0]]}
      </span>
      <svg width={WIDTH} height={HEIGHT} aria-hidden="true">
        <line class="hair" x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        <path class="area" d={path} />
      </svg>
      <span class="count">{value}</span>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: ReadonlySignal<string> }) {
  return (
    <div>
      <b>{value}</b>
      {name}
    </div>
  );
}
