"""What a measure is computed from: statistics of units, and the classes each is judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.measures.preferring import MIN_SAMPLES, NO_CLASS, Preference
from huelapse.measures.spread import Spread, floored


@dataclass(frozen=True, slots=True)
class Selectivity:
    """A measure of each unit: `value`, and `bound`, its lower one-standard-error bound.

    NaN where the unit has no data. `bound` is not yet clipped and knows nothing of `held`.
    """

    value: Float64[np.ndarray, " unit"]
    bound: Float64[np.ndarray, " unit"]


@dataclass(frozen=True, slots=True)
class OfClass:
    """Statistics of one class of each unit; NaN without data."""

    n: Float64[np.ndarray, " unit"]
    mean: Float64[np.ndarray, " unit"]
    variance: Float64[np.ndarray, " unit"]


class Judged:
    """Statistics of some units, and for each unit its preferred class p and the runner-up q.

    Where a unit is looked at for suppression, means are those of the negated responses, so that p is
    always the class with the greatest mean. p and q are `NO_CLASS` where there is no data; what
    a measure returns there is not used. Arrays are not to be written to, and computed when a measure
    asks for them.
    """

    def __init__(self, spread: Spread, preference: Preference, sign: float = 1.0) -> None:
        """
        Args:
            sign: −1 where suppression is looked at.
        """
        self._spread, self._sign = spread, sign
        self._moments = moments = spread.moments
        self.active: Int64[np.ndarray, "class unit"] = moments.active
        """Responses > 0."""
        self.p: Int64[np.ndarray, " unit"] = preference.preferred
        self.q: Int64[np.ndarray, " unit"] = preference.runner_up

    @cached_property
    def n(self) -> Float64[np.ndarray, "class unit"]:
        """Finite responses."""
        return np.broadcast_to(self._spread.n, self._moments.mean.shape)

    @cached_property
    def mean(self) -> Float64[np.ndarray, "class unit"]:
        """Of the responses, or of the negated ones."""
        return self._moments.mean if self._sign == 1 else self._sign * self._moments.mean

    @property
    def variance(self) -> Float64[np.ndarray, "class unit"]:
        """Unbiased, and no less than what float32 on disk can tell apart; 0 where n < 2."""
        return self._spread.variance

    @cached_property
    def preferred(self) -> OfClass:
        """Of p: of a measure that needs no other class, as of `runner_up`, nothing else is computed."""
        return self._alone(self.p)

    @cached_property
    def runner_up(self) -> OfClass:
        """Of q."""
        return self._alone(self.q)

    def _alone(self, k: np.ndarray) -> OfClass:
        at = k, np.arange(len(k))
        n, mean = self.n[at], self._moments.mean[at]
        variance = floored(mean, self._moments.m2[at], n, self._spread.same, of_mean=False)
        known = k != NO_CLASS
        n, mean, variance = (
            np.where(known, one, np.nan) for one in (n, self._sign * mean, variance)
        )
        return OfClass(n, mean, variance)

    def of_p(self, values: np.ndarray) -> Float64[np.ndarray, " unit"]:
        """Values [class, unit] of each unit's preferred class; NaN without data."""
        return self._pick(values, self.p)

    def of_q(self, values: np.ndarray) -> Float64[np.ndarray, " unit"]:
        """The same of the runner-up."""
        return self._pick(values, self.q)

    def _pick(self, values: np.ndarray, k: np.ndarray) -> np.ndarray:
        column = np.arange(values.shape[1])
        return np.where(k == NO_CLASS, np.nan, values[k, column])

    @property
    def taking_part(self) -> Bool[np.ndarray, "class unit"]:
        """Classes with enough samples to take part."""
        return np.broadcast_to(self._spread.n >= MIN_SAMPLES, self._moments.mean.shape)

    @cached_property
    def rest(self) -> Bool[np.ndarray, "class unit"]:
        """Classes that take part, but for the preferred one."""
        rest = self.taking_part.copy()
        rest[self.p, np.arange(len(self.p))] = False
        return rest


Compute = Callable[[Judged], Selectivity]


def over(numerator: np.ndarray, denominator: np.ndarray, otherwise: float = 0.0) -> np.ndarray:
    """numerator / denominator, and `otherwise` where the denominator is 0."""
    out = np.full(np.broadcast(numerator, denominator).shape, otherwise)
    return np.divide(numerator, denominator, out=out, where=denominator != 0)
