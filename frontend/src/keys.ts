// The keyboard. Keys act on the page unless a control that uses them has the focus.

import { copyLink } from "./address";
import { home } from "./frame/home";
import { togglePlay } from "./play";
import { finder } from "./rail/listing";
import { walkSamples } from "./samples/now";
import {
  announcement,
  cell,
  chosenLayer,
  classes,
  help,
  highlight,
  highlighted,
  nextGrouping,
  openLayer,
  playing,
  sample,
  session,
  show,
  shownLayer,
  snapshot,
  toggleTheme,
  unit,
  view,
  walkUnits,
} from "./state";

export const KEYS: [keys: string[], does: string][] = [
  [["Space"], "play or pause"],
  [["←", "→"], "previous, next snapshot (with Shift: five)"],
  [["Home", "End"], "first, last snapshot"],
  [["0", "–", "9"], "highlight a class; again to clear (up to ten classes)"],
  [["/"], "find a class, where there are more than ten; arrows and Enter highlight what is found"],
  [["↑", "↓"], "walk the units of the selected unit’s layer, or the samples"],
  [["N", "L", "C", "X", "P"], "the network, one layer, the classes, the confusion, the samples"],
  [["R", "G"], "compare with another run, split or grouping; the geometry of the classes"],
  [["PgUp", "PgDn"], "previous, next layer of the layer view and the geometry"],
  [["T"], "next grouping of samples: true label, prediction, your own"],
  [["D"], "light or dark"],
  [["S"], "copy a link to this picture"],
  [["?"], "these keys"],
  [["Esc"], "close, then clear the unit, then the class"],
];

const JUMP = 5;
/** Classes that have a key of their own. */
export const CLASS_KEYS = 10;

export async function share(): Promise<void> {
  announcement.value = (await copyLink())
    ? "Link copied: it holds the step, the selection and the settings."
    : "The link is in the address bar: it holds the step, the selection and the settings.";
}

function walkLayers(by: number): void {
  const layers = session.peek()?.layers.length ?? 0;
  const next = shownLayer.peek() + by;
  if (next < 0 || next >= layers) return;
  if (view.peek() === "geometry") chosenLayer.value = next;
  else openLayer(next);
}

/** Up and down go through the samples where they are shown, else through the layer's units. */
function walk(by: number): void {
  if (unit.peek() >= 0) walkUnits(by);
  else walkSamples(by);
}

function escape(): void {
  if (help.peek()) help.value = false;
  else if (unit.peek() >= 0) unit.value = -1;
  else if (view.peek() === "confusion" && cell.peek()) cell.value = null;
  else if (view.peek() === "samples" && sample.peek() >= 0) sample.value = -1;
  else if (highlighted.peek() >= 0) highlighted.value = -1;
}

function onKey(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.metaKey || event.ctrlKey || event.altKey) return;
  const target = event.target as HTMLElement;
  if (target.matches("select, input, textarea")) return;
  const { key } = event;
  // A focused button keeps Space and Enter for itself.
  if (key === " " && target.matches("button, a")) return;
  const last = (session.peek()?.snapshots ?? 1) - 1;
  const move = (to: number): void => {
    playing.value = false;
    show(to);
  };
  const by = event.shiftKey ? JUMP : 1;
  const actions: Record<string, () => void> = {
    " ": togglePlay,
    ArrowLeft: () => move(snapshot.peek() - by),
    ArrowRight: () => move(snapshot.peek() + by),
    Home: () => move(0),
    End: () => move(last),
    ArrowUp: () => walk(-1),
    ArrowDown: () => walk(1),
    PageUp: () => walkLayers(-1),
    PageDown: () => walkLayers(1),
    n: () => (view.value = "network"),
    l: () => (view.value = "layer"),
    c: () => (view.value = "classes"),
    x: () => (view.value = "confusion"),
    p: () => (view.value = "samples"),
    r: () => (view.value = "compare"),
    g: () => (view.value = "geometry"),
    t: nextGrouping,
    d: toggleTheme,
    ...(home().alone && { s: () => void share() }),
    "/": () => finder.current?.focus(),
    "?": () => (help.value = !help.peek()),
    Escape: escape,
  };
  let action = actions[key.length === 1 ? key.toLowerCase() : key];
  if (
    /^[0-9]$/.test(key) &&
    classes.peek().length <= CLASS_KEYS &&
    Number(key) < classes.peek().length
  )
    action = () => highlight(Number(key));
  if (key.startsWith("Page") && view.peek() !== "layer" && view.peek() !== "geometry") return;
  if ((key === "ArrowUp" || key === "ArrowDown") && unit.peek() < 0)
    if (view.peek() !== "samples" || sample.peek() < 0) return;
  if (!action || (help.peek() && key !== "Escape" && key !== "?")) return;
  event.preventDefault();
  action();
}

/** Hears the keys of a target: the window, or the page's element in a notebook. */
export function followKeys(target: EventTarget): () => void {
  const hear = onKey as EventListener;
  target.addEventListener("keydown", hear);
  return () => target.removeEventListener("keydown", hear);
}
