// The table twin of the picture: a layer's units as rows, for those who read rather than look.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count, digitsFor, fixed } from "../format";
import { LayerChooser } from "../layer/LayerChooser";
import { download } from "../frame/download";
import { useSize } from "../frame/size";
import { isolated } from "../inline";
import { cssColor } from "../network/colors";
import { drawn } from "../network/drawn";
import { useLatest } from "../run/latest";
import { announcement, session, snapshot, threshold, track, unit, view } from "../state/chosen";
import { approximate, classes, painted, palette, placedOrder, shownLayer } from "../state/shown";
import { openLayer, selectUnit } from "../state/choosing";
import { viewTitle } from "../titles";
import { HELD, LEVELS } from "../wire/manifest";
import {
  FORMATS,
  type Format,
  allUnreliable,
  classText,
  fileName,
  inSight,
  intervalText,
  ordered,
  stateText,
  strengthText,
  type Column,
  type Known,
} from "./rows";

const ROW = 26;
const FILES = Object.keys(FORMATS) as Format[];

export function TableView() {
  const open = session.value;
  const current = track.value;
  const l = shownLayer.value;
  const layer = open?.layers[l];
  const t = snapshot.value;
  const whole = open?.has("table") ?? false;
  const loaded = useLatest(open && current && whole ? [open, current, l] : null, t, () =>
    (open as NonNullable<typeof open>).ofUnits.table(current?.grouping.name ?? "", t, l),
  );
  const cells = painted.value;
  if (!open || !layer || !current) return null;
  const { offset, units } = layer;
  const shown: { at: number; known: Known } | null = loaded
    ? { at: loaded.at, known: loaded.value }
    : !whole && cells && !approximate.value
      ? {
          at: cells.snapshot,
          known: {
            preferred: cells.paint.preferred.subarray(offset, offset + units),
            level: cells.paint.level.subarray(offset, offset + units),
            state: cells.paint.state.subarray(offset, offset + units),
            flags: cells.paint.flags.subarray(offset, offset + units),
          },
        }
      : null;
  const step = open.scalars.step[shown?.at ?? t];
  const told = {
    run: open.manifest.name,
    split: open.split.name,
    grouping: current.grouping.name,
    step,
    layer: layer.path,
    measure: open.measure.name,
    threshold: threshold.value,
  };
  const save = (format: Format): void => {
    if (!shown) return;
    const { write, type } = FORMATS[format];
    const text = write(shown.known, indices(units), classes.value, told);
    download(fileName(told, format), new Blob([text], { type }));
    announcement.value = `${count(units)} rows saved as ${fileName(told, format)}.`;
  };
  return (
    <>
      <div class="head with-choice">
        <div>
          <h1 data-testid="title">{viewTitle}</h1>
          <p class="subtitle">
            Mean: of the response to its class over n samples, as a 95% interval. Strength:{" "}
            {open.measure.title.toLowerCase()}, less one standard error.
            {shown && allUnreliable(shown.known) && " Few samples speak for any of them."}
            {!whole && " Value, interval and n were left out of this file: colors alone are here."}
          </p>
        </div>
        <span class="field">
          <LayerChooser
            open={open}
            l={l}
            onChoose={(chosen) => {
              openLayer(chosen);
              view.value = "table";
            }}
          />
          {FILES.map((format) => (
            <button
              key={format}
              type="button"
              class="as-file"
              data-testid={format}
              title={`Save as ${FORMATS[format].name}`}
              aria-label={`Save the table as ${FORMATS[format].name}`}
              disabled={!shown}
              onClick={() => save(format)}
            >
              {FORMATS[format].name}
            </button>
          ))}
        </span>
      </div>
      {shown && (
        <Rows
          key={l}
          known={shown.known}
          late={shown.at !== t}
          offset={offset}
          name={open.names[l]}
          measure={open.measure.title}
        />
      )}
    </>
  );
}

interface Of {
  known: Known;
  /** Of a snapshot before: the one that is wanted has not come yet. */
  late: boolean;
  offset: number;
  name: string;
  measure: string;
}

