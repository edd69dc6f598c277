// A picture of the network at a snapshot that stands by itself: title, step, run and key are in it.

import { factsAt, numbersAt } from "../derive";
import { count, stepText, strengthOfLevel } from "../format";
import { isolated, said } from "../inline";
import { CellColors, type PageColors } from "../network/colors";
import { cellColorsNow, pageColorsNow } from "../network/current";
import { drawNetwork, FONT } from "../network/draw";
import { pixelIn } from "../network/drawn";
import { layoutNetwork, PICTURED_CELL, type Layout } from "../network/layout";
import type { Scene } from "../network/scene";
import { aboutInsets } from "../pictures/about";
import { INSET_CELL, Insets } from "../pictures/insets";
import { DAMAGED, HERE, tunedPerLayerAndClass } from "../run/counts";
import { baseOf, levelOf } from "../run/groupings";
import type { Session } from "../run/session";
import type { Track } from "../run/tracks";
import { networkSubtitle, networkTitle } from "../sentences/network";
import type { Format } from "./formats";
import { cut, lines } from "./texts";
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

/** Baselines where the title is explained, in CSS pixels. */
const TITLE_BASE = 50;
const SUBTITLE_BASE = 72;
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
  /** Mean maps inside cells, where the page has them too. */
  private insets: Insets | null = null;
  /** In CSS pixels; taller than the format where a network does not fit into it. */
  readonly width: number;
  readonly height: number;
  readonly ratio: number;
  private readonly keyLine: number;
  private readonly swatch: number;

  constructor(
    readonly shot: Shot,
    readonly format: Format,
  ) {
    const { width, ratio, edge, top, foot, text } = format;
    [this.width, this.ratio] = [width, ratio];
    [this.keyLine, this.swatch] = [Math.round((5 / 3) * text), text - 1];
    this.g = this.canvas.getContext("2d", { willReadFrequently: true }) as typeof this.g;
    this.canvasContext = this.g;
    this.key = this.keyLines();
    const taken = top + foot + this.keyLine * this.key.length + 16;
    const pictured = shot.open.has("cell_maps");
    const largest = pictured ? PICTURED_CELL : LARGEST_CELL;
    const lay = (height: number): Layout =>
      layoutNetwork(shot.open.layers, width - 2 * edge, height - taken, ratio, largest);
    let height = format.height;
    let layout = lay(height);
    while (layout.cell < format.leastCell && height < format.tallest) layout = lay((height += 10));
    this.layout = layout;
    if (pictured && this.layout.cell >= INSET_CELL)
      this.insets = new Insets(shot.open, shot.track.grouping.name);
    // a film's sides are even, at each of its ratios
    this.height = height + 4 * Math.ceil((layout.height + taken - height) / 4);
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
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
    await this.insets?.settled(t);
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
    const { edge, top } = this.format;
    return { x: at.x + Math.round(edge * this.ratio), y: at.y + Math.round(top * this.ratio) };
  }

  private drawNetwork(t: number, cells: Scene["paint"]): void {
    const { open, track: current, threshold, highlighted: k } = this.shot;
    const { layout, ratio, format } = this;
    const K = current.grouping.classes.length;
    const tuned = cells ? new Uint32Array(open.layers.length * K) : null;
    if (cells && tuned) tunedPerLayerAndClass(cells, open.layers, K, threshold, tuned);
    const { order, colors, classOrder, page, light } = this.shot;
    this.scene = {
      ...{ layout, order, colors, classOrder, page, light, threshold },
      ...{ layers: open.layers, names: open.names, paint: cells, highlighted: k },
      pixelRatio: ratio,
      maps: this.insets?.at(t, light ? "light" : "dark") ?? null,
    };
    const numbers = numbersAt(open, current, t, threshold, k, tuned);
    const [x, y] = [Math.round(format.edge * ratio), Math.round(format.top * ratio)];
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
    const { g, width, shot, format } = this;
    const { open, track: current, page } = shot;
    const { edge, text, titles, titleLines } = format;
    const at = `Step ${stepText(open.scalars.step[t])}`;
    const facts = factsAt(open, current, t, { ...shot, cells });
    const room = width - 2 * edge;
    g.textBaseline = "alphabetic";
    g.fillStyle = page.ink;
    const title = cells ? networkTitle(facts) : `${at}: this snapshot cannot be read back.`;
    let said: string[] = [];
    let size = titles[0];
    for (size of titles) {
      g.font = `600 ${size}px ${FONT}`;
      said = lines(g, title, room, titleLines);
      if (said.join(" ") === title) break;
    }
    let base = format.explained ? TITLE_BASE : edge + size;
    for (const line of said) {
      g.fillText(line, edge, base);
      base += Math.round(1.3 * size);
    }
    g.font = `400 ${text}px ${FONT}`;
    g.fillStyle = page.ink2;
    if (cells && format.explained) {
      const maps = this.scene?.maps ? ` ${aboutInsets(current.grouping.name)}` : "";
      g.fillText(cut(g, networkSubtitle(facts) + maps, room), edge, SUBTITLE_BASE);
    }
    base = this.height - text - 2;
    g.fillStyle = page.ink3;
    const tuned = `Tuned: strength ${strengthOfLevel(shot.threshold)} or more`;
    const long = `${tuned} · ${at} · snapshot ${count(t + 1)} of ${count(open.snapshots)}`;
    const where = g.measureText(long).width < 0.75 * room ? long : `${tuned} · ${at}`;
    const wide = g.measureText(where).width;
    g.fillText(where, width - edge - wide, base);
    const run = `${isolated(open.manifest.name)} · ${isolated(open.split.name)}`;
    g.fillText(cut(g, run, room - wide - 2 * text), edge, base);
    // where in the run this is
    const span = Math.max(1, open.snapshots - 1);
    g.fillStyle = `rgb(${page.hair.join(",")})`;
    g.fillRect(edge, this.height - 4, room, 2);
    g.fillStyle = page.ink3;
    g.fillRect(edge, this.height - 4, (room * t) / span, 2);
  }

  /** The classes that have a color of their own, in lines; the rest by their number. */
  private keyLines(): string[][] {
    const { g, swatch } = this;
    const { edge, text } = this.format;
    const { classes } = this.shot.track.grouping;
    const listed = this.listed();
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.font = `400 ${text}px ${FONT}`;
    const lines: string[][] = [[]];
    let x = 0;
    for (let i = 0; i < listed.length; i++) {
      const name = said(classes[listed[i]]);
      const w = g.measureText(name).width + swatch + 2 * text;
      if (x > 0 && x + w > this.width - 2 * edge - 7.5 * text) {
        if (lines.length === this.format.keyLines) break;
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
    const { g, shot, swatch, keyLine } = this;
    const { edge, text, foot } = this.format;
    const listed = this.listed();
    let y = this.height - foot - keyLine * this.key.length + text - 2;
    let i = 0;
    let x = edge;
    g.font = `400 ${text}px ${FONT}`;
    for (const line of this.key) {
      x = edge;
      for (const name of line) {
        const k = listed[i++];
        g.fillStyle = shot.colors.of(k, 100);
        g.beginPath();
        g.roundRect(x, y - swatch + 1, swatch, swatch, 2.5);
        g.fill();
        g.fillStyle =
          shot.highlighted < 0 || shot.highlighted === k ? shot.page.ink2 : shot.page.ink3;
        g.fillText(name, x + swatch + text / 2, y);
        x += g.measureText(name).width + swatch + 2 * text;
      }
      y += keyLine;
    }
    const more = shot.track.grouping.classes.length - i;
    g.fillStyle = shot.page.ink3;
    const grey = listed !== shot.classOrder && baseOf(shot.track.grouping).rest !== "wheel";
    const rest = grey ? `the ${count(more)} others are grey` : `and ${count(more)} more`;
    if (more > 0) g.fillText(rest, x, y - keyLine);
  }
}
