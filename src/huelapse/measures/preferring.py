"""Which class drives a unit most, and how sure that is: Welch's tests with floored variances."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.measures.doubt import Gaps, doubt, held
from huelapse.measures.spread import Spread, floored
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


@dataclass(frozen=True, slots=True)
class Preference:
    """Which class drives each unit most (or least, where `suppressed`), and how sure that is.

    Arrays over units. `preferred` and `runner_up` are `NO_CLASS` where there is no data; `sure` is
    NaN there, and everywhere where only what is `held` was asked for.
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
    return Contest(Spread(moments)).preference(moments.mean, held_from(signed, len(moments.mean)))


def held_from(signed: Bool[np.ndarray, " unit"], classes: int) -> Float64[np.ndarray, " unit"]:
    """Sureness from which the preference for the greatest mean is held."""
    return np.where(signed & (classes >= 3), HELD_BOTH_WAYS, HELD)


class Contest:
    """What the tests between a unit's classes need, whichever of them is preferred.

    Arrays [class, unit], or [class, 1] where they are the same of all units.
    """

    def __init__(self, spread: Spread) -> None:
        moments = spread.moments
        self.n = spread.n
        self.taking_part = self.n >= MIN_SAMPLES
        self._all = bool(self.taking_part.all())
        units = moments.mean.shape[1]
        self.no_data = np.broadcast_to(self.taking_part.sum(0) < 2, units)
        with np.errstate(over="ignore", invalid="ignore"):
            variance = floored(moments.mean, moments.m2, self.n, spread.same, of_mean=True)
            freedom = self.n - 1
            n = self.n
            if not self._all:
                variance = np.where(self.taking_part, variance, 0.0)
                freedom = np.where(self.taking_part, freedom, 0.0)
                n = np.where(self.taking_part, n, 1.0)
            pooled = (variance * freedom).sum(0) / np.maximum(freedom.sum(0), 1.0)
            np.maximum(variance, pooled, out=variance)
            variance /= n
        self.of_mean = variance
        """Squared standard error of each mean; without meaning where a class takes no part."""

    def preference(
        self,
        means: Float64[np.ndarray, "class unit"],
        held_from: Float64[np.ndarray, " unit"],
        *,
        held_alone: bool = False,
    ) -> Preference:
        """Which class has the greatest of these means, and whether that is held.

        Args:
            means: of the responses, or of what they are with the other sign.
            held_from: the sureness from which it is.
            held_alone: `sure` is not needed: it is NaN, and what is held takes far less time.
        """
        column = np.arange(means.shape[1])
        ranked = np.array(means) if self._all else np.where(self.taking_part, means, -np.inf)
        p = ranked.argmax(0)
        top = ranked[p, column]
        ranked[p, column] = -np.inf
        q = ranked.argmax(0)
        # from here on p, like what takes no part, is infinitely far from p: it adds no doubt
        n_p = np.broadcast_to(self.n, means.shape)[p, column]
        gaps = Gaps(ranked, top, self.of_mean, self.of_mean[p, column], self.n, n_p)
        possible = (n_p >= MIN_HELD_SAMPLES) & ~self.no_data
        if held_alone:
            sure = np.full(len(column), np.nan)
            holds = held(gaps, possible, held_from)
        else:
            sure = np.where(self.no_data, np.nan, 1.0 - doubt(gaps, ~self.no_data))
            # Nothing can be held where responses do not differ at all, or where there is no data.
            holds = (sure >= held_from) & possible
        return Preference(
            preferred=np.where(self.no_data, NO_CLASS, p).astype(np.int64),
            runner_up=np.where(self.no_data, NO_CLASS, q).astype(np.int64),
            sure=sure,
            held=holds,
            suppressed=np.zeros(len(column), bool),
            no_data=np.array(self.no_data),
        )
