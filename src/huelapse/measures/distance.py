"""Measures of how far the preferred class's responses stand from others', in their own spread."""

import numpy as np

from huelapse.measures.judged import Judged, Selectivity, over


def margin(units: Judged) -> Selectivity:
    """How well the preferred class can be told from the runner-up by this unit alone.

    d = (m_p − m_q) / √((v_p + v_q) / 2); value 2Φ(d/√2) − 1 = erf(d/2), which is 2·AUC − 1 for
    normal responses of equal variance: 0 no better than chance, 1 always right. The bound has
    d − √(1/n_p + 1/n_q + d² / (2(n_p + n_q))) in place of d (Hedges and Olkin 1985, the standard
    error of a standardised difference). With v_p = v_q = 0 both are 1 if m_p > m_q, else 0.
    """
    p, q = units.preferred, units.runner_up
    return _told_apart(p.mean - q.mean, p.variance, q.variance, p.n, q.n)


def separability(units: Judged) -> Selectivity:
    """How well the preferred class can be told from all the others by this unit alone.

    As `margin`, against the rest, in which classes weigh equally: m_r = mean of m_k,
    v_r = mean of v_k + (m_k − m_r)², and n_r = (K − 1)² / Σ 1/n_k, the number of samples whose mean is
    as uncertain as theirs, over the K − 1 other classes. It is 2·AUC − 1 where both are normal with
    one variance; a rest of several separate classes is not, and then it is a distance only.
    """
    rest = units.rest
    others = rest.sum(0).astype(np.float64)
    m_r = over(np.where(rest, units.mean, 0.0).sum(0), others)
    within = np.where(rest, units.variance + (units.mean - m_r) ** 2, 0.0)
    v_r = over(within.sum(0), others)
    n_r = over(others**2, over(rest, units.n).sum(0), 1.0)
    p = units.preferred
    return _told_apart(p.mean - m_r, p.variance, v_r, p.n, n_r)


def _told_apart(
    gap: np.ndarray, v_p: np.ndarray, v_q: np.ndarray, n_p: np.ndarray, n_q: np.ndarray
) -> Selectivity:
    from scipy.special import erf

    spread = np.sqrt((v_p + v_q) / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = np.where(spread > 0, gap / spread, np.where(gap > 0, np.inf, 0.0))
        error = np.sqrt(1 / n_p + 1 / n_q + d**2 / (2 * (n_p + n_q)))
        low = np.where(np.isinf(d), np.inf, d - error)
    missing = ~np.isfinite(gap)
    return Selectivity(
        value=np.where(missing, np.nan, erf(d / 2)),
        bound=np.where(missing, np.nan, erf(low / 2)),
    )


def class_selectivity(units: Judged) -> Selectivity:
    """How much more the preferred class drives the unit than the others do on average.

    (m_p − m_r) / (m_p + m_r) with m_r the mean of the other classes' means (Morcos et al. 2018, On the
    importance of single directions for generalization): 0 equal, 0.5 three times the rest, 1 no
    response to any other. For the bound each mean is moved one standard error against the unit and
    floored at 0: m_p − SE_p and m_r + max(SE_r, √(v_p/n_p)), with SE_r = √(Σ v_k/n_k) / (K − 1) over
    the K − 1 others. 0/0 = 0. Where responses may be negative it has no meaning: adding a constant to
    all of them changes it.
    """
    rest = units.rest
    others = rest.sum(0).astype(np.float64)
    m_p = units.of_p(units.mean)
    m_r = over(np.where(rest, units.mean, 0.0).sum(0), others)
    squared = over(units.variance, units.n)  # of the standard error of each mean
    of_p = np.sqrt(units.of_p(squared))
    of_r = over(np.sqrt(np.where(rest, squared, 0.0).sum(0)), others)
    low, high = np.maximum(m_p - of_p, 0.0), np.maximum(m_r, 0.0) + np.maximum(of_r, of_p)
    return Selectivity(value=_index(m_p, m_r), bound=_index(low, high))


def _index(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return over(a - b, a + b)
