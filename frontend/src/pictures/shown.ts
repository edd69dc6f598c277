// Which maps of a layer are shown.

import { highlighted } from "../state/chosen";
import { shownGrouping } from "../state/shown";

/** The class whose samples a layer's maps are of; -1 for all samples. Maps are by true class alone. */
export const mapsClass = (): number =>
  shownGrouping.value?.name === "true" ? highlighted.value : -1;
