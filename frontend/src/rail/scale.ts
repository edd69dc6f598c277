// Where a strength stands on the key: from left to right, or of two classes from the middle to either
// side, as one diverging scale.

import { LEVELS } from "../wire/manifest";

export const WIDTH = 184;

export interface Scale {
  diverging: boolean;
  /** Of a level for a class. */
  x: (level: number, cls: number) => number;
  /** The strength that is meant at a place, 0 … 1. */
  strengthAt: (x: number) => number;
  /** Where a level stands: once, or on both sides. */
  marks: (level: number) => number[];
}

const TOP = LEVELS - 1;

const oneWay: Scale = {
  diverging: false,
  x: (level) => (level / TOP) * WIDTH,
  strengthAt: (x) => x / WIDTH,
  marks: (level) => [(level / TOP) * WIDTH],
};

const MIDDLE = WIDTH / 2;

const bothWays: Scale = {
  diverging: true,
  x: (level, cls) => MIDDLE + (cls === 0 ? -1 : 1) * (level / TOP) * MIDDLE,
  strengthAt: (x) => Math.abs(x - MIDDLE) / MIDDLE,
  marks: (level) => [0, 1].map((cls) => bothWays.x(level, cls)),
};

export const scaleOf = (classes: number): Scale => (classes === 2 ? bothWays : oneWay);

/** The color at a place of a diverging scale: the class and level there. */
export function colorAt(x: number): { cls: number; level: number } {
  const level = Math.min(TOP, Math.floor(bothWays.strengthAt(x) * LEVELS));
  return { cls: x < MIDDLE ? 0 : 1, level };
}
