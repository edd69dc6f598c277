// How a sample goes through the layers: how much each layer's response to it is like that to its class,
// through training, and at the playhead the class it is most like.

import { useEffect, useRef, useState } from "preact/hooks";
import { answerColor, answerPalette } from "../confusion/answers";
import { confusionNames } from "../confusion/now";
import { fixed } from "../format";
import { fitCanvas } from "../frame/size";
import { said } from "../inline";
import { isClass } from "../samples/reading";
import type { Session } from "../run/session";
import { positions } from "../state/shown";
import { session, snapshot, theme } from "../state/chosen";
import { spans } from "../timeline/scale";
import { Missing } from "./Missing";
import { throughLayers, type Through } from "./recorded";
import { FULL, rampNow } from "./sheet";

const WIDTH = 132;
const ROW = 14;

export function ThroughLayers({ sample }: { sample: number }) {
  const open = session.value;
  const there = open?.has("through_layers") ?? false;
  const [found, setFound] = useState<{ of: Session; through: Through | null } | null>(null);
  useEffect(() => {
    let wanted = true;
    setFound(null);
    if (open && there)
      throughLayers(open, sample).then(
        (through) => wanted && setFound({ of: open, through }),
        () => wanted && setFound({ of: open, through: null }),
      );
    return () => {
      wanted = false;
    };
  }, [open, sample, there]);
  if (!open || open.split.multilabel) return null;
  const through = found?.of === open ? found.through : undefined;
  return (
    <section data-testid="through-layers">
      <h2>Through the layers {there && <small>likeness to its class</small>}</h2>
      {!there && <Missing open={open} what="through_layers" />}
      {through === null && <p class="note">They could not be read.</p>}
      {through && (
        <>
          {open.layers.map((layer, l) => (
            <Row key={l} open={open} through={through} l={l} path={layer.path} />
          ))}
          <p class="note">
            Cosine of the layer’s response to it with the mean response to other samples of its
            class, 0 to 1; the dot: the class it is most like.
          </p>
        </>
      )}
    </section>
  );
}

function Row(of: { open: Session; through: Through; l: number; path: string }) {
  const { open, through, l, path } = of;
  const canvas = useRef<HTMLCanvasElement>(null);
  const x = positions.value;
  const L = open.layers.length;
  const { snapshot: told, alike, nearest, nearestAlike } = through;
  useEffect(() => {
    if (!canvas.current) return;
    const g = fitCanvas(canvas.current, WIDTH, ROW);
    g.clearRect(0, 0, WIDTH, ROW);
    const ramp = rampNow(theme.value);
    const places = Array.from(told, (t) => (x[t] ?? 0) * WIDTH);
    const marks = spans(places, WIDTH);
    told.forEach((_, i) => {
      const value = alike[i * L + l];
      if (Number.isNaN(value)) return;
      const gray = ramp[Math.round(FULL * Math.min(1, Math.max(0, value)))];
      g.fillStyle = `rgb(${gray},${gray},${gray})`;
      const from = Math.max(0, marks[i]);
      g.fillRect(from, 0, Math.max(0.5, Math.min(WIDTH, marks[i + 1]) - from), ROW);
    });
  }, [through, x, l, L, theme.value]);
  const at = told.indexOf(snapshot.value);
  const like = at >= 0 ? alike[at * L + l] : NaN;
  const k = at >= 0 ? nearest[at * L + l] : -1;
  const name = k >= 0 && isClass(k) ? said(confusionNames.value[k] ?? "") : "";
  const most = at >= 0 ? fixed(nearestAlike[at * L + l]) : "";
  return (
    <div
      class="through"
      title={
        name
          ? `${path}: most like ${name} (${most}); like its own class: ${like ? fixed(like) : "–"}`
          : path
      }
    >
      <span class="path">{open.names[l]}</span>
      <span class="strip-of" style={{ width: `${WIDTH}px`, height: `${ROW}px` }}>
        <canvas ref={canvas} role="img" aria-label={`Likeness in ${path} through training`} />
        <i style={{ transform: `translateX(${Math.round((x[snapshot.value] ?? 0) * WIDTH)}px)` }} />
      </span>
      {name ? <i class="dot" style={{ background: answerColor(answerPalette(), k) }} /> : <span />}
      <span class="count">{Number.isNaN(like) ? "–" : fixed(like)}</span>
    </div>
  );
}
