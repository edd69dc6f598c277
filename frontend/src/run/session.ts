// One run and split as the page holds it: what was read at opening, and what is read on demand.

import { signal } from "@preact/signals";
import { Tensors } from "../wire/safetensors";
import {
  LEVELS,
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
import { withPins, type Pins } from "../rail/pins";
import { baseOf, groupingNamed, levelOf, MARK } from "./groupings";
import { PaintChunks } from "./paint";
import type { Summary } from "./counts";
import {
  cellSamplesOf,
  cellUnitsOf,
  confusionOf,
  drivenOf,
  eventsOf,
  picturesOf,
  sampleHistoryOf,
  samplesOf,
  scalarsOf,
  summaryOf,
  unitHistoryOf,
  unitTableOf,
  type CellSamples,
  type CellUnits,
  type Confusion,
  type Driven,
  type Events,
  type Pictures,
  type SampleHistory,
  type Samples,
  type Scalars,
  type UnitHistory,
  type UnitTable,
} from "./resources";

const PAINT_BUDGET = 256 * 2 ** 20;
const KEPT = 64;
/** Hue is a name for so many classes; among more some can be pinned. */
const NAMED = 10;
/** Palettes at hand: of two themes, and of groupings that are shown side by side. */
const KEPT_PALETTES = 8;
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

/** One grouping and measure of a split. */
export interface Track {
  grouping: Grouping;
  summary: Summary;
  /** Held units by class and level, `[snapshot, class, bin]`. */
  classBins: Uint32Array;
  paint: PaintChunks;
}

/** What of a grouping decides its colors. */
type Colored = Pick<Grouping, "name" | "classes"> & Partial<Grouping>;

export type Theme = "dark" | "light";

/** Where the resources of the state are that a manifest tells of: a run may grow in its middle, and
 *  what is the tenth snapshot now may be the eleventh in a moment. */
function stateOf(run: string, manifest: Manifest): string {
  return manifest.addressed ? `${run}@${manifest.version}` : run;
}

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
  private readonly tables = new Map<string, Promise<UnitTable>>();
  private readonly cells = new Map<string, Promise<CellSamples>>();
  private readonly drivers = new Map<string, Promise<CellUnits>>();
  private readonly samplings = new Map<number, Promise<Samples>>();
  private readonly singles = new Map<number, Promise<SampleHistory>>();
  private readonly driven = new Map<string, Promise<Driven>>();
  private readonly confusions = new Map<number, Promise<Confusion>>();
  private readonly confusionOnce = new Map<string, Promise<Confusion>>();
  private readonly likenesses = new Map<string, Promise<Uint32Array>>();
  private readonly pages = new Map<number, Promise<Pictures>>();
  private readonly palettes = new Map<string, Uint8Array>();
  private readonly others = new Map<string, Promise<Tensors>>();

  private constructor(
    private readonly source: Source,
    readonly run: string,
    readonly manifest: Manifest,
    readonly split: Split,
    readonly measure: Measure,
    readonly scalars: Scalars,
    private readonly colors: Tensors,
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
    const split = manifest.splits.find((s) => s.name === splitName) ?? firstSplit(manifest);
    if (!split || split.snapshots === 0)
      throw new Error("This run holds no snapshot yet. Reload when the training has begun.");
    const state = stateOf(run, manifest);
    const [palette, scalars] = await Promise.all([
      source.get(`${state}/palette.st`).then((b) => new Tensors(b)),
      source.get(`${state}/${split.name}/scalars.st`).then((b) => new Tensors(b)),
    ]);
    return new Session(source, run, manifest, split, measure, scalarsOf(scalars), palette);
  }

  /** The same run by another split or measure. */
  other(splitName: string, measureName: string): Promise<Session> {
    return Session.open(this.source, this.run, splitName, measureName);
  }

  /** Whether some of a grouping's classes can be pinned. */
  canPin(grouping: Grouping): boolean {
    return grouping.classes.length > NAMED && this.colors.has("dark.grey");
  }

  /** Colors of a grouping's classes, `[class, level, 4]`: its own, or those of any so many classes;
   * with pins those of their slots, and grey for all others (docs/wire.md). The same array each time. */
  palette(theme: Theme, colored: Colored, pins: Pins = []): Uint8Array {
    const grouping = colored as Grouping;
    const of = baseOf(grouping);
    const at = `/${this.split.name}/${of.name}`;
    const table = (...names: string[]): Uint8Array =>
      this.colors.get(names.find((name) => this.colors.has(name)) ?? names[0], "U8");
    const free = !this.canPin(grouping) || pins.every((k) => k < 0);
    const key = [theme, grouping.name, free ? "" : pins.join()].join("/");
    let made = this.palettes.get(key);
    if (made) return made;
    const level = levelOf(grouping);
    const classes = (): Uint8Array =>
      table(`${theme}.unpinned${at}`, `${theme}${at}`, `${theme}.${of.classes.length}`);
    const groups = (j: number): Uint8Array => table(`${theme}${at}${MARK}${j}`);
    if (level === "class") made = classes();
    else if (level !== "finest") made = groups(level);
    else
      made = joined([classes(), ...(of.superclasses?.levels ?? []).map((_, j) => groups(j + 1))]);
    if (!free) {
      const others = of.rest === "wheel" ? null : table(`${theme}.grey`);
      const hues = table(`${theme}.pins${at}`, `${theme}.pins`);
      made = withPins(made, pins, hues, others, of.colored ?? [], LEVELS);
    }
    this.palettes.set(key, made);
    if (this.palettes.size > KEPT_PALETTES)
      this.palettes.delete(this.palettes.keys().next().value as string);
    return made;
  }

  get snapshots(): number {
    return this.split.snapshots;
  }

  track(groupingName: string): Promise<Track> {
    return once(this.tracks, groupingName, () => this.loadTrack(groupingName));
  }

  history(groupingName: string, unit: number): Promise<UnitHistory> {
    return lately(this.histories, `${groupingName}/${unit}`, async () =>
      unitHistoryOf(await this.fetch(`${this.base(groupingName)}/unit/${unit}.st`)),
    );
  }

  /** What happened to units, in order of time. */
  events(groupingName: string): Promise<Events> {
    return once(this.happenings, groupingName, async () =>
      eventsOf(await this.fetch(`${this.base(groupingName)}/events.st`)),
    );
  }

  /** Strength under permuted labels, by layer, at a snapshot; not asked for twice at once. */
  floor(t: number): Promise<Float32Array> {
    return lately(this.floors, String(t), async () =>
      (await this.fetch(`${this.at("true")}/${this.measure.name}/floor/${t}.st`)).get(
        "floor",
        "F32",
      ),
    );
  }

  /** Of one snapshot. */
  confusionAt(t: number): Promise<Confusion> {
    return lately(this.confusions, t, async () =>
      confusionOf(await this.fetch(`${this.at("confusion")}/${t}.st`)),
    );
  }

  /** Of all snapshots; null where that would be too much, or there is none. */
  async confusion(): Promise<Confusion | null> {
    if (!this.has("confusion")) return null;
    return once(this.confusionOnce, "", async () =>
      confusionOf(await this.fetch(`${this.at("confusion")}.st`)),
    );
  }

  /** Classes in an order in which those that are alike to the network stand side by side. */
  alike(): Promise<Uint32Array> {
    return once(this.likenesses, "", async () =>
      (await this.fetch(`${this.at("alike")}.st`)).get("order", "U32"),
    );
  }

  /** How each unit of a layer responds to each class, `[class, unit]`, NO_HEAT where unknown. */
  heat(groupingName: string, t: number, layer: number): Promise<Uint8Array> {
    return lately(this.heats, `${groupingName}/${t}/${layer}`, async () =>
      (await this.fetch(`${this.at(groupingName)}/heat/${t}/${layer}.st`)).get("heat", "U8"),
    );
  }

  /** Each unit of a layer in numbers. */
  table(groupingName: string, t: number, layer: number): Promise<UnitTable> {
    return lately(this.tables, `${groupingName}/${t}/${layer}`, async () =>
      unitTableOf(await this.fetch(`${this.base(groupingName)}/table/${t}/${layer}.st`)),
    );
  }

  cellSamples(t: number, row: number, column: number): Promise<CellSamples> {
    const key = `${t}/${row}/${column}`;
    return lately(this.cells, key, async () =>
      cellSamplesOf(await this.fetch(`${this.at("cell")}/${key}/samples.st`)),
    );
  }

  cellUnits(t: number, row: number, column: number): Promise<CellUnits> {
    const key = `${t}/${row}/${column}`;
    return lately(this.drivers, key, async () =>
      cellUnitsOf(await this.fetch(`${this.at("cell")}/${key}/units.st`)),
    );
  }

  /** How each sample is read at a snapshot. */
  samples(t: number): Promise<Samples> {
    return lately(this.samplings, t, async () =>
      samplesOf(await this.fetch(`${this.at("samples")}/${t}.st`)),
    );
  }

  sampleHistory(sample: number): Promise<SampleHistory> {
    return lately(this.singles, sample, async () =>
      sampleHistoryOf(await this.fetch(`${this.at("sample")}/${sample}.st`)),
    );
  }

  /** Units that a sample drives most at a snapshot, in standard deviations. */
  drivenBy(sample: number, t: number): Promise<Driven> {
    return lately(this.driven, `${sample}/${t}`, async () =>
      drivenOf(await this.fetch(`${this.at("sample")}/${sample}/${t}.st`)),
    );
  }

  /** Pictures of a page of samples; see `THUMBNAILS`. */
  pictures(page: number): Promise<Pictures> {
    return once(this.pages, page, async () =>
      picturesOf(await this.fetch(`${this.at("thumbnails")}/${page}.st`)),
    );
  }

  /** The same of a grouping, by the measure that is shown. */
  tensorsOf(groupingName: string, path: string): Promise<Tensors> {
    return this.tensors(`${groupingName}/${this.measure.name}/${path}`);
  }

  /** A resource below the split as it stands, without its ending. */
  tensors(path: string): Promise<Tensors> {
    return lately(this.others, path, () => this.fetch(`${this.at(path)}.st`));
  }

  /** Whether the split has a resource, by its name in the manifest. */
  has(resource: string): boolean {
    return this.split.resources.includes(resource);
  }

  /** Whether a file had no room for a part of this split, by its name in `left_out`. */
  leftOut(part: string): boolean {
    const names = [part, `${part} of split ${this.split.name}`];
    return this.manifest.left_out?.some((name) => names.includes(name)) ?? false;
  }

  private at(name: string): string {
    return `${stateOf(this.run, this.manifest)}/${this.split.name}/${name}`;
  }

  private base(groupingName: string): string {
    return `${stateOf(this.run, this.manifest)}/${this.split.name}/${groupingName}/${this.measure.name}`;
  }

  private async loadTrack(groupingName: string): Promise<Track> {
    const grouping = groupingNamed(this.split, groupingName);
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
      summary: summaryOf(summary),
      classBins: classes.get("bins", "U32"),
      paint,
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

/** The first split that holds something. */
export function firstSplit(manifest: Manifest): Split | undefined {
  return manifest.splits.find((s) => s.snapshots > 0) ?? manifest.splits[0];
}

function joined(tables: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(tables.reduce((sum, table) => sum + table.length, 0));
  let at = 0;
  for (const table of tables) {
    all.set(table, at);
    at += table.length;
  }
  return all;
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

/** As `once`; the oldest leaves when there are too many. */
function lately<K, T>(known: Map<K, Promise<T>>, key: K, load: () => Promise<T>): Promise<T> {
  const promise = once(known, key, load);
  if (known.size > KEPT) known.delete(known.keys().next().value as K);
  return promise;
}
