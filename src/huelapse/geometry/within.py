"""Within-class against between-class spread, with all correlations: needs the responses."""

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.geometry.decoding import finite_units


def within_collapse(
    responses: Float64[np.ndarray, "sample unit"], labels: Int64[np.ndarray, " sample"]
) -> float:
    """NC1: tr(Σ_W Σ_B⁺)/C, 0 at collapse (Papyan, Han and Donoho 2020).

    Σ_W is the mean over samples of (x − μ_y)(x − μ_y)ᵀ, Σ_B the mean over classes of
    (μ_k − μ)(μ_k − μ)ᵀ, μ the mean of the class means, Σ_B⁺ its pseudo-inverse. Samples with a label
    below 0 and units that are not finite take no part; NaN with fewer than two classes. Never larger
    than [unit, class] is held: Σ_B⁺ acts in the C − 1 directions that class means span.
    """
    known = labels >= 0
    x, y = responses[known][:, finite_units(responses[known])], labels[known]
    kinds = np.unique(y)
    if len(kinds) < 2 or x.shape[1] == 0:
        return float("nan")
    x = x - x.mean(0)
    means = np.stack([x[y == k].mean(0) for k in kinds])
    between = means - means.mean(0)
    _, scale, directions = np.linalg.svd(between, full_matrices=False)
    kept = scale > scale.max() * 1e-10 if scale.max() > 0 else np.zeros(len(scale), bool)
    if not kept.any():
        return float("inf")
    inside = x - means[np.searchsorted(kinds, y)]
    along = inside @ directions[kept].T  # Σ_W in the directions of Σ_B
    eigenvalues = scale[kept] ** 2 / len(kinds)
    return float(((along**2).mean(0) / eigenvalues).sum() / len(kinds))
