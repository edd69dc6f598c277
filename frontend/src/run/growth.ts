// A run that is still being recorded grows. The page says so and waits to be asked: units stand
// where the last snapshot puts them, and must not move by themselves.

import { signal } from "@preact/signals";
import type { Source } from "../wire/source";
import type { Session } from "./session";

const ASK_MS = 10_000;

/** Snapshots recorded since the page was opened. */
export const newSnapshots = signal(0);

export function followGrowth(source: Source, open: Session): () => void {
  if (open.manifest.state !== "recording") return () => undefined;
  const timer = setInterval(() => {
    source.manifest(open.run).then(
      (manifest) => {
        const split = manifest.splits.find((s) => s.name === open.split.name);
        newSnapshots.value = (split?.snapshots ?? open.snapshots) - open.snapshots;
        if (manifest.state !== "recording") clearInterval(timer);
      },
      // The server is away: what is missing will be asked for again.
      () => undefined,
    );
  }, ASK_MS);
  return () => clearInterval(timer);
}
