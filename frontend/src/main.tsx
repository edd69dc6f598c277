import { effect } from "@preact/signals";
import { render } from "preact";
import { followAddress } from "./address";
import { explain } from "./explain";
import { App } from "./frame/App";
import { followKeys } from "./keys";
import { drawn } from "./network/drawn";
import { followPlay } from "./play";
import { followDamage } from "./derive";
import { followFloor } from "./rail/floor";
import { followGrowth } from "./run/growth";
import { followEvents } from "./run/happened";
import { EmptyRunError, Session } from "./run/session";
import {
  applyAddress,
  approximate,
  grouping,
  order,
  problem,
  runs,
  session,
  show,
  shownGrouping,
  snapshot,
  theme,
  waiting,
} from "./state";
import { StartPage } from "./start/StartPage";
import { timing } from "./timeline/Strip";
import { followPlayhead } from "./timeline/zoom";
import { readAddress, type Address } from "./url";
import "./main.css";
import { InlineSource } from "./wire/inline";
import { HttpSource, type Source } from "./wire/source";

async function open(source: Source, root: HTMLElement): Promise<void> {
  const address = readAddress(location.hash);
  try {
    runs.value = await source.runs();
    if (runs.value.length > 1 && address.run === undefined) {
      theme.value = address.theme ?? theme.peek();
      document.title = "huelapse";
      render(<StartPage source={source} entries={runs.value} />, root);
      addEventListener("hashchange", () => location.reload());
      return;
    }
    const run = runs.value.find((r) => r.id === address.run) ?? runs.value[0];
    if (!run) throw new Error("There is no run here. Name a run directory: huelapse view runs/…");
    render(<App />, root);
    applyAddress(await first(source, run.id, address), address);
    document.title = `${session.peek()?.manifest.name} · huelapse`;
    followAddress();
    followKeys();
    followFloor();
    followPlay();
    followEvents();
    followDamage();
    followPlayhead();
    followGrowth();
  } catch (error) {
    console.error(error);
    waiting.value = false;
    problem.value = explain(error);
    render(<App />, root);
  }
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

effect(() => {
  document.documentElement.dataset.theme = theme.value;
});

// Canvases do not draw again by themselves when a font arrives.
void document.fonts.load('560 12px "Inter"').then(() => drawn.fonts.value++);

const root = document.getElementById("huelapse");
const inline = new InlineSource(document);
if (root) void open(inline.holds ? inline : new HttpSource(), root);

/** For tests in a real browser, which compare the page's pixels with the server's colors. */
(globalThis as { huelapse?: unknown }).huelapse = {
  get ready(): boolean {
    const shown = shownGrouping.peek()?.name === grouping.peek();
    return shown && drawn.complete && order.peek() !== null && !approximate.peek();
  },
  snapshot: (): number => snapshot.peek(),
  show,
  shownGrouping,
  cellPixel: (unit: number) => drawn.pixelOf(unit),
  get timings(): { network: number; strip: number } {
    return { network: drawn.milliseconds, strip: timing.strip };
  },
};
