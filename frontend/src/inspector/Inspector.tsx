import { computed } from "@preact/signals";
import { CellCard } from "../confusion/CellCard";
import { shownCell } from "../confusion/now";
import { SampleCard } from "../samples/SampleCard";
import { cell, highlighted, sample, session, unit, view } from "../state/chosen";
import { shownGrouping } from "../state/shown";
import { happened, moment, shownEvent } from "../run/happened";
import { ClassCard } from "./ClassCard";
import { EventCard } from "./EventCard";
import { MomentCard } from "./Happened";
import { SnapshotCard } from "./SnapshotCard";
import { UnitCard } from "./UnitCard";

/** Whether something was chosen that the inspector must have room for. */
export const isChosen = computed(
  () =>
    unit.value >= 0 ||
    moment.value !== null ||
    shownEvent.value >= 0 ||
    highlighted.value >= 0 ||
    (view.value === "confusion" && cell.value !== null) ||
    (view.value === "samples" && sample.value >= 0 && (session.value?.has("samples") ?? false)),
);

/** The event that is looked at, the moment that was clicked, the selected unit, else in the confusion a cell of it, else the highlighted class, else the
 * snapshot. */
export function Inspector() {
  const open = session.value;
  if (!open) return <aside class="inspector" />;
  const confused = view.value === "confusion" ? shownCell.value : null;
  return (
    <aside
      class={`inspector${isChosen.value ? " chosen" : ""}`}
      aria-label="Inspector"
      data-testid="inspector"
    >
      {shownEvent.value >= 0 && happened.value ? (
        <EventCard events={happened.value} i={shownEvent.value} />
      ) : moment.value ? (
        <MomentCard of={moment.value} />
      ) : unit.value >= 0 ? (
        // a unit read by one measure or split says nothing of another: its card is a new one
        <UnitCard
          key={[open.split.name, open.measure.name, shownGrouping.value?.name, unit.value].join(
            "/",
          )}
          unit={unit.value}
        />
      ) : view.value === "samples" && sample.value >= 0 ? (
        <SampleCard key={`${open.split.name}/${sample.value}`} sample={sample.value} />
      ) : confused && (cell.value || highlighted.value < 0) ? (
        <CellCard of={confused} />
      ) : highlighted.value >= 0 ? (
        <ClassCard cls={highlighted.value} />
      ) : (
        <SnapshotCard />
      )}
    </aside>
  );
}
