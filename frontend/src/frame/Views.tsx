import { view } from "../state";
import { VIEWS, type View } from "../url";

const TITLES: Record<View, string> = {
  network: "Network",
  layer: "Layer",
  classes: "Classes",
  confusion: "Confusion",
  samples: "Samples",
};

const KEY: Record<View, string> = {
  network: "N",
  layer: "L",
  classes: "C",
  confusion: "X",
  samples: "P",
};

/** Which picture of the run is shown. */
export function Views() {
  return (
    <nav class="views" aria-label="Views">
      {VIEWS.map((name) => (
        <button
          key={name}
          type="button"
          data-testid={`view-${name}`}
          aria-current={view.value === name ? "page" : undefined}
          title={`${TITLES[name]} (${KEY[name]})`}
          onClick={() => (view.value = name)}
        >
          {TITLES[name]}
        </button>
      ))}
    </nav>
  );
}
