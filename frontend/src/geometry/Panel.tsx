// One number of every layer through training.

import { line } from "d3-shape";
import { useMemo, useRef } from "preact/hooks";
import { stepText } from "../format";
import { atEnd } from "../frame/Reading";
import { useSize } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import type { Geometry } from "../run/resources";
import type { Session } from "../run/session";
import { chosenLayer, theme } from "../state/chosen";
import { positions, shownLayer } from "../state/shown";
import { shownSnapshot, valueOf } from "./now";
import { axisText, domainOf, lineColor, placeOf, type PanelSpec } from "./panels";
import { Source } from "./Source";

const AXIS = 34;
const PAD = 4;

interface PanelOf {
  spec: PanelSpec;
  open: Session;
  found: Geometry;
}

export function Panel({ spec, open, found }: PanelOf) {
  const value = valueOf(spec.name, shownLayer.value);
  return (
    <section class="geometry-panel" data-testid={`panel-${spec.name}`}>
      <div class="geometry-said">
        <h2>
          {Number.isNaN(value) ? "Not known of this layer here." : spec.sentence(value)}
          <Source term={spec.term} text={spec.source} />
        </h2>
        <p class="note">{spec.about}</p>
      </div>
      <Lines spec={spec} open={open} found={found} />
    </section>
  );
}

function Lines({ spec, open, found }: PanelOf) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const L = open.layers.length;
  const values = found.values[spec.name];
  const place = positions.value;
  const [width, height] = [
    Math.max(0, (size?.width ?? 0) - AXIS - PAD),
    (size?.height ?? 0) - 2 * PAD,
  ];
  const domain = useMemo(() => domainOf(values, spec.scale), [values, spec]);
  const x = (i: number): number => AXIS + (place[found.snapshot[i]] ?? 0) * width;
  const y = (v: number): number => {
    const at = placeOf(v, domain, spec.scale);
    return PAD + height * (1 - Math.min(1, Math.max(0, at)));
  };
  const paths = useMemo(() => {
    const known = Array.from(found.snapshot, (_, i) => i);
    const draw = (at: (i: number) => number): string =>
      line<number>()
        .defined((i) => !Number.isNaN(placeOf(at(i), domain, spec.scale)))
        .x((i) => Math.round(10 * x(i)) / 10)
        .y((i) => Math.round(10 * y(at(i))) / 10)(known) ?? "";
    return {
      layers: open.layers.map((_, l) => draw((i) => values[i * L + l])),
      chance: spec.scale === "share" ? draw((i) => found.chance[i * L + (L - 1)]) : "",
    };
  }, [found, values, domain, place, width, height]);
  const chosen = shownLayer.value;
  const light = theme.value === "light";

  /** The line nearest to the pointer, and the known snapshot. */
  const nearest = (event: PointerEvent | MouseEvent): { layer: number; i: number } | null => {
    const box = frame.current?.getBoundingClientRect();
    if (!box || found.snapshot.length === 0) return null;
    const [px, py] = [event.clientX - box.left, event.clientY - box.top];
    let i = 0;
    for (let k = 1; k < found.snapshot.length; k++)
      if (Math.abs(x(k) - px) < Math.abs(x(i) - px)) i = k;
    let layer = -1;
    let best = Infinity;
    for (let l = 0; l < L; l++) {
      const far = Math.abs(y(values[i * L + l]) - py);
      if (far < best) [best, layer] = [far, l];
    }
    return layer < 0 ? null : { layer, i };
  };

  const onMove = (event: PointerEvent): void => {
    const at = nearest(event);
    if (!at) return hideTip();
    tip.value = {
      x: event.clientX,
      y: event.clientY,
      content: (
        <>
          <b>{open.layers[at.layer].path}</b>, step{" "}
          {stepText(open.scalars.step[found.snapshot[at.i]])}
          <br />
          {spec.text(values[at.i * L + at.layer])}
        </>
      ),
    };
  };

  return (
    <div
      class="geometry-lines"
      ref={frame}
      onPointerMove={onMove}
      onPointerLeave={hideTip}
      onClick={(event) => {
        const at = nearest(event);
        if (at) chosenLayer.value = at.layer;
      }}
    >
      {size && width > 0 && height > 0 && (
        <svg width={size.width} height={size.height} aria-hidden="true">
          <path
            class="hair"
            d={`M${AXIS} ${PAD + 0.5}h${width}M${AXIS} ${PAD + height + 0.5}h${width}`}
          />
          {domain.map((v, i) => (
            <text key={i} x={AXIS - 6} y={i === 0 ? PAD + height + 2 : PAD + 7} text-anchor="end">
              {axisText(v, spec)}
            </text>
          ))}
          {spec.scale === "log" && (
            <text x={AXIS - 6} y={PAD + height / 2 + 4} text-anchor="end">
              log
            </text>
          )}
          {spec.scale === "signed" && (
            <path class="axis" d={`M${AXIS} ${Math.round(y(0)) + 0.5}h${width}`} />
          )}
          {paths.chance && <path class="chance" d={paths.chance} />}
          {paths.layers.map(
            (d, l) =>
              l !== chosen && <path key={l} class="depth" d={d} stroke={lineColor(l, L, light)} />,
          )}
          <path class="chosen-line" d={paths.layers[chosen] ?? ""} />
          <Now x={(t) => AXIS + (place[t] ?? 0) * width} y={y} name={spec.name} height={height} />
        </svg>
      )}
    </div>
  );
}

/** Where the numbers above are from. */
function Now(of: {
  x: (t: number) => number;
  y: (v: number) => number;
  name: PanelSpec["name"];
  height: number;
}) {
  const t = shownSnapshot.value;
  const value = valueOf(of.name, shownLayer.value);
  if (t < 0) return null;
  const x = Math.round(of.x(t)) + 0.5;
  return (
    <>
      {!atEnd.value && <path class="now" d={`M${x} ${PAD}v${of.height}`} />}
      {Number.isFinite(value) && <circle class="now-dot" cx={x} cy={of.y(value)} r={3} />}
    </>
  );
}
