"""What the page reads of first weights, those that work on the input itself: filters as pictures."""

import math

import numpy as np

from huelapse.extras import THUMBNAILS, WEIGHTS
from huelapse.run import Run

ZERO, REACH = 128, 127
"""A weight of 0, and how far the greatest one is from it; 0 on the wire is not known."""
FILM_FRAMES, FILM_BYTES = 16, 4 * 2**20
"""Snapshots in a film."""

Arrays = dict[str, np.ndarray]


def shape(run: Run, split: str) -> tuple[int, int, int, int]:
    """Filters, y, x and channels (3 or 1) of first weights as pictures.

    Of three input channels the picture is in color, of others it is their mean; so is that of what is
    deeper than a picture. A filter in one dimension has its input channels as rows. One of a linear
    module is laid out as the thumbnails are where it has as many weights as they have pixels, else it
    is one row.
    """
    out, inputs, *size = run.shape_of(WEIGHTS, split)[1:]
    if len(size) >= 2:
        return out, size[-2], size[-1], 3 if inputs == 3 else 1
    if len(size) == 1:
        return out, inputs, size[0], 1
    if run.has(THUMBNAILS, split):
        y, x = run.shape_of(THUMBNAILS, split)[1:3]
        for channels in (1, 3):
            if channels * y * x == inputs:
                return out, y, x, channels
    return out, 1, inputs, 1


def pictures(weights: np.ndarray, to: tuple[int, int, int, int]) -> np.ndarray:
    """[out, in, …] as [out, y, x, channel]."""
    out, y, x, channels = to
    if weights.ndim > 4:
        weights = weights.mean(tuple(range(2, weights.ndim - 2)))
    if weights.ndim == 4 and channels == 1:
        weights = weights.mean(1, keepdims=True)
    if weights.ndim == 3:
        weights = weights[:, None]
    return weights.reshape(out, channels, y, x).transpose(0, 2, 3, 1)


def at(run: Run, split: str, index: int) -> Arrays:
    """First weights at one snapshot, as pictures.

    Returns:
        `weights` U8 [filter, y, x, channel]: `ZERO` is 0, `ZERO` ± `REACH` is ± `scale`, 0 not known;
        `scale` F32 [1], the greatest of them without sign.
    """
    weights, scale = _scaled(_weights(run, split, index))
    return {"weights": weights, "scale": np.array([scale], np.float32)}


def film(run: Run, split: str) -> Arrays:
    """The same at up to `FILM_FRAMES` snapshots, evenly spread, the first and last among them.

    Returns:
        `snapshot` U32 [frame], `weights` U8 [frame, filter, y, x, channel], each frame by its own
        `scale` F32 [frame].
    """
    snapshots = len(run.coordinate("step", split))
    size = math.prod(shape(run, split))
    number = min(snapshots, FILM_FRAMES, max(2, FILM_BYTES // max(size, 1)))
    chosen = np.unique(np.linspace(0, snapshots - 1, number).round().astype(int))
    frames = [_scaled(_weights(run, split, t)) for t in chosen.tolist()]
    return {
        "snapshot": chosen.astype(np.uint32),
        "weights": np.stack([weights for weights, _ in frames]),
        "scale": np.array([scale for _, scale in frames], np.float32),
    }


def _weights(run: Run, split: str, index: int) -> np.ndarray:
    weights = run.first_weights_at(index, split).astype(np.float64)
    return pictures(weights, shape(run, split))


def _scaled(weights: np.ndarray) -> tuple[np.ndarray, float]:
    known = np.isfinite(weights)
    weights = np.where(known, weights, 0.0)
    scale = float(np.abs(weights).max(initial=0.0))
    coded = ZERO + np.rint(REACH * weights / (scale or 1.0))
    return np.where(known, coded, 0).astype(np.uint8), scale
