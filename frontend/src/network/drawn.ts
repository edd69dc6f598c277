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

  /** The first or the second of two networks was drawn, or (without a scene) will be: whether all of
   * it was there. Until then its canvas shows what it did. */
  side(i: 0 | 1, canvas: HTMLCanvasElement, scene: Scene | null, whole: boolean): void {
    const before = this.sides[i]?.canvas === canvas ? this.sides[i].scene : null;
    this.sides[i] = { canvas, scene: scene ?? before, whole };
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
    const at = canvas && scene ? pixelIn(scene, unit) : null;
    return canvas && at ? { canvas, ...at } : null;
  }
}

/** A device pixel of a drawing that shows a unit's color and nothing else. */
export function pixelIn(scene: Scene, unit: number): { x: number; y: number } | null {
  if (!scene.paint || unit < 0 || unit >= scene.order.length) return null;
  const l = scene.layers.findIndex((a) => unit >= a.offset && unit < a.offset + a.units);
  const { offset, units } = scene.layers[l];
  const place = scene.order.subarray(offset, offset + units).indexOf(unit);
  const block = scene.layout.blocks.find((b) => b.layer === l);
  return block ? colorPixel(scene, block, place, unit) : null;
}

export const drawn = new Drawn();
