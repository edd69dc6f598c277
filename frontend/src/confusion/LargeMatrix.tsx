// Many classes: one texel per cell, those of a superclass or those that are alike side by side, and the
// greatest confusions as a list.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { count } from "../format";
import { Chooser } from "../frame/Chooser";
import { fitCanvas } from "../frame/size";
import { hideTip, tip } from "../frame/tip";
import { said } from "../inline";
import { pageColorsNow } from "../network/current";
import { drawn } from "../network/drawn";
import { orderOf, sharedClasses } from "../run/groupings";
import type { Session } from "../run/session";
import { cell, highlighted, matrixOrder, session, theme } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import { answerColor, answerPalette } from "./answers";
import { blocksOf, type Block, type MatrixOrder } from "./blocks";
import { CellTip } from "./CellTip";
import { drawTexels, pooled } from "./draw";
import { shownCell, type ConfusionNow } from "./now";
import { topConfusions } from "./scale";

const LISTED = 50;
/** Of the width, for the matrix; the list has the rest. */
const SHARE = 0.68;
/** What the list needs. */
const LIST = 250;
const LARGEST = 900;
const SMALLEST = 120;
/** Room for the names of superclasses. */
const NAMES = 84;
/** Blocks lower than this have no name. */
const NAMED_BLOCK = 12;
const FOOT = 54;
const NARROW = 560;
/** Lines between blocks that are smaller than this would hide what is in them. */
const PARTED_BLOCK = 9;

const ABOUT: Record<MatrixOrder, string> = {
  given: "as classes are numbered",
  superclass: "in what they belong to",
  alike: "those side by side that are most alike to the last hidden layer at the last snapshot",
};

const trueGrouping = (open: Session) => open.split.groupings.find((g) => g.name === "true");

/** The orders there are, the usual one first. */
function ordersOf(open: Session): MatrixOrder[] {
  return [
    ...((trueGrouping(open)?.superclasses ? ["superclass"] : []) as MatrixOrder[]),
    ...((open.has("alike") ? ["alike"] : []) as MatrixOrder[]),
    "given",
  ];
}

/** Classes in the order chosen; those as numbered while that by likeness is on its way. */
function useOrder(open: Session, by: MatrixOrder, K: number): readonly number[] {
  const [alike, setAlike] = useState<{ of: Session; order: readonly number[] } | null>(null);
  useEffect(() => {
    if (by !== "alike") return;
    let wanted = true;
    open.ofClasses.alike().then(
      (order) => wanted && setAlike({ of: open, order: Array.from(order) }),
      () => undefined, // as numbered, then
    );
    return () => {
      wanted = false;
    };
  }, [open, by]);
  const known = alike?.of === open ? alike.order : null;
  return useMemo(() => {
    const grouping = trueGrouping(open);
    if (by === "superclass" && grouping) return orderOf(grouping);
    return (by === "alike" && known) || Array.from({ length: K }, (_, k) => k);
  }, [open, by, known, K]);
}

