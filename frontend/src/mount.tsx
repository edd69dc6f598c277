// The page on a run, in an element of any home.

import { effect } from "@preact/signals";
import { render } from "preact";
import { explain } from "./explain";
import { followCompare } from "./compare/now";
import { last } from "./film/making";
import { App } from "./frame/App";
import { followDamage } from "./derive";
import { followGeometry } from "./geometry/now";
import { followKeys } from "./keys";
import { drawn } from "./network/drawn";
import { followPlay } from "./play";
import { followFloor } from "./rail/floor";
import { followRest } from "./rail/listing";
import { followGrowth } from "./run/growth";
import { followEvents } from "./run/happened";
import { EmptyRunError, Session } from "./run/session";
import { applyAddress } from "./state/addressed";
import { approximate, order, shownGrouping } from "./state/shown";
import { grouping, problem, runs, snapshot, theme, waiting } from "./state/chosen";
import { show } from "./state/choosing";
import "./state/loading";
import { timing } from "./timeline/Strip";
import { followPlayhead } from "./timeline/zoom";
import type { Address } from "./url";
import type { Source } from "./wire/source";

/** Draws the page, with its keys and its theme; returns what takes it away. */
export function mount(root: HTMLElement, themed: HTMLElement, keys: EventTarget): () => void {
  const stops = [
    effect(() => {
      themed.dataset.theme = theme.value;
    }),
    followKeys(keys),
  ];
  render(<App />, root);
  return () => {
    stops.forEach((stop) => stop());
    render(null, root);
  };
}

/** Opens a run and follows it; what goes wrong is shown in place of it. */
export async function openRun(
  source: Source,
  address: Partial<Address>,
): Promise<(() => void) | null> {
  try {
    const run = runs.peek().find((r) => r.id === address.run) ?? runs.peek()[0];
    if (!run) throw new Error("There is no run here. Name a run directory: huelapse view runs/…");
    applyAddress(await first(source, run.id, address), address);
  } catch (error) {
    fail(error);
    return null;
  }
  const stops = [
    followFloor(),
    followPlay(),
    followRest(),
    followEvents(),
    followCompare(),
    followGeometry(),
    followDamage(),
    followPlayhead(),
    followGrowth(),
  ];
  return () => stops.forEach((stop) => stop());
}

const WAIT_MS = 2000;

/** Opens a run; one that is being recorded, as soon as it holds something. */
async function first(source: Source, run: string, address: Partial<Address>): Promise<Session> {
  for (;;)
    try {
      const open = await Session.open(source, run, address.split ?? "", address.measure);
      problem.value = "";
      waiting.value = false;
      return open;
    } catch (error) {
      if (!(error instanceof EmptyRunError) || !error.recording) throw error;
      waiting.value = true;
      problem.value = error.message;
      await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    }
}

export function fail(error: unknown): void {
  console.error(error);
  waiting.value = false;
  problem.value = explain(error);
}

/** For tests in a real browser, which compare the page's pixels with the server's colors. */
export const seen = {
  get ready(): boolean {
    const shown = shownGrouping.peek()?.name === grouping.peek();
    return shown && drawn.complete && order.peek() !== null && !approximate.peek();
  },
  snapshot: (): number => snapshot.peek(),
  show,
  shownGrouping,
  framePixel: (unit: number) => last.frame?.pixelOf(unit) ?? null,
  cellPixel: (unit: number, side = 0) => drawn.pixelOf(unit, side),
  get timings(): { network: number; strip: number } {
    return { network: drawn.milliseconds, strip: timing.strip };
  },
};
