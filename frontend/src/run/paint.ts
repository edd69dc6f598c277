// Colors of every unit at every snapshot, in chunks of 16 snapshots. The chunk at the playhead is
// fetched first, then outward; the farthest chunk leaves when memory is full.

import { effect, signal } from "@preact/signals";
import { Tensors } from "../wire/safetensors";

/** What every unit's cell shows at one snapshot. */
export interface Paint {
  preferred: Uint16Array;
  level: Uint8Array;
  state: Uint8Array;
  flags: Uint8Array;
}

interface Chunk extends Paint {
  snapshots: number;
}

const BYTES_PER_CELL = 5;
const PARALLEL = 3;

export class PaintChunks {
  /** Counts arrivals and refusals, so that whoever draws knows when to look again. */
  readonly arrived = signal(0);
  private readonly resident = new Map<number, Chunk>();
  private readonly underway = new Set<number>();
  private readonly refused = new Map<number, unknown>();
  private readonly capacity: number;
  private playhead = 0;

  constructor(
    readonly snapshots: number,
    readonly units: number,
    readonly chunkLength: number,
    budget: number,
    private readonly load: (chunk: number) => Promise<ArrayBuffer>,
    /** Of the same run when it was shorter: what is whole of it is still true. */
    before: PaintChunks | null = null,
  ) {
    const bytes = Math.max(1, units * chunkLength * BYTES_PER_CELL);
    this.capacity = Math.max(3, Math.floor(budget / bytes));
    before?.resident.forEach((held, chunk) => {
      if (held.snapshots === chunkLength) this.resident.set(chunk, held);
    });
  }

  get chunks(): number {
    return Math.ceil(this.snapshots / this.chunkLength);
  }

  isResident(chunk: number): boolean {
    return this.resident.has(chunk);
  }

  at(snapshot: number): Paint | null {
    const chunk = Math.floor(snapshot / this.chunkLength);
    const found = this.resident.get(chunk);
    if (!found) return null;
    const start = (snapshot - chunk * this.chunkLength) * this.units;
    const end = start + this.units;
    return {
      preferred: found.preferred.subarray(start, end),
      level: found.level.subarray(start, end),
      state: found.state.subarray(start, end),
      flags: found.flags.subarray(start, end),
    };
  }

  /** Why a snapshot's cells will not come; undefined unless they were refused. */
  refusal(snapshot: number): unknown {
    return this.refused.get(Math.floor(snapshot / this.chunkLength));
  }

  /** The resident snapshot closest to the one asked for. */
  nearest(snapshot: number): { snapshot: number; paint: Paint } | null {
    let best = -1;
    for (const [chunk, { snapshots }] of this.resident) {
      const first = chunk * this.chunkLength;
      const last = first + snapshots - 1;
      const candidate = Math.min(Math.max(snapshot, first), last);
      if (best < 0 || Math.abs(candidate - snapshot) < Math.abs(best - snapshot)) best = candidate;
    }
    const paint = best < 0 ? null : this.at(best);
    return paint && { snapshot: best, paint };
  }

  /** Tells where the playhead is; fetches what is missing there, then around it. */
  want(snapshot: number): void {
    this.playhead = Math.floor(snapshot / this.chunkLength);
    this.fetchMore();
  }

  /** Resolves when a snapshot's cells, and the last ones, which decide where units stand, are here
   * or are known not to come. */
  settled(snapshot: number): Promise<void> {
    this.want(snapshot);
    const needed = [this.playhead, this.chunks - 1];
    return new Promise((resolve) => {
      const stop = effect(() => {
        void this.arrived.value;
        if (!needed.every((c) => this.resident.has(c) || this.refused.has(c))) return;
        resolve();
        queueMicrotask(() => stop());
      });
    });
  }

  private distance(chunk: number): number {
    return Math.abs(chunk - this.playhead);
  }

  private fetchMore(): void {
    while (this.underway.size < PARALLEL) {
      const next = this.nextChunk();
      if (next < 0) return;
      this.underway.add(next);
      void this.fetch(next);
    }
  }

  private nextChunk(): number {
    // The last chunk decides where units stand, so it comes right after the one at the playhead.
    const [here, ...around] = outward(this.playhead, this.chunks);
    const missing = [here, this.chunks - 1, ...around].find(
      (c) => !this.resident.has(c) && !this.underway.has(c) && !this.refused.has(c),
    );
    if (missing === undefined) return -1;
    if (this.resident.size + this.underway.size < this.capacity) return missing;
    return this.distance(missing) < this.distance(this.farthest()) ? missing : -1;
  }

  private farthest(): number {
    let far = -1;
    for (const chunk of this.resident.keys())
      if (far < 0 || this.distance(chunk) > this.distance(far)) far = chunk;
    return far;
  }

  private async fetch(chunk: number): Promise<void> {
    try {
      const tensors = new Tensors(await this.load(chunk));
      if (this.resident.size >= this.capacity) this.resident.delete(this.farthest());
      this.resident.set(chunk, {
        preferred: tensors.get("preferred", "U16"),
        level: tensors.get("level", "U8"),
        state: tensors.get("state", "U8"),
        flags: tensors.get("flags", "U8"),
        snapshots: tensors.shape("level")[0],
      });
      this.arrived.value++;
    } catch (error) {
      this.refused.set(chunk, error);
      this.arrived.value++;
      console.warn("huelapse:", error);
    } finally {
      this.underway.delete(chunk);
      this.fetchMore();
    }
  }
}

/** 0 … length-1, nearest to `start` first. */
export function outward(start: number, length: number): number[] {
  const order: number[] = [];
  for (let d = 0; d < length; d++) {
    if (start + d < length) order.push(start + d);
    if (d > 0 && start - d >= 0) order.push(start - d);
  }
  return order;
}
