"""How a run went, in numbers per snapshot, layer and class."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.measures import DEFAULT, TUNED
from huelapse.painting import (
    CHUNK,
    NO_DATA,
    NOT_DEFINED,
    NOT_FINITE,
    SILENT,
    Painter,
    tuned,
)
from huelapse.schema import TRUE


@dataclass(frozen=True, slots=True)
class Curves:
    """Arrays along snapshots. Shares are of a layer's units; NaN where a layer has no data, and
    where the measure is not defined for it.

    Read down the last axis, `mean_strength[t]` and `tuned[t]` are the profile over depth.
    """

    step: Int64[np.ndarray, " snapshot"]
    mean_strength: Float64[np.ndarray, "snapshot layer"]
    """Mean strength of units, those not held counting 0."""
    tuned: Float64[np.ndarray, "snapshot layer"]
    silent: Float64[np.ndarray, "snapshot layer"]
    to_class: Float64[np.ndarray, "snapshot layer class"]
    """Units tuned to each class (or suppressed by it)."""
    magnitude: Float64[np.ndarray, "snapshot layer"]
    """Root mean square of all responses: a layer may stay selective while its responses fade."""


def curves_of(
    painter: Painter,
    split: str | None = None,
    grouping: str = TRUE,
    measure: str = DEFAULT,
    threshold: float = TUNED,
) -> Curves:
    """The curves of a run so far; see `Curves`.

    Raises:
        SelectionError: there is no such split, grouping or measure.
        FormatError: a part of the run is missing or damaged.
    """
    run = painter.run
    name = run.split(split).name
    steps = run.coordinate("step", name).astype(np.int64)
    layers, classes = run.layers, len(run.grouping(grouping, name).classes)
    shape = (len(steps), len(layers))
    made = {
        part: np.full(shape, np.nan) for part in ("mean_strength", "tuned", "silent", "magnitude")
    }
    to_class = np.full((*shape, classes), np.nan)
    for chunk in range(painter.chunks(name)):
        painted = painter.chunk(name, grouping, measure, chunk)
        own = slice(chunk * CHUNK, chunk * CHUNK + len(painted["n"]))
        made["mean_strength"][own] = painted["mean_strength"]
        made["magnitude"][own] = painted["magnitude"]
        which = tuned(painted["state"], painted["level"], threshold)
        for i, layer in enumerate(layers):
            state, preferred = (
                painted["state"][:, layer.slice],
                painted["preferred"][:, layer.slice],
            )
            there = ~np.isin(state, (NO_DATA, NOT_FINITE))
            judged = (there & (state != NOT_DEFINED)).any(1)
            made["silent"][own, i] = np.where(there.any(1), (state == SILENT).mean(1), np.nan)
            counts = np.stack(
                [
                    np.bincount(preferred[t][which[t, layer.slice]], minlength=classes)
                    for t in range(len(state))
                ]
            )
            to_class[own, i] = np.where(judged[:, None], counts / layer.units, np.nan)
    made["tuned"] = to_class.sum(2)
    return Curves(step=steps, to_class=to_class, **made)
