// One run and split as the page holds it: what was read at opening, and what is read on demand.

import { Tensors } from "../wire/safetensors";
import {
  layerOfUnit,
  unitCount,
  type Grouping,
  type Layer,
  type Live,
  type Manifest,
  type Measure,
  type Split,
} from "../wire/manifest";
import { UnreachableError, type Source } from "../wire/source";
import { shortNames } from "../names";
import type { Pins } from "../rail/pins";
import { Asking, kept, lately, stateOf } from "./asking";
import { OfClasses } from "./confusions";
import { Palettes, type Colored, type Theme } from "./palettes";
import { scalarsOf, type Beside, type Scalars } from "./resources";
import { OfSamples } from "./samples";
import { OfLayers } from "./spaces";
import { Tracks, type Track } from "./tracks";
import { OfUnits } from "./units";

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

/** Units in their places, and the snapshot that put them there. */
export interface Placed {
  order: Uint32Array;
  by: number;
}

export class Session {
  readonly units: number;
  readonly layers: readonly Layer[];
  readonly names: readonly string[];
  readonly layerOf: Uint16Array;
  /** By grouping; units keep their places while the run grows. */
  readonly placed = new Map<string, Placed>();
  /** The same for a run and all that it grew to. */
  lineage: object = {};
  readonly ofUnits: OfUnits;
  readonly ofSamples: OfSamples;
  readonly ofClasses: OfClasses;
  readonly ofLayers: OfLayers;
  private readonly asking: Asking;
  private readonly tracks: Tracks;
  private readonly palettes: Palettes;
  private readonly others = new Map<string, Promise<Tensors>>();

  private constructor(
    private readonly source: Source,
    readonly run: string,
    readonly manifest: Manifest,
    readonly split: Split,
    readonly measure: Measure,
    readonly scalars: Scalars,
    colors: Tensors,
  ) {
    this.layers = manifest.layers;
    this.units = unitCount(manifest.layers);
    this.names = shortNames(manifest.layers.map((layer) => layer.path));
    this.layerOf = layerOfUnit(manifest.layers);
    this.asking = new Asking(source, run, manifest, split, measure);
    this.tracks = new Tracks(this.asking, manifest, split, this.units);
    this.palettes = new Palettes(colors, split.name);
    this.ofUnits = new OfUnits(this.asking);
    this.ofSamples = new OfSamples(this.asking);
    this.ofClasses = new OfClasses(this.asking);
    this.ofLayers = new OfLayers(this.asking);
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
   * here are others now, so that it has to be opened anew.
   *
   * @param given its manifest, where that is known. */
  async grown(given?: Manifest): Promise<Session | null> {
    const manifest = given ?? (await this.source.manifest(this.run));
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
    kept(this.placed, next.placed);
    next.tracks.goOn(this.tracks);
    next.ofUnits.keep(this.ofUnits);
    next.ofSamples.keep(this.ofSamples);
    next.ofClasses.keep(this.ofClasses);
    next.ofLayers.keep(this.ofLayers);
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
    return this.asking.jsonPatiently<Beside>(this.asking.at(key));
  }

  get snapshots(): number {
    return this.split.snapshots;
  }

  /** Whether some of a grouping's classes can be pinned. */
  canPin(grouping: Grouping): boolean {
    return this.palettes.canPin(grouping);
  }

  /** Colors of a grouping's classes, `[class, level, 4]`. */
  palette(theme: Theme, colored: Colored, pins: Pins = []): Uint8Array {
    return this.palettes.palette(theme, colored, pins);
  }

  /** A grouping's numbers: of all snapshots where these are few, else for now around `t`. */
  track(groupingName: string, t: number): Promise<Track> {
    return this.tracks.track(groupingName, t);
  }

  /** The same with more snapshots: those around `t`, or else the first that are not here. */
  more(track: Track, t: number): Promise<Track> {
    return this.tracks.more(track, t);
  }

  /** How far the run is now. A server that was stopped in the midst of it, or hangs, never answers:
   * that is as good as none. */
  async live(): Promise<Live> {
    const key = `${this.run}/live.json`;
    const limit = new AbortController();
    const { patience } = this.source;
    const timer = patience === undefined ? 0 : setTimeout(() => limit.abort(), patience);
    try {
      return await this.asking.json<Live>(key, limit.signal);
    } catch (error) {
      throw limit.signal.aborted ? new UnreachableError(`${key}: no answer in time`) : error;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The server is back: what it was asked before that is asked anew. */
  renew(): void {
    this.source.renew?.();
  }

  /** The same of a grouping, by the measure that is shown. */
  tensorsOf(groupingName: string, path: string): Promise<Tensors> {
    return this.tensors(`${groupingName}/${this.measure.name}/${path}`);
  }

  /** A resource below the split as it stands, without its ending. */
  tensors(path: string): Promise<Tensors> {
    return lately(this.others, path, () => this.asking.fetch(`${this.asking.at(path)}.st`));
  }

  /** Whether the split has a resource, by its name in the manifest. */
  has(resource: string): boolean {
    return this.asking.has(resource);
  }

  /** Whether a file had no room for a part of this split, by its name in `left_out`. */
  leftOut(part: string): boolean {
    const names = [part, `${part} of split ${this.split.name}`];
    return this.manifest.left_out?.some((name) => names.includes(name)) ?? false;
  }
}

/** The first split that holds something. */
export function firstSplit(manifest: Manifest): Split | undefined {
  return manifest.splits.find((s) => s.snapshots > 0) ?? manifest.splits[0];
}
