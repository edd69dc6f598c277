// How classes lie in each layer's space, through training: a panel for each number, a line for each
// layer, and how alike the layers are to those at the end.

import { useEffect } from "preact/hooks";
import { LayerChooser } from "../layer/LayerChooser";
import { count } from "../format";
import { drawn } from "../network/drawn";
import type { Geometry } from "../run/resources";
import type { Session } from "../run/session";
import { chosenLayer, session } from "../state/chosen";
import { shownLayer } from "../state/shown";
import { viewTitle } from "../titles";
import { geometry, geometryProblem, isWhole } from "./now";
import { Panel } from "./Panel";
import { PANELS, panelsOf } from "./panels";
import { SimilarityPanel } from "./SimilarityPanel";

export function GeometryView() {
  const open = session.value;
  const found = geometry.value;
  const there = open?.has("geometry") ?? false;
  const settled = !there || geometryProblem.value !== "" || (found?.snapshot.length ?? 0) > 0;
  useEffect(() => drawn.view(settled, 0), [settled, open]);
  if (!open) return null;
  const layer = shownLayer.value;
  return (
    <>
      <div class="head with-choice">
        <div>
          <h1 data-testid="title">{viewTitle}</h1>
          <p class="subtitle">{found ? subtitleOf(found) : geometryProblem.value}</p>
        </div>
        {there && <LayerChooser open={open} l={layer} onChoose={(l) => (chosenLayer.value = l)} />}
      </div>
      <div
        class="geometry"
        data-testid="geometry"
        tabIndex={0}
        role="region"
        aria-label="Geometry of classes"
      >
        {found && found.snapshot.length > 0 && <Panels open={open} found={found} />}
      </div>
    </>
  );
}

function subtitleOf(found: Geometry): string {
  const far = isWhole(found)
    ? ""
    : ` ${count(found.snapshot.length)} of ${count(found.wanted)} snapshots so far.`;
  return `By true label. A line is a layer, fainter the earlier; click one to choose it. Dotted: chance. Collapse: every class shrinks to a point, all equally far apart.${far}`;
}

function Panels({ open, found }: { open: Session; found: Geometry }) {
  const kept = PANELS.filter((spec) => spec.kept).some((spec) =>
    found.values[spec.name].some((v) => !Number.isNaN(v)),
  );
  const classes = open.split.groupings.find(({ name }) => name === "true")?.classes.length ?? 0;
  return (
    <>
      {panelsOf(classes, kept).map((spec) => (
        <Panel key={spec.name} spec={spec} open={open} found={found} />
      ))}
      {open.has("similarity") && kept && <SimilarityPanel open={open} />}
      {!kept && (
        <section class="geometry-panel" data-testid="geometry-missing">
          <h2>What a layer tells of the class was not recorded.</h2>
          <p class="note whole">
            {open.split.kind === "probe" && !open.split.multilabel
              ? "Probes, NC1, rotations and the similarity of layers need the responses themselves: record with Recorder(keep_responses=True)."
              : "Probes, NC1, rotations and the similarity of layers need the responses of a probe whose samples have one label each."}
          </p>
        </section>
      )}
    </>
  );
}
