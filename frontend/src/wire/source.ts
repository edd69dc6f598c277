// Where the page reads from. One interface, so that a server, a notebook widget and a single file
// can feed the same page.

import { FORMAT, type Manifest, type RunEntry } from "./manifest";

export interface Source {
  runs(): Promise<RunEntry[]>;
  manifest(run: string): Promise<Manifest>;
  get(key: string, signal?: AbortSignal): Promise<ArrayBuffer>;
  /** Milliseconds within which a small answer comes, unless nobody is there to give it; absent where
   * the source tells so by itself. */
  patience?: number;
  /** Gives up what was asked before now (`GivenUpError`): who was to answer it may be gone. */
  renew?(): void;
}

/** What a server answers of a part that it cannot read back. */
export const DAMAGED = 422;

/** Nobody answered: worth trying again. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
}

/** The page itself has given it up, to ask anew: it says nothing of the server. */
export class GivenUpError extends UnreachableError {
  override name = "GivenUpError";
}

/** Somebody answered, but not with the resource: trying again will not help. */
export class RefusedError extends Error {
  override name = "RefusedError";
  constructor(
    readonly key: string,
    readonly status: number,
    /** What the server says of it. */
    readonly why = "",
  ) {
    super(`${key}: ${status}${why && `: ${why}`}`);
  }
}

/** A live run is asked for so often that this is many times as long as it takes. */
const PATIENCE_MS = 10_000;

export class HttpSource implements Source {
  readonly patience = PATIENCE_MS;
  private readonly underway = new Set<AbortController>();

  constructor(private readonly base = "") {}

  async runs(): Promise<RunEntry[]> {
    return ((await this.json("runs.json")) as { runs: RunEntry[] }).runs;
  }

  async manifest(run: string): Promise<Manifest> {
    const manifest = (await this.json(`${run}/manifest.json`)) as Manifest;
    if (manifest.format !== FORMAT)
      throw new Error(
        `This run is served in format ${manifest.format}; this page reads format ${FORMAT}. ` +
          `Upgrade huelapse, then reload.`,
      );
    return manifest;
  }

  get(key: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    return this.ask(key, (response) => response.arrayBuffer(), signal);
  }

  renew(): void {
    this.underway.forEach((one) => one.abort());
  }

  private json(key: string): Promise<unknown> {
    return this.ask(key, (response) => response.json());
  }

  /** Until all of the answer is read: a server may go in the midst of it. */
  private async ask<T>(
    key: string,
    read: (response: Response) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const mine = new AbortController();
    const stop = (): void => mine.abort();
    signal?.addEventListener("abort", stop);
    this.underway.add(mine);
    try {
      const url = this.base + key.split("/").map(encodeURIComponent).join("/");
      const response = await fetch(url, { signal: mine.signal });
      if (response.status >= 500) throw new UnreachableError(`${key}: ${response.status}`);
      if (!response.ok) {
        const why = response.status === DAMAGED ? await response.text() : "";
        throw new RefusedError(key, response.status, why);
      }
      return await read(response);
    } catch (error) {
      if (signal?.aborted || error instanceof RefusedError || error instanceof UnreachableError)
        throw error;
      // what is no JSON did come, and is no fault of the way here
      if (error instanceof SyntaxError) throw error;
      if (mine.signal.aborted) throw new GivenUpError(`${key}: asked anew`);
      throw new UnreachableError(`${key}: no answer`);
    } finally {
      this.underway.delete(mine);
      signal?.removeEventListener("abort", stop);
    }
  }
}
