"""Units of two runs, one to one, by how alike their tuning is. Never by index."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.comparing.checking import check_samples, class_order
from huelapse.errors import ComparisonError
from huelapse.run import Run
from huelapse.schema import TRUE

NULLS = 20


@dataclass(frozen=True, slots=True)
class Match:
    """Pairs of units: `a[i]` with `b[i]`, most alike first, and what chance gives.

    `null` is the mean similarity after the same matching with the second's classes shuffled: a mean
    that does not exceed it says nothing. With few classes chance alone matches well.
    """

    a: Int64[np.ndarray, " pair"]
    b: Int64[np.ndarray, " pair"]
    similarity: Float64[np.ndarray, " pair"]
    null: Float64[np.ndarray, " shuffle"]


def match(
    a: Run,
    b: Run,
    layer: str,
    step: int | None = None,
    other_step: int | None = None,
    *,
    other_layer: str | None = None,
    split: str | None = None,
    grouping: str = TRUE,
    anyway: bool = False,
    seed: int = 0,
) -> Match:
    """Match a layer's units by the correlation of their class means, so that its sum is greatest.

    Units without variance over classes have no tuning to match and are left out; where one layer has
    more units than the other, its least alike remain alone (assignment: Crouse 2016, as in SciPy).

    Raises:
        ComparisonError: other samples (unless `anyway`) or classes, or no unit to match.
        SelectionError: there is no such layer, step, split or grouping.
    """
    check_samples(a, b, a.split(split), b.split(split), anyway=anyway)
    order = class_order(a.grouping(grouping, split).classes, b.grouping(grouping, split).classes)
    path_b = other_layer if other_layer is not None else layer
    one, in_a = _shapes(a.tuning(step, layer, grouping, split))
    other, in_b = _shapes(b.tuning(other_step, path_b, grouping, split)[order])
    if len(in_a) == 0 or len(in_b) == 0:
        raise ComparisonError(
            f"no unit of {layer!r} in {a.name if len(in_a) == 0 else b.name} has a class it "
            f"responds to more than to another; there is nothing to match by"
        )
    rows, columns, similarity = _assigned(one, other)
    rng = np.random.default_rng(seed)
    null = [_assigned(one, other[rng.permutation(len(other))])[2].mean() for _ in range(NULLS)]
    best = np.argsort(-similarity, kind="stable")
    return Match(
        a=in_a[rows][best],
        b=in_b[columns][best],
        similarity=similarity[best],
        null=np.array(null),
    )


def _shapes(tuning: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Class means [class, unit] centred and of length 1, and which units they are of."""
    seen = np.asarray(np.isfinite(tuning).any(1))
    tuning = np.where(seen[:, None], tuning, 0.0)
    away = tuning - tuning[seen].mean(0)
    away[~seen] = 0.0
    length = np.sqrt((away**2).sum(0))
    known = np.flatnonzero(np.isfinite(length) & (length > 0))
    return away[:, known] / length[known], known.astype(np.int64)


def _assigned(one: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    from scipy.optimize import linear_sum_assignment

    alike = one.T @ other
    rows, columns = linear_sum_assignment(alike, maximize=True)
    return rows, columns, alike[rows, columns]
