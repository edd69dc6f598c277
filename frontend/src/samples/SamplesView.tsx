// The samples of the probe, each with what it is read as now.

import { effect } from "@preact/signals";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { noSamples } from "../confusion/CellCard";
import { answerColor, answerPalette } from "../confusion/answers";
import { confusionNames } from "../confusion/now";
import { explain } from "../explain";
import { count, plural } from "../format";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import type { PageColors } from "../network/colors";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { useAnswer } from "../run/latest";
import { drawStamp, stampIn } from "../run/pictures";
import type { Pictures } from "../run/resources";
import type { Session } from "../run/session";
import {
  find,
  highlighted,
  only,
  playing,
  sample,
  session,
  snapshot,
  theme,
} from "../state/chosen";
import type { Only } from "../url";
import { viewTitle } from "../titles";
import { NOT_KEPT, THUMBNAILS } from "../wire/manifest";
import {
  highlightedName,
  lastSamples,
  loadedSamples,
  sampleOrder,
  samplesNow,
  samplesProblem,
  shownSamples,
} from "./now";
import { isClass, isWrong } from "./reading";

const TILE = 46;
const PLAIN_TILE = 30;
const GAP = 6;
/** Under a picture: thin its class where that is predicted; thick its class and what is predicted. */
const [RIGHT_BAR, WRONG_BAR] = [3, 8];
const TOP = 2;

export function SamplesView() {
  const open = session.value;
  const t = snapshot.value;
  const there = open?.has("samples") ?? false;
  const { loaded: found, refused } = useAnswer(open && there ? [open] : null, t, async () => ({
    of: open,
    snapshot: t,
    samples: await (open as Session).ofSamples.samples(t),
  }));
  useEffect(() => {
    loadedSamples.value = found && found.value;
  }, [found]);
  const wrong = refused && refused.at === t ? explain(refused.error) : "";
  useLayoutEffect(() => {
    samplesProblem.value = wrong;
    return () => void (samplesProblem.value = "");
  }, [wrong]);
  useEffect(() => {
    if (!open || !there || lastSamples.peek()?.of === open) return;
    open.ofSamples.samples(open.snapshots - 1).then(
      (samples) => (lastSamples.value = { of: open, samples }),
      () => undefined,
    );
  }, [open, there]);
  useEffect(() => {
    if (open && (!there || wrong)) drawn.view(true, 0);
  }, [open, there, wrong]);
  if (!open) return null;
  return (
    <>
      <div class="head with-choice">
        <div>
          <h1 data-testid="title">{viewTitle}</h1>
          <p class={there ? "subtitle" : "subtitle whole"}>
            {wrong
              ? wrong
              : there
                ? "Bar: its class, then what it is predicted as; thin where both agree. Hardest at the last snapshot first."
                : noSamples(open)}
          </p>
        </div>
        {there && <Choice open={open} />}
      </div>
      {there && <Tiles open={open} />}
    </>
  );
}

const NAMES: Record<Only, string> = { all: "All", wrong: "Wrong now", watched: "Watched" };

/** Which samples are shown, and what they are searched for. */
function Choice({ open }: { open: Session }) {
  const choices: Only[] = open.has("watched") ? ["all", "wrong", "watched"] : ["all", "wrong"];
  return (
    <span class="sample-choice">
      <input
        class="find-sample"
        type="search"
        data-testid="find"
        aria-label="Find samples"
        placeholder="number or class"
        title="A sample’s number, its class, or “as” and what it is predicted as now: 12, shirt, shirt as coat, as coat"
        value={find.value}
        onInput={(event) => (find.value = event.currentTarget.value)}
      />
      <span class="segments" role="group" aria-label="Samples shown">
        {choices.map((name) => (
          <button
            key={name}
            type="button"
            data-testid={`only-${name}`}
            aria-pressed={only.value === name}
            onClick={() => (only.value = name)}
          >
            {NAMES[name]}
          </button>
        ))}
      </span>
    </span>
  );
}

