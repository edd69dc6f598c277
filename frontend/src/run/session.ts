// One run and split as the page holds it: what was read at opening, and what is read on demand.

import { signal } from "@preact/signals";
import { Tensors } from "../wire/safetensors";
import {
  BINS,
  LEVELS,
  layerOfUnit,
  STATES,
  unitCount,
  type Grouping,
  type Layer,
  type Live,
  type Manifest,
  type Measure,
  type Split,
} from "../wire/manifest";
import { RefusedError, UnreachableError, type Source } from "../wire/source";
import { shortNames } from "../names";
import { withPins, type Pins } from "../rail/pins";
import { baseOf, groupingNamed, levelOf, MARK } from "./groupings";
import { PaintChunks } from "./paint";
import { LOADING, type Summary } from "./counts";
import {
  cellSamplesOf,
  cellUnitsOf,
  confusionOf,
  drivenOf,
  eventsOf,
  geometryOf,
  picturesOf,
  sampleHistoryOf,
  samplesOf,
  scalarsOf,
  similarityOf,
  summaryOf,
  unitHistoryOf,
  unitTableOf,
  type Beside,
  type CellSamples,
  type CellUnits,
  type Confusion,
  type Driven,
  type Events,
  type Geometry,
  type Pictures,
  type SampleHistory,
  type Samples,
  type Scalars,
  type Similarity,
  type UnitHistory,
  type UnitTable,
} from "./resources";

const PAINT_BUDGET = 256 * 2 ** 20;
const KEPT = 64;
/** Snapshots whose curves are asked for together: a server that paints them for the first time takes a
 * second or two. */
const PIECE = 512;
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

/** Nothing was recorded, or not yet. */
export class EmptyRunError extends Error {
  override name = "EmptyRunError";
  constructor(readonly recording: boolean) {
    super(
      recording
        ? "This run holds no snapshot yet. It is shown here as soon as it does."
        : "This run holds no snapshot: its recording ended before the first.",
    );
  }
}

/** One grouping and measure of a split. */
export interface Track {
  grouping: Grouping;
  summary: Summary;
  /** Held units by class and level, `[snapshot, class, bin]`. */
  classBins: Uint32Array;
  paint: PaintChunks;
  /** Whether curves of all snapshots are here. */
  complete: boolean;
}

