// What the layer view shows: cells, where units respond, or first weights.

import { layerShows, session } from "../state/chosen";
import type { Shows as What } from "../url";
import { shownOf } from "./about";
import { FirstWeightsView } from "./FirstWeights";
import { MapsView } from "./MapsView";

const NAMES: Record<What, string> = { cells: "Responses", maps: "Maps", weights: "First weights" };

export function ShowsChoice({ l }: { l: number }) {
  if (!session.value) return null;
  const choices: What[] = l === 0 ? ["cells", "maps", "weights"] : ["cells", "maps"];
  return (
    <span class="segments" role="group" aria-label="Shown of the layer">
      {choices.map((what) => (
        <button
          key={what}
          type="button"
          data-testid={`shows-${what}`}
          aria-pressed={shownOf(l, layerShows.value) === what}
          onClick={() => (layerShows.value = what)}
        >
          {NAMES[what]}
        </button>
      ))}
    </span>
  );
}

/** In the place of cells, where that was asked for. */
export function LayerPictures({ l }: { l: number }) {
  return shownOf(l, layerShows.value) === "weights" ? <FirstWeightsView /> : <MapsView l={l} />;
}
