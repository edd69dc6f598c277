// One cell of the confusion: its count through training, its samples, and the units that drive it.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { CloseIcon } from "../frame/icons";
import { UnitRow } from "../inspector/UnitRow";
import { fitCanvas } from "../frame/size";
import { count, plural, stepText, strengthOfLevel } from "../format";
import { said } from "../inline";
import { useLatest } from "../run/latest";
import { drawStamp, stampOf } from "../run/pictures";
import type { CellSamples } from "../run/resources";
import type { Session } from "../run/session";
import { isClass } from "../samples/reading";
import { cell, session, snapshot, theme, type Cell } from "../state/chosen";
import { openSample } from "../state/choosing";
import { positions } from "../state/shown";
import { spans } from "../timeline/scale";
import { answerColor, answerPalette } from "./answers";
import { confusionNow, wholeConfusion } from "./now";

const WIDTH = 304;
const HEIGHT = 44;
/** What stands before a strip of a sample, as before the picture of all of them. */
const BESIDE = 8;
const STRIP = 14;
const THUMB = 26;
const SHOWN = 16;

export function CellCard({ of }: { of: Cell }) {
  const open = session.value;
  const now = confusionNow.value;
  if (!open || !now) return null;
  const { names } = now;
  const K = names.length;
  const palette = answerPalette();
  const n = now.matrix[of.true * K + of.predicted];
  const right = of.true === of.predicted;
  const dot = (k: number) => <i class="dot" style={{ background: answerColor(palette, k) }} />;
  return (
    <div data-testid="cell-card">
      <div class="heading">
        <h1>
          {dot(of.true)}
          <bdi class="path">{names[of.true]}</bdi>
          {right ? "correct" : "predicted as"}
          {!right && dot(of.predicted)}
          {!right && <bdi class="path">{names[of.predicted]}</bdi>}
        </h1>
        {cell.value && (
          <button
            type="button"
            class="icon"
            aria-label="Clear cell"
            title="Clear (Esc)"
            onClick={() => (cell.value = null)}
          >
            <CloseIcon />
          </button>
        )}
      </div>
      <p class="subtitle ink2">
        {count(n)} {plural(n, "sample")} at this step
        <Most of={of} />.{cell.value ? "" : " This is the largest confusion."}
      </p>
      <History of={of} />
      {n > 0 && open.has("samples") && <Samples open={open} of={of} />}
      {!open.has("samples") && <p class="note">{noSamples(open)}</p>}
      {n > 0 && open.has("cell_units") && !right && <Units open={open} of={of} />}
    </div>
  );
}

/** Why there are none to be seen. */
export const noSamples = (open: Session): string =>
  open.leftOut("samples")
    ? "The samples are not in this file, which was kept small: huelapse view shows them."
    : "Samples were not kept: pass keep_responses=True to Recorder to keep how each is read, and thumbnails=True for its picture.";

const countAt = (of: Cell, t: number): number => {
  const whole = wholeConfusion.value;
  const K = confusionNow.value?.names.length ?? 0;
  return whole ? whole.counts[(t * K + of.true) * K + of.predicted] : NaN;
};

function Most({ of }: { of: Cell }) {
  const open = session.value;
  if (!open || wholeConfusion.value?.of !== open) return null;
  let best = 0;
  for (let t = 1; t < open.snapshots; t++) if (countAt(of, t) > countAt(of, best)) best = t;
  return (
    <>
      ; {count(countAt(of, best))} at most, at step {stepText(open.scalars.step[best])}
    </>
  );
}

const besideOf = (open: Session): number => (open.has("thumbnails") ? THUMB : 40) + BESIDE;

function History({ of }: { of: Cell }) {
  const open = session.value;
  const x = positions.value;
  const palette = answerPalette();
  const inset = open?.has("samples") ? besideOf(open) : 0;
  const width = WIDTH - inset;
  const path = useMemo(() => {
    if (!open || wholeConfusion.value?.of !== open || open.snapshots < 2) return "";
    const values = Array.from({ length: open.snapshots }, (_, t) => countAt(of, t));
    const most = Math.max(1, ...values);
    const marks = spans(
      Array.from(x, (p) => p * width),
      width,
    ).map((at) => Math.round(10 * Math.min(width, Math.max(0, at))) / 10);
    // in steps, as in the cell: nothing is between two snapshots
    return values
      .map((v, t) => {
        if (!(v > 0) || wholeConfusion.peek()?.damaged?.[t]) return "";
        const tall = Math.round(10 * (HEIGHT - 4) * (v / most)) / 10;
        return `M${marks[t]} ${HEIGHT - 1}v${-tall}H${marks[t + 1]}v${tall}z`;
      })
      .join("");
  }, [open, of.true, of.predicted, x, width, wholeConfusion.value]);
  if (!open || open.snapshots < 2 || !wholeConfusion.value) return null;
  const at = x[snapshot.value] * width;
  return (
    <svg
      class="cell-history"
      width={width}
      height={HEIGHT}
      style={{ marginLeft: `${inset}px` }}
      aria-hidden="true"
    >
      <path class="hair" d={`M0 ${HEIGHT - 0.5}H${width}`} />
      <path d={path} fill={answerColor(palette, of.predicted)} opacity={0.85} />
      <line class="now" x1={at} x2={at} y1={0} y2={HEIGHT} />
    </svg>
  );
}