function Tiles({ open }: { open: Session }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const pictured = open.has("thumbnails");
  const tile = pictured ? TILE : PLAIN_TILE;
  const shown = shownSamples.value;
  const columns = Math.max(1, Math.floor(((size?.width ?? 0) - 4) / (tile + GAP)));
  const rows = Math.ceil(shown.length / columns);
  const whole = Math.max(1, rows * (tile + GAP));
  // what is out of view is not drawn: the canvas stays, and what is on it scrolls
  const width = columns * (tile + GAP);
  const height = Math.max(1, Math.min(size?.height ?? 0, whole));
  useEffect(() => {
    if (!size || size.width === 0) return;
    let pending = 0;
    const scroller = frame.current;
    if (!scroller) return;
    const pages = new Map<number, Pictures>();
    const draw = (): void => {
      pending = 0;
      const now = samplesNow.peek();
      if (!canvas.current) return;
      if (!now) {
        fitCanvas(canvas.current, width, height).clearRect(0, 0, width, height);
        return;
      }
      const began = performance.now();
      const g = fitCanvas(canvas.current, width, height);
      const top = scroller.scrollTop;
      const all = drawTiles(g, { open, pages, pictured, tile, columns, top, height, redraw: ask });
      drawn.view(all, performance.now() - began);
    };
    const ask = (): void => {
      pending ||= requestAnimationFrame(draw);
    };
    const stop = effect(() => {
      void [samplesNow.value, shownSamples.value, sample.value, theme.value];
      ask();
    });
    scroller.addEventListener("scroll", ask, { passive: true });
    return () => {
      stop();
      scroller.removeEventListener("scroll", ask);
      cancelAnimationFrame(pending);
    };
  }, [open, pictured, tile, columns, width, height, size]);
  // a sample that is reached by keys, or named in the address, is brought into view
  const chosen = sample.value;
  useEffect(() => {
    const place = shownSamples.peek().indexOf(chosen);
    const scroller = frame.current;
    if (!scroller || place < 0 || height <= 1) return;
    const top = Math.floor(place / columns) * (tile + GAP);
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top + tile + GAP > scroller.scrollTop + height)
      scroller.scrollTop = top + tile + GAP - height;
  }, [chosen, shown.length > 0, columns, tile, height]);
  const at = (event: MouseEvent): number => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const top = frame.current?.scrollTop ?? 0;
    const column = Math.floor((event.clientX - box.left) / (tile + GAP));
    const row = Math.floor((event.clientY - box.top + top) / (tile + GAP));
    return column < columns ? (shown[row * columns + column] ?? -1) : -1;
  };
  const of =
    highlighted.value >= 0 && highlightedName.value ? ` of ${said(highlightedName.value)}` : "";
  return (
    <>
      <p class="note" data-testid="samples-shown">
        {count(shown.length)} {plural(shown.length, "sample")}
        {of}
      </p>
      <div class="samples-view" ref={frame} tabIndex={0} role="region" aria-label="Samples">
        <div style={{ height: `${whole}px` }}>
          <canvas
            ref={canvas}
            data-testid="samples"
            role="img"
            aria-label="Samples with what each is predicted as. Choose one, then use the up and down arrow keys."
            onClick={(event) => {
              const i = at(event);
              playing.value = false;
              if (i >= 0) sample.value = i === sample.peek() ? -1 : i;
            }}
            onPointerMove={(event) => {
              const i = at(event);
              event.currentTarget.style.cursor = i >= 0 ? "pointer" : "default";
              if (i < 0) hideTip();
              else tip.value = { x: event.clientX, y: event.clientY, content: <SampleTip i={i} /> };
            }}
            onPointerLeave={hideTip}
          />
        </div>
      </div>
    </>
  );
}

interface Drawing {
  open: Session;
  pages: Map<number, Pictures>;
  pictured: boolean;
  tile: number;
  columns: number;
  /** What is above the view, and how much is in it. */
  top: number;
  height: number;
  redraw: () => void;
}

