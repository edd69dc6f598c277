// One run and split as the page holds it: what was read at opening, and what is read on demand.

import { signal } from "@preact/signals";
import { Tensors } from "../wire/safetensors";
import {
  layerOfUnit,
  unitCount,
  type Grouping,
  type Layer,
  type Manifest,
  type Measure,
  type Split,
} from "../wire/manifest";
import { RefusedError, UnreachableError, type Source } from "../wire/source";
import { shortNames } from "../names";
import { PaintChunks } from "./paint";
import type { Summary } from "./counts";

const PAINT_BUDGET = 256 * 2 ** 20;
const UNITS_KEPT = 64;
/** A confusion larger than this would cost more than the few lines it feeds. */
const CONFUSION_LIMIT = 64 * 2 ** 20;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8000;

export type Server = "answers" | "away" | "restarted";

/** What the server did when it was last asked: one that was restarted has another key. */
export const server = signal<Server>("answers");

/** Notes what an answer, or an error in its place, says of the server; whether to ask again. */
export function heard(error?: unknown): boolean {
  const restarted = error instanceof RefusedError && error.status === 403;
  const away = error instanceof UnreachableError;
  server.value = restarted ? "restarted" : away ? "away" : "answers";
  return restarted || away;
}

export interface Scalars {
  step: Float64Array;
  epoch: Float64Array;
  wallTime: Float64Array;
  accuracy: Float64Array | null;
  loss: Float64Array | null;
}

/** One unit through time: arrays of unit/{u}.st. */
export interface UnitHistory {
  n: Uint32Array;
  mean: Float32Array;
  low: Float32Array;
  high: Float32Array;
  active: Float32Array;
  activeLow: Float32Array;
  activeHigh: Float32Array;
  preferred: Uint16Array;
  runnerUp: Uint16Array;
  state: Uint8Array;
  level: Uint8Array;
  flags: Uint8Array;
  value: Float32Array;
  strength: Float32Array;
  sure: Float32Array;
  activeSamples: Uint32Array;
}

/** Events of a grouping and measure, in order of time: arrays of events.st. */
export interface Events {
  snapshot: Uint32Array;
  /** Index into the manifest's `event_kinds`. */
  kind: Uint8Array;
  layer: Uint32Array;
  unit: Uint32Array;
  before: Uint16Array;
  after: Uint16Array;
  level: Uint8Array;
  flags: Uint8Array;
  /** Of each kind, how many noise alone would give at most; NaN where not told. */
  expected: Float64Array;
}

/** Samples of a confusion cell, and what each was predicted as. */
export interface CellSamples {
  total: number;
  sample: Uint32Array;
  /** `[sample, snapshot]`, NO_CLASS where it is not known. */
  prediction: Uint16Array;
}

/** Units that respond more to the samples of a cell than to the others of their true class. */
export interface CellUnits {
  /** Samples of the cell, and the others. */
  n: Uint32Array;
  unit: Uint32Array;
  level: Uint8Array;
}

/** All samples of a probe at one snapshot, NO_CLASS for none. */
export interface Samples {
  label: Uint16Array;
  prediction: Uint16Array;
  /** Probability of the true class in hundredths; 255 where it is not known. */
  right: Uint8Array;
}

/** One sample through training. */
export interface SampleHistory {
  label: number;
  prediction: Uint16Array;
  /** Classes whose probability was greatest at some time, the true one first. */
  classes: Uint16Array;
  /** `[snapshot, class of `classes`]` */
  probability: Float32Array;
}

/** Small pictures of samples, `[sample, y, x, rgb]`. */
export interface Pictures {
  height: number;
  width: number;
  bytes: Uint8Array;
}

/** One grouping and measure of a split. */
export interface Track {
  grouping: Grouping;
  summary: Summary;
  /** Held units by class and level, `[snapshot, class, bin]`. */
  classBins: Uint32Array;
  paint: PaintChunks;
}

export type Theme = "dark" | "light";

