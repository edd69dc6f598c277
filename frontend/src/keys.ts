// The keyboard. Keys act on the page unless a control that uses them has the focus.

import { copyLink } from "./address";
import { home } from "./frame/home";
import { togglePlay } from "./play";
import { happened, moment, switchBeside } from "./run/happened";
import { walkCells } from "./confusion/now";
import { finder } from "./rail/listing";
import { walkSamples } from "./samples/now";
import { showAll, zoomBy } from "./timeline/zoom";
import {
  announcement,
  cell,
  chosenLayer,
  event as shownEvent,
  exporting,
  help,
  highlighted,
  playing,
  sample,
  session,
  snapshot,
  unit,
  view,
} from "./state/chosen";
import { classes, placedOrder, shownLayer } from "./state/shown";
import {
  highlight,
  nextGrouping,
  openLayer,
  show,
  toggleTable,
  toggleTheme,
  walkUnits,
} from "./state/choosing";

export const KEYS: [keys: string[], does: string][] = [
  [["Space"], "play or pause"],
  [["←", "→"], "previous, next snapshot (with Shift: five)"],
  [["Home", "End"], "first, last snapshot"],
  [["0", "–", "9"], "highlight a class; again to clear (up to ten classes)"],
  [["/"], "find a class, where there are more than ten; arrows and Enter highlight what is found"],
  [["↑", "↓"], "walk the layer’s units, the classes, the samples, or rows of the confusion"],
  [["N", "L", "C", "X", "P"], "the network, one layer, the classes, the confusion, the samples"],
  [["R", "G"], "compare with another run, split or grouping; the geometry of the classes"],
  [["[", "]"], "previous, next switch of the selected unit to another class"],
  [["+", "–", "A"], "the time axis closer, farther, all of it"],
  [["PgUp", "PgDn"], "previous, next layer"],
  [["."], "the layer’s units as a table, and back"],
  [["T"], "next grouping of samples: true label, prediction, your own"],
  [["D"], "light or dark"],
  [["S"], "copy a link to this picture"],
  [["E"], "save a picture, or a film of the snapshots"],
  [["?"], "these keys"],
  [["Esc"], "close, then clear the unit, then the class"],
];

const JUMP = 5;
/** How much farther one key goes. */
const CLOSER = 1.6;
/** Classes that have a key of their own. */
export const CLASS_KEYS = 10;

export async function share(): Promise<void> {
  announcement.value = (await copyLink())
    ? "Link copied: it holds the step, the selection and the settings."
    : "The link is in the address bar: it holds the step, the selection and the settings.";
}

function walkLayers(by: number): void {
  const layers = session.peek()?.layers.length ?? 0;
  const now = view.peek();
  if (now === "network") return walkUnitAcross(by);
  const next = shownLayer.peek() + by;
  if (next < 0 || next >= layers) return;
  if (now === "geometry") chosenLayer.value = next;
  else {
    openLayer(next);
    view.value = now;
  }
}

/** Up and down go through what the view shows: its samples, its classes, else the layer's units. */
function walk(by: number): void {
  if (unit.peek() >= 0) walkUnits(by);
  else if (view.peek() === "samples") walkSamples(by);
  else if (view.peek() === "classes") walkClasses(by);
  else if (view.peek() === "confusion") walkCells(by, 0);
  else beginUnits(by);
}

/** The first unit of the layer that is looked at, or the last; of the network its first layer's. */
function beginUnits(by: number): void {
  const open = session.peek();
  if (!open) return;
  const l = view.peek() === "network" && chosenLayer.peek() < 0 ? 0 : shownLayer.peek();
  const { offset, units } = open.layers[l];
  unit.value = placedOrder.peek()[by > 0 ? offset : offset + units - 1];
}

function walkClasses(by: number): void {
  const K = classes.peek().length;
  const to = highlighted.peek() < 0 ? (by > 0 ? 0 : K - 1) : highlighted.peek() + by;
  if (to >= 0 && to < K) highlighted.value = to;
}

/** The same place in another layer. */
function walkUnitAcross(by: number): void {
  const open = session.peek();
  if (!open || unit.peek() < 0) return;
  const places = placedOrder.peek();
  const from = open.layers[open.layerOf[unit.peek()]];
  const to = open.layers[open.layers.indexOf(from) + by];
  if (!to) return;
  const place = places.subarray(from.offset, from.offset + from.units).indexOf(unit.peek());
  const share = from.units > 1 ? place / (from.units - 1) : 0;
  unit.value = places[to.offset + Math.round(share * (to.units - 1))];
}

/** To the selected unit's switch before or after the playhead. */
function walkSwitches(by: number): void {
  const [open, events, u] = [session.peek(), happened.peek(), unit.peek()];
  if (!open || !events || u < 0) return;
  const i = switchBeside(open, events, u, snapshot.peek(), by);
  if (i < 0) {
    announcement.value = `This unit switches to no other class ${by < 0 ? "before" : "after"} this.`;
    return;
  }
  playing.value = false;
  show(events.snapshot[i]);
}

function escape(): void {
  if (exporting.peek()) exporting.value = false;
  else if (help.peek()) help.value = false;
  else if (shownEvent.peek() !== "") shownEvent.value = "";
  else if (moment.peek()) moment.value = null;
  else if (unit.peek() >= 0) unit.value = -1;
  else if (view.peek() === "table") toggleTable();
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
    "[": () => walkSwitches(-1),
    "]": () => walkSwitches(1),
    "+": () => zoomBy(1 / CLOSER),
    "=": () => zoomBy(1 / CLOSER),
    "-": () => zoomBy(CLOSER),
    a: showAll,
    PageUp: () => walkLayers(-1),
    PageDown: () => walkLayers(1),
    n: () => (view.value = "network"),
    l: () => (view.value = "layer"),
    c: () => (view.value = "classes"),
    x: () => (view.value = "confusion"),
    p: () => (view.value = "samples"),
    ".": toggleTable,
    r: () => (view.value = "compare"),
    g: () => (view.value = "geometry"),
    t: nextGrouping,
    d: toggleTheme,
    ...(home().alone && { s: () => void share() }),
    e: () => (exporting.value = true),
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
  if ((key === "[" || key === "]") && unit.peek() < 0) return;
  if (key.startsWith("Page") && !["layer", "table", "network", "geometry"].includes(view.peek()))
    return;
  // what scrolls keeps its keys
  const upOrDown = key === "ArrowUp" || key === "ArrowDown";
  if (upOrDown && unit.peek() < 0 && target.closest(".rail, .inspector")) return;
  if (
    !action ||
    (exporting.peek() && key !== "Escape") ||
    (help.peek() && key !== "Escape" && key !== "?")
  )
    return;
  event.preventDefault();
  action();
}

/** Hears the keys of a target: the window, or the page's element in a notebook. */
export function followKeys(target: EventTarget): () => void {
  const hear = onKey as EventListener;
  target.addEventListener("keydown", hear);
  return () => target.removeEventListener("keydown", hear);
}
