"""Which class drives a unit most, and how sure that is: Welch's tests with floored variances."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.moments import Moments

MIN_SAMPLES = 3
"""Samples a class needs to take part at all."""

MIN_HELD_SAMPLES = 10
"""Samples the preferred class needs for the preference to be held."""

HELD = 0.975
"""Sureness from which a preference is held: two-sided 5 %, since p was chosen as the greatest."""

HELD_BOTH_WAYS = 0.9875
"""The same where suppression is tested too: two looks at each unit, half the error for each."""

NO_CLASS = -1

NEGLIGIBLE = 1e-19
"""A probability that 1 less a sum of a thousand such still is 1."""

FAR = 3.5
"""Standard errors from which a normal tail adds nothing worth its computing to a lower bound."""

STEP = 2.0**-24
"""Greatest relative error of a float32, in which means are stored."""

LEAST = float(np.finfo(np.float32).tiny)
"""Least m2 that float32 keeps."""


@dataclass(frozen=True, slots=True)
class Preference:
    """Which class drives each unit most (or least, where `suppressed`), and how sure that is.

    Arrays over units. `preferred` and `runner_up` are `NO_CLASS` where there is no data.
    """

    preferred: Int64[np.ndarray, " unit"]
    runner_up: Int64[np.ndarray, " unit"]
    sure: Float64[np.ndarray, " unit"]
    held: Bool[np.ndarray, " unit"]
    suppressed: Bool[np.ndarray, " unit"]
    no_data: Bool[np.ndarray, " unit"]


def prefer(moments: Moments, *, signed: Bool[np.ndarray, " unit"]) -> Preference:
    """The class with the greatest mean of each unit, and the probability that it really is.

    sure = max(0, 1 − Σ_{k≠p} T(−z_pk)) with z_pk = (m_p − m_k) / √(v_p/n_p + v_k/n_k) (Welch) and
    T the t distribution with Welch–Satterthwaite degrees of freedom. In z and its degrees of
    freedom each v_k is floored at the pooled within-class variance: without that floor, unequal
    n colors 10–15 % of pure noise. Equal means with zero variance are tied (z = 0), never sure.
    """
    both_ways = signed & (moments.mean.shape[0] >= 3)
    return prefer_by(moments, moments.mean, np.where(both_ways, HELD_BOTH_WAYS, HELD))


def prefer_by(moments: Moments, means: np.ndarray, held_from: np.ndarray) -> Preference:
    n = moments.n.astype(np.float64)
    units = means.shape[1]
    taking_part = n >= MIN_SAMPLES
    no_data = taking_part.sum(0) < 2
    ranked = np.where(taking_part, means, -np.inf)
    column: np.ndarray = np.arange(units)
    p = ranked.argmax(0)
    rest = ranked.copy()
    rest[p, column] = -np.inf
    q = rest.argmax(0)

    variance = np.where(taking_part, spread(moments, of_mean=True), 0.0)
    freedom = np.where(taking_part, n - 1, 0.0)
    pooled = (variance * freedom).sum(0) / np.maximum(freedom.sum(0), 1.0)
    floored = np.maximum(variance, pooled)
    with np.errstate(divide="ignore", invalid="ignore"):
        of_mean = floored / n
        of_p = of_mean[p, column]
        total = of_p + of_mean
        gap = ranked[p, column] - ranked
        z = np.where(total > 0, gap / np.sqrt(total), np.where(gap > 0, np.inf, 0.0))
    n_p = n[p, column]
    counted = taking_part
    counted[p, column] = False
    open_ = ~_surely_none(z, counted)
    sure = np.zeros(units)
    if open_.any():
        few = np.s_[:, open_]
        with np.errstate(divide="ignore", invalid="ignore"):
            divisor = of_p[open_] ** 2 / (n_p[open_] - 1) + of_mean[few] ** 2 / (n[few] - 1)
            degrees = total[few] ** 2 / divisor
        sure[open_] = _sure(z[few], degrees, counted[few])
    # Nothing can be held where responses do not differ at all, or where there is no data.
    held = (sure >= held_from) & (n_p >= MIN_HELD_SAMPLES) & ~no_data
    return Preference(
        preferred=np.where(no_data, NO_CLASS, p).astype(np.int64),
        runner_up=np.where(no_data, NO_CLASS, q).astype(np.int64),
        sure=np.where(no_data, np.nan, sure),
        held=held,
        suppressed=np.zeros(units, bool),
        no_data=no_data,
    )


def _surely_none(z: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Units [unit] that are sure of nothing: T(−z) ≥ Φ(−z) for z ≥ 0, and already these sum up to one.
    The sum over the t distribution, which takes much longer, need not be computed."""
    from scipy.special import ndtr

    least = np.zeros_like(z)
    near = counted & (z < FAR)
    least[near] = ndtr(-z[near])
    return least.sum(0) >= 1 + 1e-9


def _sure(z: np.ndarray, degrees: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """max(0, 1 − Σ T(−z)) over the classes that are counted."""
    from scipy.special import stdtr

    degrees = np.where(np.isfinite(degrees) & (degrees > 0), degrees, 1.0)
    counted = counted & ~_negligible(z, degrees)
    greater = np.zeros_like(z)
    greater[counted] = stdtr(degrees[counted], -z[counted])
    return np.clip(1.0 - greater.sum(0), 0.0, 1.0)


def _negligible(z: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Where T(−z) is below `NEGLIGIBLE` for sure, without computing it, which takes much longer.

    The density of T is at most 0.4 · (1 + t²/ν)^(−(ν+1)/2); times t/z ≥ 1 it can be integrated from z
    on: T(−z) ≤ 0.4 · ν/(z(ν − 1)) · (1 + z²/ν)^(−(ν−1)/2), which for z ≥ 1 and ν ≥ 2 is less than the
    last factor.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exponent = (degrees - 1) / 2 * np.log1p(z * z / degrees)
    return (z >= 1) & (degrees >= 2) & (exponent > -np.log(NEGLIGIBLE))


def spread(moments: Moments, *, of_mean: bool) -> np.ndarray:
    """Variances [class, unit], taken as no less than what float32 on disk can tell apart.

    Rounding a stored mean by half a step must not look like a sure difference, nor a spread that
    was too small to be stored like none: m2 ≥ float32's least number, and v ≥ (2⁻²⁴ · m)², or
    n · (2⁻²⁴ · m)² where v/n is to be the error `of_mean`. Units that are constant over all classes
    have none; where n < 2 it is 0.
    """
    n = moments.n
    variance = np.where(n > 1, moments.variance, 0.0)
    rounding = (STEP * moments.mean) ** 2 * (n if of_mean else 1)
    least = rounding + LEAST / np.maximum(n - 1, 1)
    return np.where((n > 1) & ~constant(moments), np.maximum(variance, least), variance)


def constant(moments: Moments) -> np.ndarray:
    """Whether a unit gave one and the same response to every sample (zero variance over all)."""
    # few units are: what differs in its first two classes is not looked at further
    n, mean = moments.n, moments.mean
    same = np.ones(mean.shape[1], bool)
    if len(mean) > 2:
        both = (n[:2] > 0).all(0)
        same = ~both | (mean[0] == mean[1])
    if not same.any():
        return same
    some = np.flatnonzero(same)
    n, mean, m2 = n[:, some], mean[:, some], moments.m2[:, some]
    has = n > 0
    low = np.where(has, mean, np.inf).min(0)
    high = np.where(has, mean, -np.inf).max(0)
    found = np.zeros_like(same)
    found[some] = has.any(0) & (low == high) & (np.where(has, m2, 0.0).sum(0) == 0)
    return found
