"""What a unit is tuned to, and how sure: measures, sureness, strength, states. Float64, numpy only.

Letters as in the formulas: for one unit, class k has n_k responses with mean m_k and unbiased
variance v_k; p is the preferred class, q the runner-up. Classes with n_k < 3 take no part.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.moments import Moments
from huelapse.palette import level

MEASURES_VERSION = 1
"""Of all that is computed here; what was derived by another version is derived anew."""

MIN_SAMPLES = 3
"""Samples a class needs to take part at all."""

MIN_HELD_SAMPLES = 10
"""Samples the preferred class needs for the preference to be held."""

HELD = 0.975
"""Sureness from which a preference is held: two-sided 5 %, since p was chosen as the greatest."""

HELD_BOTH_WAYS = 0.9875
"""The same where suppression is tested too: two looks at each unit, half the error for each."""

TUNED = 0.5
"""Strength from which a held unit is called tuned."""

NO_CLASS = -1

AT_ONCE = 2**14
"""Numbers (classes × units) that are looked at together: what a processor keeps at hand."""

NEGLIGIBLE = 1e-19
"""A probability that 1 less a sum of a thousand such still is 1."""

STEP = 2.0**-24
"""Greatest relative error of a float32, in which means are stored."""

LEAST = float(np.finfo(np.float32).tiny)
"""Least m2 that float32 keeps."""


class State(IntEnum):
    """What can be said of a unit, in order of precedence from below. Values are for Python only."""

    TUNED = 0
    UNSELECTIVE = 1
    TIED = 2
    SILENT = 3
    NO_DATA = 4
    NOT_FINITE = 5
    NOT_RECORDED = 6


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


@dataclass(frozen=True, slots=True)
class Pair:
    """The two classes a unit is judged by: arrays over units."""

    n_p: Float64[np.ndarray, " unit"]
    n_q: Float64[np.ndarray, " unit"]
    m_p: Float64[np.ndarray, " unit"]
    m_q: Float64[np.ndarray, " unit"]
    v_p: Float64[np.ndarray, " unit"]
    v_q: Float64[np.ndarray, " unit"]


@dataclass(frozen=True, slots=True)
class Selectivity:
    """A measure of each unit: `value`, and `bound`, its lower one-standard-error bound.

    NaN where the unit has no data. `bound` is not yet clipped and knows nothing of `held`.
    """

    value: Float64[np.ndarray, " unit"]
    bound: Float64[np.ndarray, " unit"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measure:
    """A named function of the statistics."""

    name: str
    title: str
    about: str
    compute: Callable[[Pair], Selectivity]


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the colors of one snapshot follow from: arrays over units.

    Where nothing is known (no data, not finite) classes are `NO_CLASS` and numbers NaN.
    """

    preference: Preference
    selectivity: Selectivity
    strength: Float64[np.ndarray, " unit"]
    silent: Bool[np.ndarray, " unit"]
    not_finite: Bool[np.ndarray, " unit"]
    always_on: Bool[np.ndarray, " unit"]
    active_samples: Int64[np.ndarray, " unit"]

    def state(self, threshold: float = TUNED) -> Int64[np.ndarray, " unit"]:
        """`State` of each unit; tuned means held and strength ≥ `threshold`.

        Compared by level, so that what is called tuned and what is colored as tuned never differ.
        """
        preference = self.preference
        enough = level(self.strength) >= 100 * threshold - 1e-9
        state = np.where(enough, State.TUNED, State.UNSELECTIVE)
        state = np.where(preference.held, state, State.TIED)
        state = np.where(self.silent, State.SILENT, state)
        state = np.where(preference.no_data, State.NO_DATA, state)
        return np.where(self.not_finite, State.NOT_FINITE, state).astype(np.int64)


