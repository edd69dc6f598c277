// Where the page reads from. One interface, so that a server, a notebook widget and a single file
// can feed the same page.

import { FORMAT, type Manifest, type RunEntry } from "./manifest";

export interface Source {
  runs(): Promise<RunEntry[]>;
  manifest(run: string): Promise<Manifest>;
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
