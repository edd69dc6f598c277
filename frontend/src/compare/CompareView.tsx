// Two runs, splits or groupings, one above the other (beside it in a low window), with one slider.

import { useEffect, useMemo, useRef } from "preact/hooks";
import { drawn } from "../network/drawn";
import { layoutNetwork, type Layout } from "../network/layout";
import { useSize } from "../frame/size";
import { isolated } from "../inline";
import { samplesAt } from "../run/counts";
import { runs } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import { viewTitle } from "../titles";
import type { Layer } from "../wire/manifest";
import { Block } from "./Block";
import { Choices } from "./Choices";
import {
  against,
  comparable,
  nothing,
  pairedSnapshot,
  refused,
  sidesOf,
  unreadable,
  type Against,
} from "./now";
import { compareSubtitle } from "./sentences";
import { roomOf, SideHead, type Room } from "./SideHead";
import { Trellises } from "./Trellises";

export function CompareView() {
  const found = against.value;
  return (
    <>
      <div class="head">
        <h1 data-testid="title">{viewTitle}</h1>
        {found ? <Caveats found={found} /> : <p class="subtitle">{why()}</p>}
      </div>
      {comparable.value && <Choices />}
      {found ? <Both found={found} /> : <Nothing />}
    </>
  );
}

/** Why there is nothing to see. */
function why(): string {
  if (!comparable.value)
    return "This is a run that was exported: other runs can be compared with by huelapse view A B.";
  if (refused.value) return `${refused.value.why}.`;
  if (unreadable.value) return unreadable.value;
  if (!nothing.value) return "";
  return "Open a folder of runs, or several (huelapse view A B), or record another split or grouping.";
}

function Nothing() {
  const settled =
    !comparable.value || refused.value !== null || unreadable.value !== "" || nothing.value;
  useEffect(() => drawn.view(settled, 0), [settled]);
  return <div class="compare" data-testid="compare" />;
}

function Caveats({ found }: { found: Against }) {
  const { a, b } = sidesOf(found);
  const { beside } = found;
  const n = [a, b].map(({ track, snapshot: at }) =>
    at.value < 0 ? 0 : samplesAt(track.summary, track.grouping.classes.length, at.value),
  );
  const text = compareSubtitle({
    sameUnits: beside.same_units,
    otherSamples: beside.samples !== null,
    layers: beside.layers,
    n: pairedSnapshot.value < 0 ? [0, 0] : [n[0], n[1]],
  });
  return (
    <p class="subtitle" title={beside.samples ?? undefined}>
      {text}
    </p>
  );
}

/** What tells the two from one another, and no more. */
function namesOf(found: Against): [string, string] {
  const { a, b, track } = found;
  const titles = [shownGrouping.value?.title ?? "", track.grouping.title];
  const name = (open: Against["a"]): string => {
    const same = a.run !== b.run && a.manifest.name === b.manifest.name;
    const place = runs.value.find((run) => run.id === open.run)?.place;
    return same && place ? place : open.manifest.name;
  };
  return [a, b].map((open, i) =>
    [
      a.run !== b.run && name(open),
      a.split.name !== b.split.name && open.split.name,
      titles[0] !== titles[1] && titles[i],
    ]
      .filter((text) => text !== false)
      .map(isolated)
      .join(" · "),
  ) as [string, string];
}

/** Cells that can be told apart. */
const SEEN = 4;
const [TALLER, TALLEST] = [20, 120];

/** A network as a side; where its cells could not be seen it is taller, and both scroll together. */
function layoutSide(layers: readonly Layer[], room: Room): Layout {
  const fit = (more: number): Layout =>
    layoutNetwork(layers, room.width, room.height + more, devicePixelRatio || 1);
  const first = fit(0);
  if (first.cell >= SEEN) return first;
  for (let more = TALLER; more <= TALLEST; more += TALLER) {
    const taller = fit(more);
    if (taller.cell >= SEEN) return taller;
  }
  return first;
}

function Both({ found }: { found: Against }) {
  const frame = useRef<HTMLDivElement>(null);
  const size = useSize(frame);
  const { a, b } = sidesOf(found);
  const names = namesOf(found);
  const room = size && size.width > 0 ? roomOf(size) : null;
  const layout = useMemo(
    () => room && layoutSide(found.a.layers, room),
    [found.a, room?.width, room?.height],
  );
  const networks = found.beside.layers === null;
  return (
    <div
      class={networks && room?.beside ? "compare beside" : "compare"}
      ref={frame}
      data-testid="compare"
      tabIndex={0}
      role="region"
      aria-label="A and B"
    >
      {!networks
        ? size && size.width > 0 && <Trellises a={a} b={b} names={names} size={size} />
        : layout &&
          [a, b].map((side, i) => (
            <section key={i}>
              <SideHead letter={i === 0 ? "A" : "B"} name={names[i]} index={i as 0 | 1} />
              <Block
                index={i as 0 | 1}
                side={side}
                layout={layout}
                label={`Units of ${i === 0 ? "A" : "B"}, ${names[i]}, colored by preferred class`}
                own={i === 0 || found.beside.same_units}
              />
            </section>
          ))}
    </div>
  );
}
