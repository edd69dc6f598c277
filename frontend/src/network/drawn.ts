// The last drawing of the network, for tests that compare its pixels with the server's colors.

import { signal } from "@preact/signals";
import { colorPixel } from "./draw";
import type { Scene } from "./scene";

class Drawn {
  /** Grows when the page's font has come, so that text on canvases is drawn again. */
  readonly fonts = signal(0);
  /** Milliseconds of the last drawing. */
  milliseconds = 0;
  private other: boolean | null = null;
  /** One network, or two that are compared. */
  private sides: { canvas: HTMLCanvasElement; scene: Scene | null; whole: boolean }[] = [];

  set(canvas: HTMLCanvasElement, scene: Scene, milliseconds: number): void {
    this.sides = [{ canvas, scene, whole: true }];
    this.milliseconds = milliseconds;
    this.other = null;
  }

  /** The first or the second of two networks was drawn, or will be: whether all of it was there. */
  side(i: 0 | 1, canvas: HTMLCanvasElement, scene: Scene | null, whole: boolean): void {
    this.sides[i] = { canvas, scene, whole };
    this.other = this.sides.length === 2 && this.sides.every((side) => side.whole);
  }

  /** Another view than the network was drawn: whether all of it was there. */
  view(complete: boolean, milliseconds: number): void {
    this.other = complete;
    this.milliseconds = milliseconds;
  }

  get complete(): boolean {
    return this.other ?? this.sides[0]?.scene?.paint != null;
  }

  pixelOf(unit: number, side = 0): { canvas: HTMLCanvasElement; x: number; y: number } | null {
    const { canvas, scene } = this.sides[side] ?? {};
    if (!canvas || !scene || !scene.paint || unit < 0 || unit >= scene.order.length) return null;
    const l = scene.layers.findIndex((a) => unit >= a.offset && unit < a.offset + a.units);
    const { offset, units } = scene.layers[l];
    const place = scene.order.subarray(offset, offset + units).indexOf(unit);
    const block = scene.layout.blocks.find((b) => b.layer === l);
    return block ? { canvas, ...colorPixel(scene, block, place, unit) } : null;
  }
}

export const drawn = new Drawn();
