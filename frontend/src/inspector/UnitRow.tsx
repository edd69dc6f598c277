import { selectUnit } from "../state/choosing";
import { session } from "../state/chosen";

/** A unit in a list that is about no class: a neutral bar, and what it says. */
export function UnitRow(row: { unit: number; share: number; said: string }) {
  const open = session.value;
  if (!open) return null;
  const l = open.layerOf[row.unit];
  return (
    <button type="button" class="unit bare" onClick={() => selectUnit(row.unit)}>
      <span class="path" title={`${open.layers[l].path}, ${open.layers[l].kind}`}>
        {open.names[l]} · {row.unit - open.layers[l].offset}
      </span>
      <span class="bar">
        <span style={{ width: `${100 * row.share}%`, background: "var(--ink4)" }} />
      </span>
      <span class="count">{row.said}</span>
    </button>
  );
}
