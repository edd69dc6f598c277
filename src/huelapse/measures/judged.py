"""What a measure is computed from: statistics of units, and the classes each is judged by."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.measures.preferring import MIN_SAMPLES, NO_CLASS, Preference, spread
from huelapse.moments import Moments


@dataclass(frozen=True, slots=True)
class Selectivity:
    """A measure of each unit: `value`, and `bound`, its lower one-standard-error bound.

    NaN where the unit has no data. `bound` is not yet clipped and knows nothing of `held`.
    """

    value: Float64[np.ndarray, " unit"]
    bound: Float64[np.ndarray, " unit"]


@dataclass(frozen=True)
class Judged:
    """Statistics of some units, and for each unit its preferred class p and the runner-up q.

    Where a unit is looked at for suppression, means are those of the negated responses, so that p is
    always the class with the greatest mean. p and q are `NO_CLASS` where there is no data; what
    a measure returns there is not used.
    """

    n: Float64[np.ndarray, "class unit"]
    """Finite responses."""
    mean: Float64[np.ndarray, "class unit"]
    variance: Float64[np.ndarray, "class unit"]
    """Unbiased, and no less than what float32 on disk can tell apart; 0 where n < 2."""
    active: Int64[np.ndarray, "class unit"]
    """Responses > 0."""
    p: Int64[np.ndarray, " unit"]
    q: Int64[np.ndarray, " unit"]

    @classmethod
    def of(cls, moments: Moments, preference: Preference, sign: float = 1.0) -> "Judged":
        return cls(
            n=moments.n.astype(np.float64),
            mean=sign * moments.mean,
            variance=spread(moments, of_mean=False),
            active=moments.active,
            p=preference.preferred,
            q=preference.runner_up,
        )

    def of_p(self, values: np.ndarray) -> Float64[np.ndarray, " unit"]:
        """Values [class, unit] of each unit's preferred class; NaN without data."""
        return self._pick(values, self.p)

    def of_q(self, values: np.ndarray) -> Float64[np.ndarray, " unit"]:
        """The same of the runner-up."""
        return self._pick(values, self.q)

    def _pick(self, values: np.ndarray, k: np.ndarray) -> np.ndarray:
        column = np.arange(values.shape[1])
        return np.where(k == NO_CLASS, np.nan, values[k, column])

    @cached_property
    def taking_part(self) -> Bool[np.ndarray, "class unit"]:
        """Classes with enough samples to take part."""
        return self.n >= MIN_SAMPLES

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
