"""What a layer's responses tell of the class: nearest centre and a linear probe, cross-validated."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

FOLDS = 5
PENALTIES = tuple(10.0**e for e in range(-4, 5))
"""Of the ridge, as multiples of the mean squared response of a standardised unit (which is 1)."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """Shares of samples that are told right by a rule that has not seen them; NaN without data.

    `chance` is the share of the greatest class, what guessing would reach.
    """

    nearest_centre: float
    linear: float
    chance: float


def decode(
    responses: Float64[np.ndarray, "sample unit"],
    labels: Int64[np.ndarray, " sample"],
    *,
    folds: int = FOLDS,
    seed: int = 0,
) -> Decoded:
    """Accuracy by the nearest class centre and by ridge regression, on held-out folds.

    Folds hold each class in proportion. Centre and scale of units, class means and the ridge's
    penalty come from the training folds alone; the penalty is the one with the least leave-one-out
    squared error there (the closed form by the hat matrix; Golub, Heath and Wahba 1979). The ridge's
    targets are ±1 for each class, its answer the greatest (Hastie, Tibshirani and Friedman 2009,
    §4.2). Classes with fewer samples than folds, samples with a label below 0, and units that are not
    finite take no part.
    """
    kinds, counts = np.unique(labels[labels >= 0], return_counts=True)
    kinds = kinds[counts >= folds]
    part = np.isin(labels, kinds)
    x, y = responses[part], np.searchsorted(kinds, labels[part])
    x = x[:, finite_units(x)]
    if len(kinds) < 2 or x.shape[1] == 0:
        return Decoded(float("nan"), float("nan"), float("nan"))
    fold = _folds(y, folds, seed)
    centre, linear = np.empty(len(y), bool), np.empty(len(y), bool)
    for f in range(folds):
        held_out = fold == f
        train, test = _standardised(x[~held_out], x[held_out])
        own = y[~held_out]
        centre[held_out] = _nearest(train, own, test, len(kinds)) == y[held_out]
        linear[held_out] = _ridge(train, own, test, len(kinds)) == y[held_out]
    return Decoded(
        nearest_centre=float(centre.mean()),
        linear=float(linear.mean()),
        chance=float(np.bincount(y).max() / len(y)),
    )


def finite_units(responses: Float64[np.ndarray, "sample unit"]) -> np.ndarray:
    """Units of which all responses are finite."""
    return np.asarray(np.isfinite(responses).all(0))


def _folds(y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    fold = np.empty(len(y), np.int64)
    for k in np.unique(y):
        own = rng.permutation(np.flatnonzero(y == k))
        fold[own] = np.arange(len(own)) % folds
    return fold


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, spread = train.mean(0), train.std(0)
    varies = spread > 1e-12 * np.maximum(np.abs(mean), 1e-300)
    scale = np.where(varies, spread, 1.0)
    return (train - mean)[:, varies] / scale[varies], (test - mean)[:, varies] / scale[varies]


def _nearest(train: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    means = np.stack([train[y == k].mean(0) for k in range(classes)])
    return ((means**2).sum(1) - 2 * test @ means.T).argmin(1)


def _ridge(train: np.ndarray, y: np.ndarray, test: np.ndarray, classes: int) -> np.ndarray:
    targets = np.where(y[:, None] == np.arange(classes), 1.0, -1.0)
    offset = targets.mean(0)
    targets = targets - offset
    n = len(train)
    left, scale, projected_test = _decomposed(train, test)
    projected = left.T @ targets
    best, least = np.zeros_like(projected), np.inf
    for relative in PENALTIES:
        shrunk = scale**2 / (scale**2 + relative * n)
        hat = (left**2 * shrunk).sum(1) + 1 / n  # the offset was fitted too
        left_out = (targets - left @ (projected * shrunk[:, None])) / np.maximum(1 - hat, 1e-12)[
            :, None
        ]
        error = float((left_out**2).mean())
        if error < least:
            best, least = projected * (shrunk / scale)[:, None], error
    return (projected_test @ best + offset).argmax(1)


def _decomposed(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U and S of train = U S Vᵀ, and test · V, by the Gram matrix of the smaller side."""
    wide = train.shape[1] > len(train)
    values, vectors = np.linalg.eigh(train @ train.T if wide else train.T @ train)
    kept = values > max(float(values.max(initial=0.0)), 1e-300) * 1e-12
    scale, vectors = np.sqrt(values[kept]), vectors[:, kept]
    if wide:
        return vectors, scale, test @ (train.T @ vectors) / scale
    return train @ vectors / scale, scale, test @ vectors
