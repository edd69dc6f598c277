import { highlighted, session, shownGrouping, unit } from "../state";
import { ClassCard } from "./ClassCard";
import { SnapshotCard } from "./SnapshotCard";
import { UnitCard } from "./UnitCard";

/** The selected unit, else the highlighted class, else the snapshot. */
export function Inspector() {
  const open = session.value;
  if (!open) return <aside class="inspector" />;
  const chosen = unit.value >= 0 || highlighted.value >= 0;
  return (
    <aside
      class={`inspector${chosen ? " chosen" : ""}`}
      aria-label="Inspector"
      data-testid="inspector"
    >
      {unit.value >= 0 ? (
        // a unit read by one measure or split says nothing of another: its card is a new one
        <UnitCard
          key={[open.split.name, open.measure.name, shownGrouping.value?.name, unit.value].join(
            "/",
          )}
          unit={unit.value}
        />
      ) : highlighted.value >= 0 ? (
        <ClassCard cls={highlighted.value} />
      ) : (
        <SnapshotCard />
      )}
    </aside>
  );
}
