"""What a measure says where there is nothing to say: of shuffled labels, and without double dipping.

Both need the responses themselves, kept by a probe.
"""

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.measures.judged import Judged
from huelapse.measures.named import DEFAULT, MEASURES, Measure
from huelapse.measures.preferring import MIN_SAMPLES, NO_CLASS
from huelapse.measures.reading import read
from huelapse.measures.spread import Spread
from huelapse.moments import Moments

PERMUTATIONS = 100


def permuted_bounds(
    responses: Float64[np.ndarray, "sample unit"],
    labels: Int64[np.ndarray, " sample"],
    classes: int,
    *,
    signed: Bool[np.ndarray, " unit"],
    measure: Measure = MEASURES[DEFAULT],
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> Float64[np.ndarray, "permutation unit"]:
    """The lower bound of each unit's measure under permutations of the labels, before the held rule.

    A permutation keeps each unit's responses and the classes' sizes and breaks what binds them: what
    the measure then reads is its noise, selection of the greatest class included. Samples with a label
    outside 0 … K − 1 are left out. NaN where the measure is not defined or the unit has no data.
    """
    rng = np.random.default_rng(seed)
    known = (labels >= 0) & (labels < classes)
    responses, labels = responses[known], labels[known]
    sums = _Sums(responses, classes)
    found = np.empty((permutations, responses.shape[1]))
    for i in range(permutations):
        moments = sums.moments(rng.permutation(labels))
        reading = read(moments, signed=signed, measure=measure)
        found[i] = np.where(reading.silent, np.nan, reading.selectivity.bound)
    return found


class _Sums:
    """Moments of the same responses under many labellings, by products of matrices."""

    def __init__(self, responses: np.ndarray, classes: int) -> None:
        self._classes = classes
        self._finite = np.isfinite(responses)
        self._all_finite = bool(self._finite.all())
        number = np.maximum(self._finite.sum(0), 1)
        self._shift = np.where(self._finite, responses, 0.0).sum(0) / number
        away = np.where(self._finite, responses - self._shift, 0.0)
        constant = (away == away[:1]).all(0) if len(away) else np.ones(away.shape[1], bool)
        away[:, constant] = 0.0  # rounding of the shift is no spread
        self._away, self._squares = away, away**2
        self._active = (self._finite & (responses > 0)).astype(np.float64)

    def moments(self, labels: Int64[np.ndarray, " sample"]) -> Moments:
        member = np.zeros((self._classes, len(labels)))
        member[labels, np.arange(len(labels))] = 1.0
        count = np.bincount(labels, minlength=self._classes)
        n = np.broadcast_to(count[:, None], (self._classes, self._away.shape[1])).astype(np.float64)
        if not self._all_finite:
            n = member @ self._finite
        sums = member @ self._away
        mean = np.divide(sums, n, out=np.zeros_like(sums), where=n > 0)
        return Moments(
            count=count.astype(np.int64),
            mean=np.where(n > 0, mean + self._shift, 0.0),
            m2=np.maximum(member @ self._squares - n * mean**2, 0.0),
            active=(member @ self._active).astype(np.int64),
            nonfinite=(count[:, None] - n).astype(np.int64),
        )


def halves(
    responses: Float64[np.ndarray, "sample unit"],
    labels: Int64[np.ndarray, " sample"],
    classes: int,
    *,
    signed: Bool[np.ndarray, " unit"],
    measure: Measure = MEASURES[DEFAULT],
    seed: int = 0,
) -> Float64[np.ndarray, " unit"]:
    """The measure's value free of double dipping: classes chosen in one half, measured in the other.

    The samples of each class are split at random into halves A and B. The preferred class and the
    runner-up (and whether it is suppression) are those of A, the value is that of B for these; then
    the reverse, and the mean of both. Pure noise gives 0 in expectation, unlike the greatest of
    K classes (Kriegeskorte et al. 2009, Circular analysis in systems neuroscience). NaN where a half
    has no data or the measure is not defined.
    """
    rng = np.random.default_rng(seed)
    half = np.full(len(labels), -1)
    for k in range(classes):
        own = rng.permutation(np.flatnonzero(labels == k))
        half[own[: len(own) // 2]] = 0
        half[own[len(own) // 2 :]] = 1
    moments = [
        Moments.from_samples(responses[half == side], labels[half == side], classes)
        for side in (0, 1)
    ]
    return (
        _elsewhere(moments[0], moments[1], signed, measure)
        + _elsewhere(moments[1], moments[0], signed, measure)
    ) / 2


def _elsewhere(
    chosen_in: Moments, measured_in: Moments, signed: np.ndarray, measure: Measure
) -> np.ndarray:
    preference = read(chosen_in, signed=signed, measure=measure).preference
    spread = Spread(measured_in)
    upward, downward = (
        measure.compute(Judged(spread, preference, sign)).value for sign in (1.0, -1.0)
    )
    column = np.arange(len(signed))
    p, q = preference.preferred, preference.runner_up
    n = measured_in.n
    known = (p != NO_CLASS) & (n[p, column] >= MIN_SAMPLES) & (n[q, column] >= MIN_SAMPLES)
    known &= ~(signed & measure.non_negative)
    return np.where(known, np.where(preference.suppressed, downward, upward), np.nan)
