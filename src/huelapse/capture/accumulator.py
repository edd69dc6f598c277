"""Folding batches of responses into per-class sums, for every grouping at once."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from huelapse.moments import Moments


class Accumulator:
    """Per-class sums of responses since it was made.

    Sums of (x − ref) and (x − ref)² in float64, with ref the first batch's mean of each unit:
    shifting keeps the variance exact where the mean is large. Float32 sums would not do: a class
    that is far from ref and narrow (a trained output's own class) loses its spread in them
    (docs/decisions/0002-float64-sums.md). A unit that is constant in the first batch takes that very
    value as ref, so that a constant unit has a variance of exactly 0. Responses that are not finite
    are counted and enter no sum.

    Nothing here waits for the device: sums stay there until `moments`.
    """

    def __init__(self, classes: Mapping[str, int], units: int, device: torch.device) -> None:
        """
        Args:
            classes: grouping → its number of classes.
            units: of all layers together.
        """
        self._classes = dict(classes)
        self._ref: Tensor | None = None
        self._sums: dict[str, tuple[Tensor, Tensor, Tensor, Tensor, Tensor]] = {}
        for grouping, k in self._classes.items():
            # one row more than classes: samples of no class (label -1) land there and are left out
            rows = (k + 1, units)
            self._sums[grouping] = (
                torch.zeros(k + 1, dtype=torch.int64, device=device),
                torch.zeros(rows, dtype=torch.float64, device=device),
                torch.zeros(rows, dtype=torch.float64, device=device),
                torch.zeros(rows, dtype=torch.int32, device=device),
                torch.zeros(rows, dtype=torch.int32, device=device),
            )

    def fold(self, responses: Tensor, labels: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            responses: [sample, unit] float32.
            labels: grouping → [sample] int64 class index, or -1 for none.
        """
        finite = responses.isfinite()
        if self._ref is None:
            self._ref = _reference(responses, finite).double()
        deviation = torch.where(finite, responses.double() - self._ref, 0.0)
        squared = deviation * deviation
        active = (finite & (responses > 0)).int()
        nonfinite = (~finite).int()
        for grouping, (count, total, squares, actives, nonfinites) in self._sums.items():
            row = labels[grouping]
            row = torch.where(row < 0, self._classes[grouping], row)
            count.index_add_(0, row, torch.ones_like(row))
            total.index_add_(0, row, deviation)
            squares.index_add_(0, row, squared)
            actives.index_add_(0, row, active)
            nonfinites.index_add_(0, row, nonfinite)

    def moments(self) -> dict[str, Moments]:
        """Grouping → moments, in float64 on the host."""
        result: dict[str, Moments] = {}
        for grouping, sums in self._sums.items():
            count, total, squares, actives, nonfinites = (s[:-1].cpu().numpy() for s in sums)
            ref = np.zeros(total.shape[1]) if self._ref is None else self._ref.cpu().numpy()
            n = count[:, None] - nonfinites
            shifted = np.divide(total, n, out=np.zeros(total.shape), where=n > 0)
            result[grouping] = Moments(
                count=count.astype(np.int64),
                mean=np.where(n > 0, ref + shifted, 0.0),
                m2=np.maximum(squares - n * shifted**2, 0.0),
                active=actives.astype(np.int64),
                nonfinite=nonfinites.astype(np.int64),
            )
        return result


def _reference(responses: Tensor, finite: Tensor) -> Tensor:
    seen = finite.sum(0)
    mean = torch.where(finite, responses, 0.0).sum(0) / seen.clamp(min=1)
    low = torch.where(finite, responses, torch.inf).amin(0)
    high = torch.where(finite, responses, -torch.inf).amax(0)
    return torch.where(seen > 0, torch.where(low == high, low, mean), 0.0)
