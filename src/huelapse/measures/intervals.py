"""Intervals of what is shown: of class means, and of shares of active samples."""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.moments import Moments

FEW_ACTIVE = 30
"""Active samples below which neither a mean's interval nor a claim about it is to be relied on."""


def interval(
    moments: Moments, confidence: float = 0.95
) -> tuple[Float64[np.ndarray, "class unit"], Float64[np.ndarray, "class unit"]]:
    """Lower and upper end of the t interval of each class mean; NaN where n < 2.

    m ± t · √(v/n), with n − 1 degrees of freedom: each class's own spread, nothing pooled. It covers
    what it says where responses are not too skewed: `reliable` tells where.
    """
    return interval_of(moments.mean, moments.variance, moments.n, confidence)


def interval_of(
    mean: Float64[np.ndarray, "*any"],
    variance: Float64[np.ndarray, "*any"],
    n: Int64[np.ndarray, "*any"],
    confidence: float = 0.95,
) -> tuple[Float64[np.ndarray, "*any"], Float64[np.ndarray, "*any"]]:
    """The same of any means, unbiased variances and numbers of samples.

    Whoever shows few of a layer's classes asks for those alone: t takes longer than all the rest.
    """
    from scipy.special import stdtrit

    samples = n.astype(np.float64)
    # a probe has the same samples of a class at every snapshot
    numbers, which = np.unique(n, return_inverse=True)
    t = stdtrit(np.maximum(numbers - 1, 1), (1 + confidence) / 2)[which].reshape(n.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        half = np.where(samples > 1, t * np.sqrt(variance / samples), np.nan)
    known = np.where(samples > 0, mean, np.nan)
    return known - half, known + half


def active_interval(
    moments: Moments, confidence: float = 0.95
) -> tuple[Float64[np.ndarray, "class unit"], Float64[np.ndarray, "class unit"]]:
    """Wilson's interval of the share of each class's samples with a response > 0; NaN without any."""
    from scipy.special import ndtri

    n = moments.n.astype(np.float64)
    low, high = wilson(moments.active.astype(np.float64), n, z=float(ndtri((1 + confidence) / 2)))
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def wilson(found: np.ndarray, n: np.ndarray, *, z: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of a share found/n, z standard errors away (Wilson 1927); 0 … 1 where n = 0.

    (s + z²/2n ± z √(s(1 − s)/n + z²/4n²)) / (1 + z²/n): never outside 0 … 1, and not empty at s = 0, 1.
    """
    known = np.where(n > 0, n, 1.0)
    share = np.where(n > 0, found, 0.0) / known
    middle = share + z**2 / (2 * known)
    half = z * np.sqrt(share * (1 - share) / known + z**2 / (4 * known**2))
    whole = 1 + z**2 / known
    low = np.where(n > 0, np.clip((middle - half) / whole, 0.0, 1.0), 0.0)
    high = np.where(n > 0, np.clip((middle + half) / whole, 0.0, 1.0), 1.0)
    return low, high


def reliable(
    moments: Moments, *, signed: Bool[np.ndarray, " unit"]
) -> Bool[np.ndarray, "class unit"]:
    """Whether enough samples speak for a class's mean: `FEW_ACTIVE` of them active.

    Of a signed unit every sample counts, since 0 is nothing special to it. Silent classes of a unit
    (no sample active at all) are as reliable as their number of samples.
    """
    return enough(moments.active, moments.n, signed)


def enough(active: np.ndarray, n: np.ndarray, signed: np.ndarray) -> Bool[np.ndarray, "*any unit"]:
    """The rule of `reliable`, of any active and finite samples of units."""
    return np.where(signed | (active == 0), n, active) >= FEW_ACTIVE
