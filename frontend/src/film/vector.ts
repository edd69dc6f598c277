// Stands in for a canvas and writes down what is drawn, as SVG: what the page's own drawing needs of a
// canvas, and no more. Cells keep exactly the color they are given.

import { css, resolveColor } from "../network/colors";

const FAMILY = "Inter, system-ui, sans-serif";

export class Vector {
  fillStyle = "#000";
  strokeStyle = "#000";
  lineWidth = 1;
  imageSmoothingEnabled = false;
  textBaseline = "alphabetic";
  private spelled = "400 10px sans-serif";
  private readonly parts: string[] = [];
  private path = "";
  private clips = 0;
  private open = 0;
  private readonly colors = new Map<string, string>();
  /** Of what is drawn now, in the picture: a scale and where its origin is. */
  private at = { scale: 1, x: 0, y: 0 };
  private base = { scale: 1, x: 0, y: 0 };

  /**
   * @param ruler measures texts.
   * @param canvas what drawing code takes for the size of a canvas, in its own pixels. */
  constructor(
    private readonly width: number,
    private readonly height: number,
    private readonly ruler: CanvasRenderingContext2D,
    public canvas: { width: number; height: number },
  ) {}

  /** What follows is drawn on a canvas of that size, which stands there and is so much finer. */
  place(canvas: { width: number; height: number }, x: number, y: number, ratio: number): void {
    this.canvas = canvas;
    this.base = this.at = { scale: 1 / ratio, x, y };
  }

  setTransform(a: number, _b: number, _c: number, _d: number, e: number, f: number): void {
    const { scale, x, y } = this.base;
    this.at = { scale: scale * a, x: x + scale * e, y: y + scale * f };
  }

  set font(font: string) {
    this.spelled = font;
  }

  get font(): string {
    return this.spelled;
  }

  measureText(text: string): TextMetrics {
    this.ruler.font = this.spelled;
    return this.ruler.measureText(text);
  }

  fillRect(x: number, y: number, width: number, height: number): void {
    if (width <= 0 || height <= 0) return;
    this.parts.push(
      `<rect ${this.box(x, y, width, height)} fill="${this.color(this.fillStyle)}"/>`,
    );
  }

  strokeRect(x: number, y: number, width: number, height: number): void {
    this.parts.push(`<rect ${this.box(x, y, width, height)} fill="none" ${this.line()}/>`);
  }

  fillText(text: string, x: number, y: number): void {
    const [, weight, size] = /^(\d+) ([\d.]+)px/.exec(this.spelled) ?? ["", "400", "12"];
    const { scale } = this.at;
    // as wide as here where the font is another, so that nothing runs into its neighbor
    const wide = short(scale * this.measureText(text).width);
    this.parts.push(
      `<text x="${this.px(x)}" y="${this.py(y)}" textLength="${wide}" lengthAdjust="spacingAndGlyphs" font-size="${short(scale * Number(size))}" ` +
        `font-weight="${weight}" fill="${this.color(this.fillStyle)}">${escaped(text)}</text>`,
    );
  }

  beginPath(): void {
    this.path = "";
  }

  moveTo(x: number, y: number): void {
    this.path += `M${this.px(x)} ${this.py(y)}`;
  }

  lineTo(x: number, y: number): void {
    this.path += `L${this.px(x)} ${this.py(y)}`;
  }

  roundRect(x: number, y: number, width: number, height: number, radius: number): void {
    const { scale } = this.at;
    const r = Math.min(radius, width / 2, height / 2);
    const [w, h] = [short(scale * (width - 2 * r)), short(scale * (height - 2 * r))];
    const c = short(scale * r);
    const arc = (dx: number, dy: number): string => `a${c} ${c} 0 0 1 ${dx * c} ${dy * c}`;
    this.path +=
      `M${this.px(x + r)} ${this.py(y)}h${w}${arc(1, 1)}v${h}${arc(-1, 1)}` +
      `h${-w}${arc(-1, -1)}v${-h}${arc(1, -1)}z`;
  }

  fill(): void {
    this.parts.push(`<path d="${this.path}" fill="${this.color(this.fillStyle)}"/>`);
  }

  stroke(): void {
    this.parts.push(`<path d="${this.path}" fill="none" ${this.line()}/>`);
  }

  save(): void {
    this.open = 0;
  }

  clip(): void {
    const id = `clip${this.clips++}`;
    this.parts.push(
      `<clipPath id="${id}"><path d="${this.path}"/></clipPath><g clip-path="url(#${id})">`,
    );
    this.open++;
  }

  restore(): void {
    this.parts.push("</g>".repeat(this.open));
    this.open = 0;
  }

  /** Cells too small or too many for shapes of their own are one picture, pixel for pixel. */
  putImageData(image: ImageData, x: number, y: number): void {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [image.width, image.height];
    canvas.getContext("2d")?.putImageData(image, 0, 0);
    const { scale } = this.base;
    const box = this.box(
      x,
      y,
      (image.width * scale) / this.at.scale,
      (image.height * scale) / this.at.scale,
    );
    this.image(canvas, box);
  }

  /** A part of a canvas, pixel for pixel: a map inside a cell. */
  drawImage(
    ...[from, left, top, w, h, x, y, width, height]: [HTMLCanvasElement, ...number[]]
  ): void {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [w, h];
    canvas.getContext("2d")?.drawImage(from, left, top, w, h, 0, 0, w, h);
    this.image(canvas, this.box(x, y, width, height));
  }

  private image(canvas: HTMLCanvasElement, box: string): void {
    this.parts.push(
      `<image ${box} preserveAspectRatio="none" style="image-rendering:pixelated" href="${canvas.toDataURL("image/png")}"/>`,
    );
  }

  text(title: string): string {
    const [w, h] = [this.width, this.height];
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}" viewBox="0 0 ${w} ${h}" ` +
      `font-family="${FAMILY}" role="img"><title>${escaped(title)}</title>${this.parts.join("\n")}</svg>\n`
    );
  }

  private px(x: number): number {
    return short(this.at.x + this.at.scale * x);
  }

  private py(y: number): number {
    return short(this.at.y + this.at.scale * y);
  }

  private box(x: number, y: number, width: number, height: number): string {
    const { scale } = this.at;
    return (
      `x="${this.px(x)}" y="${this.py(y)}" ` +
      `width="${short(scale * width)}" height="${short(scale * height)}"`
    );
  }

  private line(): string {
    const width = short(this.at.scale * this.lineWidth);
    return `stroke="${this.color(this.strokeStyle)}" stroke-width="${width}"`;
  }

  /** As other programs know colors: style sheets' own spaces are resolved as the browser paints them. */
  private color(style: string): string {
    let found = this.colors.get(style);
    if (found === undefined) {
      found = /^(#|rgb)/.test(style) ? style : css(resolveColor(style));
      this.colors.set(style, found);
    }
    return found;
  }
}

const short = (v: number): number => Math.round(1000 * v) / 1000;

const escaped = (text: string): string =>
  text
    .replace(/[&<>"]/g, (c) => `&#${c.charCodeAt(0)};`)
    .replace(/[\0-\x08\x0b\x0c\x0e-\x1f]/g, "�");
