// A row of the list of classes: its color, its tuned units through time, and their number now.

import { area } from "d3-shape";
import { useComputed } from "@preact/signals";
import { useMemo } from "preact/hooks";
import { ChevronIcon, PinIcon } from "../frame/icons";
import { isolated } from "../inline";
import { CLASS_KEYS } from "../keys";
import { cssColor } from "../network/colors";
import { byLevel, ownClasses, sharedClasses } from "../run/groupings";
import { highlight, togglePin } from "../state/choosing";
import { highlighted, pins, session, theme, threshold, track } from "../state/chosen";
import { palette, positions } from "../state/shown";
import { LEVELS } from "../wire/manifest";
import { numberOf, toggleOpen, tunedToAny } from "./listing";
import { among } from "./pins";
import type { Row } from "./rows";

const SPARK_HEIGHT = 20;

interface Given {
  row: Row;
  /** Units of the row that has most, at any time. */
  most: number;
  /** Width of the picture. */
  spark: number;
  /** Whether classes can be pinned. */
  pinnable: boolean;
}

export function ClassRow({ row, most, spark, pinnable }: Given) {
  const current = track.value;
  const open = session.value;
  const { cls, name, group } = row;
  const opens = cls < 0;
  const color = opens ? superclassColor(group) : cssColor(palette.value, 4 * (cls * LEVELS + 100));
  const x = positions.value;
  const level = threshold.value;
  const path = useMemo(() => {
    if (!current || !open || spark === 0) return "";
    const shape = area<number>()
      .defined((t) => !current.summary.missing[t])
      .x((t) => round(x[t] * spark))
      .y0(SPARK_HEIGHT - 2)
      .y1((t) => {
        const n = tunedToAny(row.counted, t);
        return round(SPARK_HEIGHT - 2 - ((SPARK_HEIGHT - 4) * n) / Math.max(1, most));
      });
    return shape(Array.from({ length: open.snapshots }, (_, t) => t)) ?? "";
  }, [current, open, row, level, most, x, spark]);
  // Reads everything that may change from signals: it runs before this component does.
  const number = useComputed(() => numberOf(row));
  const key =
    !pinnable && !opens && (current?.grouping.classes.length ?? 0) <= CLASS_KEYS ? String(cls) : "";
  const pinned = pins.value.includes(cls);
  const called = row.itself ? `${isolated(name)} itself` : isolated(name);
  const title = opens
    ? `${row.open ? "Close" : "Open"} ${called}`
    : `Highlight ${called}${key && ` (key ${key})`}`;
  return (
    <div class={pinned ? "class-line pinned" : "class-line"}>
      <button
        type="button"
        class="class"
        style={row.depth > 0 ? { paddingLeft: `${4 + 12 * row.depth}px` } : undefined}
        aria-pressed={opens ? undefined : highlighted.value === cls}
        aria-expanded={opens ? row.open : undefined}
        title={title}
        onClick={() => (opens ? toggleOpen(group) : highlight(cls))}
      >
        <kbd>{key}</kbd>
        {opens ? (
          <span class={row.open ? "opens open" : "opens"} style={{ color }}>
            <ChevronIcon />
          </span>
        ) : (
          <span class="swatch" style={{ background: color }} />
        )}
        {row.itself && row.depth > 0 ? (
          <span class="name quiet" aria-label={called}>
            itself
          </span>
        ) : (
          <bdi class="name">{name}</bdi>
        )}
        {spark > 0 && (
          <svg class="spark" width={spark} height={SPARK_HEIGHT} aria-hidden="true">
            <path d={path} fill={color} />
          </svg>
        )}
        <span class="count">{number}</span>
      </button>
      {pinnable && !opens && (
        <button
          type="button"
          class="pin"
          aria-pressed={pinned}
          aria-label={`Pin ${called}`}
          title={pinned ? `Unpin ${called}` : `Pin ${called}: a hue of its own, others grey`}
          onClick={() => togglePin(cls)}
        >
          <PinIcon />
        </button>
      )}
    </div>
  );
}

/** The color of a superclass, also where the classes alone are shown. */
export function superclassColor(group: number): string {
  const open = session.value;
  const shown = track.value?.grouping;
  if (!open || !shown) return "";
  const finest = byLevel(shown, "finest");
  const own = among(pins.value, sharedClasses(shown, finest));
  const colors = open.palette(theme.value, finest, own);
  return cssColor(colors, 4 * ((ownClasses(finest) + group) * LEVELS + 100));
}

const round = (v: number): number => Math.round(v * 10) / 10;
