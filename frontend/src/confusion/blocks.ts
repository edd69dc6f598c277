// In which order many classes stand in the matrix, and which of them belong together.

import { groupsOf, orderOf } from "../run/groupings";
import type { Grouping } from "../wire/manifest";

export const ORDERS = ["given", "superclass", "alike"] as const;
export type MatrixOrder = (typeof ORDERS)[number];

/** A run of classes that belong to one superclass, from a place in the order on. */
export interface Block {
  name: string;
  from: number;
  length: number;
}

/** The widest superclasses, as they stand in the order by superclass. */
export function blocksOf(grouping: Grouping): Block[] {
  const widest = grouping.superclasses?.levels.length ?? 0;
  const names = grouping.superclasses?.levels[widest - 1]?.names ?? [];
  const order = orderOf(grouping);
  return groupsOf(grouping)
    .filter((group) => group.level === widest - 1)
    .map((group) => ({
      name: names[group.group],
      from: Math.min(...group.members.map((k) => order.indexOf(k))),
      length: group.members.length,
    }));
}
