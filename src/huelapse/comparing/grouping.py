"""Several seeds of one training as one, with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.comparing.checking import check_samples, class_order
from huelapse.errors import ComparisonError
from huelapse.measures import DEFAULT
from huelapse.run import Run
from huelapse.schema import TRUE


@dataclass(frozen=True, slots=True)
class Group:
    """Means over runs at the steps they all have, [snapshot, layer], and half their 95 % intervals.

    The interval is Student's, mean ± t · s/√runs: it is of the mean over seeds, not of a run.
    """

    runs: int
    layers: tuple[str, ...]
    step: Int64[np.ndarray, " snapshot"]
    strength: Float64[np.ndarray, "snapshot layer"]
    strength_half: Float64[np.ndarray, "snapshot layer"]
    tuned: Float64[np.ndarray, "snapshot layer"]
    tuned_half: Float64[np.ndarray, "snapshot layer"]
    accuracy: Float64[np.ndarray, " snapshot"]
    accuracy_half: Float64[np.ndarray, " snapshot"]


def group(
    runs: Sequence[Run],
    *,
    split: str | None = None,
    grouping: str = TRUE,
    measure: str = DEFAULT,
    anyway: bool = False,
) -> Group:
    """Runs of the same layers, classes and samples as one group.

    Raises:
        ComparisonError: fewer than two runs; other layers, classes, or samples (unless `anyway`); no
            step that all have.
    """
    if len(runs) < 2:
        raise ComparisonError(f"found {len(runs)} runs, expected at least two seeds of a training")
    first = runs[0]
    shape = [(layer.path, layer.units) for layer in first.layers]
    for other in runs[1:]:
        if [(layer.path, layer.units) for layer in other.layers] != shape:
            raise ComparisonError(
                f"{other.name} has other layers than {first.name}; a group is of one architecture"
            )
        class_order(
            first.grouping(grouping, split).classes, other.grouping(grouping, split).classes
        )
        check_samples(first, other, first.split(split), other.split(split), anyway=anyway)
    steps = np.array(
        sorted(set.intersection(*({*run.coordinate("step", split).tolist()} for run in runs))),
        np.int64,
    )
    if len(steps) == 0:
        raise ComparisonError(f"the {len(runs)} runs have no step in common to compare them at")
    strength, tuned, accuracy = [], [], []
    for run in runs:
        curves = run.curves(split, grouping, measure)
        at = [run.index(int(step), split) for step in steps]
        strength.append(curves.mean_strength[at])
        tuned.append(curves.tuned[at])
        accuracy.append(_accuracy(run, split)[at])
    numbers: dict[str, np.ndarray] = {}
    for name, found in (("strength", strength), ("tuned", tuned), ("accuracy", accuracy)):
        numbers[name], numbers[f"{name}_half"] = _interval(np.stack(found))
    return Group(runs=len(runs), layers=tuple(path for path, _ in shape), step=steps, **numbers)


def _accuracy(run: Run, split: str | None) -> np.ndarray:
    if run.split(split).multilabel:
        return np.full(len(run.coordinate("step", split)), np.nan)
    return run.accuracy(split)


def _interval(found: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import stdtrit

    n = len(found)
    half = float(stdtrit(n - 1, 0.975)) * found.std(0, ddof=1) / np.sqrt(n)
    return found.mean(0), half
