// A picture of the network at a snapshot that stands by itself: title, step, run and key are in it.

import { factsAt, numbersAt } from "../derive";
import { count, stepText, strengthOfLevel } from "../format";
import { isolated, said } from "../inline";
import { CellColors, type PageColors } from "../network/colors";
import { cellColorsNow, pageColorsNow } from "../network/current";
import { drawNetwork, FONT } from "../network/draw";
import { pixelIn } from "../network/drawn";
import { layoutNetwork, type Layout } from "../network/layout";
import type { Scene } from "../network/scene";
import { DAMAGED, HERE, tunedPerLayerAndClass } from "../run/counts";
import { baseOf, levelOf } from "../run/groupings";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { networkSubtitle, networkTitle } from "../sentences/network";
import { Vector } from "./vector";
import { highlighted, pins, session, theme, threshold, track } from "../state/chosen";
import { classOrder, placedOrder } from "../state/shown";

/** All that a picture depends on but its snapshot, as it is when it is asked for: what is chosen
 * meanwhile, or comes meanwhile, is not mixed in. */
export interface Shot {
  open: Session;
  track: Track;
  colors: CellColors;
  page: PageColors;
  light: boolean;
  order: Uint32Array;
  classOrder: readonly number[];
  threshold: number;
  highlighted: number;
  pins: readonly number[];
}

export function shotNow(): Shot | null {
  const [open, current] = [session.peek(), track.peek()];
  if (!open || !current) return null;
  return {
    open,
    track: current,
    colors: cellColorsNow(),
    page: pageColorsNow(),
    light: theme.peek() === "light",
    order: placedOrder.peek(),
    classOrder: classOrder.peek(),
    threshold: threshold.peek(),
    highlighted: highlighted.peek(),
    pins: pins.peek().filter((k) => k >= 0),
  };
}

/** Sizes in CSS pixels. */
const EDGE = 32;
const TITLE_SIZES = [20, 18, 16, 14];
const TITLE_BASE = 50;
const SUBTITLE_BASE = 72;
const TOP = 100;
const KEY_LINE = 20;
const FOOT = 34;
const SWATCH = 11;
/** A picture has room for larger cells than the page. */
const LARGEST_CELL = 40;

export class Frame {
  private readonly canvas = document.createElement("canvas");
  private readonly cells = document.createElement("canvas");
  private readonly layout: Layout;
  private readonly key: string[][];
  private readonly canvasContext: CanvasRenderingContext2D;
  /** What is drawn on. */
  private g: CanvasRenderingContext2D;
  private vectors: Vector | null = null;
  private scene: Scene | null = null;

  /**
   * @param width of the picture in CSS pixels, and so its height.
   * @param ratio pixels of the picture to one of them. */
  constructor(
    readonly shot: Shot,
    readonly width: number,
    readonly height: number,
    readonly ratio: number,
  ) {
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    this.g = this.canvas.getContext("2d", { willReadFrequently: true }) as typeof this.g;
    this.canvasContext = this.g;
    this.key = this.keyLines();
    const room = height - TOP - FOOT - KEY_LINE * this.key.length - 16;
    this.layout = layoutNetwork(shot.open.layers, width - 2 * EDGE, room, ratio, LARGEST_CELL);
    this.cells.width = Math.round(this.layout.width * ratio);
    this.cells.height = Math.round(this.layout.height * ratio);
  }

  /** The picture of a snapshot; its canvas is the same each time. Fails where the cells of a snapshot
   * that can be read did not come: there would be nothing in their place. */
  async draw(t: number): Promise<HTMLCanvasElement> {
    const { track: current, open } = this.shot;
    await current.paint.settled(t);
    const cells = current.paint.at(t);
    const missing = current.summary.missing[t];
    if (missing !== DAMAGED && (!cells || missing !== HERE))
      throw new Error(`The cells of step ${stepText(open.scalars.step[t])} have not come.`);
    const { g } = this;
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.fillStyle = `rgb(${this.shot.page.page.join(",")})`;
    g.fillRect(0, 0, this.width, this.height);
    this.drawNetwork(t, missing === DAMAGED ? null : cells);
    this.drawTexts(t, missing === DAMAGED ? null : cells);
    this.drawKey();
    return this.canvas;
  }

  /** The same picture as SVG. */
  async vector(t: number): Promise<string> {
    const { width, height } = this;
    const vector = new Vector(width, height, this.canvasContext, this.canvas);
    vector.place(this.canvas, 0, 0, this.ratio);
    this.vectors = vector;
    this.g = vector as unknown as CanvasRenderingContext2D;
    try {
      await this.draw(t);
    } finally {
      this.g = this.canvasContext;
      this.vectors = null;
    }
    const { open } = this.shot;
    return vector.text(`${open.manifest.name}, step ${stepText(open.scalars.step[t])}`);
  }

  async pixels(t: number): Promise<Uint8ClampedArray> {
    const { width, height } = await this.draw(t);
    return this.g.getImageData(0, 0, width, height).data;
  }

  /** Where a unit's color is in the last picture that was drawn. */
  pixelOf(unit: number): { x: number; y: number } | null {
    const at = this.scene && pixelIn(this.scene, unit);
    if (!at) return null;
    return { x: at.x + Math.round(EDGE * this.ratio), y: at.y + Math.round(TOP * this.ratio) };
  }