/** Whether everything was there. */
function drawTiles(g: CanvasRenderingContext2D, of: Drawing): boolean {
  const { open, pages, pictured, tile, columns, top, height, redraw } = of;
  const now = samplesNow.peek();
  if (!now) return false;
  const { label, prediction } = now.samples;
  const shown = shownSamples.peek();
  const watched = new Set(only.peek() !== "watched" ? open.split.watched?.samples : []);
  const first = Math.floor(top / (tile + GAP));
  const last = Math.min(Math.ceil((top + height) / (tile + GAP)) * columns, shown.length);
  const palette = answerPalette();
  const page = pageColorsNow();
  g.clearRect(0, 0, g.canvas.width, g.canvas.height);
  g.imageSmoothingEnabled = true;
  let whole = sampleOrder.peek() !== null;
  const missing = new Set<number>();
  for (let place = first * columns; place < last; place++) {
    const i = shown[place];
    const x = (place % columns) * (tile + GAP) + TOP;
    const y = Math.floor(place / columns) * (tile + GAP) + TOP - top;
    const bar = isWrong(label[i], prediction[i]) ? WRONG_BAR : RIGHT_BAR;
    const side = tile - WRONG_BAR - 1;
    const pictures = pages.get(Math.floor(i / THUMBNAILS));
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(x, y, tile, side);
    if (pictured && pictures) {
      const stamp = stampIn(pictures, i);
      const scale = Math.min(tile / stamp.width, side / stamp.height);
      const [w, h] = [stamp.width * scale, stamp.height * scale];
      drawStamp(g, stamp, x + (tile - w) / 2, y + (side - h) / 2, w, h);
    } else if (pictured) {
      whole = false;
      missing.add(Math.floor(i / THUMBNAILS));
    } else {
      g.fillStyle = page.ink3;
      g.font = '9px "Inter", ui-sans-serif, system-ui, sans-serif';
      g.fillText(String(i), x + 3, y + side / 2 + 3);
    }
    // of a wrong one: its class, then what it is predicted as
    const split = bar === WRONG_BAR && isClass(prediction[i]) ? Math.round(tile / 3) : tile;
    if (isClass(label[i]) && bar === WRONG_BAR) {
      g.fillStyle = answerColor(palette, label[i]);
      g.fillRect(x, y + tile - bar, split - 1, bar);
    }
    if (isClass(prediction[i])) {
      g.fillStyle = answerColor(palette, prediction[i]);
      const from = split === tile ? 0 : split;
      g.fillRect(x + from, y + tile - bar, tile - from, bar);
    }
    if (open.has("watched") && watched.has(i)) mark(g, x + tile - 7, y + 3, page);
    if (i === sample.peek()) {
      g.strokeStyle = page.ink;
      g.lineWidth = 2;
      g.strokeRect(x - 1, y - 1, tile + 2, tile + 2);
    }
  }
  // three at a time: what comes is drawn, and asks for what is still missing
  for (const number of [...missing].slice(0, 3))
    open.ofSamples.pictures(number).then(
      (found) => {
        pages.set(number, found);
        redraw();
      },
      () => undefined,
    );
  return whole;
}

/** A sample whose feature maps were kept. */
function mark(g: CanvasRenderingContext2D, x: number, y: number, page: PageColors): void {
  g.fillStyle = `rgb(${page.page.join(",")})`;
  g.fillRect(x - 1.5, y - 1.5, 7, 7);
  g.fillStyle = page.ink;
  g.fillRect(x, y, 4, 4);
}

function SampleTip({ i }: { i: number }) {
  const now = samplesNow.value;
  if (!now) return null;
  const names = confusionNames.value;
  const { label, prediction, right } = now.samples;
  const name = (k: number): string => (isClass(k) ? said(names[k] ?? "") : "nothing");
  const how =
    prediction[i] === NOT_KEPT
      ? "not kept at this step"
      : isClass(label[i]) && !isWrong(label[i], prediction[i])
        ? "correct"
        : `predicted as ${name(prediction[i])}`;
  return (
    <>
      <b>{isClass(label[i]) ? name(label[i]) : "no label"}</b> sample {i}
      <br />
      {how}
      {right[i] <= 100 && `, probability of its class ${(right[i] / 100).toFixed(2)}`}
    </>
  );
}
