// What each panel of the geometry shows, and the sentence above it. Pure.

import { fixed, percent } from "../format";
import type { NumberName } from "../run/resources";

export interface PanelSpec {
  name: NumberName;
  /** What it is called in the literature. */
  term: string;
  /** A sentence that is true of one number. */
  sentence: (v: number) => string;
  about: string;
  /** Formula, and where it is from. */
  source: string;
  scale: "log" | "share" | "linear" | "signed";
  /** Whether it needs kept responses. */
  kept: boolean;
  /** Fewer classes than this leave it no choice: two centers are always alike around their middle. */
  classes?: number;
  /** How a number of it is written. */
  text: (v: number) => string;
}

function ratio(v: number): string {
  if (v === Infinity) return "∞";
  return v >= 1e5 ? v.toExponential(0).replace("e+", "e") : v >= 100 ? v.toFixed(0) : fixed(v);
}

export const PANELS: readonly PanelSpec[] = [
  {
    name: "linear",
    term: "linear probe",
    sentence: (v) => `A linear probe classifies ${percent(v)} correctly.`,
    about: "Ridge regression on the layer’s responses, tried on samples it has not seen.",
    source:
      "Five folds; scale, class means and penalty from the training folds alone. Dotted: the greatest class’s share. Hastie, Tibshirani and Friedman 2009, §4.2. Up to 1,000 samples, evenly chosen (more where classes are many).",
    scale: "share",
    kept: true,
    text: percent,
  },
  {
    name: "nearest_centre",
    term: "NC4",
    sentence: (v) => `The nearest class mean is right for ${percent(v)}.`,
    about: "A sample is given the class whose mean response is closest, on samples not seen.",
    source:
      "Five folds, units scaled by the training folds. Nearest class center: Papyan, Han and Donoho 2020, NC4. Dotted: the greatest class’s share.",
    scale: "share",
    kept: true,
    text: percent,
  },
  {
    name: "cdnv",
    term: "CDNV",
    sentence: (v) => `Spread within classes is ${ratio(v)} of that between.`,
    about: "Variance ÷ squared distance of class means, over pairs; 0 at collapse.",
    source:
      "Mean over pairs of (V_k + V_l) / (2 |μ_k − μ_l|²), V the sum of the units’ variances. Galanti, György and Hutter 2021. Log scale.",
    scale: "log",
    kept: false,
    text: ratio,
  },
  {
    name: "within",
    term: "NC1",
    sentence: (v) => `Where classes differ, their spread is ${ratio(v)}.`,
    about: "Variance within ÷ between, correlations of units counted; 0 at collapse.",
    source: "tr(Σ_W Σ_B⁺) / C: Papyan, Han and Donoho 2020, NC1. Of all samples. Log scale.",
    scale: "log",
    kept: true,
    text: ratio,
  },
  {
    name: "equinorm",
    term: "NC2, norms",
    sentence: (v) => `Class means are unevenly far out, by ${percent(v)}.`,
    about: "How distances from their middle vary, ÷ their mean; 0 at collapse.",
    source: "Standard deviation of |μ_k − μ| ÷ its mean. Papyan, Han and Donoho 2020, NC2.",
    scale: "linear",
    kept: false,
    classes: 3,
    text: (v) => fixed(v),
  },
  {
    name: "equiangular",
    term: "NC2, angles",
    sentence: (v) => `Angles between class means are ${fixed(v)} from even.`,
    about: "In cosine; 0 at collapse, when they are as wide as they can be.",
    source:
      "Mean over pairs of |cos(μ_k − μ, μ_l − μ) + 1/(C − 1)|. Papyan, Han and Donoho 2020, NC2.",
    scale: "linear",
    kept: false,
    classes: 3,
    text: (v) => fixed(v),
  },
  {
    name: "above",
    term: "rotations",
    sentence: (v) =>
      Math.abs(v) < 0.005
        ? "Units are as selective as random directions."
        : `Units are ${fixed(Math.abs(v))} ${v > 0 ? "more" : "less"} selective than random directions.`,
    about: "In mean strength. Above 0, a unit tells more than a mixture of units.",
    source:
      "Four random rotations (Haar: Mezzadri 2007), up to 128 directions of each, all read as signed. Up to 1,000 samples. Above 0 the basis of units is special.",
    scale: "signed",
    kept: true,
    text: (v) => fixed(v),
  },
];

/** What stands at an end of a panel's axis: short enough for the room beside it. */
export function axisText(v: number, spec: Pick<PanelSpec, "scale" | "text">): string {
  if (spec.scale === "share") return `${100 * v}%`;
  if (spec.scale === "log")
    return v >= 1e4 || v < 1e-3
      ? v.toExponential(0).replace("e+", "e")
      : String(Number(v.toPrecision(1)));
  return spec.text(v);
}

/** The panels that tell something of a run. */
export function panelsOf(classes: number, kept: boolean): readonly PanelSpec[] {
  return PANELS.filter((spec) => (kept || !spec.kept) && classes >= (spec.classes ?? 2));
}

/** Least and greatest value of a panel's axis. Infinite and unknown numbers set no scale. */
export function domainOf(values: Float32Array, scale: PanelSpec["scale"]): [number, number] {
  if (scale === "share") return [0, 1];
  let [low, high] = [Infinity, -Infinity];
  for (const v of values) {
    if (!Number.isFinite(v) || (scale === "log" && v <= 0)) continue;
    low = Math.min(low, v);
    high = Math.max(high, v);
  }
  if (low > high) return scale === "log" ? [0.1, 1] : [0, 1];
  if (scale === "log")
    return [
      10 ** Math.floor(Math.log10(low)),
      10 ** Math.max(Math.ceil(Math.log10(high)), Math.floor(Math.log10(low)) + 1),
    ];
  if (scale === "signed") {
    const most = Math.max(0.05, Math.abs(low), Math.abs(high));
    return [-most, most];
  }
  return [0, Math.max(high, 1e-6)];
}

/** Where a number stands, 0 below and 1 on top; NaN for one that has no place. */
export function placeOf(
  v: number,
  [low, high]: readonly [number, number],
  scale: PanelSpec["scale"],
): number {
  if (scale !== "log") return (v - low) / (high - low);
  if (v <= 0) return v < 0 ? NaN : 0;
  return Math.log(v / low) / Math.log(high / low);
}

/** The snapshot that is known and nearest to one; -1 if none is: index into `known`. */
export function nearestKnown(known: ArrayLike<number>, t: number): number {
  let best = -1;
  for (let i = 0; i < known.length; i++)
    if (best < 0 || Math.abs(known[i] - t) < Math.abs(known[best] - t)) best = i;
  return best;
}

/** Lightness of a layer's line, by its depth: neutral, as hue means class. */
export function lineColor(layer: number, layers: number, light: boolean): string {
  const depth = layers < 2 ? 1 : layer / (layers - 1);
  const l = light ? 0.84 - 0.34 * depth : 0.36 + 0.34 * depth;
  return `oklch(${l.toFixed(3)} 0.007 265)`;
}
