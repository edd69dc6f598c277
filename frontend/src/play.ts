// Plays the snapshots one after another; nothing is shown that was not measured.

import { effect } from "@preact/signals";
import { playing, session, snapshot, speed } from "./state/chosen";
import { show } from "./state/choosing";

const SNAPSHOT_MS = 240;

export function togglePlay(): void {
  const last = (session.peek()?.snapshots ?? 1) - 1;
  if (last === 0) return;
  if (!playing.peek() && snapshot.peek() === last) show(0);
  playing.value = !playing.peek();
}

export function followPlay(): () => void {
  return effect(() => {
    if (!playing.value) return;
    const timer = setInterval(() => {
      const last = (session.peek()?.snapshots ?? 1) - 1;
      if (snapshot.peek() >= last) playing.value = false;
      else show(snapshot.peek() + 1);
    }, SNAPSHOT_MS / speed.value);
    return () => clearInterval(timer);
  });
}
