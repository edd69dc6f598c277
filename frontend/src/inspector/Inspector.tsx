import { highlighted, session, shownGrouping, unit } from "../state";
import { ClassCard } from "./ClassCard";
import { SnapshotCard } from "./SnapshotCard";
import { UnitCard } from "./UnitCard";

/** The selected unit, else the highlighted class, else the snapshot. */
export function Inspector() {
  if (!session.value) return <aside class="inspector" />;
  const chosen = unit.value >= 0 || highlighted.value >= 0;
  return (
    <aside
      class={`inspector${chosen ? " chosen" : ""}`}
      aria-label="Inspector"
      data-testid="inspector"
    >
      {unit.value >= 0 ? (
        <UnitCard key={`${shownGrouping.value?.name}/${unit.value}`} unit={unit.value} />
      ) : highlighted.value >= 0 ? (
        <ClassCard cls={highlighted.value} />
      ) : (
        <SnapshotCard />
      )}
    </aside>
  );
}
