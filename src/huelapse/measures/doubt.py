"""How much doubt there is that the greatest mean is the greatest: a sum of tails of t distributions.

The t distribution takes longer than all the rest. It is computed where it changes a number that is
asked for, and bounds decide elsewhere; what they decide is what the sum would.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

NEGLIGIBLE = 1e-19
"""A tail that is not added to the others."""

FAR = 3.5
"""Standard errors from which a normal tail adds nothing worth its computing to a lower bound."""

SAFE = 1e-6
"""Share by which a bound must clear a limit to decide: far more than rounding could move it."""

EDGES = (0.0, 2.0, 2.5, 3.0, 3.5, 4.0, 5.0, 6.0, 8.0, 12.0, np.inf)
"""Standard errors: a tail between two of them is no greater than that at the nearer, and no less than
a normal one at the farther."""

NEAR = EDGES.index(4.0)
"""Of them the one up to which tails are computed where bounds decide nothing."""

REGULAR = 1e150
"""Squared errors whose squares neither overflow nor vanish: from its inverse to this."""

LEAST_DEGREES = 3.0
"""Degrees of freedom from which rounding keeps them above 2, where the bound of tails begins."""


class Gaps:
    """How many standard errors z the mean of each class is below that of a unit's preferred class p."""

    squared: Float64[np.ndarray, "class unit"]
    """z², infinite for p itself and for what takes no part: roots, which take longer, are drawn of what
    is near alone."""

    def __init__(
        self,
        ranked: Float64[np.ndarray, "class unit"],
        top: Float64[np.ndarray, " unit"],
        of_mean: Float64[np.ndarray, "class unit"],
        of_p: Float64[np.ndarray, " unit"],
        n: Float64[np.ndarray, "class unit_or_one"],
        n_p: Float64[np.ndarray, " unit"],
    ) -> None:
        """
        Args:
            ranked: means, −∞ of p and of what takes no part; it is overwritten.
            top: the mean of p.
            of_mean, of_p: squared standard errors of the means.
            n, n_p: samples.
        """
        self._of_mean, self._of_p, self._n, self._n_p = of_mean, of_p, n, n_p
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            self._gap = np.subtract(top, ranked, out=ranked)
            total = of_mean + of_p
            low, high = total.min(0), total.max(0)
            self.squared = np.square(self._gap)
            np.divide(self.squared, total, out=self.squared)
        self.regular = (low > 1 / REGULAR) & (high < REGULAR)
        """Units [unit] whose degrees of freedom are what they should be."""
        odd = np.flatnonzero(~(low > 0))
        if len(odd):
            apart = np.where(self._gap[:, odd] > 0, np.inf, 0.0)
            self.squared[:, odd] = np.where(total[:, odd] > 0, self.squared[:, odd], apart)

    def z(
        self, k: Int64[np.ndarray, " some"], unit: Int64[np.ndarray, " some"]
    ) -> Float64[np.ndarray, " some"]:
        """Of some classes of units."""
        with np.errstate(divide="ignore", invalid="ignore"):
            gap, total = self._gap[k, unit], self._of_p[unit] + self._of_mean[k, unit]
            return np.where(total > 0, gap / np.sqrt(total), np.where(gap > 0, np.inf, 0.0))

    def least_degrees(self, units: Int64[np.ndarray, " some"]) -> Float64[np.ndarray, "class 1"]:
        """What degrees of freedom are no fewer than, of some units that are regular: the fewer of both
        classes' samples, less one."""
        n = self._n.min(1, keepdims=True)
        return np.maximum(np.minimum(n, self._n_p[units].min(initial=np.inf)) - 1, 1.0)

    def negligible_from(
        self, units: Int64[np.ndarray, " some"]
    ) -> Float64[np.ndarray, "class some"]:
        """z² from which on tails are negligible, whatever their degrees of freedom ν: the exponent in
        `_negligible` grows with ν."""
        degrees = self.least_degrees(units)
        exponent = -np.log(NEGLIGIBLE) * (1 + SAFE)
        squared = np.expm1(2 * exponent / np.maximum(degrees - 1, 1.0)) * degrees
        known = self.regular[units] & (degrees >= LEAST_DEGREES)
        return np.where(known, squared, np.inf)

    def tails(
        self, units: Int64[np.ndarray, " some"], far: Float64[np.ndarray, "class some"] | float
    ) -> Float64[np.ndarray, "some class"]:
        """T(−z) of some units where z² < far and it is not negligible; 0 elsewhere."""
        from scipy.special import stdtr

        squared = self.squared[:, units]
        k, i = np.nonzero(~(squared >= far))  # what is not a number too
        at = units[i]
        z = self.z(k, at)
        n = self._n[k, at if self._n.shape[1] > 1 else 0]
        of_p, of_mean = self._of_p[at], self._of_mean[k, at]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
            divisor = of_p**2 / (self._n_p[at] - 1) + of_mean**2 / (n - 1)
            degrees = (of_p + of_mean) ** 2 / divisor
        degrees = np.where(np.isfinite(degrees) & (degrees > 0), degrees, 1.0)
        some = ~_negligible(z, degrees)
        # a unit's tails side by side, so that they are added up alike whichever units are beside it
        found = np.zeros((len(units), len(squared)))
        found[i[some], k[some]] = stdtr(degrees[some], -z[some])
        return found