  private drawNetwork(t: number, cells: Scene["paint"]): void {
    const { open, track: current, threshold, highlighted: k } = this.shot;
    const { layout, ratio } = this;
    const K = current.grouping.classes.length;
    const tuned = cells ? new Uint32Array(open.layers.length * K) : null;
    if (cells && tuned) tunedPerLayerAndClass(cells, open.layers, K, threshold, tuned);
    const { order, colors, classOrder, page, light } = this.shot;
    this.scene = {
      ...{ layout, order, colors, classOrder, page, light, threshold },
      ...{ layers: open.layers, names: open.names, paint: cells, highlighted: k },
      pixelRatio: ratio,
    };
    const numbers = numbersAt(open, current, t, threshold, k, tuned);
    const [x, y] = [Math.round(EDGE * ratio), Math.round(TOP * ratio)];
    if (this.vectors) {
      this.vectors.place(this.cells, x / ratio, y / ratio, ratio);
      drawNetwork(this.g, this.scene, numbers, tuned);
      this.vectors.place(this.canvas, 0, 0, ratio);
      this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
      return;
    }
    const g = this.cells.getContext("2d", { willReadFrequently: true });
    if (!g) return;
    g.setTransform(1, 0, 0, 1, 0, 0);
    drawNetwork(g, this.scene, numbers, tuned);
    this.g.setTransform(1, 0, 0, 1, 0, 0);
    // at whole pixels, so that no cell's color is mixed with its neighbor's
    this.g.drawImage(this.cells, x, y);
    this.g.setTransform(ratio, 0, 0, ratio, 0, 0);
  }

  private drawTexts(t: number, cells: Scene["paint"]): void {
    const { g, width, shot } = this;
    const { open, track: current, page } = shot;
    const at = `Step ${stepText(open.scalars.step[t])}`;
    const facts = factsAt(open, current, t, { ...shot, cells });
    const room = width - 2 * EDGE;
    g.textBaseline = "alphabetic";
    g.fillStyle = page.ink;
    const title = cells ? networkTitle(facts) : `${at}: this snapshot cannot be read back.`;
    const size =
      TITLE_SIZES.find((px) => {
        g.font = `600 ${px}px ${FONT}`;
        return g.measureText(title).width <= room;
      }) ?? TITLE_SIZES[TITLE_SIZES.length - 1];
    g.font = `600 ${size}px ${FONT}`;
    g.fillText(cut(g, title, room), EDGE, TITLE_BASE);
    g.font = `400 12px ${FONT}`;
    g.fillStyle = page.ink2;
    if (cells) g.fillText(cut(g, networkSubtitle(facts), room), EDGE, SUBTITLE_BASE);
    const base = this.height - 14;
    g.fillStyle = page.ink3;
    const tuned = `Tuned: strength ${strengthOfLevel(shot.threshold)} or more`;
    const where = `${tuned} · ${at} · snapshot ${count(t + 1)} of ${count(open.snapshots)}`;
    g.fillText(where, width - EDGE - g.measureText(where).width, base);
    const run = `${isolated(open.manifest.name)} · ${isolated(open.split.name)}`;
    g.fillText(cut(g, run, room / 2), EDGE, base);
    // where in the run this is
    const span = Math.max(1, open.snapshots - 1);
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(EDGE, this.height - 4, room, 2);
    g.fillStyle = page.ink3;
    g.fillRect(EDGE, this.height - 4, (room * t) / span, 2);
  }

  /** The classes that have a color of their own, in lines; the rest by their number. */
  private keyLines(): string[][] {
    const { g } = this;
    const { classes } = this.shot.track.grouping;
    const listed = this.listed();
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.font = `400 12px ${FONT}`;
    const lines: string[][] = [[]];
    let x = 0;
    for (let i = 0; i < listed.length; i++) {
      const name = said(classes[listed[i]]);
      const w = g.measureText(name).width + SWATCH + 24;
      if (x > 0 && x + w > this.width - 2 * EDGE - 90) {
        if (lines.length === 2) break;
        lines.push([]);
        x = 0;
      }
      lines[lines.length - 1].push(name);
      x += w;
    }
    return lines;
  }

  private listed(): readonly number[] {
    const { open, track: current, pins, classOrder } = this.shot;
    const base = baseOf(current.grouping);
    const pinned = pins.length > 0 && open.canPin(base) && levelOf(current.grouping) === "class";
    return pinned ? pins : classOrder;
  }

  private drawKey(): void {
    const { g, shot } = this;
    const listed = this.listed();
    let y = this.height - FOOT - KEY_LINE * this.key.length + 10;
    let i = 0;
    let x = EDGE;
    g.font = `400 12px ${FONT}`;
    for (const line of this.key) {
      x = EDGE;
      for (const name of line) {
        const k = listed[i++];
        g.fillStyle = shot.colors.of(k, 100);
        g.beginPath();
        g.roundRect(x, y - SWATCH + 1, SWATCH, SWATCH, 2.5);
        g.fill();
        g.fillStyle =
          shot.highlighted < 0 || shot.highlighted === k ? shot.page.ink2 : shot.page.ink3;
        g.fillText(name, x + SWATCH + 6, y);
        x += g.measureText(name).width + SWATCH + 24;
      }
      y += KEY_LINE;
    }
    const more = shot.track.grouping.classes.length - i;
    g.fillStyle = shot.page.ink3;
    const grey = listed !== shot.classOrder && baseOf(shot.track.grouping).rest !== "wheel";
    const rest = grey ? `the ${count(more)} others are grey` : `and ${count(more)} more`;
    if (more > 0) g.fillText(rest, x, y - KEY_LINE);
  }
}

/** A sentence as far as there is room. */
function cut(g: CanvasRenderingContext2D, text: string, room: number): string {
  if (g.measureText(text).width <= room) return text;
  let end = text.length;
  while (end > 0 && g.measureText(`${text.slice(0, end)}…`).width > room) end--;
  return `${text.slice(0, end)}…`;
}
