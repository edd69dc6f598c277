import { positions } from "../state/shown";
import { snapshot } from "../state/chosen";

/** The playhead as a line through small pictures. Moving it costs no layout and no drawing. */
export function Reading({ width }: { width: number }) {
  const x = Math.round((positions.value[snapshot.value] ?? 0) * width);
  return <i class="reading" style={{ transform: `translateX(${x}px)` }} aria-hidden="true" />;
}
