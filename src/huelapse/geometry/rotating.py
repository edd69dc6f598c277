"""Whether units are special: the same measure on random directions of the same space."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.geometry.decoding import finite_units
from huelapse.measures import DEFAULT, MEASURES, Measure, read
from huelapse.moments import Moments

ROTATIONS = 20


@dataclass(frozen=True, slots=True)
class Control:
    """Mean strength and share held, of a layer's units and of as many random directions."""

    units: float
    units_held: float
    rotated: Float64[np.ndarray, " rotation"]
    rotated_held: Float64[np.ndarray, " rotation"]

    @property
    def above(self) -> float:
        """Share of rotations whose mean strength the units' own exceeds."""
        return float((self.units > self.rotated).mean())


def rotated(
    responses: Float64[np.ndarray, "sample unit"],
    labels: Int64[np.ndarray, " sample"],
    classes: int,
    *,
    measure: Measure = MEASURES[DEFAULT],
    rotations: int = ROTATIONS,
    directions: int | None = None,
    seed: int = 0,
) -> Control:
    """Compare a layer's units with random rotations of the space they span.

    A rotation is Haar's: Q of a Gaussian matrix's QR, with signs set by R's diagonal (Mezzadri 2007).
    Rotated responses have both signs, so units too are read as signed ones: what differs is the
    basis alone (Morcos et al. 2018 asked the same by ablation; Bau et al. 2017 by rotation).
    Samples with a label below 0, units that are not finite and silent ones take no part.

    Args:
        rotations: how many of them.
        directions: of each rotation only so many of its directions: of a wide layer far less work,
            and the same in the mean.
    """
    known = labels >= 0
    x, y = responses[known], labels[known]
    x = x[:, finite_units(x)]
    x = x[:, np.ptp(x, axis=0) > 0] if len(x) else x
    x = x - x.mean(0) if len(x) else x
    rng = np.random.default_rng(seed)
    own = _judged(x, y, classes, measure)
    size = x.shape[1]
    count = size if directions is None else min(size, directions)
    found = [_judged(x @ _haar(size, count, rng), y, classes, measure) for _ in range(rotations)]
    return Control(
        units=own[0],
        units_held=own[1],
        rotated=np.array([f[0] for f in found]),
        rotated_held=np.array([f[1] for f in found]),
    )


def _judged(x: np.ndarray, y: np.ndarray, classes: int, measure: Measure) -> tuple[float, float]:
    if x.shape[1] == 0:
        return float("nan"), float("nan")
    moments = Moments.from_samples(x, y, classes)
    reading = read(moments, signed=np.ones(x.shape[1], bool), measure=measure)
    return float(np.nanmean(reading.strength)), float(reading.preference.held.mean())


def _haar(size: int, count: int, rng: np.random.Generator) -> np.ndarray:
    """The first columns of a random rotation."""
    q, r = np.linalg.qr(rng.standard_normal((size, count)))
    return q * np.sign(np.diagonal(r))