def margin(pair: Pair) -> Selectivity:
    """How well the preferred class can be told from the runner-up by this unit alone.

    d = (m_p − m_q) / √((v_p + v_q) / 2); value 2Φ(d/√2) − 1 = erf(d/2), which is 2·AUC − 1 for
    normal responses of equal variance: 0 no better than chance, 1 always right. The bound has
    d − √(1/n_p + 1/n_q + d² / (2(n_p + n_q))) in place of d (Hedges and Olkin 1985, the standard
    error of a standardised difference). With v_p = v_q = 0 both are 1 if m_p > m_q, else 0.
    """
    from scipy.special import erf

    gap = pair.m_p - pair.m_q
    spread = np.sqrt((pair.v_p + pair.v_q) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.where(spread > 0, gap / spread, np.where(gap > 0, np.inf, 0.0))
        error = np.sqrt(1 / pair.n_p + 1 / pair.n_q + d**2 / (2 * (pair.n_p + pair.n_q)))
        low = np.where(np.isinf(d), np.inf, d - error)
    missing = ~np.isfinite(gap)
    return Selectivity(
        value=np.where(missing, np.nan, erf(d / 2)),
        bound=np.where(missing, np.nan, erf(low / 2)),
    )


MEASURES: dict[str, Measure] = {
    "margin": Measure(
        name="margin",
        title="Margin",
        about="how surely this unit alone tells its class from the next one: "
        "0 is chance, 1 is always; less one standard error",
        compute=margin,
    ),
}


def read(
    moments: Moments,
    *,
    signed: Bool[np.ndarray, " unit"],
    measure: Measure = MEASURES["margin"],
) -> Reading:
    """The preference, measure and strength of every unit.

    Args:
        moments: of one snapshot and grouping.
        signed: which units may respond below 0; those are tested for suppression too (K ≥ 3).
    """
    classes, units = moments.mean.shape
    width = max(1, AT_ONCE // max(classes, 1))
    parts = [
        _read(moments.of(slice(start, start + width)), signed[start : start + width], measure)
        for start in range(0, max(units, 1), width)
    ]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Any]) -> Any:
    """One record of arrays from those of consecutive units."""
    joined = {
        field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])
    }
    return type(parts[0])(
        **{
            name: np.concatenate(values) if isinstance(values[0], np.ndarray) else _joined(values)
            for name, values in joined.items()
        }
    )


def _read(moments: Moments, signed: Bool[np.ndarray, " unit"], measure: Measure) -> Reading:
    preference = prefer(moments, signed=signed)
    selectivity = measure.compute(_pair(moments, preference))
    strength = _strength(preference, selectivity)
    if signed.any() and moments.mean.shape[0] >= 3:
        preference, selectivity, strength = _with_suppression(
            moments, signed, measure, preference, selectivity, strength
        )
    n = moments.n
    responded = moments.active.sum(0)
    # a sum that overflowed on its way to disk is no better than a response that was infinite
    not_finite = (moments.nonfinite.sum(0) > 0) | ~np.isfinite(moments.mean + moments.m2).all(0)
    unknown = not_finite | preference.no_data
    return Reading(
        preference=Preference(
            preferred=np.where(unknown, NO_CLASS, preference.preferred),
            runner_up=np.where(unknown, NO_CLASS, preference.runner_up),
            sure=np.where(unknown, np.nan, preference.sure),
            held=preference.held & ~unknown,
            suppressed=preference.suppressed & ~unknown,
            no_data=preference.no_data,
        ),
        selectivity=Selectivity(
            value=np.where(unknown, np.nan, selectivity.value),
            bound=np.where(unknown, np.nan, selectivity.bound),
        ),
        strength=np.where(unknown, np.nan, strength),
        silent=_constant(moments),
        not_finite=not_finite,
        always_on=(responded == n.sum(0)) & (n.sum(0) > 0),
        active_samples=responded,
    )


def prefer(moments: Moments, *, signed: Bool[np.ndarray, " unit"]) -> Preference:
    """The class with the greatest mean of each unit, and the probability that it really is.

    sure = max(0, 1 − Σ_{k≠p} T(−z_pk)) with z_pk = (m_p − m_k) / √(v_p/n_p + v_k/n_k) (Welch) and
    T the t distribution with Welch–Satterthwaite degrees of freedom. In z and its degrees of
    freedom each v_k is floored at the pooled within-class variance: without that floor, unequal
    n colors 10–15 % of pure noise. Equal means with zero variance are tied (z = 0), never sure.
    """
    both_ways = signed & (moments.mean.shape[0] >= 3)
    return _prefer(moments, moments.mean, np.where(both_ways, HELD_BOTH_WAYS, HELD))


