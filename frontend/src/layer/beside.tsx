// What stands beside the two pictures of a layer: classes, steps, and how many units each class has.

import { tunedByLayerAndClass } from "../derive";
import { count, plural, stepText } from "../format";
import { said } from "../inline";
import { cssColor } from "../network/colors";
import { isNested } from "../rail/rows";
import { classes, classOrder, palette, shownGrouping } from "../state/shown";
import { highlight } from "../state/choosing";
import { highlighted, session, snapshot } from "../state/chosen";
import { LEVELS } from "../wire/manifest";
import { labelledRows, placeOf, shownAt, type LayerLayout } from "./geometry";

/** Rows lower than this have no names. */
const NAMED_ROW = 9;

/** Whether each class has a row with its name. */
export const areNamed = (layout: LayerLayout, classes: number): boolean =>
  layout.heatRow >= NAMED_ROW && layout.heatRows >= classes;

export function ClassNames({ layout, named }: { layout: LayerLayout; named: boolean }) {
  const names = classes.value;
  const shown = shownGrouping.value;
  if (!areNamed(layout, names.length))
    return (
      <div class="layer-classes note">
        {count(names.length)} {plural(names.length, "class", "classes")},{" "}
        {shown && isNested(shown) ? "by superclass" : "as numbered"}
      </div>
    );
  return (
    <div class="layer-classes" style={small(layout)}>
      {classOrder.value.map((k) => (
        <button
          key={k}
          type="button"
          aria-pressed={highlighted.value === k}
          style={{ height: `${layout.heatRow}px` }}
          title={`Highlight ${said(names[k])}`}
          onClick={() => highlight(k)}
        >
          {named && <bdi class="path">{names[k]}</bdi>}
          <i
            class="dot"
            style={{ background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)) }}
          />
        </button>
      ))}
    </div>
  );
}

/** No larger than a row. */
const small = ({ heatRow }: LayerLayout) => ({
  fontSize: `${Math.min(11, heatRow)}px`,
  lineHeight: 1,
});

export function Steps({ layout }: { layout: LayerLayout }) {
  const open = session.value;
  if (!open) return null;
  const now = placeOf(snapshot.value, layout.timeRows, open.snapshots);
  const near = Math.ceil(14 / layout.timeRow);
  return (
    <div class="layer-steps" style={{ top: `${layout.timeTop}px` }}>
      <span style={{ top: "-13px" }}>step</span>
      {labelledRows(layout.timeRows, layout.timeRow)
        .filter((row) => Math.abs(row - now) >= near)
        .map((row) => (
          <span key={row} style={{ top: `${(row + 0.5) * layout.timeRow}px` }}>
            {stepText(open.scalars.step[shownAt(row, layout.timeRows, open.snapshots)])}
          </span>
        ))}
      <span class="now-step" style={{ top: `${(now + 0.5) * layout.timeRow}px` }}>
        {stepText(open.scalars.step[snapshot.value])}
      </span>
    </div>
  );
}

/** Units of the layer tuned to each class, beside its row. */
export function Totals({ l, layout }: { l: number; layout: LayerLayout }) {
  const names = classes.value;
  const counts = tunedByLayerAndClass.value?.counts;
  if (!counts || !areNamed(layout, names.length)) return null;
  const own = counts.subarray(l * names.length, (l + 1) * names.length);
  const most = Math.max(1, ...own);
  return (
    <div class="layer-totals" aria-label="Units tuned to each class" style={small(layout)}>
      {classOrder.value.map((k) => (
        <div key={k} style={{ height: `${layout.heatRow}px` }}>
          {own[k] > 0 && (
            <i
              style={{
                width: `${(22 * own[k]) / most}px`,
                background: cssColor(palette.value, 4 * (k * LEVELS + LEVELS - 1)),
              }}
            />
          )}
          <span class="count">{count(own[k])}</span>
        </div>
      ))}
    </div>
  );
}
