// Classes are the legend: each with its color, its tuned units through time, and their number now.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { useConfusion } from "../confusion/now";
import { mostTunedToAClass } from "../run/counts";
import { baseOf } from "../run/groupings";
import type { Session } from "../run/session";
import { count } from "../format";
import { textWidth, useSize } from "../frame/size";
import { drawn } from "../network/drawn";
import { highlighted, pins, session, threshold, track } from "../state/chosen";
import { Reading } from "../frame/Reading";
import { ClassRow } from "./ClassRow";
import { columnsFor } from "./columns";
import { Key } from "./Key";
import { column, opened, query, reveal, rows, shownSort, tunedToAny } from "./listing";
import { pinned } from "./pins";
import { FEW } from "./rows";
import { LevelChooser, Tools } from "./Tools";

const ROW = 25;
const NAME_FONT = '500 12px "Inter", ui-sans-serif, system-ui, sans-serif';
/** A row's paddings, left and right. */
const PADDING = 18;
/** Longer lists draw only the rows in view. */
const ALL_ROWS = 60;
/** So many names are measured to share out the width of a row. */
const MEASURED = 400;

export function Rail() {
  const open = session.value;
  const shown = track.value?.grouping;
  if (!open) return <aside class="rail" />;
  const long = (shown?.classes.length ?? 0) > FEW;
  return (
    <aside class="rail" aria-label="Classes and key">
      <h2>
        <LevelChooser /> <small>{long ? column : "units tuned"}</small>
      </h2>
      {long && <Tools />}
      {long && shownSort.value === "recall" && <Recalls />}
      <Legend open={open} />
      <Key />
    </aside>
  );
}

/** Loads what recall is counted from. */
function Recalls() {
  useConfusion();
  return null;
}

function Legend({ open }: { open: Session }) {
  const current = track.value;
  const box = useRef<HTMLDivElement>(null);
  const size = useSize(box);
  const [top, setTop] = useState(0);
  const level = threshold.value;
  const listed = rows.value;
  const names = current?.grouping.classes;
  const summed = listed.some((row) => row.cls < 0);
  const most = useMemo(() => {
    if (!current || !names) return 1;
    if (!summed) return mostTunedToAClass(current.classBins, open.snapshots, names.length, level);
    const times = Array.from({ length: open.snapshots }, (_, t) => t);
    const tops = listed.filter((row) => row.depth === 0);
    return Math.max(1, ...tops.flatMap((row) => times.map((t) => tunedToAny(row.counted, t))));
  }, [current, open, level, names, summed]);
  const long = (names?.length ?? 0) > FEW;
  const pinnable = current !== null && open.canPin(current.grouping);
  const wide = long && ["recall", "change"].includes(shownSort.value);
  const columns = useMemo(() => {
    const widths = (names ?? []).slice(0, MEASURED).map((name) => textWidth(name, NAME_FONT) + 1);
    const width = (size?.width ?? 0) - PADDING - (pinnable ? PIN : 0);
    return columnsFor(widths, width, count(most), !long, wide ? 5 : 3);
  }, [names, size?.width, most, long, pinnable, wide, drawn.fonts.value]);
  const all = listed.length <= ALL_ROWS;
  const first = all ? 0 : Math.max(0, Math.floor(top / ROW) - 4);
  const end = all
    ? listed.length
    : Math.min(listed.length, first + Math.ceil((size?.height ?? 600) / ROW) + 8);

  // What was sought and opened in one list says nothing of another.
  const base = useMemo(() => current && baseOf(current.grouping).classes.join("\n"), [current]);
  useEffect(() => {
    query.value = "";
    opened.value = new Set();
  }, [open, base]);
  // The class that was chosen, here or elsewhere, is in the list and in view.
  const chosen = highlighted.value;
  useEffect(() => reveal(chosen), [chosen, current]);
  const place = listed.findIndex((row) => row.cls === chosen);
  useEffect(() => {
    const at = box.current;
    if (!at || place < 0) return;
    const [y, height] = [place * ROW, at.clientHeight];
    if (y < at.scrollTop) at.scrollTop = y;
    else if (y + ROW > at.scrollTop + height) at.scrollTop = y + ROW - height;
  }, [place, chosen]);

  const variants = [
    "classes",
    chosen >= 0 && "dim",
    long && "many",
    pinnable && "pinnable",
    columns.spark === 0 && "bare",
  ];
  const variant = variants.filter(Boolean).join(" ");
  const style = { "--spark": `${columns.spark}px`, "--counts": `${columns.counts}px` };
  const given = { most, spark: columns.spark, pinnable };
  const held = pinned(pins.value);
  // a row of one list is not that of another, whose number would be of other classes
  const list = current?.grouping.name ?? "";
  return (
    <>
      {pinnable && held.length > 0 && names && (
        <div class={`${variant} pins`} style={style} role="group" aria-label="Pinned classes">
          {held.map((cls) => {
            const own = { cls, name: names[cls], depth: 0, group: -1, open: false, counted: [cls] };
            return <ClassRow key={`${list}/${cls}`} row={{ ...own, itself: false }} {...given} />;
          })}
        </div>
      )}
      <div
        ref={box}
        class={variant}
        style={style}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div
          class="class-rows"
          style={{ height: `${listed.length * ROW}px`, paddingTop: `${first * ROW}px` }}
        >
          {listed.slice(first, end).map((row) => (
            <ClassRow key={`${list}/${row.cls}/${row.group}`} row={row} {...given} />
          ))}
          {open.snapshots > 1 && columns.spark > 0 && listed.length > 0 && (
            <Reading width={columns.spark} />
          )}
        </div>
        {listed.length === 0 && query.value !== "" && (
          <p class="note">No class has “{query}” in its name.</p>
        )}
      </div>
    </>
  );
}

/** Room for a pin. */
const PIN = 18;