function Samples({ open, of }: { open: Session; of: Cell }) {
  const t = snapshot.value;
  const found = useLatest([open, of.true, of.predicted], t, () =>
    open.ofClasses.cellSamples(t, of.true, of.predicted),
  );
  const pictures = open.has("thumbnails");
  if (!found) return null;
  const { value } = found;
  if (value.total === 0)
    return found.at === t ? (
      <p class="note" data-testid="cell-samples">
        Which samples these are was not kept at this step.
      </p>
    ) : null;
  const shown = Math.min(SHOWN, value.sample.length);
  return (
    <section data-testid="cell-samples">
      <h2>
        Samples <small>predicted as: thick wrong, thin correct</small>
      </h2>
      <div class="samples">
        {Array.from({ length: shown }, (_, i) => (
          <button
            key={value.sample[i]}
            type="button"
            class={pictures ? "sample" : "sample plain"}
            aria-label={`Look at sample ${value.sample[i]}`}
            onClick={() => openSample(value.sample[i])}
          >
            {pictures ? (
              <Thumbnail open={open} sample={value.sample[i]} />
            ) : (
              <span class="count">{value.sample[i]}</span>
            )}
            <Strip samples={value} i={i} of={of} width={WIDTH - besideOf(open)} />
          </button>
        ))}
      </div>
      {value.total > shown && <p class="note">and {count(value.total - shown)} more</p>}
    </section>
  );
}

/** What one sample was read as through training: thin where it was right, thick where not. */
export function Strip(given: { samples: CellSamples; i: number; of: Cell; width: number }) {
  const { samples, i, of, width } = given;
  const canvas = useRef<HTMLCanvasElement>(null);
  const x = positions.value;
  const palette = answerPalette();
  useEffect(() => {
    if (!canvas.current) return;
    const g = fitCanvas(canvas.current, width, STRIP);
    g.clearRect(0, 0, width, STRIP);
    const T = samples.prediction.length / Math.max(1, samples.sample.length);
    const marks = spans(
      Array.from(x, (p) => p * width),
      width,
    );
    for (let t = 0; t < T; t++) {
      const k = samples.prediction[i * T + t];
      if (!isClass(k)) continue;
      const from = Math.max(0, marks[t]);
      const wide = Math.max(0.5, Math.min(width, marks[t + 1]) - from);
      const tall = k === of.true ? 4 : STRIP;
      g.fillStyle = answerColor(palette, k);
      g.fillRect(from, (STRIP - tall) / 2, wide, tall);
    }
  }, [samples, i, x, palette, width, theme.value]);
  const at = Math.round((x[snapshot.value] ?? 0) * width);
  return (
    <span class="strip-of" style={{ width: `${width}px`, height: `${STRIP}px` }}>
      <canvas ref={canvas} role="img" aria-label="What it was predicted as through training" />
      <i style={{ transform: `translateX(${at}px)` }} />
    </span>
  );
}

/** A small picture of one sample. */
export function Thumbnail({ open, sample }: { open: Session; sample: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    let wanted = true;
    stampOf(open, sample).then(
      (stamp) => {
        if (!wanted || !canvas.current) return;
        canvas.current.width = stamp.width;
        canvas.current.height = stamp.height;
        const g = canvas.current.getContext("2d") as CanvasRenderingContext2D;
        drawStamp(g, stamp, 0, 0, stamp.width, stamp.height);
      },
      () => undefined,
    );
    return () => {
      wanted = false;
    };
  }, [open, sample]);
  return <canvas ref={canvas} class="thumbnail" role="img" aria-label={`Sample ${sample}`} />;
}

function Units({ open, of }: { open: Session; of: Cell }) {
  const t = snapshot.value;
  const found = useLatest([open, of.true, of.predicted], t, () =>
    open.ofClasses.cellUnits(t, of.true, of.predicted),
  );
  if (!found) return null;
  const { n, unit, level } = found.value;
  const names = confusionNow.value?.names ?? [];
  return (
    <section data-testid="cell-units">
      <h2>
        Units that respond more to them <small>margin</small>
      </h2>
      <p class="note">
        {unit.length > 0
          ? `Against the other ${count(n[1])} samples of ${said(names[of.true] ?? "")}.`
          : n[0] < FEWEST
            ? `Too few samples to say: ${count(n[0])}, and ${FEWEST} are needed.`
            : `No unit surely tells them from the other ${count(n[1])} samples of ${said(names[of.true] ?? "")}.`}
      </p>
      {Array.from(unit, (u, i) => (
        <UnitRow key={u} unit={u} share={level[i] / 100} said={strengthOfLevel(level[i])} />
      ))}
    </section>
  );
}

const FEWEST = 10;
