// Starts in a tab of its own, where there is a place for it. The same file is the notebook's widget.

import { render as renderPage } from "preact";
import { followAddress } from "./address";
import { fail, mount, openRun, seen } from "./mount";
import { drawn } from "./network/drawn";
import { runs, session, theme } from "./state/chosen";
import { StartPage } from "./start/StartPage";
import { readAddress } from "./url";
import "./main.css";
import "./compare/compare.css";
import "./geometry/geometry.css";
import "./film/film.css";
import widget from "./widget";
import { InlineSource } from "./wire/inline";
import { HttpSource, type Source } from "./wire/source";

async function start(source: Source, root: HTMLElement): Promise<void> {
  const address = readAddress(location.hash);
  try {
    runs.value = await source.runs();
  } catch (error) {
    fail(error);
    mount(root, document.documentElement, window);
    return;
  }
  if (runs.value.length > 1 && address.run === undefined) {
    theme.value = address.theme ?? theme.peek();
    document.documentElement.dataset.theme = theme.peek();
    document.title = "huelapse";
    renderPage(<StartPage source={source} entries={runs.value} />, root);
    addEventListener("hashchange", () => location.reload());
    return;
  }
  mount(root, document.documentElement, window);
  if (!(await openRun(source, address))) return;
  document.title = `${session.peek()?.manifest.name} · huelapse`;
  followAddress();
}

// A notebook's heading may have the same id.
const root = document.querySelector<HTMLElement>("body > #huelapse");
if (root) {
  // Canvases do not draw again by themselves when a font arrives.
  void document.fonts.load('560 12px "Inter"').then(() => drawn.fonts.value++);
  const inline = new InlineSource(document);
  void start(inline.holds ? inline : new HttpSource(), root);
  (globalThis as { huelapse?: unknown }).huelapse = seen;
}

/** What anywidget asks a file for. */
export default widget;
