"""What `measures.read` must give, bit for bit, computed as the formulas stand: nothing left out,
nothing in blocks, an array [class, unit] for each term."""

from dataclasses import dataclass, field

import numpy as np
from scipy.special import erf, stdtr

from huelapse.measures import MEASURES, Judged, Selectivity
from huelapse.measures.judged import OfClass
from huelapse.moments import Moments

STEP, LEAST = 2.0**-24, float(np.finfo(np.float32).tiny)


@dataclass
class Plain:
    """The arrays that colors follow from, of each unit."""

    preferred: np.ndarray
    runner_up: np.ndarray
    sure: np.ndarray
    held: np.ndarray
    no_data: np.ndarray
    suppressed: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    value: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bound: np.ndarray = field(default_factory=lambda: np.zeros(0))
    strength: np.ndarray = field(default_factory=lambda: np.zeros(0))
    silent: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    not_finite: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    always_on: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    active_samples: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    unreliable: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


def constant(moments: Moments) -> np.ndarray:
    n, has = moments.n, moments.n > 0
    low = np.where(has, moments.mean, np.inf).min(0)
    high = np.where(has, moments.mean, -np.inf).max(0)
    return has.any(0) & (low == high) & (np.where(n > 0, moments.m2, 0.0).sum(0) == 0)


def spread(moments: Moments, *, of_mean: bool) -> np.ndarray:
    n = moments.n
    variance = np.where(n > 1, moments.variance, 0.0)
    rounding = (STEP * moments.mean) ** 2 * (n if of_mean else 1)
    least = rounding + LEAST / np.maximum(n - 1, 1)
    return np.where((n > 1) & ~constant(moments), np.maximum(variance, least), variance)


def prefer(moments: Moments, means: np.ndarray, held_from: np.ndarray) -> Plain:
    n = moments.n.astype(np.float64)
    column = np.arange(means.shape[1])
    part = n >= 3
    no_data = part.sum(0) < 2
    ranked = np.where(part, means, -np.inf)
    p = ranked.argmax(0)
    rest = ranked.copy()
    rest[p, column] = -np.inf
    q = rest.argmax(0)
    variance = np.where(part, spread(moments, of_mean=True), 0.0)
    freedom = np.where(part, n - 1, 0.0)
    pooled = (variance * freedom).sum(0) / np.maximum(freedom.sum(0), 1.0)
    of_mean = np.maximum(variance, pooled) / n
    total = of_mean[p, column] + of_mean
    gap = ranked[p, column] - ranked
    z = np.where(total > 0, gap / np.sqrt(total), np.where(gap > 0, np.inf, 0.0))
    divisor = of_mean[p, column] ** 2 / (n[p, column] - 1) + of_mean**2 / (n - 1)
    degrees = total**2 / divisor
    degrees = np.where(np.isfinite(degrees) & (degrees > 0), degrees, 1.0)
    counted = part.copy()
    counted[p, column] = False
    counted &= ~negligible(z, degrees)
    tails = np.where(counted, stdtr(degrees, -z), 0.0)
    doubt = np.ascontiguousarray(tails.T).sum(1)  # in the order in which numpy adds up a row
    sure = np.clip(1.0 - doubt, 0.0, 1.0)
    return Plain(
        preferred=np.where(no_data, -1, p),
        runner_up=np.where(no_data, -1, q),
        sure=np.where(no_data, np.nan, sure),
        held=(sure >= held_from) & (n[p, column] >= 10) & ~no_data,
        no_data=no_data,
    )


