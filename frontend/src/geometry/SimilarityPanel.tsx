// How alike each layer is, at the playhead, to each layer at the end: lightness alone.

import { useEffect, useRef } from "preact/hooks";
import { fixed, stepText } from "../format";
import { fitCanvas, useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import { useLatest } from "../run/latest";
import type { Session } from "../run/session";
import { chosenLayer, theme } from "../state/chosen";
import { shownLayer } from "../state/shown";
import { shownSnapshot } from "./now";
import { Source } from "./Source";

const SOURCE =
  "Linear CKA, unbiased (Kornblith et al. 2019; Nguyen, Raghu and Kornblith 2021): 1 the same up to rotation and scale, 0 nothing shared. Rows: layers now; columns: layers at the last snapshot that was kept. Up to 400 samples, evenly chosen.";
const LARGEST = 26;
/** From this size on, rows have their names beside them. */
const NAMED = 10;

/** No value darker on a dark page, lighter on a light one. */
function gray(v: number, light: boolean): string {
  const share = Math.min(1, Math.max(0, v));
  return `oklch(${(light ? 0.95 - 0.72 * share : 0.22 + 0.72 * share).toFixed(3)} 0.005 265)`;
}

export function SimilarityPanel({ open }: { open: Session }) {
  const frame = useRef<HTMLDivElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  const size = useSize(frame);
  const t = shownSnapshot.value;
  const loaded = useLatest([open], t, () => open.ofLayers.similarity(t));
  const L = open.layers.length;
  const l = shownLayer.value;
  const light = theme.value === "light";
  const cell = size
    ? Math.max(1, Math.min(LARGEST, Math.floor(Math.min(size.width, size.height) / L)))
    : 0;
  const cka = loaded?.value.cka;
  useEffect(() => {
    if (!canvas.current || !cka || cell === 0) return;
    const g = fitCanvas(canvas.current, L * cell, L * cell);
    g.clearRect(0, 0, L * cell, L * cell);
    const gap = cell >= 6 ? 1 : 0;
    for (let i = 0; i < L * L; i++) {
      if (Number.isNaN(cka[i])) continue;
      g.fillStyle = gray(cka[i], light);
      g.fillRect((i % L) * cell, Math.floor(i / L) * cell, cell - gap, cell - gap);
    }
  }, [cka, cell, light]);
  const own = cka ? cka[l * L + l] : NaN;
  const name = said(open.names[l]);
  const step = (at: number): string => stepText(open.scalars.step[at]);
  const at = (event: PointerEvent | MouseEvent): [number, number] | null => {
    const box = canvas.current?.getBoundingClientRect();
    if (!box || cell === 0) return null;
    const [x, y] = [event.clientX - box.left, event.clientY - box.top].map((v) =>
      Math.floor(v / cell),
    );
    return x >= 0 && y >= 0 && x < L && y < L ? [y, x] : null;
  };
  return (
    <section class="geometry-panel" data-testid="panel-similarity">
      <div class="geometry-said">
        <h2>
          {!loaded
            ? "How alike the layers are to those at the end."
            : loaded.at === loaded.value.last
              ? "At the last snapshot, layers compared with one another."
              : Number.isNaN(own)
                ? `${name} cannot be compared with itself at the end.`
                : `${loaded.at === t ? "" : `At step ${step(loaded.at)}, `}${name} is ${fixed(own)} like itself at step ${step(loaded.value.last)}.`}
          <Source term="CKA" text={SOURCE} />
        </h2>
        <p class="note">Down: layers now; across: the same at the end. Stronger: more alike.</p>
      </div>
      <div class="similarity" ref={frame}>
        <canvas
          ref={canvas}
          data-testid="similarity"
          role="img"
          aria-label="Similarity of layers now to layers at the end"
          onPointerMove={(event) => {
            const found = at(event);
            if (!found || !cka || !loaded) return hideTip();
            const [row, column] = found;
            const v = cka[row * L + column];
            tip.value = {
              x: event.clientX,
              y: event.clientY,
              content: (
                <>
                  <b>{open.layers[row].path}</b> at step {step(loaded.at)}
                  <br />
                  <b>{open.layers[column].path}</b> at step {step(loaded.value.last)}
                  <br />
                  {Number.isNaN(v) ? "not known" : `CKA ${fixed(v)}`}
                </>
              ),
            };
          }}
          onPointerLeave={hideTip}
          onClick={(event) => {
            const found = at(event);
            if (found) chosenLayer.value = found[0];
          }}
        />
        {cka && cell >= NAMED && (
          <ol class="similarity-names" style={{ left: `${L * cell + 8}px` }}>
            {open.names.map((text, row) => (
              <li
                key={row}
                class={row === l ? "path" : "path quiet"}
                style={{ height: `${cell}px`, lineHeight: `${cell}px` }}
              >
                {text}
              </li>
            ))}
          </ol>
        )}
        {cka && cell > 2 && (
          <i
            class="similarity-row"
            aria-hidden="true"
            style={{
              width: `${L * cell + 1}px`,
              height: `${cell + 1}px`,
              transform: `translateY(${l * cell - 1}px)`,
            }}
          />
        )}
      </div>
    </section>
  );
}
