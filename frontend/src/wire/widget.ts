// A run that a Python kernel holds: the notebook's messages carry what is asked for and the answers,
// as binary buffers. Nothing of it is kept in the notebook, and no port is opened.

import { FORMAT, type Manifest, type RunEntry } from "./manifest";
import { RefusedError, UnreachableError, type Source } from "./source";

/** What anywidget hands over, as far as it is used here. */
export interface Model {
  get(name: string): unknown;
  send(content: unknown): void;
  on(name: string, heard: (content: Answer, buffers: DataView[]) => void): void;
}

interface Answer {
  kind?: string;
  id?: number;
  status?: number;
  /** Whether the buffer is packed with gzip. */
  gzip?: boolean;
}

interface Asked {
  answered(answer: Answer, buffer: DataView | undefined): void;
}

/** A kernel answers nothing while a cell runs; after this the page says so. */
const PATIENCE_MS = 6000;
const OK = 200;
const BROKEN = 500;

export class WidgetSource implements Source {
  private readonly asked = new Map<number, Asked>();
  private asks = 0;

  /** `waits` hears whether an answer is overdue. */
  constructor(
    private readonly model: Model,
    private readonly waits: (overdue: boolean) => void,
  ) {
    model.on("msg:custom", (answer, buffers) => {
      if (answer.kind !== "answer" || answer.id === undefined) return;
      const asked = this.asked.get(answer.id);
      this.asked.delete(answer.id);
      asked?.answered(answer, buffers[0]);
    });
  }

  async runs(): Promise<RunEntry[]> {
    return (JSON.parse(await this.text("runs.json")) as { runs: RunEntry[] }).runs;
  }

  async manifest(run: string): Promise<Manifest> {
    const manifest = JSON.parse(await this.text(`${run}/manifest.json`)) as Manifest;
    if (manifest.format !== FORMAT)
      throw new Error(
        `The kernel's huelapse gives format ${manifest.format}; this page reads format ${FORMAT}. ` +
          `Restart the kernel, then run the cell again.`,
      );
    return manifest;
  }

  async text(key: string): Promise<string> {
    return new TextDecoder().decode(await this.get(key));
  }

  get(key: string, signal?: AbortSignal): Promise<ArrayBuffer> {
    const id = ++this.asks;
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => this.waits(true), PATIENCE_MS);
      const leave = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", stop);
      };
      const stop = (): void => {
        leave();
        this.asked.delete(id);
        reject(signal?.reason as Error);
      };
      signal?.addEventListener("abort", stop);
      this.asked.set(id, {
        answered: (answer, buffer) => {
          leave();
          this.waits(false);
          const status = answer.status ?? BROKEN;
          if (status === OK && buffer) resolve(unpacked(buffer, answer.gzip ?? false));
          else if (status >= BROKEN) reject(new UnreachableError(`${key}: ${status}`));
          else reject(new RefusedError(key, status));
        },
      });
      this.model.send({ kind: "get", id, key });
    });
  }
}

/** The bytes of a buffer alone: it may be a part of a whole message. */
async function unpacked(buffer: DataView, gzip: boolean): Promise<ArrayBuffer> {
  const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength).slice();
  if (!gzip) return bytes.buffer;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}
