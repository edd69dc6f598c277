// A run that is part of the page itself: `huelapse export RUN -o run.html`.

import type { Manifest, RunEntry } from "./manifest";
import { DAMAGED, RefusedError, type Source } from "./source";

/** What a file does not hold is gone for good: trying again will not help. */
export const LEFT_OUT = 410;

export class InlineSource implements Source {
  private readonly blocks = new Map<string, Element>();

  constructor(root: ParentNode) {
    for (const block of root.querySelectorAll("script[data-key]"))
      this.blocks.set(block.getAttribute("data-key") ?? "", block);
  }

  /** Whether the page holds a run. */
  get holds(): boolean {
    return this.blocks.has("runs.json");
  }

  async runs(): Promise<RunEntry[]> {
    return ((await this.json("runs.json")) as { runs: RunEntry[] }).runs;
  }

  async manifest(run: string): Promise<Manifest> {
    return (await this.json(`${run}/manifest.json`)) as Manifest;
  }

  async get(key: string): Promise<ArrayBuffer> {
    const block = this.blocks.get(key);
    if (!block) throw new RefusedError(key, LEFT_OUT);
    const why = block.getAttribute("data-damaged");
    if (why !== null) throw new RefusedError(key, DAMAGED, why);
    const packed = Uint8Array.from(atob(block.textContent ?? ""), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).arrayBuffer();
  }

  private async json(key: string): Promise<unknown> {
    return JSON.parse(new TextDecoder().decode(await this.get(key)));
  }
}
