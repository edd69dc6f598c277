// Keeps the address bar and the state in step. A choice makes an entry to go back to; scrubbing
// rewrites the entry it is in, at rest.

import { effect } from "@preact/signals";
import { applyAddress, currentAddress, defaultAddress } from "./state/addressed";
import {
  axis,
  by,
  cell,
  chosenLayer,
  find,
  event,
  highlighted,
  layerShows,
  matrixOrder,
  only,
  other,
  pins,
  playing,
  runs,
  sample,
  session,
  snapshot,
  sort,
  theme,
  threshold,
  unit,
  view,
  zoom,
} from "./state/chosen";
import { chooseSplit } from "./state/choosing";
import { shownGrouping } from "./state/shown";
import { readAddress, writeAddress } from "./url";

const REST_MS = 250;

export function followAddress(): () => void {
  let timer = 0;
  let choice = "";
  let settings = "";
  const stop = effect(() => {
    const open = session.value;
    if (!open) return;
    void [snapshot.value, find.value, zoom.value];
    // Walking from unit to unit is not a choice to go back through one by one.
    const chosen = [
      unit.value >= 0,
      highlighted.value,
      pins.value.join(),
      shownGrouping.value?.name,
      open.split.name,
      open.measure.name,
      view.value,
      chosenLayer.value,
      layerShows.value,
      cell.value?.true,
      cell.value?.predicted,
      sample.value >= 0,
      event.value !== "",
      only.value,
      ...Object.values(other.value),
      by.value,
    ].join();
    const set = [
      event.value,
      unit.value,
      sample.value,
      threshold.value,
      theme.value,
      sort.value,
      matrixOrder.value,
      axis.value,
      playing.value,
    ].join();
    clearTimeout(timer);
    if (choice !== "" && chosen !== choice) write("pushState");
    else if (set !== settings) write("replaceState");
    else timer = window.setTimeout(() => write("replaceState"), REST_MS);
    choice = chosen;
    settings = set;
  });
  const back = (): void => {
    const open = session.peek();
    const address = readAddress(location.hash);
    if (!open) return;
    const { split: splitName, measure } = { ...defaultAddress(open), ...address };
    const same = splitName === open.split.name && measure === open.measure.name;
    const listed = runs.peek().length > 1 && address.run === undefined;
    if (listed || (address.run !== undefined && address.run !== open.run)) location.reload();
    else if (same) applyAddress(open, address);
    else void chooseSplit(splitName, { ...defaultAddress(open), ...address });
  };
  addEventListener("popstate", back);
  return () => {
    stop();
    removeEventListener("popstate", back);
  };
}

function write(how: "pushState" | "replaceState"): void {
  const open = session.peek();
  if (!open) return;
  const hash = writeAddress(currentAddress(open), defaultAddress(open));
  if (hash !== location.hash) history[how](null, "", location.pathname + location.search + hash);
}

/** Writes the address now and puts it on the clipboard. */
export async function copyLink(): Promise<boolean> {
  write("replaceState");
  try {
    await navigator.clipboard.writeText(location.href);
    return true;
  } catch {
    return false;
  }
}