def _prefer(moments: Moments, means: np.ndarray, held_from: np.ndarray) -> Preference:
    from scipy.special import stdtr

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

    variance = np.where(taking_part, _spread(moments, of_mean=True), 0.0)
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
        degrees = total**2 / (of_p**2 / (n_p - 1) + of_mean**2 / (n - 1))
    degrees = np.where(np.isfinite(degrees) & (degrees > 0), degrees, 1.0)
    counted = taking_part & ~_negligible(z, degrees)
    counted[p, column] = False
    greater = np.zeros_like(z)
    greater[counted] = stdtr(degrees[counted], -z[counted])
    sure = np.clip(1.0 - greater.sum(0), 0.0, 1.0)
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


def _negligible(z: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Where T(−z) is below `NEGLIGIBLE` for sure, without computing it, which takes much longer.

    The density of T is at most 0.4 · (1 + t²/ν)^(−(ν+1)/2); times t/z ≥ 1 it can be integrated from z
    on: T(−z) ≤ 0.4 · ν/(z(ν − 1)) · (1 + z²/ν)^(−(ν−1)/2), which for z ≥ 1 and ν ≥ 2 is less than the
    last factor.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        exponent = (degrees - 1) / 2 * np.log1p(z * z / degrees)
    return (z >= 1) & (degrees >= 2) & (exponent > -np.log(NEGLIGIBLE))


def _spread(moments: Moments, *, of_mean: bool) -> np.ndarray:
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
    return np.where((n > 1) & ~_constant(moments), np.maximum(variance, least), variance)


def _pair(moments: Moments, preference: Preference, sign: float = 1.0) -> Pair:
    column: np.ndarray = np.arange(moments.mean.shape[1])
    p, q = preference.preferred, preference.runner_up
    missing = p == NO_CLASS
    n = moments.n.astype(np.float64)
    mean, variance = sign * moments.mean, _spread(moments, of_mean=False)

    def pick(values: np.ndarray, k: np.ndarray) -> np.ndarray:
        return np.where(missing, np.nan, values[k, column])

    return Pair(
        n_p=pick(n, p),
        n_q=pick(n, q),
        m_p=pick(mean, p),
        m_q=pick(mean, q),
        v_p=pick(variance, p),
        v_q=pick(variance, q),
    )


def _strength(preference: Preference, selectivity: Selectivity) -> np.ndarray:
    bound = np.clip(np.nan_to_num(selectivity.bound, nan=0.0), 0.0, 1.0)
    return np.where(preference.held, bound, 0.0)


def _with_suppression(
    moments: Moments,
    signed: np.ndarray,
    measure: Measure,
    preference: Preference,
    selectivity: Selectivity,
    strength: np.ndarray,
) -> tuple[Preference, Selectivity, np.ndarray]:
    """For signed units: the class with the lowest mean against the second lowest, if it says more."""
    mirrored = _prefer(moments, -moments.mean, np.full(moments.mean.shape[1], HELD_BOTH_WAYS))
    low = measure.compute(_pair(moments, mirrored, sign=-1.0))
    low_strength = _strength(mirrored, low)
    take = signed & mirrored.held & (~preference.held | (low_strength > strength))
    return (
        Preference(
            preferred=np.where(take, mirrored.preferred, preference.preferred),
            runner_up=np.where(take, mirrored.runner_up, preference.runner_up),
            sure=np.where(take, mirrored.sure, preference.sure),
            held=np.where(take, mirrored.held, preference.held),
            suppressed=take,
            no_data=preference.no_data,
        ),
        Selectivity(
            value=np.where(take, low.value, selectivity.value),
            bound=np.where(take, low.bound, selectivity.bound),
        ),
        np.where(take, low_strength, strength),
    )


def _constant(moments: Moments) -> np.ndarray:
    """Whether a unit gave one and the same response to every sample (zero variance over all)."""
    n = moments.n
    has = n > 0
    low = np.where(has, moments.mean, np.inf).min(0)
    high = np.where(has, moments.mean, -np.inf).max(0)
    return has.any(0) & (low == high) & (np.where(has, moments.m2, 0.0).sum(0) == 0)


def interval(
    moments: Moments, confidence: float = 0.95
) -> tuple[Float64[np.ndarray, "class unit"], Float64[np.ndarray, "class unit"]]:
    """Lower and upper end of the t interval of each class mean; NaN where n < 2.

    m ± t · √(v/n), with n − 1 degrees of freedom: each class's own spread, nothing pooled.
    """
    from scipy.special import stdtrit

    n = moments.n.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2) * np.sqrt(moments.variance / n)
    half = np.where(n > 1, half, np.nan)
    mean = np.where(n > 0, moments.mean, np.nan)
    return mean - half, mean + half
