import { effect } from "@preact/signals";
import { render } from "preact";
import { followAddress } from "./address";
import { App } from "./frame/App";
import { followKeys } from "./keys";
import { drawn } from "./network/drawn";
import { followPlay } from "./play";
import { followGrowth } from "./run/growth";
import { Session } from "./run/session";
import {
  applyAddress,
  approximate,
  order,
  problem,
  runs,
  session,
  show,
  snapshot,
  theme,
} from "./state";
import { readAddress } from "./url";
import "./main.css";
import { HttpSource, RefusedError, UnreachableError, type Source } from "./wire/source";

function explain(error: unknown): string {
  if (error instanceof UnreachableError)
    return "The server does not answer. Start it with huelapse view, then reload.";
  if (error instanceof RefusedError && error.status === 403)
    return "This page needs its key: open the address that huelapse view printed.";
  if (error instanceof RefusedError)
    return `The server has no ${error.key} (${error.status}). Check that the run is still where it was, then reload.`;
  return error instanceof Error ? error.message : String(error);
}

async function open(source: Source, root: HTMLElement): Promise<void> {
  const address = readAddress(location.hash);
  try {
    runs.value = await source.runs();
    const run = runs.value.find((r) => r.id === address.run) ?? runs.value[0];
    if (!run) throw new Error("There is no run here. Name a run directory: huelapse view runs/…");
    render(<App />, root);
    applyAddress(await Session.open(source, run.id, address.split ?? ""), address);
    document.title = `${session.peek()?.manifest.name} · huelapse`;
    followAddress();
    followKeys();
    followPlay();
    const opened = session.peek();
    if (opened) followGrowth(source, opened);
  } catch (error) {
    console.error(error);
    problem.value = explain(error);
    render(<App />, root);
  }
}

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

// Canvases do not draw again by themselves when a font arrives.
void document.fonts.load('560 12px "Inter"').then(() => drawn.fonts.value++);

const root = document.getElementById("huelapse");
if (root) void open(new HttpSource(), root);

/** For tests in a real browser, which compare the page's pixels with the server's colors. */
(globalThis as { huelapse?: unknown }).huelapse = {
  get ready(): boolean {
    return drawn.complete && order.peek() !== null && !approximate.peek();
  },
  snapshot: (): number => snapshot.peek(),
  show,
  cellPixel: (unit: number) => drawn.pixelOf(unit),
  get timings(): { network: number } {
    return { network: drawn.milliseconds };
  },
};