def doubt(gaps: Gaps, known: Bool[np.ndarray, " unit"]) -> Float64[np.ndarray, " unit"]:
    """min(1, Σ T(−z)) over the classes of each unit that is known; 1 of all others."""
    found = np.ones(len(known))
    open_ = np.flatnonzero(known & ~_surely_all(gaps))
    if len(open_):
        sums = gaps.tails(open_, gaps.negligible_from(open_)).sum(1)
        found[open_] = np.minimum(sums, 1.0)
    return found


def held(
    gaps: Gaps, possible: Bool[np.ndarray, " unit"], held_from: Float64[np.ndarray, " unit"]
) -> Bool[np.ndarray, " unit"]:
    """Whether 1 − doubt ≥ held_from, where that is possible at all.

    Φ(−z) ≤ T(−z), and T(−z) at the least degrees of freedom is no less: the nearest class alone
    decides nearly always, then how many are how near; the sum itself only where it is close.
    """
    from scipy.special import ndtr, stdtr

    nearest = np.sqrt(gaps.squared.min(0))
    limit = 1.0 - held_from
    more, less = limit * (1 + SAFE), limit * (1 - SAFE)
    open_ = possible & ~(ndtr(-nearest) > more)
    found = np.zeros_like(open_)
    some = np.flatnonzero(open_ & gaps.regular)
    degrees = gaps.least_degrees(some)
    if len(some):
        most = (len(gaps.squared) - 1) * stdtr(degrees.min(), -nearest[some])
        found[some] = most < less[some]
        some = some[~found[some]]
    edges = np.array(EDGES)
    each, which = np.unique(degrees, return_inverse=True)
    at_most = stdtr(each[:, None], -edges)[which.reshape(-1)]
    between = np.zeros((len(gaps.squared), 0), np.int64)
    if len(some):
        # what is not a number counts as infinite, and is found out where sums are computed
        between = np.searchsorted(edges**2, gaps.squared[:, some], side="right") - 1
        odd = np.isnan(nearest[some])
        farther = ndtr(-np.append(edges[1:], np.inf))
        found[some] = ~odd & (np.take_along_axis(at_most, between, 1).sum(0) < less[some])
        open_[some] = odd | ~(farther[between].sum(0) > more[some])
        still = np.flatnonzero(open_[some] & ~found[some])
        some, between = some[still], between[:, still]
    if len(some):
        lower = gaps.tails(some, edges[NEAR] ** 2).sum(1)
        at_most[:, :NEAR] = 0.0
        upper = lower + np.take_along_axis(at_most, between, 1).sum(0)
        found[some] = upper < less[some]
        open_[some] = ~(lower > more[some])
    some = np.flatnonzero(open_ & ~found)
    if len(some):
        sums = gaps.tails(some, gaps.negligible_from(some)).sum(1)
        found[some] = 1.0 - np.minimum(sums, 1.0) >= held_from[some]
    return found


def _surely_all(gaps: Gaps) -> Bool[np.ndarray, " unit"]:
    """Units whose doubt is 1: T(−z) ≥ Φ(−z) for z ≥ 0, and already these sum up to one. The sum over
    the t distribution, which takes much longer, need not be computed."""
    from scipy.special import ndtr

    # no tail is more than a half
    few = np.flatnonzero(np.count_nonzero(gaps.squared < FAR**2, axis=0) >= 2)
    squared = gaps.squared[:, few]
    least = np.zeros_like(squared)
    near = squared < FAR**2
    least[near] = ndtr(-np.sqrt(squared[near]))
    found = np.zeros(gaps.squared.shape[1], bool)
    found[few] = least.sum(0) >= 1 + SAFE
    return found


def _negligible(
    z: Float64[np.ndarray, " near"], degrees: Float64[np.ndarray, " near"]
) -> Bool[np.ndarray, " near"]:
    """Where T(−z) is below `NEGLIGIBLE` for sure, without computing it.

    The density of T is at most 0.4 · (1 + t²/ν)^(−(ν+1)/2); times t/z ≥ 1 it can be integrated from z
    on: T(−z) ≤ 0.4 · ν/(z(ν − 1)) · (1 + z²/ν)^(−(ν−1)/2), which for z ≥ 1 and ν ≥ 2 is less than the
    last factor.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exponent = (degrees - 1) / 2 * np.log1p(z * z / degrees)
    return (z >= 1) & (degrees >= 2) & (exponent > -np.log(NEGLIGIBLE))
