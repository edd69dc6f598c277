"""Neural collapse as class means and variances tell it."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from huelapse.moments import Moments

FEWEST = 2
"""Samples of a class that takes part: one has no variance."""

CLOSE = 1e-3
"""Share of their squared lengths below which the distance of two means is taken from differences."""
AT_ONCE = 2**20
"""Numbers of such differences that are held."""


@dataclass(frozen=True, slots=True)
class Centres:
    """Numbers of one layer at one snapshot; NaN with fewer than two classes that have samples.

    With μ_k the mean of class k and μ the mean of these, over the C classes with at least two samples,
    and only over units all of whose responses were finite:

    - `equinorm`: standard deviation of |μ_k − μ| ÷ its mean; 0 at collapse (NC2).
    - `cosine`: mean of cos(μ_k − μ, μ_l − μ) over pairs; −1/(C − 1) of a simplex (NC2).
    - `equiangular`: mean of |cos + 1/(C − 1)| over pairs; 0 at collapse (NC2).
    - `cdnv`: mean over pairs of (V_k + V_l)/(2 |μ_k − μ_l|²), V_k the sum of the units' variances
      (total variance); 0 at collapse (NC1).

    Source: Papyan, Han and Donoho 2020 (NC1–NC2); Galanti, György and Hutter 2021 (CDNV). Pairs whose
    means are the same count as infinitely far from collapse in `cdnv`; a class whose mean is μ has no
    direction and takes no part in angles.
    """

    equinorm: float
    cosine: float
    equiangular: float
    cdnv: float


NOTHING = Centres(*(float("nan"),) * 4)


def centres(moments: Moments) -> Centres:
    """The geometry of class means of a layer, from the stored statistics alone."""
    part = moments.count >= FEWEST
    whole = (moments.nonfinite[part] == 0).all(0) & np.isfinite(moments.mean + moments.m2).all(0)
    if part.sum() < 2 or not whole.any():
        return NOTHING
    mean = moments.mean[part][:, whole]
    variance = (moments.m2[part][:, whole] / (moments.count[part] - 1)[:, None]).sum(1)
    # from the first mean, so that a large offset common to all costs no digits
    away = mean - mean[:1]
    away = away - away.mean(0)
    norm = np.sqrt((away**2).sum(1))
    if norm.max() == 0:
        return Centres(float("nan"), float("nan"), float("nan"), float("inf"))
    pairs = np.triu_indices(len(mean), 1)
    apart = _apart(away, norm, pairs)
    spread = variance[pairs[0]] + variance[pairs[1]]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(apart > 0, spread / (2 * apart), np.inf)
    directed = norm > 0
    unit = away[directed] / norm[directed, None]
    cosines = (unit @ unit.T)[np.triu_indices(int(directed.sum()), 1)]
    ideal = -1 / (len(mean) - 1)
    return Centres(
        equinorm=float(norm.std() / norm.mean()),
        cosine=float(cosines.mean()) if len(cosines) else float("nan"),
        equiangular=float(np.abs(cosines - ideal).mean()) if len(cosines) else float("nan"),
        cdnv=float(ratio.mean()),
    )


def _apart(
    away: Float64[np.ndarray, "class unit"],
    norm: Float64[np.ndarray, " class"],
    pairs: tuple[np.ndarray, np.ndarray],
) -> Float64[np.ndarray, " pair"]:
    """Squared distances of pairs of classes.

    From products, |a|² + |b|² − 2ab, which of 1,000 classes take a hundredth of the time that
    differences take; these alone tell pairs that lie close by, whose products are nearly the same.
    """
    first, second = pairs
    squares = norm[first] ** 2 + norm[second] ** 2
    apart = squares - 2 * (away @ away.T)[pairs]
    near = np.flatnonzero(apart < CLOSE * squares)
    for some in np.array_split(near, -(-len(near) * away.shape[1] // AT_ONCE) or 1):
        apart[some] = ((away[first[some]] - away[second[some]]) ** 2).sum(1)
    return apart
