// Mean maps inside the cells of the network, where these are large: those of the snapshot that is drawn,
// and of its neighbors, so that playing does not wait for them.

import { signal } from "@preact/signals";
import type { Session } from "../run/session";
import type { Theme } from "../run/palettes";
import { cellMaps } from "./recorded";
import { inLuminance, rampNow, sheetOf, type Planes, type Sheet } from "./sheet";

/** Cells of this size show their unit's map. */
export const INSET_CELL = 28;
const KEPT = 32;

/** Side of the picture in a cell of that size: the color around it is more than half of the cell. */
export const insetOf = (size: number): number => 2 * Math.round(size / 3.4);

export class Insets {
  /** Grows whenever maps have come. */
  readonly arrived = signal(0);
  private readonly known = new Map<number, Map<number, Planes>>();
  private readonly refused = new Set<number>();
  private readonly sheets = new WeakMap<Planes, { theme: Theme; sheet: Sheet }>();
  private wanted = 0;
  private underway = false;

  constructor(
    private readonly open: Session,
    private readonly grouping: string,
  ) {}

  want(t: number): void {
    this.wanted = t;
    void this.load();
  }

  /** Until maps of that snapshot are here, or cannot be had. */
  async settled(t: number): Promise<void> {
    if (!this.known.has(t) && !this.refused.has(t)) await this.fetch(t);
  }

  /** A sheet for each layer that has maps; null until they are here. */
  at(t: number, theme: Theme): Map<number, Sheet> | null {
    const maps = this.known.get(t);
    if (!maps) return null;
    return new Map([...maps].map(([l, planes]) => [l, this.sheet(planes, theme)]));
  }

  private sheet(planes: Planes, theme: Theme): Sheet {
    let found = this.sheets.get(planes);
    if (found?.theme !== theme) {
      found = { theme, sheet: sheetOf(planes, inLuminance(rampNow(theme))) };
      this.sheets.set(planes, found);
    }
    return found.sheet;
  }

  private async load(): Promise<void> {
    if (this.underway) return;
    this.underway = true;
    try {
      for (let t = this.next(); t >= 0; t = this.next()) await this.fetch(t);
    } finally {
      this.underway = false;
    }
  }

  private async fetch(t: number): Promise<void> {
    try {
      this.known.set(t, await cellMaps(this.open, this.grouping, t));
      if (this.known.size > KEPT) this.known.delete(this.known.keys().next().value as number);
      this.arrived.value++;
    } catch (error) {
      console.warn("huelapse:", error);
      this.refused.add(t);
    }
  }

  /** What is drawn, then what comes next, then what was before; -1 for nothing. */
  private next(): number {
    const t = this.wanted;
    const open = (s: number): boolean =>
      s >= 0 && s < this.open.snapshots && !this.known.has(s) && !this.refused.has(s);
    return [t, t + 1, t - 1].find(open) ?? -1;
  }
}
