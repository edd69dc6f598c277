import { view } from "../state/chosen";
import { VIEWS, type View } from "../url";

/** The table stands for a picture and has a button of its own. */
type Pictured = Exclude<View, "table">;

const TITLES: Record<Pictured, string> = {
  network: "Network",
  layer: "Layer",
  classes: "Classes",
  confusion: "Confusion",
  samples: "Samples",
  compare: "Compare",
  geometry: "Geometry",
};

const KEY: Record<Pictured, string> = {
  network: "N",
  layer: "L",
  classes: "C",
  confusion: "X",
  samples: "P",
  compare: "R",
  geometry: "G",
};

/** Which picture of the run is shown; as a list where room is short. */
export function Views() {
  return (
    <>
      <select
        class="choice views-list"
        aria-label="View"
        data-testid="views-list"
        value={view.value}
        onChange={(event) => (view.value = event.currentTarget.value as View)}
      >
        {VIEWS.map((name) => (
          <option key={name} value={name}>
            {name === "table" ? "Table" : TITLES[name]}
          </option>
        ))}
      </select>
      <Tabs />
    </>
  );
}

function Tabs() {
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
