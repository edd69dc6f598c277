"""How many events noise alone would give: what a list of events is to be read against."""

import numpy as np
from jaxtyping import Int64

from huelapse.events.finding import LOST_BELOW, TUNED_AT
from huelapse.measures import HELD, MIN_HELD_SAMPLES

HELD_BY_ONE = 1 - HELD
"""Greatest probability that noise makes a given one of two equal classes the held one."""


def false_switches(snapshots: int, units: int) -> float:
    """Switches to be expected, at most, of so many units that all waver between two equal classes.

    Each class is held by noise with probability ≤ 0.025, three times in a row with its cube, by fresh
    noise at each snapshot: ≤ 2 · 0.025³ of a unit at a snapshot. A probe forwards the same samples each
    time, so its noise is not fresh, and fewer are to be expected.
    """
    return 2 * HELD_BY_ONE**3 * units * max(snapshots - 2, 0)


def false_tunings(n: Int64[np.ndarray, "snapshot class"], units: int) -> float:
    """Events "tuned" to be expected, at most, of so many units that prefer no class (margin).

    For each ordered pair of classes, the normal-theory probability that the margin's lower bound
    reaches 0.50 once and 0.40 twice more, by fresh noise: with n the least number of samples of
    a class that can be held, d at which erf((d − √(2/n + d²/4n))/2) is that bound, and
    P = T_{2n−2}(−d √(n/2)); K · P(0.50) · P(0.40)². Responses with heavy tails give more: see
    benchmarks/noise.py.
    """
    from scipy.special import stdtr

    total = 0.0
    for counts in np.unique(n, axis=0) if len(n) else n:
        able = counts[counts >= MIN_HELD_SAMPLES]
        if len(able) == 0:
            continue
        least = float(able.min())
        reach = [
            float(stdtr(2 * least - 2, -_distance(level / 100, least) * np.sqrt(least / 2)))
            for level in (TUNED_AT, LOST_BELOW)
        ]
        share = float((n == counts).all(1).sum())
        total += share * min(1.0, len(counts) * reach[0] * reach[1] ** 2)
    return total * units


def _distance(bound: float, n: float) -> float:
    """The d whose lower bound is that: the greater root of (d − e)² = 2/n + d²/4n, e = 2·erf⁻¹."""
    from scipy.special import erfinv

    e = 2 * float(erfinv(bound))
    a = 1 - 1 / (4 * n)
    return float((e + np.sqrt(e * e - a * (e * e - 2 / n))) / a)
