// Where the page lives: a tab of its own, or a cell of a notebook. All that depends on it is here.

export interface Home {
  /** The element that carries the theme, and with it the style sheet's variables. */
  readonly root: HTMLElement;
  /** Whether the page is all that the tab holds: then the tab's address is its own. */
  readonly alone: boolean;
  /** What is said while nobody answers. */
  readonly away: string;
  /** Opens the run again, as it is now. */
  renew(): void;
}

const tab: Home = {
  root: document.documentElement,
  alone: true,
  away: "Showing what was loaded; reconnecting",
  renew: () => location.reload(),
};

let homes: readonly Home[] = [];

/** The latest one that still stands: all show the same run, in the same theme. */
export const home = (): Home => homes[homes.length - 1] ?? tab;

/** Settles in a home; returns what leaves it. */
export function settle(there: Home): () => void {
  homes = [...homes, there];
  return () => {
    homes = homes.filter((one) => one !== there);
  };
}
