// Groupings as they can be shown: those recorded, and of each whose classes have superclasses one by
// every level of these and one by the finest level that holds (docs/wire.md).

import type { Grouping, Split } from "../wire/manifest";

/** Between a grouping's name and its level. */
export const MARK = "~";
const FINEST = "finest";

/** By which level a grouping is shown: its classes, the finest that holds, or superclasses. */
export type Level = "class" | "finest" | number;

interface Derived extends Grouping {
  of: Grouping;
  level: Level;
}

const known = new WeakMap<Grouping, Derived[]>();

/** By the finest level that holds, and by each level of superclasses. */
function derived(of: Grouping): Derived[] {
  const found = known.get(of);
  if (found) return found;
  const { name, title, classes, superclasses } = of;
  const levels = superclasses?.levels ?? [];
  const one = (level: Level, own: string[]): Derived => {
    return { name: `${name}${MARK}${level}`, title, classes: own, of, level };
  };
  const made =
    levels.length === 0
      ? []
      : [
          one(FINEST, [...classes, ...levels.flatMap((level) => level.names)]),
          ...levels.map((level, j) => one(j + 1, level.names)),
        ];
  known.set(of, made);
  return made;
}

const isDerived = (grouping: Grouping): grouping is Derived => "of" in grouping;

/** The recorded grouping that is shown, by whatever level. */
export const baseOf = (grouping: Grouping): Grouping =>
  isDerived(grouping) ? grouping.of : grouping;

export const levelOf = (grouping: Grouping): Level =>
  isDerived(grouping) ? grouping.level : "class";

/** How many of a grouping's classes are those of the recorded one, which stand first. */
export const ownClasses = (grouping: Grouping): number => {
  const level = levelOf(grouping);
  return level === "class" || level === FINEST ? baseOf(grouping).classes.length : 0;
};

/** The grouping of a split by its name. */
export function groupingNamed(split: Split, name: string): Grouping | undefined {
  const [base, mark] = name.split(MARK);
  const found = split.groupings.find((g) => g.name === base);
  if (!found || mark === undefined) return found;
  return derived(found).find((g) => g.name === name);
}

/** The same grouping by another level, if it has that. */
export function byLevel(grouping: Grouping, level: Level): Grouping {
  const base = baseOf(grouping);
  return derived(base).find((g) => levelOf(g) === level) ?? base;
}

/** Levels by which a grouping can be shown; its classes alone where they belong to nothing. */
export const levelsOf = (grouping: Grouping): Level[] => [
  "class",
  ...derived(baseOf(grouping)).map(levelOf),
];

/** Whether the classes of one are those of the other, as far as both have them: what is pinned or
 * highlighted in one is then the same in the other. */
export function sharedClasses(one: Grouping | null, other: Grouping): number {
  if (!one) return 0;
  const [a, b] = [baseOf(one), baseOf(other)];
  if (a !== b && a.classes.join("\n") !== b.classes.join("\n")) return 0;
  if (levelOf(one) === levelOf(other)) return one.classes.length;
  return Math.min(ownClasses(one), ownClasses(other));
}

/** The superclass that a class of a grouping by its finest level is, and its members; null of others. */
export interface Group {
  level: number;
  group: number;
  members: number[];
}

const groups = new WeakMap<Grouping, Group[]>();

/** All groups of a recorded grouping, level by level, as they stand in the finest after its classes. */
export function groupsOf(grouping: Grouping): Group[] {
  const base = baseOf(grouping);
  let found = groups.get(base);
  if (!found) {
    found = (base.superclasses?.levels ?? []).flatMap(({ names, group }, level) => {
      const members = names.map((): number[] => []);
      group.forEach((g, k) => members[g].push(k));
      return members.map((own, g) => ({ level, group: g, members: own }));
    });
    groups.set(base, found);
  }
  return found;
}

export function groupAt(grouping: Grouping, k: number): Group | null {
  const level = levelOf(grouping);
  if (level === "class") return null;
  const all = groupsOf(grouping);
  if (level === FINEST) return all[k - baseOf(grouping).classes.length] ?? null;
  return all.filter((one) => one.level === level - 1)[k] ?? null;
}

/** What to say of a class beside its name: of a superclass that none of its own holds. */
export function levelWords(grouping: Grouping, k: number): string {
  if (levelOf(grouping) !== FINEST) return "";
  const group = groupAt(grouping, k);
  if (!group) return "";
  if (group.level === 0) return "a superclass, as no class surely holds";
  return "a superclass, as no class nor narrower superclass surely holds";
}

const orders = new WeakMap<Grouping, Uint16Array>();

/** The place of each class in the order in which they are shown: those of a superclass together, after
 * it; as they are given where they belong to nothing. */
export function placesOf(grouping: Grouping): Uint16Array {
  let places = orders.get(grouping);
  if (places) return places;
  const K = grouping.classes.length;
  places = Uint16Array.from({ length: K }, (_, k) => k);
  const levels = baseOf(grouping).superclasses?.levels ?? [];
  if (levels.length > 0 && ownClasses(grouping) > 0) {
    // from the widest level down to the class; a group stands before its members
    const pathOf = (k: number): number[] => {
      const group = groupAt(grouping, k);
      const member = group ? group.members[0] : k;
      const own = levels.map((level) => level.group[member]).reverse();
      return group ? own.slice(0, levels.length - group.level) : [...own, member];
    };
    const paths = Array.from({ length: K }, (_, k) => pathOf(k));
    const order = Array.from({ length: K }, (_, k) => k).sort((a, b) => {
      for (let i = 0; i < Math.max(paths[a].length, paths[b].length); i++) {
        const by = (paths[a][i] ?? -1) - (paths[b][i] ?? -1);
        if (by !== 0) return by;
      }
      return a - b;
    });
    order.forEach((k, place) => ((places as Uint16Array)[k] = place));
  }
  orders.set(grouping, places);
  return places;
}

const orderings = new WeakMap<Grouping, readonly number[]>();

/** Classes in the order of their places. */
export function orderOf(grouping: Grouping): readonly number[] {
  let order = orderings.get(grouping);
  if (!order) {
    const made: number[] = [];
    placesOf(grouping).forEach((place, k) => (made[place] = k));
    orderings.set(grouping, (order = made));
  }
  return order;
}
