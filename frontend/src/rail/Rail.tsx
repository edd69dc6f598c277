// Classes are the legend: each with its color, its tuned units through time, and their number now.

import { area } from "d3-shape";
import { useComputed } from "@preact/signals";
import { useMemo, useRef, useState } from "preact/hooks";
import { mostTunedToAClass, tunedToClass } from "../run/counts";
import { CLASS_KEYS } from "../keys";
import { cssColor } from "../network/colors";
import type { Session } from "../run/session";
import { count } from "../format";
import { textWidth, useSize } from "../frame/size";
import { hasData, takesPart } from "../derive";
import { isolated } from "../inline";
import { drawn } from "../network/drawn";
import {
  classes,
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
import { columnsFor } from "./columns";
import { Key } from "./Key";

const ROW = 25;
const SPARK_HEIGHT = 20;
const NAME_FONT = '500 12px "Inter", ui-sans-serif, system-ui, sans-serif';
/** A row's paddings, left and right. */
const PADDING = 18;
/** Longer lists draw only the rows in view. */
const ALL_ROWS = 60;

export function Rail() {
  const open = session.value;
  if (!open) return <aside class="rail" />;
  return (
    <aside class="rail" aria-label="Classes and key">
      <h2>
        <span>Class</span> <small>units tuned</small>
      </h2>
      <Legend open={open} />
      <Key />
    </aside>
  );
}

function Legend({ open }: { open: Session }) {
  const current = track.value;
  const names = classes.value;
  const list = useRef<HTMLDivElement>(null);
  const size = useSize(list);
  const [top, setTop] = useState(0);
  const level = threshold.value;
  const most = useMemo(
    () => (current ? mostTunedToAClass(current.classBins, open.snapshots, names.length, level) : 1),
    [current, open, level, names],
  );
  const keys = names.length <= CLASS_KEYS;
  const columns = useMemo(() => {
    const widths = names.map((name) => textWidth(name, NAME_FONT) + 1);
    return columnsFor(widths, (size?.width ?? 0) - PADDING, count(most), keys);
  }, [names, size?.width, most, keys, drawn.fonts.value]);
  const all = names.length <= ALL_ROWS;
  const first = all ? 0 : Math.max(0, Math.floor(top / ROW) - 4);
  const end = all
    ? names.length
    : Math.min(names.length, first + Math.ceil((size?.height ?? 600) / ROW) + 8);
  const rows = [];
  for (let k = first; k < end; k++)
    rows.push(<ClassRow key={k} cls={k} name={names[k]} most={most} spark={columns.spark} />);
  const variants = [
    "classes",
    highlighted.value >= 0 && "dim",
    !keys && "many",
    columns.spark === 0 && "bare",
  ];
  return (
    <div
      ref={list}
      class={variants.filter(Boolean).join(" ")}
      style={{ "--spark": `${columns.spark}px`, "--counts": `${columns.counts}px` }}
      onScroll={(event) => setTop(event.currentTarget.scrollTop)}
    >
      <div
        class="class-rows"
        style={{ height: `${names.length * ROW}px`, paddingTop: `${first * ROW}px` }}
      >
        {rows}
        {open.snapshots > 1 && columns.spark > 0 && <Reading width={columns.spark} />}
      </div>
    </div>
  );
}

interface Row {
  cls: number;
  name: string;
  /** Units of the class that has most, at any time. */
  most: number;
  /** Width of the picture. */
  spark: number;
}

function ClassRow({ cls, name, most, spark }: Row) {
  const current = track.value;
  const open = session.value;
  const K = current?.grouping.classes.length ?? 0;
  const level = threshold.value;
  const color = cssColor(palette.value, 4 * (cls * 101 + 100));
  const x = positions.value;
  const path = useMemo(() => {
    if (!current || !open) return "";
    const shape = area<number>()
      .defined((t) => !current.summary.missing[t])
      .x((t) => round(x[t] * spark))
      .y0(SPARK_HEIGHT - 2)
      .y1((t) => {
        const n = tunedToClass(current.classBins, K, t, cls, level);
        return round(SPARK_HEIGHT - 2 - ((SPARK_HEIGHT - 4) * n) / Math.max(1, most));
      });
    return shape(Array.from({ length: open.snapshots }, (_, t) => t)) ?? "";
  }, [current, open, cls, level, most, x, spark]);
  // Reads everything that may change from signals: it runs before this component does.
  const tuned = useComputed(() => {
    const now = track.value;
    if (!now) return "";
    const { length } = now.grouping.classes;
    if (!hasData.value || !takesPart(now, cls, snapshot.value)) return "–";
    return count(tunedToClass(now.classBins, length, snapshot.value, cls, threshold.value));
  });
  const key = K <= CLASS_KEYS ? String(cls) : "";
  return (
    <button
      type="button"
      class="class"
      aria-pressed={highlighted.value === cls}
      title={key ? `Highlight ${isolated(name)} (key ${key})` : `Highlight ${isolated(name)}`}
      onClick={() => highlight(cls)}
    >
      <kbd>{key}</kbd>
      <span class="swatch" style={{ background: color }} />
      <bdi class="name">{name}</bdi>
      {spark > 0 && (
        <svg class="spark" width={spark} height={SPARK_HEIGHT} aria-hidden="true">
          <path d={path} fill={color} />
        </svg>
      )}
      <span class="count">{tuned}</span>
    </button>
  );
}

const round = (v: number): number => Math.round(v * 10) / 10;
