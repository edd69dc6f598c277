// Keeps the address bar and the state in step. A choice makes an entry to go back to; scrubbing
// rewrites the entry it is in, at rest.

import { effect } from "@preact/signals";
import { applyAddress, currentAddress, defaultAddress, session } from "./state";
import { readAddress, writeAddress } from "./url";

const REST_MS = 250;

export function followAddress(): () => void {
  let timer = 0;
  let pushed = "";
  const stop = effect(() => {
    const open = session.value;
    if (!open) return;
    const address = currentAddress(open);
    const hash = writeAddress(address, defaultAddress(open));
    const choice = [address.unit, address.class, address.grouping].join();
    clearTimeout(timer);
    if (hash === location.hash) {
      pushed = choice;
      return;
    }
    const url = location.pathname + location.search + hash;
    if (pushed !== "" && choice !== pushed) history.pushState(null, "", url);
    else timer = window.setTimeout(() => history.replaceState(null, "", url), REST_MS);
    pushed = choice;
  });
  const back = (): void => {
    const open = session.peek();
    const address = readAddress(location.hash);
    if (!open) return;
    if (address.run !== undefined && address.run !== open.run) location.reload();
    else applyAddress(open, address);
  };
  addEventListener("popstate", back);
  return () => {
    stop();
    removeEventListener("popstate", back);
  };
}

/** Writes the address now and puts it on the clipboard. */
export async function copyLink(): Promise<boolean> {
  const open = session.peek();
  if (!open) return false;
  const hash = writeAddress(currentAddress(open), defaultAddress(open));
  history.replaceState(null, "", location.pathname + location.search + hash);
  try {
    await navigator.clipboard.writeText(location.href);
    return true;
  } catch {
    return false;
  }
}
