"""How a run went, in numbers per snapshot, layer and class."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.measures import DEFAULT, TUNED
from huelapse.painting import CHUNK, HELD, NO_DATA, NOT_FINITE, SILENT, Painter
from huelapse.schema import TRUE
from huelapse.stored import Stored


@dataclass(frozen=True, slots=True)
class Curves:
    """Arrays along snapshots. Shares are of a layer's units; NaN where a layer has no data.

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
    run: Stored,
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
    name = run.split(split).name
    steps = run.coordinate("step", name).astype(np.int64)
    layers, classes = run.layers, len(run.grouping(grouping, name).classes)
    shape = (len(steps), len(layers))
    made = {
        part: np.full(shape, np.nan) for part in ("mean_strength", "tuned", "silent", "magnitude")
    }
    to_class = np.full((*shape, classes), np.nan)
    painter = Painter(run)
    for chunk in range(painter.chunks(name)):
        painted = painter.chunk(name, grouping, measure, chunk)
        own = slice(chunk * CHUNK, chunk * CHUNK + len(painted["n"]))
        made["mean_strength"][own] = painted["mean_strength"]
        made["magnitude"][own] = painted["magnitude"]
        state, level = painted["state"], painted["level"]
        tuned = (state == HELD) & (level >= 100 * threshold - 1e-9)
        known = ~np.isin(state, (NO_DATA, NOT_FINITE))
        for i, layer in enumerate(layers):
            units = layer.slice
            there = np.asarray(known[:, units].any(1))
            made["tuned"][own, i] = _share(tuned[:, units], there)
            made["silent"][own, i] = _share(state[:, units] == SILENT, there)
            preferred = painted["preferred"][:, units]
            for k in range(classes):
                to_class[own, i, k] = _share(tuned[:, units] & (preferred == k), there)
    return Curves(step=steps, to_class=to_class, **made)


def _share(which: np.ndarray, there: np.ndarray) -> np.ndarray:
    return np.where(there, which.mean(1), np.nan)
