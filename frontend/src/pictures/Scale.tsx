// The key of a luminance scale: its least and its greatest value.

import { digitsFor, fixed } from "../format";
import { theme } from "../state/chosen";
import { gradientOf } from "./sheet";

export function Scale({ low, high }: { low: number; high: number }) {
  const digits = digitsFor(high - low);
  return (
    <p class="scale note" data-testid="map-scale">
      <span class="number">{low === 0 ? "0" : fixed(low, digits)}</span>
      <i style={{ background: gradientOf(theme.value) }} />
      <span class="number">{fixed(high, digits)}</span>
    </p>
  );
}
