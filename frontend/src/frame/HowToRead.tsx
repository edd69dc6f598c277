// What the page shows, for those who have never seen it: open until it is closed once.

import { useState } from "preact/hooks";
import { session, threshold } from "../state/chosen";
import { strengthOfLevel } from "../format";

const KNOWN = "huelapse-read";

/** Where a browser keeps nothing, it is open every time. */
function known(): boolean {
  try {
    return localStorage.getItem(KNOWN) !== null;
  } catch {
    return false;
  }
}

function remember(open: boolean): void {
  try {
    if (open) localStorage.removeItem(KNOWN);
    else localStorage.setItem(KNOWN, "1");
  } catch {
    // then it is not remembered
  }
}

export function HowToRead() {
  const [open] = useState(() => !known());
  return (
    <details
      class="how"
      data-testid="how"
      open={open}
      onToggle={(event) => remember(event.currentTarget.open)}
    >
      <summary>How to read</summary>
      <Reading />
    </details>
  );
}

export function Reading() {
  const several = (session.value?.snapshots ?? 0) > 1;
  const ofMargin = session.value?.measure.name === "margin";
  return (
    <>
      <p class="note">
        Each cell is a <b>unit</b>: a neuron, or a channel. Its color is the class it responds to
        most, more vivid the greater its <b>strength</b>
        {ofMargin && ": how far that class is ahead of the next"}. From{" "}
        {strengthOfLevel(threshold.value)} on it counts as <b>tuned</b>.
      </p>
      <p class="note">
        Grey: no class is surely first. Hollow: <b>silent</b>, the same response to every sample. A
        unit keeps its place.
      </p>
      <p class="note">
        A <b>snapshot</b> is one moment of training
        {several
          ? ". Play, or drag along the timeline, and watch units take on color."
          : ": here, the only one so far."}
      </p>
    </>
  );
}