export class Session {
  readonly units: number;
  readonly layers: readonly Layer[];
  readonly names: readonly string[];
  readonly layerOf: Uint16Array;
  private readonly tracks = new Map<string, Promise<Track>>();
  private readonly floors = new Map<string, Promise<Float32Array>>();
  private readonly happenings = new Map<string, Promise<Events>>();
  private readonly histories = new Map<string, Promise<UnitHistory>>();
  private readonly heats = new Map<string, Promise<Uint8Array>>();
  private readonly cells = new Map<string, Promise<CellSamples>>();
  private readonly drivers = new Map<string, Promise<CellUnits>>();
  private readonly samplings = new Map<number, Promise<Samples>>();
  private readonly singles = new Map<number, Promise<SampleHistory>>();
  private readonly driven = new Map<string, Promise<{ unit: Uint32Array; score: Float32Array }>>();
  private readonly pages = new Map<number, Promise<Pictures>>();
  private confusionOnce: Promise<Uint32Array | null> | undefined;

  private constructor(
    private readonly source: Source,
    readonly run: string,
    readonly manifest: Manifest,
    readonly split: Split,
    readonly measure: Measure,
    readonly scalars: Scalars,
    private readonly palettes: Tensors,
  ) {
    this.layers = manifest.layers;
    this.units = unitCount(manifest.layers);
    this.names = shortNames(manifest.layers.map((layer) => layer.path));
    this.layerOf = layerOfUnit(manifest.layers);
  }

  /** A split or measure the run does not have is taken to be the first. */
  static async open(
    source: Source,
    run: string,
    splitName: string,
    measureName = "",
  ): Promise<Session> {
    const manifest = await source.manifest(run);
    const { measures } = manifest;
    const measure = measures.find((m) => m.name === measureName) ?? measures[0];
    const split = manifest.splits.find((s) => s.name === splitName) ?? manifest.splits[0];
    if (!split || split.snapshots === 0)
      throw new Error("This run holds no snapshot yet. Reload when the training has begun.");
    const [palette, scalars] = await Promise.all([
      source.get(`${run}/palette.st`).then((b) => new Tensors(b)),
      source.get(`${run}/${split.name}/scalars.st`).then((b) => new Tensors(b)),
    ]);
    const optional = (name: string) => (scalars.has(name) ? scalars.get(name, "F64") : null);
    return new Session(
      source,
      run,
      manifest,
      split,
      measure,
      {
        step: scalars.get("step", "F64"),
        epoch: scalars.get("epoch", "F64"),
        wallTime: scalars.get("wall_time", "F64"),
        accuracy: optional("accuracy"),
        loss: optional("metric.loss"),
      },
      palette,
    );
  }

  /** The same run by another split or measure. */
  other(splitName: string, measureName: string): Promise<Session> {
    return Session.open(this.source, this.run, splitName, measureName);
  }

  /** Colors of a grouping's classes, `[class, level, 4]`: its own, or those of any so many classes. */
  palette(theme: Theme, grouping: Pick<Grouping, "name" | "classes">): Uint8Array {
    const own = `${theme}/${this.split.name}/${grouping.name}`;
    const name = this.palettes.has(own) ? own : `${theme}.${grouping.classes.length}`;
    return this.palettes.get(name, "U8");
  }

  get snapshots(): number {
    return this.split.snapshots;
  }

  track(groupingName: string): Promise<Track> {
    return once(this.tracks, groupingName, () => this.loadTrack(groupingName));
  }

  history(groupingName: string, unit: number): Promise<UnitHistory> {
    const history = once(this.histories, `${groupingName}/${unit}`, () =>
      this.loadHistory(groupingName, unit),
    );
    forget(this.histories);
    return history;
  }

  /** What happened to units, in order of time. */
  events(groupingName: string): Promise<Events> {
    return once(this.happenings, groupingName, async () => {
      const t = await this.fetch(`${this.base(groupingName)}/events.st`);
      return {
        snapshot: t.get("snapshot", "U32"),
        kind: t.get("kind", "U8"),
        layer: t.get("layer", "U32"),
        unit: t.get("unit", "U32"),
        before: t.get("before", "U16"),
        after: t.get("after", "U16"),
        level: t.get("level", "U8"),
        flags: t.get("flags", "U8"),
        expected: t.get("expected", "F64"),
      };
    });
  }

