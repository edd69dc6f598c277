"""How alike two sets of responses to the same samples are, whatever their units."""

import numpy as np
from jaxtyping import Float64

from huelapse.geometry.decoding import finite_units


def cka(a: Float64[np.ndarray, "sample unit"], b: Float64[np.ndarray, "sample other"]) -> float:
    """Linear centred kernel alignment, unbiased: 1 the same up to rotation and scale, 0 nothing shared.

    HSIC₁(K, L)/√(HSIC₁(K, K) HSIC₁(L, L)) with K = aaᵀ, L = bbᵀ, their diagonals set to 0, and
    HSIC₁ = (tr(KL) + 1ᵀK1 1ᵀL1/((n − 1)(n − 2)) − 2/(n − 2) 1ᵀKL1)/(n(n − 3)) (Song et al. 2012;
    Nguyen, Raghu and Kornblith 2021; CKA: Kornblith et al. 2019). Unlike the biased form it does not
    rise with the number of units; it may be slightly below 0. Units that are not finite take no
    part; NaN with fewer than four samples, or where either does not vary.
    """
    if len(a) != len(b):
        raise ValueError(
            f"found {len(a)} and {len(b)} samples, expected responses to the same ones"
        )
    return aligned(kernel(a), kernel(b))


def kernel(x: Float64[np.ndarray, "sample unit"]) -> Float64[np.ndarray, "sample sample"]:
    """How alike the responses to each two samples are, its diagonal 0: what `aligned` compares."""
    x = x[:, finite_units(x)]
    x = x - x.mean(0) if x.size else x
    found = x @ x.T
    np.fill_diagonal(found, 0.0)
    return found


def aligned(
    K: Float64[np.ndarray, "sample sample"], L: Float64[np.ndarray, "sample sample"]
) -> float:
    """The same as `cka`, of kernels: where one of them is compared with many."""
    if len(K) < 4:
        return float("nan")
    own = _hsic(K, K), _hsic(L, L)
    if min(own) <= 0:
        return float("nan")
    return float(_hsic(K, L) / np.sqrt(own[0] * own[1]))


def _hsic(K: np.ndarray, L: np.ndarray) -> float:
    n = len(K)
    ones_k, ones_l = K.sum(0), L.sum(0)
    together = float((K * L).sum())
    product = float(ones_k.sum() * ones_l.sum()) / ((n - 1) * (n - 2))
    return (together + product - 2 / (n - 2) * float(ones_k @ ones_l)) / (n * (n - 3))
