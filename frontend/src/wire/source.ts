// Where the page reads from. One interface, so that a server, a notebook widget and a single file
// can feed the same page.

import { FORMAT, type Live, type Manifest, type RunEntry } from "./manifest";

export interface Source {
  runs(): Promise<RunEntry[]>;
  manifest(run: string): Promise<Manifest>;
  /** How far a run is now; refused where it cannot grow: in a file, on a static site. */
  live(run: string): Promise<Live>;
  /** Why snapshots cannot be read back, by their number. */
  damaged(base: string): Promise<Record<string, string>>;
  get(key: string, signal?: AbortSignal): Promise<ArrayBuffer>;
}

/** What a server answers of a part that it cannot read back. */
export const DAMAGED = 422;

/** Nobody answered: worth trying again. */
export class UnreachableError extends Error {
  override name = "UnreachableError";
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

export class HttpSource implements Source {
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

  async live(run: string): Promise<Live> {
    return (await this.json(`${run}/live.json`)) as Live;
  }

  async damaged(base: string): Promise<Record<string, string>> {
    return (await this.json(`${base}/damaged.json`)) as Record<string, string>;
  }

  async get(key: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    return (await this.fetch(key, signal)).arrayBuffer();
  }

  private async json(key: string): Promise<unknown> {
    return (await this.fetch(key)).json();
  }

  private async fetch(key: string, signal?: AbortSignal): Promise<Response> {
    const url = this.base + key.split("/").map(encodeURIComponent).join("/");
    let response: Response;
    try {
      response = await fetch(url, signal ? { signal } : {});
    } catch (error) {
      if (signal?.aborted) throw error;
      throw new UnreachableError(`${key}: no answer`);
    }
    if (response.status >= 500) throw new UnreachableError(`${key}: ${response.status}`);
    if (!response.ok) {
      const why = response.status === DAMAGED ? await response.text() : "";
      throw new RefusedError(key, response.status, why);
    }
    return response;
  }
}