export function LargeMatrix({
  now,
  width,
  height,
}: {
  now: ConfusionNow;
  width: number;
  height: number;
}) {
  const open = session.value;
  const canvas = useRef<HTMLCanvasElement>(null);
  const K = now.names.length;
  const orders = open ? ordersOf(open) : [];
  const by =
    matrixOrder.value && orders.includes(matrixOrder.value) ? matrixOrder.value : orders[0];
  const order = useOrder(open as Session, by, K);
  const blocks = useMemo(() => {
    const grouping = open && trueGrouping(open);
    return grouping && by === "superclass" ? blocksOf(grouping) : [];
  }, [open, by]);
  const stacked = width < NARROW;
  const across = stacked ? width : Math.min(width * SHARE, width - LIST);
  const room = Math.min(height - FOOT, Math.floor(across), LARGEST);
  const longest = Math.max(0, ...blocks.map((block) => block.length));
  const names = !stacked && (longest * (room - NAMES)) / K >= NAMED_BLOCK ? NAMES : 0;
  const side = Math.max(SMALLEST, Math.min(room, Math.floor(across) - names));
  const pool = pooled(K, side * (devicePixelRatio || 1));
  const apart = blocks.length > 0 && side / blocks.length >= PARTED_BLOCK;
  const palette = answerPalette();
  const of = open && trueGrouping(open);
  const shared = of ? sharedClasses(shownGrouping.value, of) : 0;
  const chosenClass = highlighted.value < shared ? highlighted.value : -1;
  const chosen = shownCell.value;
  useEffect(() => {
    if (!canvas.current) return;
    const began = performance.now();
    const small = document.createElement("canvas");
    small.width = small.height = Math.ceil(K / pool);
    const page = pageColorsNow();
    (small.getContext("2d") as CanvasRenderingContext2D).putImageData(
      drawTexels(now.matrix, order, pool, palette, page),
      0,
      0,
    );
    const g = fitCanvas(canvas.current, side, side);
    g.imageSmoothingEnabled = false;
    // the last texel may stand for fewer cells than the others
    const whole = (side * small.width * pool) / K;
    g.drawImage(small, 0, 0, whole, whole);
    const at = (place: number): number => (place * side) / K;
    g.fillStyle = `rgb(${page.ink4.join(",")})`;
    g.globalAlpha = 0.7;
    for (const { from } of blocks) {
      if (from === 0 || !apart) continue;
      g.fillRect(Math.round(at(from)), 0, 1, side);
      g.fillRect(0, Math.round(at(from)), side, 1);
    }
    g.globalAlpha = 1;
    g.strokeStyle = page.ink;
    const frame = (row: number, column: number, rows: number, columns: number): void =>
      g.strokeRect(at(column) - 1, at(row) - 1, at(columns) + 2, at(rows) + 2);
    if (chosenClass >= 0) {
      const place = order.indexOf(chosenClass);
      g.lineWidth = 1;
      frame(place, 0, 1, K);
      frame(0, place, K, 1);
    }
    if (chosen) {
      g.lineWidth = 1.5;
      frame(order.indexOf(chosen.true), order.indexOf(chosen.predicted), 1, 1);
    }
    drawn.view(true, performance.now() - began);
  }, [now, side, pool, apart, theme.value, palette, order, blocks, chosen, chosenClass]);
  const rows = useMemo(() => topConfusions(now.matrix, K, LISTED, chosenClass), [now, chosenClass]);
  const at = (event: MouseEvent): { true: number; predicted: number } => {
    const box = (event.currentTarget as HTMLElement).getBoundingClientRect();
    const place = (v: number): number => Math.max(0, Math.min(K - 1, Math.floor((v * K) / side)));
    return {
      true: order[place(event.clientY - box.top)],
      predicted: order[place(event.clientX - box.left)],
    };
  };
  return (
    <div class={stacked ? "large-matrix stacked" : "large-matrix"}>
      <div>
        <div class="blocked">
          {names > 0 && <Names blocks={blocks} scale={side / K} />}
          <canvas
            ref={canvas}
            data-testid="confusion"
            role="img"
            aria-label="Share of each true class (rows) predicted as each class (columns)"
            onClick={(event) => (cell.value = at(event))}
            onPointerMove={(event) => {
              const content = <CellTip now={now} {...at(event)} />;
              tip.value = { x: event.clientX, y: event.clientY, content };
            }}
            onPointerLeave={hideTip}
          />
        </div>
        {pool > 1 && (
          <p class="note">
            A pixel holds {pool} × {pool} cells, in the hue of the answer most frequent in them.
          </p>
        )}
        {orders.length > 1 && (
          <div class="matrix-order" style={{ paddingLeft: `${names}px` }}>
            <Chooser
              label="Order"
              value={by}
              options={orders.map((name) => ({ value: name, name, about: ABOUT[name] }))}
              testId="matrix-order"
              onChoose={(name) => {
                matrixOrder.value = name as MatrixOrder;
              }}
            />
          </div>
        )}
      </div>
      <div class="confusions">
        <h2>
          {chosenClass >= 0
            ? `Confused with ${said(now.names[chosenClass])}`
            : "Most often confused"}{" "}
          <small>samples</small>
        </h2>
        {rows.length === 0 && <p class="note">None at this step.</p>}
        {rows.map((one) => (
          <button
            key={`${one.true}/${one.predicted}`}
            type="button"
            aria-pressed={chosen?.true === one.true && chosen.predicted === one.predicted}
            onClick={() => (cell.value = { true: one.true, predicted: one.predicted })}
          >
            <bdi class="path">{now.names[one.true]}</bdi>
            <span class="quiet">as</span>
            <i class="dot" style={{ background: answerColor(palette, one.predicted) }} />
            <bdi class="path">{now.names[one.predicted]}</bdi>
            <span class="count">{count(one.samples)}</span>
          </button>
        ))}
      </div>
    </div>
  );
}

/** What the classes of each block belong to, beside it. */
function Names({ blocks, scale }: { blocks: readonly Block[]; scale: number }) {
  return (
    <div class="block-names" style={{ width: `${NAMES}px` }}>
      {blocks.map(({ name, from, length }) =>
        length * scale < NAMED_BLOCK ? null : (
          <bdi
            key={from}
            class="path"
            title={name}
            style={{ top: `${from * scale}px`, height: `${length * scale}px` }}
          >
            {name}
          </bdi>
        ),
      )}
    </div>
  );
}
