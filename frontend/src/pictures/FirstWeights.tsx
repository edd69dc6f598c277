// First weights, those that work on the input itself: all filters now, and each of them through training.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { stepText } from "../format";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { drawn } from "../network/drawn";
import { useLatest } from "../run/latest";
import type { Session } from "../run/session";
import { playing, session, snapshot, unit } from "../state/chosen";
import { selectUnit, show } from "../state/choosing";
import { aboutWeights } from "./about";
import { Missing } from "./Missing";
import { Plate } from "./Plate";
import { firstWeights, weightsFilm, type Film, type Weights } from "./recorded";
import { aroundGray, boxIn, drawFrom, sheetOf, type Sheet } from "./sheet";

const FILTER = 64;
const FRAME = 30;
const GAP = 4;
/** Of the film in a unit's card. */
const SHOWN_FRAMES = 14;

/** Whether the first layer has a unit for each filter, so that a filter stands for its unit. */
const perUnit = (open: Session): boolean =>
  open.split.first_weights?.filters === open.layers[0].units;

/** What the weights of a run are, through training, and now. */
interface Loaded {
  film: Film | null;
  now: Weights | null;
  /** Of which snapshot. */
  at: number;
  /** The greatest weight without sign of all that is shown: one scale. */
  greatest: number;
  failed: boolean;
}

function useWeights(open: Session): Loaded {
  const t = snapshot.value;
  const [film, setFilm] = useState<{ of: Session; film: Film | null } | null>(null);
  useEffect(() => {
    let wanted = true;
    weightsFilm(open).then(
      (found) => wanted && setFilm({ of: open, film: found }),
      () => wanted && setFilm({ of: open, film: null }),
    );
    return () => {
      wanted = false;
    };
  }, [open]);
  const found = useLatest([open], t, () => firstWeights(open, t));
  const frames = film?.of === open ? film.film : null;
  const now = found?.value ?? null;
  return {
    film: frames,
    now,
    at: found?.at ?? -1,
    greatest: Math.max(...(frames?.scale ?? [0]), now?.scale[0] ?? 0),
    failed: film?.of === open && film.film === null,
  };
}

function useSheets({ film, now, greatest }: Loaded): { frames: Sheet[]; current: Sheet | null } {
  const frames = useMemo(() => {
    if (!film) return [];
    const size = film.bytes.length / film.snapshot.length;
    return Array.from(film.snapshot, (_, f) => {
      const bytes = film.bytes.subarray(f * size, (f + 1) * size);
      return sheetOf({ ...film, bytes }, paintOn(greatest, film.scale[f], film.channels));
    });
  }, [film, greatest]);
  const current = useMemo(
    () => now && sheetOf(now, paintOn(greatest, now.scale[0], now.channels)),
    [now, greatest],
  );
  return { frames, current };
}

const paintOn = (greatest: number, scale: number, channels: number) =>
  aroundGray(greatest > 0 ? scale / greatest : 0, channels);

/** The filter of one unit of the first layer, in its card. */
export function UnitFilter({ unit: u }: { unit: number }) {
  const open = session.value;
  if (!open || open.layerOf[u] !== 0) return null;
  const there = open.has("first_weights");
  if (there ? !perUnit(open) : open.layers[0].output) return null;
  const module = open.split.first_weights?.module;
  return (
    <section data-testid="unit-filter">
      <h2>
        First weights{" "}
        {there && (
          <small>
            filter {u - open.layers[0].offset} of {module}
          </small>
        )}
      </h2>
      {there ? (
        <Filter open={open} n={u - open.layers[0].offset} />
      ) : (
        <Missing open={open} what="first_weights" />
      )}
    </section>
  );
}

function Filter({ open, n }: { open: Session; n: number }) {
  const loaded = useWeights(open);
  const { frames, current } = useSheets(loaded);
  const { film, greatest, failed } = loaded;
  if (failed) return <p class="note">They could not be read.</p>;
  if (!film || !current) return <div style={{ height: `${FILTER}px` }} />;
  const shown = spread(film.snapshot.length, SHOWN_FRAMES);
  return (
    <>
      <div class="filter">
        <Plate sheet={current} n={n} side={FILTER} name={`Filter ${n} now`} />
        <div class="film" style={{ "--side": `${FRAME}px`, "--gap": `${GAP}px` }}>
          {shown.map((f) => (
            <Frame key={f} open={open} t={film.snapshot[f]}>
              <Plate
                sheet={frames[f]}
                n={n}
                side={FRAME}
                name={`Step ${stepText(open.scalars.step[film.snapshot[f]])}`}
              />
            </Frame>
          ))}
        </div>
      </div>
      <p class="note">
        {aboutWeights(open.split)}, ±{greatest.toPrecision(2)} at all steps.
      </p>
    </>
  );
}

function Frame(of: { open: Session; t: number; children: preact.ComponentChildren }) {
  const step = stepText(of.open.scalars.step[of.t]);
  return (
    <button
      type="button"
      aria-label={`Go to step ${step}`}
      aria-current={of.t === snapshot.value ? "step" : undefined}
      onClick={() => go(of.t)}
    >
      {of.children}
    </button>
  );
}

function go(t: number): void {
  playing.value = false;
  show(t);
}

const spread = (length: number, most: number): number[] =>
  length <= most
    ? Array.from({ length }, (_, i) => i)
    : [
        ...new Set(
          Array.from({ length: most }, (_, i) => Math.round((i * (length - 1)) / (most - 1))),
        ),
      ];

// --- the view -------------------------------------------------------------------------------------

const LABEL = 34;
const NOW_GAP = 20;
const LARGEST = 72;
const LEAST = 20;

