"""Whether the same units prefer the same class by two splits or groupings of a run."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from huelapse.comparing.checking import class_order
from huelapse.measures import DEFAULT
from huelapse.run import Run
from huelapse.schema import TRUE


@dataclass(frozen=True, slots=True)
class Agreement:
    """Units of each layer, counted: both hold a preference and agree or not, one does, or none."""

    layers: tuple[str, ...]
    agree: Int64[np.ndarray, " layer"]
    disagree: Int64[np.ndarray, " layer"]
    only_first: Int64[np.ndarray, " layer"]
    only_second: Int64[np.ndarray, " layer"]
    neither: Int64[np.ndarray, " layer"]


def agreement(
    run: Run,
    step: int | None = None,
    *,
    split: str | None = None,
    other_split: str | None = None,
    grouping: str = TRUE,
    other_grouping: str | None = None,
    measure: str = DEFAULT,
) -> Agreement:
    """Count them at a step (default: the first split's last), by the unit's own index.

    Args:
        split, grouping: of the first; the second's where `other_split`, `other_grouping` do not say
            otherwise. The other split needs a snapshot at the same step.

    Raises:
        ComparisonError: the classes differ.
        SelectionError: there is no such step, split or grouping.
    """
    split_b = other_split if other_split is not None else split
    grouping_b = other_grouping if other_grouping is not None else grouping
    order = class_order(
        run.grouping(grouping, split).classes, run.grouping(grouping_b, split_b).classes
    )
    at = int(run.coordinate("step", split)[run.index(step, split)])
    one = run.reading(run.index(at, split), grouping, split, measure).preference
    other = run.reading(run.index(at, split_b), grouping_b, split_b, measure).preference
    back = np.argsort(order)  # the second's class → the first's
    same = (one.preferred == back[np.maximum(other.preferred, 0)]) & (
        one.suppressed == other.suppressed
    )
    kinds = {
        "agree": one.held & other.held & same,
        "disagree": one.held & other.held & ~same,
        "only_first": one.held & ~other.held,
        "only_second": ~one.held & other.held,
        "neither": ~one.held & ~other.held,
    }
    return Agreement(
        layers=tuple(layer.path for layer in run.layers),
        **{
            name: np.array([int(which[layer.slice].sum()) for layer in run.layers], np.int64)
            for name, which in kinds.items()
        },
    )