def negligible(z: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Tails that are not added: by a bound of the density of t they are below 1e-19."""
    exponent = (degrees - 1) / 2 * np.log1p(z * z / degrees)
    return (z >= 1) & (degrees >= 2) & (exponent > -np.log(1e-19))


class Units(Judged):
    """What a measure asks for, each array whole."""

    n = mean = variance = taking_part = rest = preferred = runner_up = None  # type: ignore[assignment]

    def __init__(self, moments: Moments, found: Plain, sign: float) -> None:
        self.n = moments.n.astype(np.float64)
        self.mean, self.variance = sign * moments.mean, spread(moments, of_mean=False)
        self.active, self.p, self.q = moments.active, found.preferred, found.runner_up
        self.taking_part = self.n >= 3
        self.rest = self.taking_part.copy()
        self.rest[self.p, np.arange(len(self.p))] = False
        every = self.n, self.mean, self.variance
        self.preferred = OfClass(*(self.of_p(values) for values in every))
        self.runner_up = OfClass(*(self.of_q(values) for values in every))


def margin(units: Units) -> Selectivity:
    gap = units.of_p(units.mean) - units.of_q(units.mean)
    n_p, n_q = units.of_p(units.n), units.of_q(units.n)
    spread_ = np.sqrt((units.of_p(units.variance) + units.of_q(units.variance)) / 2)
    d = np.where(spread_ > 0, gap / spread_, np.where(gap > 0, np.inf, 0.0))
    error = np.sqrt(1 / n_p + 1 / n_q + d**2 / (2 * (n_p + n_q)))
    low = np.where(np.isinf(d), np.inf, d - error)
    missing = ~np.isfinite(gap)
    return Selectivity(
        np.where(missing, np.nan, erf(d / 2)), np.where(missing, np.nan, erf(low / 2))
    )


def measured(moments: Moments, found: Plain, name: str, sign: float) -> Plain:
    units = Units(moments, found, sign)
    told = margin(units) if name == "margin" else MEASURES[name].compute(units)
    missing = (units.p < 0) | ~np.isfinite(units.of_p(units.mean))
    found.value = np.where(missing, np.nan, told.value)
    found.bound = np.where(missing, np.nan, told.bound)
    bound = np.clip(np.nan_to_num(found.bound, nan=0.0), 0.0, 1.0)
    found.strength = np.where(found.held, bound, 0.0)
    return found


def read_plainly(moments: Moments, signed: np.ndarray, name: str) -> Plain:
    """The reading of all units."""
    with np.errstate(all="ignore"):
        both_ways = signed & (len(moments.mean) >= 3)
        found = prefer(moments, moments.mean, np.where(both_ways, 0.9875, 0.975))
        found = measured(moments, found, name, 1.0)
        not_defined = signed & MEASURES[name].non_negative
        found.strength = np.where(not_defined, 0.0, found.strength)
        found.suppressed = np.zeros(len(signed), bool)
        if both_ways.any() and not MEASURES[name].non_negative:
            low = prefer(moments, -moments.mean, np.full(len(signed), 0.9875))
            low = measured(moments, low, name, -1.0)
            take = signed & low.held & (~found.held | (low.strength > found.strength))
            found.suppressed = take
            for one in ("preferred", "runner_up", "sure", "held", "value", "bound", "strength"):
                setattr(found, one, np.where(take, getattr(low, one), getattr(found, one)))
        not_finite = (moments.nonfinite > 0).any(0)
        not_finite |= ~np.isfinite(moments.mean + moments.m2).all(0)
        unknown = not_finite | found.no_data
        unmeasured = unknown | not_defined
    n, active = moments.n, moments.active
    p, column = found.preferred, np.arange(len(signed))
    trusted = np.where(signed | (active == 0), n, active)[p, column] >= 30
    found.silent, found.not_finite = constant(moments), not_finite
    found.active_samples = active.sum(0)
    found.always_on = (active.sum(0) == n.sum(0)) & (n.sum(0) > 0)
    found.unreliable = found.held & ~unknown & ~trusted
    found.preferred = np.where(unknown, -1, found.preferred)
    found.runner_up = np.where(unknown, -1, found.runner_up)
    found.sure = np.where(unknown, np.nan, found.sure)
    found.held, found.suppressed = found.held & ~unknown, found.suppressed & ~unknown
    for one in ("value", "bound", "strength"):
        setattr(found, one, np.where(unmeasured, np.nan, getattr(found, one)))
    return found
