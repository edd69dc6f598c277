// A run that is still being recorded grows. The page says so and waits to be asked: units stand
// where the last snapshot puts them, and must not move by themselves.

import { signal, type ReadonlySignal } from "@preact/signals";
import type { Source } from "../wire/source";
import { heard, type Session } from "./session";

const ASK_MS = 10_000;

/** Snapshots recorded since the page was opened. */
export const newSnapshots = signal(0);

export function followGrowth(source: Source, shown: ReadonlySignal<Session | null>): () => void {
  const timer = setInterval(() => {
    const open = shown.peek();
    if (open?.manifest.state !== "recording") return;
    source.manifest(open.run).then((manifest) => {
      heard();
      const split = manifest.splits.find((s) => s.name === open.split.name);
      if (shown.peek() === open)
        newSnapshots.value = (split?.snapshots ?? open.snapshots) - open.snapshots;
      if (manifest.state !== "recording") clearInterval(timer);
    }, heard);
  }, ASK_MS);
  return () => clearInterval(timer);
}
