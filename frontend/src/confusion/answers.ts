// Colors of what samples were read as.

import { cssColor } from "../network/colors";
import { answerColors } from "../state/shown";
import { LEVELS } from "../wire/manifest";

/** Colors of the true classes, which are those of the answers too. */
export const answerPalette = (): Uint8Array => answerColors.value;

export const answerColor = (palette: Uint8Array, k: number): string =>
  cssColor(palette, 4 * (k * LEVELS + LEVELS - 1));
