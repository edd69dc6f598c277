// One sample: what it is read as through training, how sure, and the units it drives most.

import { line } from "d3-shape";
import { useEffect, useMemo, useState } from "preact/hooks";
import { noSamples, Strip, Thumbnail } from "../confusion/CellCard";
import { answerColor, answerPalette } from "../confusion/answers";
import { confusionNames } from "../confusion/now";
import { count, fixed } from "../format";
import { CloseIcon } from "../frame/icons";
import { said } from "../inline";
import { UnitRow } from "../inspector/UnitRow";
import { useLatest } from "../run/latest";
import type { SampleHistory } from "../run/resources";
import type { Session } from "../run/session";
import { positions } from "../state/shown";
import { sample as chosen, session, snapshot } from "../state/chosen";
import { NOT_KEPT } from "../wire/manifest";
import { FeatureMaps } from "../pictures/FeatureMaps";
import { ThroughLayers } from "../pictures/ThroughLayers";
import { isClass } from "./reading";

const WIDTH = 304;
const HEIGHT = 92;

export function SampleCard({ sample }: { sample: number }) {
  const open = session.value;
  const [history, setHistory] = useState<SampleHistory | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    let wanted = true;
    setHistory(null);
    setFailed(false);
    if (!open?.has("samples")) return setFailed(open !== null);
    open.ofSamples.sampleHistory(sample).then(
      (found) => wanted && setHistory(found),
      () => wanted && setFailed(true),
    );
    return () => {
      wanted = false;
    };
  }, [open, sample]);
  if (!open) return null;
  return (
    <div data-testid="sample-card">
      <div class="heading">
        <h1>
          sample <span class="quiet">{count(sample)}</span>
        </h1>
        <button
          type="button"
          class="icon"
          aria-label="Close sample"
          title="Close (Esc)"
          onClick={() => (chosen.value = -1)}
        >
          <CloseIcon />
        </button>
      </div>
      {failed && (
        <p class="subtitle">
          {!open.has("samples")
            ? noSamples(open)
            : open.manifest.left_out
              ? "Its history is not in this file, which was kept small."
              : "This sample could not be read."}
        </p>
      )}
      {history && <Details open={open} sample={sample} history={history} />}
    </div>
  );
}

function Details(of: { open: Session; sample: number; history: SampleHistory }) {
  const { open, sample, history } = of;
  const names = confusionNames.value;
  const palette = answerPalette();
  const t = snapshot.value;
  const name = (k: number): string => (isClass(k) ? said(names[k] ?? "") : "nothing");
  const known = history.prediction.filter((k) => k !== NOT_KEPT);
  const right = known.filter((k) => k === history.label).length;
  const now = history.prediction[t];
  const labelled = isClass(history.label);
  const how =
    now === NOT_KEPT
      ? "What it is predicted as was not kept at this step"
      : labelled && now === history.label
        ? "Correct at this step"
        : `Predicted as ${name(now)} at this step`;
  return (
    <>
      <div class="sample-head">
        {open.has("thumbnails") && <Thumbnail open={open} sample={sample} />}
        <p class="subtitle ink2">
          {labelled && (
            <>
              <i class="dot" style={{ background: answerColor(palette, history.label) }} />
              {name(history.label)}.{" "}
            </>
          )}
          {how}
          {labelled && `; correct at ${count(right)} of ${count(known.length)} snapshots`}.
        </p>
      </div>
      <section>
        <h2>
          Probability <small>by class, through training</small>
        </h2>
        <Probabilities history={history} />
        <Strip
          samples={{ total: 1, sample: Uint32Array.of(sample), prediction: history.prediction }}
          i={0}
          of={{ true: history.label, predicted: now }}
          width={WIDTH}
        />
      </section>
      <ThroughLayers sample={sample} />
      <FeatureMaps sample={sample} />
      {open.has("cell_units") && <Driven open={open} sample={sample} />}
    </>
  );
}

function Probabilities({ history }: { history: SampleHistory }) {
  const x = positions.value;
  const t = snapshot.value;
  const names = confusionNames.value;
  const palette = answerPalette();
  const K = history.classes.length;
  const paths = useMemo(
    () =>
      Array.from(history.classes, (_, c) => {
        const values = Array.from(x, (_, s) => history.probability[s * K + c]);
        return (
          line<number>()
            .defined((v) => !Number.isNaN(v))
            .x((_, s) => Math.round(x[s] * WIDTH * 10) / 10)
            .y((v) => Math.round((HEIGHT - 2 - v * (HEIGHT - 6)) * 10) / 10)(values) ?? ""
        );
      }),
    [history, x],
  );
  const order = Array.from(history.classes, (_, c) => c).sort(
    (a, b) => history.probability[t * K + b] - history.probability[t * K + a],
  );
  const at = x[t] * WIDTH;
  return (
    <>
      {x.length > 1 && (
        <svg class="probabilities" width={WIDTH} height={HEIGHT} aria-hidden="true">
          <path class="hair" d={`M0 ${HEIGHT - 1.5}H${WIDTH}M0 3.5H${WIDTH}`} />
          {paths
            .map((d, c) => (
              <path
                key={c}
                d={d}
                fill="none"
                stroke={answerColor(palette, history.classes[c])}
                stroke-width={history.classes[c] === history.label ? 2 : 1.1}
              />
            ))
            .reverse()}
          <line class="now" x1={at} x2={at} y1={0} y2={HEIGHT} />
        </svg>
      )}
      <ul class="likely">
        {order.slice(0, 4).map((c) => (
          <li key={c}>
            <i class="dot" style={{ background: answerColor(palette, history.classes[c]) }} />
            <bdi class="path">{names[history.classes[c]]}</bdi>
            <span class="count">{fixed(history.probability[t * K + c])}</span>
          </li>
        ))}
      </ul>
    </>
  );
}

function Driven({ open, sample }: { open: Session; sample: number }) {
  const t = snapshot.value;
  const found = useLatest([open, sample], t, () => open.ofSamples.drivenBy(sample, t));
  if (!found) return null;
  const { unit, score } = found.value;
  const most = Math.max(1e-9, ...score);
  return (
    <section data-testid="sample-units">
      <h2>
        Units it drives most <small>deviations above the mean</small>
      </h2>
      {Array.from(unit, (u, i) => (
        <UnitRow key={u} unit={u} share={score[i] / most} said={fixed(score[i], 1)} />
      ))}
    </section>
  );
}
