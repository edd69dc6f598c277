import { computed } from "@preact/signals";
import { positions } from "../state/shown";
import { snapshot } from "../state/chosen";

/** Whether the playhead stands at the end, where a line in small pictures would read as their border. */
export const atEnd = computed(() => snapshot.value === positions.value.length - 1);

/** The playhead as a line through small pictures. Moving it costs no layout and no drawing. */
export function Reading({ width }: { width: number }) {
  if (atEnd.value) return null;
  const x = Math.round((positions.value[snapshot.value] ?? 0) * width);
  return <i class="reading" style={{ transform: `translateX(${x}px)` }} aria-hidden="true" />;
}
