// A grouping's numbers and cells: of all snapshots where these are few, else piece by piece, and gone
// on with when the run has grown.

import { BINS, STATES, type Grouping, type Manifest, type Split } from "../wire/manifest";
import { RefusedError } from "../wire/source";
import { once, kept, type Asking } from "./asking";
import { LOADING, type Summary } from "./counts";
import { groupingNamed } from "./groupings";
import { PaintChunks } from "./paint";
import { summaryOf } from "./resources";

const PAINT_BUDGET = 256 * 2 ** 20;
/** Snapshots whose curves are asked for together: a server that paints them for the first time takes a
 * second or two. */
const PIECE = 512;

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

export class Tracks {
  private readonly tracks = new Map<string, Promise<Track>>();
  /** Of an earlier state of the run: what is to be gone on with. */
  private readonly earlier = new Map<string, Promise<Track>>();

  constructor(
    private readonly asking: Asking,
    private readonly manifest: Manifest,
    private readonly split: Split,
    private readonly units: number,
  ) {}

  private get snapshots(): number {
    return this.split.snapshots;
  }

  /** Goes on with what an earlier state of the run had. */
  goOn(from: Tracks): void {
    kept(from.earlier, this.earlier);
    kept(from.tracks, this.earlier);
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

  private async loadTrack(groupingName: string, t: number): Promise<Track> {
    const grouping = groupingNamed(this.split, groupingName);
    if (!grouping) throw new Error(`This run has no grouping named ${groupingName}.`);
    const base = this.asking.base(groupingName);
    const before = await this.earlier.get(groupingName)?.catch(() => null);
    const paint = new PaintChunks(
      this.snapshots,
      this.units,
      this.manifest.chunk,
      PAINT_BUDGET / this.split.groupings.length,
      (chunk) => this.asking.patiently(`${base}/paint/${chunk}.st`),
      before?.paint,
    );
    // cells do not wait for what is counted
    paint.want(t);
    const T = this.snapshots;
    const first = before?.paint.snapshots ?? 0;
    const nothing = emptyCurves(T, this.manifest.layers.length, grouping.classes.length);
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
      this.asking.fetch(`${base}/summary.st`),
      this.asking.fetch(`${base}/classes.st`),
    ]);
    const found = { summary: summaryOf(summary), classBins: classes.get("bins", "U32") };
    return { ...track, ...copied(found, track, 0), complete: true };
  }

  /** Snapshots `from` … `to` - 1 are added. */
  private async piece(track: Track, from: number, to: number): Promise<Track> {
    const base = this.asking.base(track.grouping.name);
    const [summary, classes] = await Promise.all([
      this.asking.fetch(`${base}/summary/${from}-${to}.st`),
      this.asking.fetch(`${base}/classes/${from}-${to}.st`),
    ]);
    const found = { summary: summaryOf(summary), classBins: classes.get("bins", "U32") };
    const curves = copied(found, track, from);
    return { ...track, ...curves, complete: !curves.summary.missing.includes(LOADING) };
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
