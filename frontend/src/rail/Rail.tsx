// Classes are the legend: each with its color, its tuned units through time, and their number now.

import { area } from "d3-shape";
import { useComputed } from "@preact/signals";
import { useMemo, useRef, useState } from "preact/hooks";
import { mostTunedToAClass, tunedToClass } from "../run/counts";
import { CLASS_KEYS } from "../keys";
import { cssColor } from "../network/colors";
import { count } from "../format";
import { useSize } from "../frame/size";
import {
  highlight,
  highlighted,
  palette,
  positions,
  session,
  snapshot,
  threshold,
  track,
} from "../state";
import { Reading } from "../frame/Reading";
import { Key } from "./Key";

const ROW = 25;
const SPARK_WIDTH = 40;
const SPARK_HEIGHT = 20;
/** Longer lists draw only the rows in view. */
const ALL_ROWS = 60;

export function Rail() {
  const current = track.value;
  const open = session.value;
  const names = current?.grouping.classes ?? open?.split.groupings[0].classes ?? [];
  const list = useRef<HTMLDivElement>(null);
  const size = useSize(list);
  const [top, setTop] = useState(0);
  const level = threshold.value;
  const most = useMemo(
    () =>
      current && open
        ? mostTunedToAClass(current.classBins, open.snapshots, names.length, level)
        : 1,
    [current, open, level, names],
  );
  if (!open) return <aside class="rail" />;
  const all = names.length <= ALL_ROWS;
  const first = all ? 0 : Math.max(0, Math.floor(top / ROW) - 4);
  const end = all
    ? names.length
    : Math.min(names.length, first + Math.ceil((size?.height ?? 600) / ROW) + 8);
  const rows = [];
  for (let k = first; k < end; k++)
    rows.push(<ClassRow key={k} cls={k} name={names[k]} most={most} />);
  return (
    <aside class="rail" aria-label="Classes and key">
      <h2>
        <span>Class</span> <small>units tuned</small>
      </h2>
      <div
        ref={list}
        class={`classes${highlighted.value >= 0 ? " dim" : ""}${names.length > CLASS_KEYS ? " many" : ""}`}
        onScroll={(event) => setTop(event.currentTarget.scrollTop)}
      >
        <div
          class="class-rows"
          style={{ height: `${names.length * ROW}px`, paddingTop: `${first * ROW}px` }}
        >
          {rows}
          {open.snapshots > 1 && <Reading width={SPARK_WIDTH} />}
        </div>
      </div>
      <Key />
    </aside>
  );
}

function ClassRow({ cls, name, most }: { cls: number; name: string; most: number }) {
  const current = track.value;
  const open = session.value;
  const K = current?.grouping.classes.length ?? 0;
  const level = threshold.value;
  const color = cssColor(palette.value, 4 * (cls * 101 + 100));
  const x = positions.value;
  const path = useMemo(() => {
    if (!current || !open) return "";
    const shape = area<number>()
      .x((t) => round(x[t] * SPARK_WIDTH))
      .y0(SPARK_HEIGHT - 2)
      .y1((t) => {
        const n = tunedToClass(current.classBins, K, t, cls, level);
        return round(SPARK_HEIGHT - 2 - ((SPARK_HEIGHT - 4) * n) / Math.max(1, most));
      });
    return shape(Array.from({ length: open.snapshots }, (_, t) => t)) ?? "";
  }, [current, open, cls, level, most, x]);
  // Reads everything that may change from signals: it runs before this component does.
  const tuned = useComputed(() => {
    const now = track.value;
    if (!now) return "";
    const { length } = now.grouping.classes;
    return count(tunedToClass(now.classBins, length, snapshot.value, cls, threshold.value));
  });
  const key = K <= CLASS_KEYS ? String(cls) : "";
  return (
    <button
      type="button"
      class="class"
      aria-pressed={highlighted.value === cls}
      title={key ? `Highlight ${name} (key ${key})` : `Highlight ${name}`}
      onClick={() => highlight(cls)}
    >
      <kbd>{key}</kbd>
      <span class="swatch" style={{ background: color }} />
      <span class="name">{name}</span>
      <svg class="spark" width={SPARK_WIDTH} height={SPARK_HEIGHT} aria-hidden="true">
        <path d={path} fill={color} />
      </svg>
      <span class="count">{tuned}</span>
    </button>
  );
}

const round = (v: number): number => Math.round(v * 10) / 10;
