// The page in a cell of a notebook, by anywidget's rules: the file is loaded anew for each viewer, so
// that what the page holds is that viewer's; a viewer may be shown in several cells at once.

import { effect } from "@preact/signals";
import { explain } from "./explain";
import { settle, type Home } from "./frame/home";
import { fail, mount, openRun, seen } from "./mount";
import { drawn } from "./network/drawn";
import { Session } from "./run/session";
import {
  announcement,
  axis,
  cell,
  chosenLayer,
  highlighted,
  only,
  runs,
  sample,
  session,
  snapshot,
  systemTheme,
  theme,
  threshold,
  unit,
  view,
} from "./state/chosen";
import { applyAddress, currentAddress } from "./state/addressed";
import { chooseSplit } from "./state/choosing";
import { server } from "./run/asking";
import { shownGrouping } from "./state/shown";
import { readAddress, type Address } from "./url";
import { WidgetSource, type Model } from "./wire/widget";

/** How long a choice stands before Python hears of it. */
const REST_MS = 100;

interface Viewer {
  source: WidgetSource;
  /** The style sheet, once it has come. */
  styles: Promise<string>;
}

let viewer: Viewer | null = null;

/** Once for each viewer, before it is shown anywhere. */
function initialize({ model }: { model: Model }): () => void {
  if (viewer) throw new Error("This file serves one viewer: another needs its own.");
  const source = new WidgetSource(model, (overdue) => {
    server.value = overdue ? "away" : "answers";
  });
  viewer = { source, styles: source.text("main.css") };
  void loadFont(source);
  const stops = [followTheme(), followSelection(model)];
  model.on("change:_wanted", () => turnTo(wantedOf(model)));
  void open(source, model).then((stop) => stop && stops.push(stop));
  return () => stops.forEach((stop) => stop());
}

async function open(source: WidgetSource, model: Model): Promise<(() => void) | null> {
  try {
    runs.value = await source.runs();
  } catch (error) {
    fail(error);
    return null;
  }
  return openRun(source, { theme: notebookTheme(), ...wantedOf(model) });
}

async function render({ model, el }: { model: Model; el: HTMLElement }): Promise<() => void> {
  const host = document.createElement("div");
  // JupyterLab's keys would act on the cell: D twice deletes it
  host.setAttribute("data-lm-suppress-shortcuts", "true");
  host.style.display = "block";
  host.style.height = `${String(model.get("height"))}px`;
  const shadow = host.attachShadow({ mode: "open" });
  const root = document.createElement("div");
  root.id = "huelapse";
  root.tabIndex = -1; // a click anywhere in it gives it the keys
  root.className = "cell";
  host.addEventListener("keydown", (event) => event.stopPropagation());
  el.append(host);
  const style = document.createElement("style");
  style.textContent = (await viewer?.styles) ?? "";
  shadow.append(style, root);
  const there: Home = {
    root,
    alone: false,
    away: "The kernel does not answer yet: it is busy, or it was restarted. Then run this cell again.",
    renew: () => void renew(),
  };
  const leave = settle(there);
  const unmount = mount(root, root, root);
  const release = keepFocus(root, shadow);
  (host as unknown as { huelapse: unknown }).huelapse = seen;
  return () => {
    release();
    unmount();
    leave();
    host.remove();
  };
}

/** What has the focus may go when the view changes: the keys must not fall to the notebook then. */
function keepFocus(root: HTMLElement, shadow: ShadowRoot): () => void {
  let held = false;
  root.addEventListener("focusin", () => (held = true));
  root.addEventListener("focusout", (event) => {
    const left = event.target as Element;
    queueMicrotask(() => {
      if (left.isConnected) held = shadow.activeElement !== null;
    });
  });
  const watch = new MutationObserver(() => {
    if (held && !shadow.activeElement && document.activeElement === document.body)
      root.focus({ preventScroll: true });
  });
  watch.observe(root, { childList: true, subtree: true });
  return () => watch.disconnect();
}

/** A shadow tree has no fonts of its own: they are the document's. */
async function loadFont(source: WidgetSource): Promise<void> {
  try {
    const font = new FontFace("Inter", await source.get("inter.woff2"), { weight: "100 900" });
    document.fonts.add(await font.load());
    drawn.fonts.value++;
  } catch {
    // the system's own will do
  }
}

/** The run as it is now, with what was looked at. */
async function renew(): Promise<void> {
  const before = session.peek();
  if (!before || !viewer) return;
  try {
    const now = await Session.open(
      viewer.source,
      before.run,
      before.split.name,
      before.measure.name,
    );
    if (session.peek() === before) applyAddress(now, currentAddress(before));
  } catch (error) {
    announcement.value = explain(error);
  }
}

/** Shows what Python wants to be shown; all else stays. */
function turnTo(address: Partial<Address>): void {
  const open = session.peek();
  if (!open) return; // it begins with it
  const there = { ...currentAddress(open), ...address };
  // a unit of another layer than the one that is wanted is looked at no more
  if (address.layer !== undefined && address.unit === undefined)
    if (open.layerOf[there.unit] !== address.layer) there.unit = -1;
  const same = there.split === open.split.name && there.measure === open.measure.name;
  if (same) applyAddress(open, there);
  else void chooseSplit(there.split, there);
}

const wantedOf = (model: Model): Partial<Address> =>
  readAddress(String(model.get("_wanted") ?? ""));

/** Tells Python what is chosen, once it stands. */
function followSelection(model: Model): () => void {
  let timer = 0;
  const stop = effect(() => {
    const open = session.value;
    void [snapshot.value, unit.value, highlighted.value, view.value, chosenLayer.value];
    void [cell.value, sample.value, only.value, threshold.value, axis.value, theme.value];
    void shownGrouping.value;
    clearTimeout(timer);
    if (!open) return;
    timer = window.setTimeout(
      () => model.send({ kind: "selected", address: currentAddress(open) }),
      REST_MS,
    );
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

/** JupyterLab says whether its theme is light; elsewhere the system's counts. */
function notebookTheme(): "dark" | "light" {
  const light = document.body.dataset.jpThemeLight;
  return light === undefined ? systemTheme() : light === "true" ? "light" : "dark";
}

function followTheme(): () => void {
  const watch = new MutationObserver(() => (theme.value = notebookTheme()));
  watch.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  return () => watch.disconnect();
}

export default { initialize, render };