  /** Strength under permuted labels, by layer, at a snapshot; not asked for twice at once. */
  floor(t: number): Promise<Float32Array> {
    const floor = once(this.floors, String(t), async () => {
      const base = `${this.run}/${this.split.name}/true/${this.measure.name}`;
      return (await this.fetch(`${base}/floor/${t}.st`)).get("floor", "F32");
    });
    forget(this.floors);
    return floor;
  }

  /** Whether the confusion of all snapshots is small enough to be held at once. */
  get confusionFits(): boolean {
    const classes = this.split.groupings.find((g) => g.name === "true")?.classes.length ?? 0;
    return 4 * this.snapshots * classes * classes <= CONFUSION_LIMIT;
  }

  /** Samples by true and predicted class at one snapshot, `[true, predicted]`. */
  async confusionAt(t: number): Promise<Uint32Array> {
    const found = await this.fetch(`${this.run}/${this.split.name}/confusion/${t}.st`);
    return found.get("confusion", "U32");
  }

  /** Samples by true and predicted class, `[snapshot, true, predicted]`. */
  confusion(): Promise<Uint32Array | null> {
    if (!this.split.resources.includes("confusion") || !this.confusionFits)
      return Promise.resolve(null);
    this.confusionOnce ??= this.fetch(`${this.run}/${this.split.name}/confusion.st`).then((t) =>
      t.get("confusion", "U32"),
    );
    return this.confusionOnce;
  }

  /** How each unit of a layer responds to each class, `[class, unit]`, NO_HEAT where unknown. */
  heat(groupingName: string, t: number, layer: number): Promise<Uint8Array> {
    const heat = once(this.heats, `${groupingName}/${t}/${layer}`, async () => {
      const base = `${this.run}/${this.split.name}/${groupingName}`;
      return (await this.fetch(`${base}/heat/${t}/${layer}.st`)).get("heat", "U8");
    });
    forget(this.heats);
    return heat;
  }

  cellSamples(t: number, row: number, column: number): Promise<CellSamples> {
    const samples = once(this.cells, `${t}/${row}/${column}`, async () => {
      const found = await this.fetch(
        `${this.run}/${this.split.name}/cell/${t}/${row}/${column}/samples.st`,
      );
      return {
        total: found.get("total", "U32")[0],
        sample: found.get("sample", "U32"),
        prediction: found.get("prediction", "U16"),
      };
    });
    forget(this.cells);
    return samples;
  }

  cellUnits(t: number, row: number, column: number): Promise<CellUnits> {
    const units = once(this.drivers, `${t}/${row}/${column}`, async () => {
      const found = await this.fetch(
        `${this.run}/${this.split.name}/cell/${t}/${row}/${column}/units.st`,
      );
      return {
        n: found.get("n", "U32"),
        unit: found.get("unit", "U32"),
        level: found.get("level", "U8"),
      };
    });
    forget(this.drivers);
    return units;
  }

  /** How each sample is read at a snapshot. */
  samples(t: number): Promise<Samples> {
    const samples = once(this.samplings, t, async () => {
      const found = await this.fetch(`${this.run}/${this.split.name}/samples/${t}.st`);
      return {
        label: found.get("label", "U16"),
        prediction: found.get("prediction", "U16"),
        right: found.get("right", "U8"),
      };
    });
    forget(this.samplings);
    return samples;
  }

  sampleHistory(sample: number): Promise<SampleHistory> {
    const history = once(this.singles, sample, async () => {
      const found = await this.fetch(`${this.run}/${this.split.name}/sample/${sample}.st`);
      return {
        label: found.get("label", "U16")[0],
        prediction: found.get("prediction", "U16"),
        classes: found.get("classes", "U16"),
        probability: found.get("probability", "F32"),
      };
    });
    forget(this.singles);
    return history;
  }

