"""How many responses each class and unit has, and their variance as far as it can be told from disk."""

from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64

from huelapse.moments import Moments

STEP = 2.0**-24
"""Greatest relative error of a float32, in which means are stored."""

LEAST = float(np.finfo(np.float32).tiny)
"""Least m2 that float32 keeps."""


class Spread:
    """What is computed of moments once, whichever class is preferred and whatever is measured."""

    n: Float64[np.ndarray, "class unit_or_one"]
    """Finite responses; in one column where all units of a class have as many, as nearly always: what
    follows from it alone need not be computed for each unit again."""
    same: Bool[np.ndarray, " unit"]
    """Units that gave one and the same response to every sample."""

    def __init__(self, moments: Moments) -> None:
        self.moments = moments
        self.finite = not moments.nonfinite.any()
        """Whether every response was."""
        self.n = (moments.count[:, None] if self.finite else moments.n).astype(np.float64)
        self.same = constant(moments)

    @cached_property
    def variance(self) -> Float64[np.ndarray, "class unit"]:
        """As `floored`."""
        of = self.moments
        return floored(of.mean, of.m2, self.n, self.same, of_mean=False)


def floored(
    mean: Float64[np.ndarray, "*any unit"],
    m2: Float64[np.ndarray, "*any unit"],
    n: Float64[np.ndarray, "*any unit_or_one"],
    same: Bool[np.ndarray, " unit"],
    *,
    of_mean: bool,
) -> Float64[np.ndarray, "*any unit"]:
    """Variances, taken as no less than what float32 on disk can tell apart.

    Rounding a stored mean by half a step must not look like a sure difference, nor a spread that
    was too small to be stored like none: m2 ≥ float32's least number, and v ≥ (2⁻²⁴ · m)², or
    n · (2⁻²⁴ · m)² where v/n is to be the error `of_mean`. Units that are the `same` over all classes
    have none; where n < 2 it is 0.
    """
    more = np.maximum(n - 1, 1)
    variance = m2 / more
    found = np.multiply(mean, STEP)
    np.square(found, out=found)
    if of_mean:
        found *= n
    found += LEAST / more
    np.maximum(variance, found, out=found)
    if same.any():
        found = np.where(same, variance, found)
    several = n > 1
    return found if several.all() else np.where(several, found, 0.0)


def constant(moments: Moments) -> Bool[np.ndarray, " unit"]:
    """Whether a unit gave one and the same response to every sample (zero variance over all)."""
    # few units are: what differs in its first two classes is not looked at further
    mean = moments.mean
    same = np.ones(mean.shape[1], bool)
    if len(mean) > 2:
        both = (moments.count[:2, None] > moments.nonfinite[:2]).all(0)
        same = ~both | (mean[0] == mean[1])
    if not same.any():
        return same
    some = np.flatnonzero(same)
    n, mean, m2 = moments.count[:, None] - moments.nonfinite[:, some], mean[:, some], moments.m2
    has = n > 0
    low = np.where(has, mean, np.inf).min(0)
    high = np.where(has, mean, -np.inf).max(0)
    found = np.zeros_like(same)
    found[some] = has.any(0) & (low == high) & (np.where(has, m2[:, some], 0.0).sum(0) == 0)
    return found