function Rows({ known, late, offset, name, measure }: Of) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const [top, setTop] = useState(0);
  const [by, setBy] = useState<Column>("place");
  const [down, setDown] = useState(false);
  const units = known.state.length;
  const order = placedOrder.value;
  const rows = useMemo(() => {
    const places = order.subarray(offset, offset + units).map((u) => u - offset);
    return ordered(known, places, by, down);
  }, [known, order, offset, units, by, down]);
  const chosen = unit.value - offset;
  const digits = useMemo(() => digitsFor(spanOf(known.mean)), [known]);
  useEffect(() => drawn.view(!late, 0));
  // it stands in the place of a picture, and is read from the keyboard
  useEffect(() => {
    // nobody pressed Tab to come here, so nothing is framed
    const quietly: FocusOptions & { focusVisible: boolean } = {
      preventScroll: true,
      focusVisible: false,
    };
    frame.current?.focus(quietly);
  }, []);
  useEffect(() => {
    const box = frame.current;
    const at = rows.indexOf(chosen);
    if (!box || at < 0) return;
    const [y, room] = [at * ROW, box.clientHeight - 2 * ROW];
    if (y < box.scrollTop) box.scrollTop = y;
    else if (y > box.scrollTop + room) box.scrollTop = y - room;
  }, [chosen, rows]);
  const walk = (event: KeyboardEvent): void => {
    const way = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (way === 0 || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    const at = rows.indexOf(chosen);
    const to = at < 0 ? (way > 0 ? 0 : units - 1) : at + way;
    if (to >= 0 && to < units) unit.value = offset + rows[to];
  };
  const { first, end } = inSight(top, size?.height ?? 0, ROW, units);
  const head = (column: Column, text: string, numeric = false) => (
    <th
      scope="col"
      class={numeric ? "count" : ""}
      aria-sort={by === column ? (down ? "descending" : "ascending") : "none"}
    >
      <button
        type="button"
        onClick={() => {
          // numbers are looked for from the greatest
          setDown(by === column ? !down : column === "strength" || column === "value");
          setBy(column);
        }}
      >
        {text}
        <span aria-hidden="true">{by === column ? (down ? " ↓" : " ↑") : ""}</span>
      </button>
    </th>
  );
  const colors = palette.value;
  const few = useMemo(() => !allUnreliable(known), [known]);
  return (
    <div
      class="units"
      ref={frame}
      tabIndex={0}
      role="group"
      aria-label={`Units of ${name}; up and down arrows select one`}
      aria-busy={late}
      data-testid="units"
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      onKeyDown={walk}
    >
      <table aria-rowcount={units + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {head("unit", "Unit")}
            {head("place", "Class")}
            {head("strength", "Strength", true)}
            {head("value", measure, true)}
            <th scope="col" class="count">
              Mean
            </th>
            <th scope="col" class="count">
              n
            </th>
            <th scope="col">State</th>
          </tr>
        </thead>
        <tbody>
          {first > 0 && <Gap rows={first} />}
          {Array.from(rows.subarray(first, end), (u, i) => {
            const of = classText(known, u, (k) => isolated(classes.value[k] ?? ""));
            const level = 4 * ((of?.of ?? 0) * LEVELS + known.level[u]);
            return (
              <tr
                key={u}
                aria-rowindex={first + i + 2}
                aria-current={u === chosen ? "true" : undefined}
                onClick={() => selectUnit(offset + u)}
              >
                <th scope="row">{u}</th>
                <td class={of && of.of < 0 ? "quiet path" : "path"}>
                  {known.state[u] === HELD && of && (
                    <i class="dot" style={{ background: cssColor(colors, level) }} />
                  )}
                  {of?.name ?? "–"}
                </td>
                <td class="count">{strengthText(known, u)}</td>
                <td class="count">{known.value ? fixed(known.value[u]) : "–"}</td>
                <td class="count">{intervalText(known, u, digits)}</td>
                <td class="count">{known.n && known.n[u] > 0 ? count(known.n[u]) : "–"}</td>
                <td class="path" title={stateText(known, u, threshold.value)}>
                  {stateText(known, u, threshold.value, few)}
                </td>
              </tr>
            );
          })}
          {end < units && <Gap rows={units - end} />}
        </tbody>
      </table>
    </div>
  );
}

/** Room for the rows that are out of sight. */
const Gap = ({ rows }: { rows: number }) => (
  <tr aria-hidden="true">
    <td style={{ height: `${rows * ROW}px`, padding: 0, border: 0 }} />
  </tr>
);

function spanOf(values: Float32Array | undefined): number {
  let most = 0;
  for (const value of values ?? []) if (Math.abs(value) > most) most = Math.abs(value);
  return most;
}

const indices = (n: number): Uint32Array => Uint32Array.from({ length: n }, (_, u) => u);
