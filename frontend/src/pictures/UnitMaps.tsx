// Where a unit responds: its mean map of each true class, on one luminance scale.

import { useMemo } from "preact/hooks";
import { answerColor, answerPalette } from "../confusion/answers";
import { confusionNames } from "../confusion/now";
import { count } from "../format";
import { said } from "../inline";
import { useLatest } from "../run/latest";
import type { Session } from "../run/session";
import { highlighted, session, snapshot, theme } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import type { Layer } from "../wire/manifest";
import { Missing } from "./Missing";
import { Plate } from "./Plate";
import { unitMaps, type Scaled } from "./recorded";
import { Scale } from "./Scale";
import { inLuminance, NOTHING, rampNow, sheetOf } from "./sheet";

const WIDTH = 304;
const GAP = 6;
const COLUMNS = 5;
const MORE_COLUMNS = 8;
/** Of more classes those with the greatest mean map are shown. */
const MANY = 24;

/** Whether a layer's units respond at several positions. */
export const hasPositions = (layer: Layer): boolean =>
  !layer.output && layer.shape.reduce((a, b) => a * b, 1) > layer.units;

export function UnitMaps({ unit }: { unit: number }) {
  const open = session.value;
  if (!open) return null;
  const l = open.layerOf[unit];
  if (!hasPositions(open.layers[l])) return null;
  const there = open.has("unit_maps") && (open.split.maps ?? []).includes(l);
  return (
    <section data-testid="unit-maps">
      <h2>Where it responds {there && <small>mean map by true class, one scale</small>}</h2>
      {there ? <Maps open={open} unit={unit} /> : <Missing open={open} what="unit_maps" />}
    </section>
  );
}

function Maps({ open, unit }: { open: Session; unit: number }) {
  const t = snapshot.value;
  const found = useLatest([open, unit], t, () => unitMaps(open, t, unit));
  const maps = found?.value ?? null;
  const light = theme.value;
  const sheet = useMemo(() => maps && sheetOf(maps, inLuminance(rampNow(light))), [maps, light]);
  const names = confusionNames.value;
  const shown = useMemo(() => maps && greatest(maps, names.length), [maps, names]);
  const palette = answerPalette();
  // the classes of a grouping of one's own are not those of the maps
  const group = shownGrouping.value?.name;
  const marked = group === "true" || group === "predicted" ? highlighted.value : -1;
  const columns = names.length <= 2 * COLUMNS ? COLUMNS : MORE_COLUMNS;
  const side = Math.floor((WIDTH - GAP * (columns - 1)) / columns);
  if (found && !found.value.bytes.some((v) => v !== NOTHING))
    return <p class="note">Not kept at this step, or no response was finite.</p>;
  const classes = shown ?? Array.from({ length: Math.min(MANY, names.length) }, (_, k) => k);
  return (
    <>
      <div class="plates" style={{ "--side": `${side}px`, "--gap": `${GAP}px` }}>
        {classes.map((k) => (
          <figure key={k} class={marked >= 0 && marked !== k ? "faded" : ""}>
            <div>
              {sheet && <Plate sheet={sheet} n={k} side={side} name={said(names[k] ?? "")} />}
            </div>
            <i style={{ background: answerColor(palette, k) }} />
          </figure>
        ))}
      </div>
      {maps && <Scale low={maps.low} high={maps.high} />}
      {names.length > MANY && (
        <p class="note">
          The {MANY} of {count(names.length)} classes it responds to most now.
        </p>
      )}
    </>
  );
}

/** All classes, or of many those with the greatest mean map, in order of index. */
function greatest(maps: Scaled, K: number): number[] {
  const all = Array.from({ length: K }, (_, k) => k);
  if (K <= MANY) return all;
  const size = maps.width * maps.height;
  const sums = all.map((k) =>
    maps.bytes.subarray(k * size, (k + 1) * size).reduce((a, v) => a + (v === NOTHING ? 0 : v), 0),
  );
  const most = [...all].sort((a, b) => sums[b] - sums[a] || a - b).slice(0, MANY);
  return most.sort((a, b) => a - b);
}
