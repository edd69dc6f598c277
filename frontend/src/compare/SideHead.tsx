// The room of each side, and what stands above it.

import { percent } from "../format";
import type { Size } from "../frame/size";
import { highlighted } from "../state/chosen";
import { facts } from "./now";
import { sideText } from "./sentences";

/** Of a side's name. */
const HEAD = 26;
/** A network lower than this is no picture: where two do not stand above one another, they stand
 * beside one another. */
const LEAST = 150;
const BETWEEN = 24;
const NARROWEST = 220;

export interface Room {
  beside: boolean;
  width: number;
  height: number;
}

/** The room of each side, and whether they stand beside one another. */
export function roomOf(size: Size, lowest = LEAST, narrowest = NARROWEST): Room {
  const above = Math.floor(size.height / 2) - HEAD;
  const width = Math.floor((size.width - BETWEEN) / 2);
  if (above >= lowest || width < narrowest)
    return { beside: false, width: size.width, height: Math.max(lowest, above) };
  return { beside: true, width, height: Math.max(lowest, size.height - HEAD) };
}

export function SideHead({ letter, name, index }: { letter: string; name: string; index: 0 | 1 }) {
  const both = facts.value;
  const side = both && (index === 0 ? both.a : both.b);
  const share =
    side && Number.isFinite(side.share)
      ? ` · ${percent(side.share)} tuned${highlighted.value < 0 ? "" : " to it"}`
      : "";
  return (
    <h2 class="side-head" data-testid={`side-${letter.toLowerCase()}`}>
      <b>{letter}</b>
      <bdi class="path">{name}</bdi>
      <small>
        {side && sideText(side)}
        {share}
      </small>
    </h2>
  );
}
