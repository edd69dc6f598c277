// What is asked of the server for one state of a run, split and measure, and asked again while it is
// away; what was answered is kept.

import { signal } from "@preact/signals";
import { Tensors } from "../wire/safetensors";
import type { Manifest, Measure, Split } from "../wire/manifest";
import { GivenUpError, RefusedError, UnreachableError, type Source } from "../wire/source";

const KEPT = 64;
const RETRY_FIRST_MS = 500;
const RETRY_LAST_MS = 8000;

export type Server = "answers" | "away" | "restarted";

/** What the server did when it was last asked: one that was restarted has another key. */
export const server = signal<Server>("answers");

/** Notes what an answer, or an error in its place, says of the server; whether to ask again. */
export function heard(error?: unknown): boolean {
  if (error instanceof GivenUpError) return true;
  const restarted = error instanceof RefusedError && error.status === 403;
  const away = error instanceof UnreachableError;
  server.value = restarted ? "restarted" : away ? "away" : "answers";
  return restarted || away;
}

/** Where the resources of the state are that a manifest tells of: a run may grow in its middle, and
 *  what is the tenth snapshot now may be the eleventh in a moment. */
export function stateOf(run: string, manifest: Manifest): string {
  return manifest.addressed ? `${run}@${manifest.version}` : run;
}

export class Asking {
  constructor(
    private readonly source: Source,
    private readonly run: string,
    private readonly manifest: Manifest,
    private readonly split: Split,
    private readonly measure: Measure,
  ) {}

  /** Where a resource of the split is. */
  at(name: string): string {
    return `${stateOf(this.run, this.manifest)}/${this.split.name}/${name}`;
  }

  /** Where those of a grouping are, by the measure that is shown. */
  base(groupingName: string): string {
    return this.at(`${groupingName}/${this.measure.name}`);
  }

  /** Whether the split has a resource, by its name in the manifest. */
  has(resource: string): boolean {
    return this.split.resources.includes(resource);
  }

  async fetch(key: string): Promise<Tensors> {
    return new Tensors(await this.patiently(key));
  }

  async json<T>(key: string, signal?: AbortSignal): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.source.get(key, signal))) as T;
  }

  async jsonPatiently<T>(key: string): Promise<T> {
    return JSON.parse(new TextDecoder().decode(await this.patiently(key))) as T;
  }

  /** Whether the server, which was away, still has this state: a new one begins with the newest. */
  private async isKnown(): Promise<boolean> {
    const { addressed, version } = this.manifest;
    return !addressed || (await this.source.manifest(this.run)).version === version;
  }

  /** Tries until the server answers: what is loaded stays usable meanwhile. A restarted server
   * answers this page again as soon as its new address was opened in the same browser. */
  async patiently(key: string): Promise<ArrayBuffer> {
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

/** A failed promise is forgotten, so that the next click tries again. */
export function once<K, T>(known: Map<K, Promise<T>>, key: K, load: () => Promise<T>): Promise<T> {
  let promise = known.get(key);
  if (!promise) {
    promise = load();
    known.set(key, promise);
    promise.catch(() => known.delete(key));
  }
  return promise;
}

/** As `once`; the oldest leaves when there are too many. */
export function lately<K, T>(
  known: Map<K, Promise<T>>,
  key: K,
  load: () => Promise<T>,
): Promise<T> {
  const promise = once(known, key, load);
  if (known.size > KEPT) known.delete(known.keys().next().value as K);
  return promise;
}

/** Puts all of one into another. */
export function kept<K, T>(from: Map<K, T>, to: Map<K, T>): void {
  from.forEach((value, key) => to.set(key, value));
}