/** Units in their places, and the snapshot that put them there. */
export interface Placed {
  order: Uint32Array;
  by: number;
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
  private readonly similarities = new Map<number, Promise<Similarity>>();
  private readonly palettes = new Map<string, Uint8Array>();
  private readonly reasons = new Map<string, Promise<Record<string, string>>>();
  /** Of an earlier state of the run: what is to be gone on with. */
  private readonly earlier = new Map<string, Promise<Track>>();
  /** By grouping; units keep their places while the run grows. */
  readonly placed = new Map<string, Placed>();
  /** The same for a run and all that it grew to. */
  lineage: object = {};
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
    given?: Manifest,
  ): Promise<Session> {
    const manifest = given ?? (await source.manifest(run));
    const { measures } = manifest;
    const measure = measures.find((m) => m.name === measureName) ?? measures[0];
    const split = manifest.splits.find((s) => s.name === splitName) ?? firstSplit(manifest);
    if (!split || split.snapshots === 0) throw new EmptyRunError(manifest.state === "recording");
    const state = stateOf(run, manifest);
    const [palette, scalars] = await Promise.all([
      source.get(`${state}/palette.st`).then((b) => new Tensors(b)),
      source.get(`${state}/${split.name}/scalars.st`).then((b) => new Tensors(b)),
    ]);
    return new Session(source, run, manifest, split, measure, scalarsOf(scalars), palette);
  }

  /** What the run has become, with all that is still true of it; null where snapshots that are shown
   * here are others now, so that it has to be opened anew. */
  async grown(): Promise<Session | null> {
    const manifest = await this.source.manifest(this.run);
    const split = manifest.splits.find((s) => s.name === this.split.name);
    const measure = manifest.measures.find((m) => m.name === this.measure.name);
    if (!split || !measure || split.snapshots < this.snapshots) return null;
    const state = stateOf(this.run, manifest);
    const [palette, told] = await Promise.all(
      // superclasses may have been found by now
      ["palette.st", `${split.name}/scalars.st`].map(async (name) => {
        return new Tensors(await this.source.get(`${state}/${name}`));
      }),
    );
    const scalars = scalarsOf(told);
    for (const name of ["step", "wallTime", "segment"] as const)
      for (let t = 0; t < this.snapshots; t++)
        if (scalars[name][t] !== this.scalars[name][t]) return null;
    const { source, run } = this;
    // another commit may lie between the two answers
    const now = { ...split, snapshots: scalars.step.length };
    const next = new Session(source, run, manifest, now, measure, scalars, palette);
    next.lineage = this.lineage;
    const keep = <K, T>(from: Map<K, T>, to: Map<K, T>): void =>
      from.forEach((value, key) => to.set(key, value));
    keep(this.placed, next.placed);
    keep(this.earlier, next.earlier);
    keep(this.tracks, next.earlier);
    keep(this.floors, next.floors);
    keep(this.heats, next.heats);
    keep(this.drivers, next.drivers);
    keep(this.samplings, next.samplings);
    keep(this.driven, next.driven);
    keep(this.confusions, next.confusions);
    keep(this.pages, next.pages);
    return next;
  }

  /** The same run by another split or measure. */
  other(splitName: string, measureName: string): Promise<Session> {
    return Session.open(this.source, this.run, splitName, measureName);
  }

  /** Another run of the same source, or another split of this state of this one. */
  neighbor(run: string, splitName: string): Promise<Session> {
    const given = run === this.run ? this.manifest : undefined;
    return Session.open(this.source, run, splitName, this.measure.name, given);
  }

  /** What another run holds. */
  manifestOf(run: string): Promise<Manifest> {
    return this.source.manifest(run);
  }

  /** How another run, split or grouping is laid beside this one, as it is now. */
  async beside(
    groupingName: string,
    run: string,
    split: string,
    grouping: string,
  ): Promise<Beside> {
    const key = `${groupingName}/compare/${run}/${split}/${grouping}.json`;
    const content = await this.fetchPatiently(this.at(key));
    return JSON.parse(new TextDecoder().decode(content)) as Beside;
  }

  /** What is known by now; the server goes on while it is asked. */
  async geometry(): Promise<Geometry> {
    return geometryOf(await this.fetch(`${this.at("geometry")}.st`));
  }

  /** How alike the layers at a snapshot are to those at the last. */
  similarity(t: number): Promise<Similarity> {
    return lately(this.similarities, t, async () =>
      similarityOf(await this.fetch(`${this.at("similarity")}/${t}.st`)),
    );
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

  /** A grouping's numbers: of all snapshots where these are few, else for now around `t`. */
  track(groupingName: string, t: number): Promise<Track> {
    return once(this.tracks, groupingName, () => this.loadTrack(groupingName, t));
  }

  /** The same with more snapshots: those around `t`, or else the first that are not here. */
  more(track: Track, t: number): Promise<Track> {
    const name = track.grouping.name;
    const { missing } = track.summary;
    const here = missing[t] === LOADING;
    let from = here ? t : missing.indexOf(LOADING);
    while (here && from > this.around(t) && missing[from - 1] === LOADING) from--;
    const most = here ? this.around(t) + this.manifest.chunk : from + PIECE;
    let to = from;
    while (to < Math.min(this.snapshots, most) && missing[to] === LOADING) to++;
    return this.piece(track, from, to).then((longer) => {
      this.tracks.set(name, Promise.resolve(longer));
      return longer;
    });
  }

  /** The first snapshot of its chunk. */
  private around(t: number): number {
    return t - (t % this.manifest.chunk);
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

  /** Why snapshots of a grouping cannot be read back, by their number. */
  damaged(groupingName: string): Promise<Record<string, string>> {
    return once(this.reasons, groupingName, () =>
      this.json<Record<string, string>>(`${this.base(groupingName)}/damaged.json`),
    );
  }

  /** How far the run is now. */
  live(): Promise<Live> {
    return this.json(`${this.run}/live.json`);
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

  private async json<T>(key: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.source.get(key))) as T;
  }

  private at(name: string): string {
    return `${stateOf(this.run, this.manifest)}/${this.split.name}/${name}`;
  }

  private base(groupingName: string): string {
    return `${stateOf(this.run, this.manifest)}/${this.split.name}/${groupingName}/${this.measure.name}`;
  }

  private async loadTrack(groupingName: string, t: number): Promise<Track> {
    const grouping = groupingNamed(this.split, groupingName);
    if (!grouping) throw new Error(`This run has no grouping named ${groupingName}.`);
    const base = this.base(groupingName);
    const before = await this.earlier.get(groupingName)?.catch(() => null);
    const paint = new PaintChunks(
      this.snapshots,
      this.units,
      this.manifest.chunk,
      PAINT_BUDGET / this.split.groupings.length,
      (chunk) => this.fetchPatiently(`${base}/paint/${chunk}.st`),
      before?.paint,
    );
    // cells do not wait for what is counted
    paint.want(t);
    const T = this.snapshots;
    const first = before?.paint.snapshots ?? 0;
    const nothing = emptyCurves(T, this.layers.length, grouping.classes.length);
    const curves = before ? copied(before, nothing, 0) : nothing;
    const start: Track = { grouping, ...curves, paint, complete: false };
    this.earlier.delete(groupingName);
    if (first === T) return { ...start, complete: !start.summary.missing.includes(LOADING) };
    if (T - first > PIECE) {
      const from = Math.max(first, this.around(t));
      try {
        return await this.piece(start, from, Math.min(T, from + this.manifest.chunk));
      } catch (error) {
        // a static site has them as a whole
        if (!(error instanceof RefusedError) || first > 0) throw error;
      }
    }
    return first > 0 ? this.piece(start, first, T) : this.whole(start, base);
  }

  private async whole(track: Track, base: string): Promise<Track> {
    const [summary, classes] = await Promise.all([
      this.fetch(`${base}/summary.st`),
      this.fetch(`${base}/classes.st`),
    ]);
    const found = { summary: summaryOf(summary), classBins: classes.get("bins", "U32") };
    return { ...track, ...copied(found, track, 0), complete: true };
  }

  /** Snapshots `from` … `to` - 1 are added. */
  private async piece(track: Track, from: number, to: number): Promise<Track> {
    const base = this.base(track.grouping.name);
    const [summary, classes] = await Promise.all([
      this.fetch(`${base}/summary/${from}-${to}.st`),
      this.fetch(`${base}/classes/${from}-${to}.st`),
    ]);
    const found = { summary: summaryOf(summary), classBins: classes.get("bins", "U32") };
    const curves = copied(found, track, from);
    return { ...track, ...curves, complete: !curves.summary.missing.includes(LOADING) };
  }

  private async fetch(key: string): Promise<Tensors> {
    return new Tensors(await this.fetchPatiently(key));
  }

  /** Whether the server, which was away, still has this state: a new one begins with the newest. */
  private async isKnown(): Promise<boolean> {
    const { addressed, version } = this.manifest;
    return !addressed || (await this.source.manifest(this.run)).version === version;
  }

  /** Tries until the server answers: what is loaded stays usable meanwhile. A restarted server
   * answers this page again as soon as its new address was opened in the same browser. */
  private async fetchPatiently(key: string): Promise<ArrayBuffer> {
    for (let wait = RETRY_FIRST_MS; ; wait = Math.min(2 * wait, RETRY_LAST_MS)) {
      try {
        if (wait > RETRY_FIRST_MS && !(await this.isKnown())) throw new RefusedError(key, 404);
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

type Curves = Pick<Track, "summary" | "classBins">;

/** Nothing is known yet. */
function emptyCurves(snapshots: number, layers: number, classes: number): Curves {
  const rows = snapshots * layers;
  return {
    summary: {
      n: new Uint32Array(snapshots * classes),
      meanStrength: new Float32Array(rows).fill(NaN),
      bins: new Uint32Array(rows * BINS),
      states: new Uint32Array(rows * STATES),
      missing: new Uint8Array(snapshots).fill(LOADING),
    },
    classBins: new Uint32Array(snapshots * classes * BINS),
  };
}

/** Curves of some snapshots, put among others from snapshot `at` on. Those of more snapshots than the
 * run had when it was asked for are cut off. What is drawn from means is drawn anew, so these are a
 * new array. */
function copied(some: Curves, into: Curves, at: number): Curves {
  const T = into.summary.missing.length;
  const n = some.summary.missing.length;
  const put = <A extends Uint8Array | Uint32Array | Float32Array>(from: A, to: A): A => {
    const row = to.length / T;
    to.set(from.subarray(0, row * Math.min(n, T - at)), row * at);
    return to;
  };
  const [a, b] = [some.summary, into.summary];
  return {
    summary: {
      n: put(a.n, b.n),
      meanStrength: put(a.meanStrength, b.meanStrength.slice()),
      bins: put(a.bins, b.bins),
      states: put(a.states, b.states),
      missing: put(a.missing, b.missing),
    },
    classBins: put(some.classBins, into.classBins),
  };
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
