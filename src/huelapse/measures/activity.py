"""Measures of when a unit is active (response > 0), for units that cannot respond below 0.

With H_k = active_k / n_k, the share of a class's samples for which the unit is active. Bounds use
Wilson's score limits at one standard error (z = 1), which survive shares of exactly 0 and 1.
"""

import numpy as np
from jaxtyping import Float64

from huelapse.measures.intervals import wilson
from huelapse.measures.judged import Judged, Selectivity, over


def hit_rate(units: Judged) -> Selectivity:
    """H_p: for what share of the preferred class's samples the unit is active. Says nothing alone."""
    active, n = units.of_p(units.active), units.of_p(units.n)
    low, _ = wilson(active, n, z=1.0)
    return Selectivity(value=over(active, n), bound=low)


def false_alarm_rate(units: Judged) -> Selectivity:
    """For what share of all other classes' samples the unit is active. Low is good."""
    active, n = _of_rest(units)
    low, _ = wilson(active, n, z=1.0)
    return Selectivity(value=over(active, n), bound=low)


def informedness(units: Judged) -> Selectivity:
    """Hit rate less false-alarm rate (Youden 1950; Powers 2011): 0 chance, 1 always right.

    The bound is Newcombe's hybrid score limit of a difference (1998, method 10) at one standard
    error: (H − F) − √((H − low of H)² + (high of F − F)²).
    """
    hit, n_p = units.of_p(units.active), units.of_p(units.n)
    alarm, n_r = _of_rest(units)
    h, f = over(hit, n_p), over(alarm, n_r)
    low, _ = wilson(hit, n_p, z=1.0)
    _, high = wilson(alarm, n_r, z=1.0)
    return Selectivity(value=h - f, bound=h - f - np.hypot(h - low, high - f))


def precision(units: Judged) -> Selectivity:
    """Of the samples for which the unit is active, the share of the preferred class (Zhou et al.).

    Were all classes equally frequent: H_p / Σ H_k; 1/K at chance. A unit active for one sample in all
    has precision 1, so look at its hit rate too (Gale et al. 2020). The bound has Wilson's low of H_p
    and high of the others' rates together.
    """
    shares = over(units.active, units.n)
    rest = np.where(units.rest, shares, 0.0)
    frequent = units.rest.sum(0).astype(np.float64)
    return _precision(units, rest.sum(0), frequent, np.ones_like(frequent))


def precision_at(units: Judged, frequencies: Float64[np.ndarray, " class"]) -> Selectivity:
    """Precision were classes as frequent as that: π_p H_p / Σ π_k H_k (Bayes)."""
    weights = np.where(units.taking_part, frequencies[:, None], 0.0)
    rest = np.where(units.rest, weights * over(units.active, units.n), 0.0).sum(0)
    return _precision(units, rest, np.where(units.rest, weights, 0.0).sum(0), units.of_p(weights))


def _precision(
    units: Judged, rest: np.ndarray, weight_r: np.ndarray, weight_p: np.ndarray
) -> Selectivity:
    hit, n_p = units.of_p(units.active), units.of_p(units.n)
    alarm, n_r = _of_rest(units)
    low, _ = wilson(hit, n_p, z=1.0)
    _, high = wilson(alarm, n_r, z=1.0)
    more = rest + weight_r * (high - over(alarm, n_r))
    h = weight_p * over(hit, n_p)
    low = weight_p * low
    return Selectivity(value=over(h, h + rest), bound=over(low, low + more))


def _of_rest(units: Judged) -> tuple[np.ndarray, np.ndarray]:
    return (
        np.where(units.rest, units.active, 0).sum(0).astype(np.float64),
        np.where(units.rest, units.n, 0.0).sum(0),
    )


def mutual_information(units: Judged) -> Selectivity:
    """Of what could be known by whether the unit is active, how much tells the class: I / min(H).

    I(class; active) over the classes that take part, by the lesser of both entropies: 0 … 1; 0 where
    either is 0. The bound is less the bias (K − 1)/(2N) (Miller 1955) and one standard error,
    √(max(Σ P ln²(P/(P_k P_a)) − I² − (K − 1)/N, 0)/N + (K − 1)/(2N²)): the delta method's, less what it
    is in expectation under independence, and the variance under independence.
    """
    part = units.taking_part
    n = np.where(part, units.n, 0.0)
    samples = n.sum(0)
    active = np.where(part, units.active, 0.0)
    joint = np.stack([active, n - active])  # [active or not, class, unit]
    P = over(joint, samples)
    of_class, of_active = P.sum(0), P.sum(1)
    expected = of_class[None] * of_active[:, None]
    ratio = np.log(over(P, expected, 1.0), out=np.zeros_like(P), where=P > 0)
    information = (P * ratio).sum((0, 1))
    least = np.minimum(_entropy(of_class), _entropy(of_active))
    freedom = np.maximum(part.sum(0) - 1.0, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = over(freedom, samples)
        spread = np.maximum((P * ratio**2).sum((0, 1)) - information**2 - chance, 0.0)
        error = np.sqrt(over(spread, samples) + over(freedom, 2 * samples**2))
    low = information - over(freedom, 2 * samples) - error
    return Selectivity(value=over(information, least), bound=over(low, least))


def _entropy(shares: np.ndarray) -> np.ndarray:
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    return -(shares * logs).sum(0)
