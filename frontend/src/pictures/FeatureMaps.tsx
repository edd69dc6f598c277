// The feature maps of a watched sample, layer by layer, at the playhead.

import { useMemo, useState } from "preact/hooks";
import { count, plural } from "../format";
import { useLatest } from "../run/latest";
import type { Session } from "../run/session";
import { only, session, snapshot, theme } from "../state/chosen";
import { placedOrder } from "../state/shown";
import { selectUnit } from "../state/choosing";
import { Missing } from "./Missing";
import { Plate } from "./Plate";
import { watchedMaps } from "./recorded";
import { Scale } from "./Scale";
import { inLuminance, NOTHING, rampNow, sheetOf } from "./sheet";

const WIDTH = 304;
const GAP = 4;
const COLUMNS = 8;
/** More maps are shown on demand. */
const FIRST = 32;

export function FeatureMaps({ sample }: { sample: number }) {
  const open = session.value;
  if (!open) return null;
  const watched = open.has("watched") ? open.split.watched : undefined;
  const which = watched?.samples.indexOf(sample) ?? -1;
  return (
    <section data-testid="feature-maps">
      <h2>Feature maps {which >= 0 && <small>one scale for a layer, at this step</small>}</h2>
      {!watched ? (
        <Missing open={open} what="watched" />
      ) : which < 0 ? (
        <p class="note">
          Kept of {count(watched.samples.length)} {plural(watched.samples.length, "sample")}, not of
          this one.{" "}
          <button type="button" class="link" onClick={() => (only.value = "watched")}>
            Show those
          </button>
        </p>
      ) : (
        watched.layers.map((l) => <OfLayer key={l} open={open} which={which} l={l} />)
      )}
    </section>
  );
}

function OfLayer({ open, which, l }: { open: Session; which: number; l: number }) {
  const t = snapshot.value;
  const [all, setAll] = useState(false);
  const found = useLatest([open, which, l], t, () => watchedMaps(open, which, t, l));
  const light = theme.value;
  const maps = found?.value ?? null;
  const sheet = useMemo(() => maps && sheetOf(maps, inLuminance(rampNow(light))), [maps, light]);
  const side = Math.floor((WIDTH - GAP * (COLUMNS - 1)) / COLUMNS);
  const { offset, units, path } = open.layers[l];
  const order = Array.from(placedOrder.value.subarray(offset, offset + units));
  const shown = all ? order : order.slice(0, FIRST);
  const none = maps && !maps.bytes.some((v) => v !== NOTHING);
  return (
    <div class="feature-layer" data-testid={`features-${l}`}>
      <h3 class="path" title={path}>
        {open.names[l]}
      </h3>
      {none ? (
        <p class="note">Not kept at this step, or not finite.</p>
      ) : (
        <div class="plates" style={{ "--side": `${side}px`, "--gap": `${GAP}px` }}>
          {shown.map((u) => (
            <button
              key={u}
              type="button"
              aria-label={`Unit ${u - offset}`}
              onClick={() => selectUnit(u)}
            >
              {sheet && (
                <Plate sheet={sheet} n={u - offset} side={side} name={`unit ${u - offset}`} />
              )}
            </button>
          ))}
        </div>
      )}
      {maps && !none && (
        <div class="under">
          <Scale low={maps.low} high={maps.high} />
          {units > FIRST && (
            <button type="button" class="link" onClick={() => setAll(!all)}>
              {all ? "Fewer" : `All ${count(units)}`}
            </button>
          )}
        </div>
      )}
    </div>
  );
}
