import { effect } from "@preact/signals";
import { render } from "preact";
import { followAddress } from "./address";
import { explain } from "./explain";
import { App } from "./frame/App";
import { followKeys } from "./keys";
import { drawn } from "./network/drawn";
import { followPlay } from "./play";
import { followFloor } from "./rail/floor";
import { followRest } from "./rail/listing";
import { followGrowth } from "./run/growth";
import { followEvents } from "./run/happened";
import { Session } from "./run/session";
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
} from "./state";
import { StartPage } from "./start/StartPage";
import { readAddress } from "./url";
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
    applyAddress(await Session.open(source, run.id, address.split ?? "", address.measure), address);
    document.title = `${session.peek()?.manifest.name} · huelapse`;
    followAddress();
    followKeys();
    followFloor();
    followPlay();
    followRest();
    followEvents();
    followGrowth(source, session);
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
  get timings(): { network: number } {
    return { network: drawn.milliseconds };
  },
};
