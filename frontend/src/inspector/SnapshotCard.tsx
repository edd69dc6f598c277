// What is shown while nothing is selected: the snapshot, and how strength grew layer by layer.

import { area } from "d3-shape";
import { useMemo } from "preact/hooks";
import { samples } from "../derive";
import { count, fixed, stepText } from "../format";
import { positions, session, snapshot, track } from "../state";

const WIDTH = 120;
const HEIGHT = 16;
/** A list of layers longer than this goes below the explanation. */
const LONG_LIST = 20;

export function SnapshotCard() {
  const open = session.value;
  if (!open) return null;
  const t = snapshot.value;
  const { step, epoch, accuracy } = open.scalars;
  const { split } = open;
  const kind =
    split.kind === "probe"
      ? "the same samples at every snapshot"
      : "as they came in the training’s own evaluation";
  return (
    <>
      <h1>This snapshot</h1>
      <p class="subtitle">
        {t + 1} of {count(open.snapshots)} of split {split.name}: {kind}, in {split.mode} mode.
      </p>
      <div class="facts">
        <Fact name="step" value={stepText(step[t])} />
        {Number.isFinite(epoch[t]) && (
          <Fact name="epoch" value={fixed(epoch[t], epoch[t] < 100 ? 1 : 0)} />
        )}
        {accuracy && Number.isFinite(accuracy[t]) && (
          <Fact name="accuracy" value={`${fixed(100 * accuracy[t], 1)}%`} />
        )}
        <Fact name="samples" value={count(samples.value)} />
      </div>
      {open.layers.length <= LONG_LIST ? (
        <>
          <Strengths />
          <HowToRead />
        </>
      ) : (
        <>
          <HowToRead />
          <Strengths />
        </>
      )}
    </>
  );
}

function Strengths() {
  return (
    <section>
      <h2>
        Mean strength <small>by layer, through training</small>
      </h2>
      {session.value?.layers.map((layer, l) => (
        <LayerRow key={layer.path} layer={l} />
      ))}
    </section>
  );
}

function HowToRead() {
  const open = session.value;
  if (!open) return null;
  const { manifest } = open;
  return (
    <section>
      <h2>How to read</h2>
      <p class="note">
        A cell is a unit. Its hue is the class it responds to most; its strength of colour is how
        far that class is ahead of the next.
      </p>
      <p class="note">
        Grey means that no class is surely first. A unit keeps its place, so watch it change colour.
      </p>
      <p class="note">
        {manifest.model.name}, {count(manifest.model.parameters)} parameters, {count(open.units)}{" "}
        units in {count(open.layers.length)} layers.
      </p>
    </section>
  );
}

function LayerRow({ layer }: { layer: number }) {
  const open = session.value;
  const current = track.value;
  const x = positions.value;
  const L = open?.layers.length ?? 0;
  const path = useMemo(() => {
    if (!open || !current) return "";
    const mean = (t: number): number => current.summary.meanStrength[t * L + layer];
    return (
      area<number>()
        .defined((t) => !Number.isNaN(mean(t)))
        .x((t) => Math.round(x[t] * WIDTH * 10) / 10)
        .y0(HEIGHT)
        .y1((t) => Math.round((HEIGHT - mean(t) * (HEIGHT - 1)) * 10) / 10)(
        Array.from({ length: open.snapshots }, (_, t) => t),
      ) ?? ""
    );
  }, [open, current, layer, x]);
  if (!open || !current) return null;
  const now = x[snapshot.value] * WIDTH;
  return (
    <div class="layer-row">
      <span class="path" title={open.layers[layer].path}>
        {open.names[layer]}
      </span>
      <svg width={WIDTH} height={HEIGHT} aria-hidden="true">
        <line class="hair" x1={0} x2={WIDTH} y1={HEIGHT - 0.5} y2={HEIGHT - 0.5} />
        <path class="area" d={path} />
        {open.snapshots > 1 && <line class="now" x1={now} x2={now} y1={0} y2={HEIGHT} />}
      </svg>
      <span class="count">{fixed(current.summary.meanStrength[snapshot.value * L + layer])}</span>
    </div>
  );
}

function Fact({ name, value }: { name: string; value: string }) {
  return (
    <div>
      <b>{value}</b>
      {name}
    </div>
  );
}
