import { view } from "../state";
import { VIEWS, type View } from "../url";

/** The table stands for a picture and has a button of its own. */
type Pictured = Exclude<View, "table">;

const TITLES: Record<Pictured, string> = {
  network: "Network",
  layer: "Layer",
  classes: "Classes",
  confusion: "Confusion",
  samples: "Samples",
};

const KEY: Record<Pictured, string> = {
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
      {VIEWS.filter((name) => name !== "table").map((name) => (
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
