// One layer: what each class does to each unit now, and every unit's color through training.

import { useMemo, useRef } from "preact/hooks";
import { LayerChooser } from "./LayerChooser";
import { useSize } from "../frame/size";
import { shownOf } from "../pictures/about";
import { LayerPictures, ShowsChoice } from "../pictures/Shows";
import { classes, shownLayer } from "../state/shown";
import { layerShows, session, track } from "../state/chosen";
import { openLayer } from "../state/choosing";
import { heatTitle, layerSubtitle, viewTitle } from "../titles";
import { areNamed } from "./beside";
import { layoutLayer } from "./geometry";
import { Pictures } from "./Pictures";

const LABELS = 104;
const NARROW_LABELS = 46;
const TOTALS = 62;
const NARROW = 560;

export function LayerView() {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const open = session.value;
  const l = shownLayer.value;
  const layer = open?.layers[l];
  const names = classes.value;
  const shown = shownOf(l, layerShows.value);
  const labels = (size?.width ?? 0) < NARROW ? NARROW_LABELS : LABELS;
  const layout = useMemo(
    () =>
      open && layer && size && size.width > 0 && names.length > 0
        ? layoutLayer(layer.units, names.length, open.snapshots, {
            width: size.width - labels - TOTALS,
            height: size.height - 8,
          })
        : null,
    [open, layer, size, names.length, labels],
  );
  if (!open || !layer) return null;
  return (
    <>
      <div class="head with-choice">
        <div>
          <h1 data-testid="title">{viewTitle}</h1>
          <p class="subtitle">{layerSubtitle}</p>
        </div>
        <ShowsChoice l={l} />
        <LayerChooser open={open} l={l} onChoose={openLayer} />
      </div>
      {shown === "cells" && (
        <div class="layer-over" style={{ paddingLeft: `${labels + 2}px` }}>
          <h2 data-testid="heat-title">{heatTitle}</h2>
          {layout && areNamed(layout, names.length) && <span class="note">tuned</span>}
        </div>
      )}
      <div class="layer-view" ref={frame} style={{ "--labels": `${labels}px` }}>
        {shown !== "cells" ? (
          <LayerPictures l={l} />
        ) : (
          layout &&
          track.value && <Pictures key={l} l={l} layout={layout} named={labels > NARROW_LABELS} />
        )}
      </div>
    </>
  );
}
