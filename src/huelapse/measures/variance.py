"""Measures of how much of a unit's variance the classes explain, whichever class is preferred."""

import numpy as np

from huelapse.measures.judged import Judged, Selectivity, over


def variance_explained(units: Judged) -> Selectivity:
    """ω²: the share of the unit's variance that classes explain, 0 in expectation under noise.

    (SS_b − (K − 1)·MS_w) / (SS_b + SS_w + MS_w), with SS_b = Σ n_k (m_k − m)², SS_w = Σ (n_k − 1) v_k,
    MS_w = SS_w / (N − K) over the K classes that take part, and m the mean over their N samples
    (Hays 1963, Statistics for psychologists; Olejnik and Algina 2003). At most 1, may be slightly
    negative; 0/0 = 0. The bound is less one standard error, as of η².
    """
    between, within, classes, samples = _sums(units)
    mean_within = over(within, samples - classes)
    value = over(between - (classes - 1) * mean_within, between + within + mean_within)
    return Selectivity(value=value, bound=value - _error(between, within, classes, samples))


def eta_squared(units: Judged) -> Selectivity:
    """η² = SS_b / (SS_b + SS_w): the share of this sample's variance between classes, by size.

    0 … 1, and (K − 1)/(N − 1) in expectation under normal noise (Pearson 1905; Olejnik and Algina
    2003): it rewards few samples, so compare it at equal N only. 0/0 = 0. The bound is less one
    standard error, by the delta method with SS_w ~ σ² χ² of N − K and SS_b ~ σ² noncentral χ² of K − 1
    degrees of freedom, the noncentrality being estimated by SS_b/σ² − (K − 1) ≥ 0 (normal responses
    of one variance): √(SS_w² Var SS_b + SS_b² Var SS_w) / (SS_b + SS_w)².
    """
    between, within, classes, samples = _sums(units)
    value = over(between, between + within)
    return Selectivity(value=value, bound=value - _error(between, within, classes, samples))


def _sums(units: Judged) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """SS_b, SS_w, classes and samples of each unit, of those that take part."""
    n = np.where(units.taking_part, units.n, 0.0)
    samples = n.sum(0)
    # from the preferred class's mean, so that a large offset does not swallow the differences
    away = np.where(units.taking_part, units.mean - units.of_p(units.mean), 0.0)
    mean = over((n * away).sum(0), samples)
    between = (n * (away - mean) ** 2).sum(0)
    within = (np.maximum(n - 1, 0.0) * units.variance).sum(0)
    return between, within, units.taking_part.sum(0).astype(np.float64), samples


def _error(
    between: np.ndarray, within: np.ndarray, classes: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    freedom = np.maximum(samples - classes, 1.0)
    scale = over(within, freedom)  # σ²
    b, w = over(between, scale), over(within, scale)
    noncentral = np.maximum(b - (classes - 1), 0.0)
    spread = w**2 * (2 * (classes - 1) + 4 * noncentral) + b**2 * 2 * freedom
    return over(np.sqrt(spread), (b + w) ** 2)
