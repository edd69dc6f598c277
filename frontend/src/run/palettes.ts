// The colors of a run's classes, looked up in the tables the server sent.

import { LEVELS, type Grouping } from "../wire/manifest";
import type { Tensors } from "../wire/safetensors";
import { withPins, type Pins } from "../rail/pins";
import { baseOf, levelOf, MARK } from "./groupings";

/** Hue is a name for so many classes; among more some can be pinned. */
const NAMED = 10;
/** Palettes at hand: of two themes, and of groupings that are shown side by side. */
const KEPT_PALETTES = 8;

/** What of a grouping decides its colors. */
export type Colored = Pick<Grouping, "name" | "classes"> & Partial<Grouping>;

export type Theme = "dark" | "light";

export class Palettes {
  private readonly made = new Map<string, Uint8Array>();

  constructor(
    private readonly colors: Tensors,
    private readonly splitName: string,
  ) {}

  /** Whether some of a grouping's classes can be pinned. */
  canPin(grouping: Grouping): boolean {
    return grouping.classes.length > NAMED && this.colors.has("dark.grey");
  }

  /** Colors of a grouping's classes, `[class, level, 4]`: its own, or those of any so many classes;
   * with pins those of their slots, and grey for all others (docs/wire.md). The same array each time. */
  palette(theme: Theme, colored: Colored, pins: Pins = []): Uint8Array {
    const grouping = colored as Grouping;
    const of = baseOf(grouping);
    const at = `/${this.splitName}/${of.name}`;
    const table = (...names: string[]): Uint8Array =>
      this.colors.get(names.find((name) => this.colors.has(name)) ?? names[0], "U8");
    const free = !this.canPin(grouping) || pins.every((k) => k < 0);
    const key = [theme, grouping.name, free ? "" : pins.join()].join("/");
    let made = this.made.get(key);
    if (made) return made;
    const level = levelOf(grouping);
    const classes = (): Uint8Array =>
      table(`${theme}.unpinned${at}`, `${theme}${at}`, `${theme}.${of.classes.length}`);
    const groups = (j: number): Uint8Array => table(`${theme}${at}${MARK}${j}`);
    if (level === "class") made = classes();
    else if (level !== "finest") made = groups(level);
    else
      made = joined([classes(), ...(of.superclasses?.levels ?? []).map((_, j) => groups(j + 1))]);
    if (!free) {
      const others = of.rest === "wheel" ? null : table(`${theme}.grey`);
      const hues = table(`${theme}.pins${at}`, `${theme}.pins`);
      made = withPins(made, pins, hues, others, of.colored ?? [], LEVELS);
    }
    this.made.set(key, made);
    if (this.made.size > KEPT_PALETTES) this.made.delete(this.made.keys().next().value as string);
    return made;
  }
}

function joined(tables: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(tables.reduce((sum, table) => sum + table.length, 0));
  let at = 0;
  for (const table of tables) {
    all.set(table, at);
    at += table.length;
  }
  return all;
}
