// Which rows the list of classes has: found, sorted, or in superclasses that open.

import { baseOf, groupsOf, levelOf, orderOf, type Group } from "../run/groupings";
import type { Grouping } from "../wire/manifest";

/** So many classes are seen at once, and have a key each; more have tools to find them. */
export const FEW = 10;

export interface Row {
  /** Of the grouping's classes; -1 of a superclass that only opens. */
  cls: number;
  name: string;
  /** How many superclasses it stands in. */
  depth: number;
  /** Which of the grouping's superclasses it is, by `groupsOf`; -1 of a class. */
  group: number;
  open: boolean;
  /** The classes whose units are its own. */
  counted: readonly number[];
  /** A superclass's own units, apart from those of its classes. */
  itself: boolean;
}

export interface Listing {
  /** By `rank`, greatest first; null for the order in which classes are given. */
  rank: ArrayLike<number> | null;
  byName: boolean;
  bySuperclass: boolean;
  query: string;
  opened: ReadonlySet<number>;
}

/** Letters without case, accents and forms, for what is typed to find what is meant. */
export const folded = (text: string): string =>
  text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase().trim();

const byText = new Intl.Collator(undefined, { numeric: true });

export function rowsOf(grouping: Grouping, how: Listing): Row[] {
  const { classes } = grouping;
  const query = folded(how.query);
  if (query) return found(grouping, query);
  if (how.bySuperclass && isNested(grouping)) return nested(grouping, how.opened);
  const { rank } = how;
  // what belongs together stands together, where nothing else decides
  const order = rank || how.byName ? [...orderOf(grouping)] : classes.map((_, k) => k);
  if (rank) order.sort((a, b) => known(rank[b]) - known(rank[a]));
  else if (how.byName) order.sort((a, b) => byText.compare(classes[a], classes[b]));
  return order.map((k) => rowOf(grouping, k));
}

/** What is not known stands last. */
const known = (value: number): number => (Number.isNaN(value) ? -1e9 : value);

/** Whether its classes can be listed by what they belong to. */
export const isNested = (grouping: Grouping): boolean =>
  typeof levelOf(grouping) !== "number" && groupsOf(grouping).length > 0;

function rowOf(grouping: Grouping, cls: number, depth = 0): Row {
  const own = baseOf(grouping).classes.length;
  const itself = levelOf(grouping) === "finest" && cls >= own;
  const group = itself ? cls - own : -1;
  return { cls, name: grouping.classes[cls], depth, group, open: false, counted: [cls], itself };
}

/** Classes whose name has the text: where it begins the name, then where it begins a word of it. */
function found(grouping: Grouping, query: string): Row[] {
  const matches: { k: number; at: number }[] = [];
  grouping.classes.forEach((name, k) => {
    const text = folded(name);
    const at = text.indexOf(query);
    if (at < 0) return;
    matches.push({ k, at: at === 0 ? 0 : /[\p{L}\p{N}]/u.test(text[at - 1]) ? 2 : 1 });
  });
  matches.sort((a, b) => a.at - b.at || a.k - b.k);
  return matches.map(({ k }) => rowOf(grouping, k));
}

function nested(grouping: Grouping, opened: ReadonlySet<number>): Row[] {
  const groups = groupsOf(grouping);
  const own = baseOf(grouping).classes.length;
  const finest = levelOf(grouping) === "finest";
  const widest = Math.max(...groups.map((one) => one.level));
  const rows: Row[] = [];
  const within = (inner: Group, outer: Group): boolean =>
    inner.level === outer.level - 1 && outer.members.includes(inner.members[0]);
  const add = (i: number, depth: number): void => {
    const group = groups[i];
    const inner = groups.flatMap((one, j) => (within(one, group) ? [j] : []));
    const counted = finest
      ? [...group.members, ...groupsIn(groups, i).map((j) => own + j)]
      : group.members;
    const open = opened.has(i);
    const name = nameOf(grouping, group);
    rows.push({ cls: -1, name, depth, group: i, open, counted, itself: false });
    if (!open) return;
    if (finest) rows.push({ ...rowOf(grouping, own + i, depth + 1), itself: true });
    if (inner.length > 0) for (const j of inner) add(j, depth + 1);
    else for (const k of group.members) rows.push(rowOf(grouping, k, depth + 1));
  };
  groups.forEach((group, i) => group.level === widest && add(i, 0));
  return rows;
}

/** A superclass and all that are in it. */
function groupsIn(groups: readonly Group[], i: number): number[] {
  const outer = groups[i];
  return groups.flatMap((one, j) =>
    j === i || (one.level < outer.level && outer.members.includes(one.members[0])) ? [j] : [],
  );
}

const nameOf = (grouping: Grouping, group: Group): string =>
  baseOf(grouping).superclasses?.levels[group.level].names[group.group] ?? "";

/** The superclasses that must be open for a class to be seen. */
export function above(grouping: Grouping, cls: number): number[] {
  const own = baseOf(grouping).classes.length;
  const groups = groupsOf(grouping);
  if (cls >= own)
    return groups.flatMap((_, i) => (groupsIn(groups, i).includes(cls - own) ? [i] : []));
  return groups.flatMap((one, i) => (one.members.includes(cls) ? [i] : []));
}
