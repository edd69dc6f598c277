"""Per-class moments of units: exact, mergeable, and silent about nothing.

What is stored is count, mean, m2 (squared deviations from the mean, summed) and active (samples with
a response > 0) per class and unit, and how many responses were not finite.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64


@dataclass(frozen=True, slots=True)
class Moments:
    """Per-class moments of a set of units. `merge` is associative; `empty` is its identity.

    Counts mean *samples forwarded*. Responses that were not finite enter no sum, so the divisor of
    `mean` and `m2` is `n`, count less nonfinite, per unit. Where `n` is 0, mean and m2 are 0 in
    memory (the identity of `merge`) and NaN on disk.
    """

    count: Int64[np.ndarray, " class"]
    mean: Float64[np.ndarray, "class unit"]
    m2: Float64[np.ndarray, "class unit"]
    active: Int64[np.ndarray, "class unit"]
    nonfinite: Int64[np.ndarray, "class unit"]

    @classmethod
    def empty(cls, classes: int, units: int) -> "Moments":
        return cls(
            count=np.zeros(classes, np.int64),
            mean=np.zeros((classes, units)),
            m2=np.zeros((classes, units)),
            active=np.zeros((classes, units), np.int64),
            nonfinite=np.zeros((classes, units), np.int64),
        )

    @property
    def n(self) -> Int64[np.ndarray, "class unit"]:
        """Finite responses per class and unit."""
        return self.count[:, None] - self.nonfinite

    @property
    def variance(self) -> Float64[np.ndarray, "class unit"]:
        """Unbiased variance, m2 / (n - 1); NaN where n < 2."""
        n = self.n
        return np.where(n > 1, self.m2 / np.maximum(n - 1, 1), np.nan)

    def of(self, units: slice) -> "Moments":
        """Those of a range of units: views, no copies."""
        return Moments(
            count=self.count,
            mean=self.mean[:, units],
            m2=self.m2[:, units],
            active=self.active[:, units],
            nonfinite=self.nonfinite[:, units],
        )

    def merge(self, other: "Moments") -> "Moments":
        """Moments of both sets of samples together.

        Source: Chan, Golub and LeVeque (1979), Updating formulae and a pairwise algorithm for
        computing sample variances: m2 = m2_a + m2_b + δ² · n_a · n_b / n.
        """
        n_a, n_b = self.n, other.n
        n = n_a + n_b
        share = np.divide(n_b, n, out=np.zeros_like(self.mean), where=n > 0)
        delta = other.mean - self.mean
        mean = self.mean + delta * share
        # a side without data hands the other's mean through bit for bit, as an identity must
        mean = np.where(n_a == 0, other.mean, np.where(n_b == 0, self.mean, mean))
        return Moments(
            count=self.count + other.count,
            mean=mean,
            m2=self.m2 + other.m2 + np.where(n_a > 0, delta**2 * n_a * share, 0.0),
            active=self.active + other.active,
            nonfinite=self.nonfinite + other.nonfinite,
        )

    @classmethod
    def from_samples(
        cls,
        responses: Float64[np.ndarray, "sample unit"],
        labels: Int64[np.ndarray, " sample"],
        classes: int,
    ) -> "Moments":
        """Moments by two passes in float64: the plain definition, for small data and for tests."""
        return cls.from_members(responses, labels[:, None] == np.arange(classes))

    @classmethod
    def from_members(
        cls,
        responses: Float64[np.ndarray, "sample unit"],
        members: Bool[np.ndarray, "sample class"],
    ) -> "Moments":
        """The same of samples that may belong to several classes, or to none."""
        units, classes = responses.shape[1], members.shape[1]
        result = cls.empty(classes, units)
        finite = np.isfinite(responses)
        # shifted by each unit's first response, so that a constant unit has exactly no variance
        shift = np.where(finite[0], responses[0], 0.0) if len(responses) else np.zeros(units)
        for k in range(classes):
            own = members[:, k]
            values = np.where(finite[own], responses[own] - shift, 0.0)
            n = finite[own].sum(0)
            mean = np.divide(values.sum(0), n, out=np.zeros(units), where=n > 0)
            result.count[k] = own.sum()
            result.mean[k] = np.where(n > 0, mean + shift, 0.0)
            result.m2[k] = np.where(finite[own], (values - mean) ** 2, 0.0).sum(0)
            result.active[k] = (finite[own] & (responses[own] > 0)).sum(0)
            result.nonfinite[k] = (~finite[own]).sum(0)
        return result
