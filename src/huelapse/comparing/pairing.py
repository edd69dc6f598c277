"""Two runs, or two splits or groupings of one, layer by layer through training."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.comparing.checking import check_samples, class_order, common_layers
from huelapse.errors import ComparisonError
from huelapse.measures import DEFAULT
from huelapse.run import Run
from huelapse.schema import TRUE

By = Literal["step", "epoch", "accuracy"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Curves of both at paired snapshots, [pair, layer]; of each pair, which step was taken.

    A pair is a snapshot of the first and the nearest of the second; `gap` is how far off that is, in
    steps, epochs or accuracy. Nothing is interpolated. `to_class_*` is [pair, layer, class] with
    classes in the first's order.
    """

    layers: tuple[str, ...]
    classes: tuple[str, ...]
    step_a: Int64[np.ndarray, " pair"]
    step_b: Int64[np.ndarray, " pair"]
    gap: Float64[np.ndarray, " pair"]
    strength_a: Float64[np.ndarray, "pair layer"]
    strength_b: Float64[np.ndarray, "pair layer"]
    tuned_a: Float64[np.ndarray, "pair layer"]
    tuned_b: Float64[np.ndarray, "pair layer"]
    to_class_a: Float64[np.ndarray, "pair layer class"]
    to_class_b: Float64[np.ndarray, "pair layer class"]


@dataclass(frozen=True, slots=True)
class Pairs:
    """Snapshots of the first by index, and for each the nearest of the second; `gap` is how far off
    that is, in steps, epochs or accuracy. Those of the first without a number to go by are left out."""

    a: Int64[np.ndarray, " pair"]
    b: Int64[np.ndarray, " pair"]
    gap: Float64[np.ndarray, " pair"]


def pair(
    a: Run,
    b: Run,
    *,
    by: By = "step",
    split: str | None = None,
    other_split: str | None = None,
) -> Pairs:
    """Which snapshots of two runs, or splits, belong together. Of several as near it is the
    earliest; of several snapshots of one step the first goes with the first, and so on.

    Args:
        split: of a, and of b unless `other_split` says otherwise.

    Raises:
        ComparisonError: there is nothing to pair by.
        SelectionError: there is no such split, or no confusion to take an accuracy from.
    """
    at_a = _along(a, split, by)
    at_b = _along(b, other_split if other_split is not None else split, by)
    known, usable = np.flatnonzero(np.isfinite(at_a)), np.flatnonzero(np.isfinite(at_b))
    if len(known) == 0 or len(usable) == 0:
        raise ComparisonError(
            f"there is no {by} to pair snapshots of {a.name} and {b.name} by; pair them by another"
        )
    values, first = np.unique(at_b[usable], return_index=True)  # the earliest of each
    wanted = at_a[known]
    above = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    below = np.maximum(above - 1, 0)
    over, under = np.abs(values[above] - wanted), np.abs(wanted - values[below])
    lower = (under < over) | ((under == over) & (first[below] < first[above]))
    chosen = np.where(lower, below, above)
    found = usable[first[chosen]]
    if by == "step":  # a step that was made again is laid beside the same making of it
        found = np.array(
            [
                same[min(take, len(same) - 1)]
                for take, value in zip(_takes(wanted), values[chosen], strict=True)
                for same in [usable[at_b[usable] == value]]
            ],
            np.int64,
        )
    return Pairs(a=known, b=found, gap=np.where(lower, under, over))


def _takes(values: np.ndarray) -> list[int]:
    """How many equal ones stand before each."""
    seen: dict[float, int] = {}
    takes: list[int] = []
    for value in values.tolist():
        takes.append(seen.get(value, 0))
        seen[value] = takes[-1] + 1
    return takes


def compare(
    a: Run,
    b: Run,
    *,
    by: By = "step",
    split: str | None = None,
    other_split: str | None = None,
    grouping: str = TRUE,
    other_grouping: str | None = None,
    measure: str = DEFAULT,
    anyway: bool = False,
) -> Comparison:
    """Put two runs beside each other; with a twice, two of its splits or groupings.

    Args:
        by: what pairs snapshots: the same step, epoch, or accuracy.
        split, grouping: of a, and of b unless `other_split`, `other_grouping` say otherwise.
        anyway: compare probes of other samples too, with a warning.

    Raises:
        ComparisonError: other samples, classes or layers, or nothing to pair by.
        SelectionError: there is no such split, grouping or measure.
    """
    split_b = other_split if other_split is not None else split
    grouping_b = other_grouping if other_grouping is not None else grouping
    first, second = a.split(split), b.split(split_b)
    if not (a is b and first.name == second.name):
        check_samples(a, b, first, second, anyway=anyway)
    classes = a.grouping(grouping, split).classes
    order = class_order(classes, b.grouping(grouping_b, split_b).classes)
    layers = common_layers(a, b)
    pairs = pair(a, b, by=by, split=first.name, other_split=second.name)
    known, nearest = pairs.a, pairs.b
    curves_a = a.curves(first.name, grouping, measure)
    curves_b = b.curves(second.name, grouping_b, measure)
    in_a = [a.layers.index(one) for one, _ in layers]
    in_b = [b.layers.index(other) for _, other in layers]
    return Comparison(
        layers=tuple(one.path for one, _ in layers),
        classes=classes,
        step_a=curves_a.step[known],
        step_b=curves_b.step[nearest],
        gap=pairs.gap,
        strength_a=curves_a.mean_strength[known][:, in_a],
        strength_b=curves_b.mean_strength[nearest][:, in_b],
        tuned_a=curves_a.tuned[known][:, in_a],
        tuned_b=curves_b.tuned[nearest][:, in_b],
        to_class_a=curves_a.to_class[known][:, in_a],
        to_class_b=curves_b.to_class[nearest][:, in_b][..., order],
    )


def _along(run: Run, split: str | None, by: By) -> np.ndarray:
    if by == "accuracy":
        return run.accuracy(split)
    if by not in ("step", "epoch"):
        raise ComparisonError(f"by is {by!r}, expected 'step', 'epoch' or 'accuracy'")
    return run.coordinate(by, split).astype(np.float64)
