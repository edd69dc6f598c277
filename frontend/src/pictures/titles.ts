// What the pictures of a layer are, above them.

import { said } from "../inline";
import { classes } from "../state/shown";
import { layerShows, session } from "../state/chosen";
import { aboutWeights, shownOf } from "./about";
import { mapsClass } from "./shown";

/** "" where the layer view shows cells. */
export function picturesSubtitle(l: number): string {
  const open = session.value;
  const what = shownOf(l, layerShows.value);
  if (!open || what === "cells") return "";
  if (what === "weights")
    return open.has("first_weights")
      ? `${aboutWeights(open.split)}. A row is a filter: large as it is now, then through training.`
      : "";
  if (!open.split.maps?.includes(l)) return "";
  const k = mapsClass();
  const of = k >= 0 ? `samples of ${said(classes.value[k] ?? "")}` : "all samples";
  return `Where each unit responds: its mean map over ${of}, from 0 (or its least, if below) to its greatest. The bar: the color of its cell.`;
}