interface Sizes {
  now: number;
  frame: number;
  row: number;
  frames: number[];
}

/** A row for each filter: large as it is now, then its film; as large as the width allows. */
function sizesFor(width: number, height: number, filters: number, frames: number): Sizes {
  for (const most of [frames, 12, 8, 5]) {
    const chosen = spread(frames, Math.min(most, frames));
    const room = width - LABEL - NOW_GAP - 12;
    const fit = Math.floor(room / (chosen.length + 1.5)) - GAP;
    const tall = Math.floor((height - 24) / Math.max(1, filters)) - GAP;
    const frame = Math.min(LARGEST, fit, Math.max(tall, 40));
    if (frame >= LEAST || most === 5) {
      const now = Math.round(1.25 * frame);
      return { now, frame, row: now + GAP, frames: chosen };
    }
  }
  throw new Error("unreachable");
}

/** All filters: at the playhead, and at snapshots through training, a row each. */
export function FirstWeightsView() {
  const open = session.value;
  const there = open?.has("first_weights") ?? false;
  useEffect(() => {
    if (open && !there) drawn.view(true, 0);
  }, [open, there]);
  if (!open) return null;
  if (!there)
    return (
      <div class="no-pictures">
        <Missing open={open} what="first_weights" />
      </div>
    );
  return <Filters open={open} />;
}

function Filters({ open }: { open: Session }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const loaded = useWeights(open);
  const { frames, current } = useSheets(loaded);
  const { film, greatest, at, failed } = loaded;
  const filters = open.split.first_weights?.filters ?? 0;
  const first = perUnit(open) ? open.layers[0] : null;
  const sizes = useMemo(
    () => (film && size ? sizesFor(size.width, size.height, filters, film.snapshot.length) : null),
    [film, size, filters],
  );
  const t = snapshot.value;
  useEffect(() => {
    if (!canvas.current || !sizes || !film || !current || frames.length === 0) return;
    const began = performance.now();
    const width = LABEL + sizes.now + NOW_GAP + sizes.frames.length * (sizes.frame + GAP);
    const g = fitCanvas(canvas.current, width, filters * sizes.row);
    g.clearRect(0, 0, width, filters * sizes.row);
    const put = (sheet: Sheet, n: number, x: number, side: number): void => {
      const [w, h] = boxIn(side, sheet.width, sheet.height);
      const y = n * sizes.row + (sizes.now - side) / 2;
      drawFrom(g, sheet, n, x + Math.floor((side - w) / 2), y + Math.floor((side - h) / 2), w, h);
    };
    for (let n = 0; n < filters; n++) {
      put(current, n, LABEL, sizes.now);
      sizes.frames.forEach((f, i) =>
        put(frames[f], n, LABEL + sizes.now + NOW_GAP + i * (sizes.frame + GAP), sizes.frame),
      );
    }
    drawn.view(at === t, performance.now() - began);
  }, [sizes, film, current, frames, at, t, filters]);
  if (failed) return <p class="note no-pictures">First weights could not be read.</p>;
  const place = (event: MouseEvent): { n: number; f: number } | null => {
    if (!sizes) return null;
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const n = Math.floor((event.clientY - box.top) / sizes.row);
    const x = event.clientX - box.left - LABEL - sizes.now - NOW_GAP;
    const i = Math.floor(x / (sizes.frame + GAP));
    if (n < 0 || n >= filters) return null;
    return { n, f: x >= 0 && i < sizes.frames.length ? sizes.frames[i] : -1 };
  };
  const step = (f: number): string => stepText(open.scalars.step[film?.snapshot[f] ?? 0]);
  return (
    <div class="weights-view" ref={frame}>
      {sizes && film && (
        <>
          <p class="note weights-scale" data-testid="weights-scale">
            One scale for all filters and steps: ±{greatest.toPrecision(2)}.
          </p>
          <div class="weights-head note" style={{ paddingLeft: `${LABEL}px` }}>
            <span class="now-step" style={{ width: `${sizes.now + NOW_GAP}px` }}>
              {stepText(open.scalars.step[t])}
            </span>
            {sizes.frames.map((f) => (
              <span
                key={f}
                class={film.snapshot[f] === t ? "now-step" : ""}
                style={{ width: `${sizes.frame + GAP}px` }}
              >
                {step(f)}
              </span>
            ))}
          </div>
          <div class="weights-rows">
            {Array.from({ length: filters }, (_, n) => (
              <span
                key={n}
                class={first && unit.value === first.offset + n ? "now-step" : ""}
                style={{
                  top: `${n * sizes.row}px`,
                  height: `${sizes.now}px`,
                  width: `${LABEL - 10}px`,
                }}
              >
                {n}
              </span>
            ))}
            <canvas
              ref={canvas}
              data-testid="weights"
              role="img"
              aria-label={`${aboutWeights(open.split)}, at this step and through training`}
              onClick={(event) => {
                const found = place(event);
                if (!found) return;
                if (found.f >= 0) go(film.snapshot[found.f]);
                else if (first) selectUnit(first.offset + found.n);
              }}
              onPointerMove={(event) => {
                const found = place(event);
                event.currentTarget.style.cursor = found ? "pointer" : "default";
                if (!found) return hideTip();
                const content = (
                  <>
                    <b>{open.split.first_weights?.module}</b> filter {found.n}, step{" "}
                    {found.f >= 0 ? step(found.f) : stepText(open.scalars.step[t])}
                  </>
                );
                tip.value = { x: event.clientX, y: event.clientY, content };
              }}
              onPointerLeave={hideTip}
            />
          </div>
        </>
      )}
    </div>
  );
}