  /** Units that a sample drives most at a snapshot, in standard deviations. */
  drivenBy(sample: number, t: number): Promise<{ unit: Uint32Array; score: Float32Array }> {
    const units = once(this.driven, `${sample}/${t}`, async () => {
      const found = await this.fetch(`${this.run}/${this.split.name}/sample/${sample}/${t}.st`);
      return { unit: found.get("unit", "U32"), score: found.get("score", "F32") };
    });
    forget(this.driven);
    return units;
  }

  /** Pictures of a page of samples; see `THUMBNAILS`. */
  pictures(page: number): Promise<Pictures> {
    return once(this.pages, page, async () => {
      const found = await this.fetch(`${this.run}/${this.split.name}/thumbnails/${page}.st`);
      const [, height, width] = found.shape("pictures");
      return { height, width, bytes: found.get("pictures", "U8") };
    });
  }

  private base(groupingName: string): string {
    return `${this.run}/${this.split.name}/${groupingName}/${this.measure.name}`;
  }

  private async loadTrack(groupingName: string): Promise<Track> {
    const grouping = this.split.groupings.find((g) => g.name === groupingName);
    if (!grouping) throw new Error(`This run has no grouping named ${groupingName}.`);
    const base = this.base(groupingName);
    const paint = new PaintChunks(
      this.snapshots,
      this.units,
      this.manifest.chunk,
      PAINT_BUDGET / this.split.groupings.length,
      (chunk) => this.fetchPatiently(`${base}/paint/${chunk}.st`),
    );
    const [summary, classes] = await Promise.all([
      this.fetch(`${base}/summary.st`),
      this.fetch(`${base}/classes.st`),
    ]);
    return {
      grouping,
      summary: {
        n: summary.get("n", "U32"),
        meanStrength: summary.get("mean_strength", "F32"),
        bins: summary.get("bins", "U32"),
        states: summary.get("states", "U32"),
      },
      classBins: classes.get("bins", "U32"),
      paint,
    };
  }

  private async loadHistory(groupingName: string, unit: number): Promise<UnitHistory> {
    const t = await this.fetch(`${this.base(groupingName)}/unit/${unit}.st`);
    return {
      n: t.get("n", "U32"),
      mean: t.get("mean", "F32"),
      low: t.get("low", "F32"),
      high: t.get("high", "F32"),
      active: t.get("active", "F32"),
      activeLow: t.get("active_low", "F32"),
      activeHigh: t.get("active_high", "F32"),
      preferred: t.get("preferred", "U16"),
      runnerUp: t.get("runner_up", "U16"),
      state: t.get("state", "U8"),
      level: t.get("level", "U8"),
      flags: t.get("flags", "U8"),
      value: t.get("value", "F32"),
      strength: t.get("strength", "F32"),
      sure: t.get("sure", "F32"),
      activeSamples: t.get("active_samples", "U32"),
    };
  }

  private async fetch(key: string): Promise<Tensors> {
    return new Tensors(await this.fetchPatiently(key));
  }

  /** Tries until the server answers: what is loaded stays usable meanwhile. A restarted server
   * answers this page again as soon as its new address was opened in the same browser. */
  private async fetchPatiently(key: string): Promise<ArrayBuffer> {
    for (let wait = RETRY_FIRST_MS; ; wait = Math.min(2 * wait, RETRY_LAST_MS)) {
      try {
        const buffer = await this.source.get(key);
        heard();
        return buffer;
      } catch (error) {
        if (!heard(error)) throw error;
        await new Promise((resolve) => setTimeout(resolve, wait));
      }
    }
  }
}

/** A failed promise is forgotten, so that the next click tries again. */
function once<K, T>(known: Map<K, Promise<T>>, key: K, load: () => Promise<T>): Promise<T> {
  let promise = known.get(key);
  if (!promise) {
    promise = load();
    known.set(key, promise);
    promise.catch(() => known.delete(key));
  }
  return promise;
}

/** The oldest leaves when there are too many. */
function forget<K>(known: Map<K, unknown>): void {
  if (known.size > UNITS_KEPT) known.delete(known.keys().next().value as K);
}
