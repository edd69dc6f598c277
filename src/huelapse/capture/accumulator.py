"""Folding batches of responses into per-class sums, for every grouping at once."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from huelapse.moments import Moments

SCRATCH = 2**18
"""Responses folded at a time on a CPU, so that the float64 scratch stays in the processor's cache."""

LEAST_ROWS, MOST_ROWS = 16, 1024
"""Samples folded at a time, however many units there are."""

CLASSES = 64
"""Classes turned from sums into moments at a time."""

WHOLE = 2**24
"""Up to here float32 counts every whole number. Its `index_add_` is 25 times as fast as int32's."""


@dataclass(slots=True)
class _Sums:
    """Of one grouping: [class + 1, unit]; samples of no class (label -1) land in the last row."""

    count: Tensor
    total: Tensor
    squares: Tensor
    active: Tensor
    nonfinite: Tensor | None = None
    """Made when the first batch comes that needs it."""

    @property
    def all(self) -> list[Tensor]:
        parts = [self.count, self.total, self.squares, self.active]
        return parts if self.nonfinite is None else [*parts, self.nonfinite]


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
            device: where responses come from; one with float64.
        """
        self._classes = dict(classes)
        self.device = device
        self._units = units
        self._on_host = device.type == "cpu"
        self._ref: Tensor | None = None
        self._since_whole = 0
        self._sums: dict[str, _Sums] = {
            grouping: _Sums(
                count=torch.zeros(k + 1, dtype=torch.int64, device=device),
                total=_zeros(k + 1, units, torch.float64, device),
                squares=_zeros(k + 1, units, torch.float64, device),
                active=_zeros(k + 1, units, torch.float32, device),
            )
            for grouping, k in self._classes.items()
        }
        self._rows = min(MOST_ROWS, max(LEAST_ROWS, SCRATCH // max(1, units)))
        rows = self._rows if self._on_host else 0
        self._scratch = (
            torch.empty((2, rows, units), dtype=torch.float64, device="cpu"),
            torch.empty((rows, units), dtype=torch.float32, device="cpu"),
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the sums."""
        return sum(part.nbytes for sums in self._sums.values() for part in sums.all)

    def fold(self, responses: Tensor, rows: Mapping[str, Tensor]) -> None:
        """Add a batch.

        Args:
            responses: [sample, unit] float32.
            rows: grouping → [sample] int64 class index, or -1 for none; or [sample, class] bool,
                where a sample counts in several classes.
        """
        self._stay_whole(len(responses))
        places: dict[str, Tensor] = {}
        for grouping, sums in self._sums.items():
            row = rows[grouping]
            if row.dtype == torch.bool:
                places[grouping] = row.T
                sums.count[:-1] += row.sum(0)
                continue
            places[grouping] = row = torch.where(row < 0, self._classes[grouping], row)
            sums.count.index_add_(0, row, torch.ones_like(row))
        # On a CPU looking costs no wait. NaN and ±Inf show in the sum; finite values whose sum
        # overflows only take the slower way.
        finite = self._on_host and math.isfinite(responses.sum().item())
        if self._ref is None:
            self._ref = (_reference_of_finite if finite else _reference)(responses).double()
        if not finite:
            self._make_nonfinite()
        step = self._rows if self._on_host else max(1, len(responses))
        for start in range(0, len(responses), step):
            part = responses[start : start + step]
            own = {grouping: place[..., start : start + step] for grouping, place in places.items()}
            self._fold_rows(part, self._ref, own, finite=finite)

    def _fold_rows(
        self, part: Tensor, ref: Tensor, places: Mapping[str, Tensor], *, finite: bool
    ) -> None:
        deviation, squared, flag = self._scratch_for(len(part))
        deviation.copy_(part)
        deviation.sub_(ref)
        bad = None if finite else ~part.isfinite()
        if bad is not None:
            deviation.masked_fill_(bad, 0.0)
        torch.mul(deviation, deviation, out=squared)
        torch.gt(part, 0, out=flag)
        if bad is not None:
            flag.masked_fill_(bad, 0.0)  # +Inf > 0
        for grouping, sums in self._sums.items():
            place = places[grouping]
            _add(sums.total, place, deviation)
            _add(sums.squares, place, squared)
            _add(sums.active, place, flag)
        if bad is not None:
            flag.copy_(bad)
            for grouping, sums in self._sums.items():
                assert sums.nonfinite is not None
                _add(sums.nonfinite, places[grouping], flag)

    def _scratch_for(self, samples: int) -> tuple[Tensor, Tensor, Tensor]:
        if self._on_host:
            wide, narrow = self._scratch
            return wide[0, :samples], wide[1, :samples], narrow[:samples]
        shape = (samples, self._units)
        wide = torch.empty((2, *shape), dtype=torch.float64, device=self.device)
        return wide[0], wide[1], torch.empty(shape, dtype=torch.float32, device=self.device)

    def _make_nonfinite(self) -> None:
        for sums in self._sums.values():
            if sums.nonfinite is None:
                sums.nonfinite = torch.zeros_like(sums.active)

    def _stay_whole(self, samples: int) -> None:
        """Counts are float32 for as long as those are exact, and float64 from then on."""
        self._since_whole += samples
        if self._since_whole >= WHOLE:
            self._since_whole = -(2**62)
            for sums in self._sums.values():
                sums.active = sums.active.double()
                if sums.nonfinite is not None:
                    sums.nonfinite = sums.nonfinite.double()

    def moments(self) -> dict[str, Moments]:
        """Grouping → moments, in float64 on the host. Waits for the device.

        On a CPU the sums themselves are turned into what they give, some classes at a time, so that
        at 1,000 classes memory is not doubled: they are gone afterwards.
        """
        result: dict[str, Moments] = {}
        for grouping in list(self._sums):
            sums = self._sums.pop(grouping)
            count, mean, m2, active = (s[:-1].cpu().numpy() for s in sums.all[:4])
            # one 0 seen everywhere: no memory for what never happened
            nonfinite = np.broadcast_to(np.int64(0), active.shape)
            if sums.nonfinite is not None:
                nonfinite = sums.nonfinite[:-1].cpu().numpy().astype(np.int64)
            ref = np.zeros(mean.shape[1]) if self._ref is None else self._ref.cpu().numpy()
            whole = np.empty(active.shape, np.int64)
            for start in range(0, len(count), CLASSES):
                part = slice(start, start + CLASSES)
                n = count[part, None] - nonfinite[part]
                there, n = n > 0, np.maximum(n, 1)
                whole[part] = active[part]
                mean[part] /= n  # still relative to ref
                m2[part] -= mean[part] ** 2 * n
                np.maximum(m2[part], 0.0, out=m2[part])
                mean[part] += ref
                mean[part] *= there  # what is not there is finite, so it becomes 0
            result[grouping] = Moments(
                count=count.astype(np.int64),
                mean=mean,
                m2=m2,
                active=whole,
                nonfinite=nonfinite,
            )
        return result


def _zeros(rows: int, units: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """On a CPU memory that is taken when it is first written, not at once on the training thread."""
    if device.type != "cpu":
        return torch.zeros((rows, units), dtype=dtype, device=device)
    wide = np.float64 if dtype == torch.float64 else np.float32
    return torch.from_numpy(np.zeros((rows, units), wide))


def _add(sums: Tensor, place: Tensor, values: Tensor) -> None:
    """Rows of `values` to the classes they belong to: one each, or [class, sample] members."""
    if place.dtype == torch.bool:
        sums[:-1] += place.to(values.dtype) @ values
    elif values.dtype == sums.dtype:
        sums.index_add_(0, place, values)
    else:
        sums.index_add_(0, place, values.to(sums.dtype))


def _reference(responses: Tensor) -> Tensor:
    finite = responses.isfinite()
    seen = finite.sum(0)
    mean = torch.where(finite, responses, 0.0).sum(0) / seen.clamp(min=1)
    low = torch.where(finite, responses, torch.inf).amin(0)
    high = torch.where(finite, responses, -torch.inf).amax(0)
    return torch.where(seen > 0, torch.where(low == high, low, mean), 0.0)


def _reference_of_finite(responses: Tensor) -> Tensor:
    low = responses.amin(0)
    return torch.where(low == responses.amax(0), low, responses.mean(0))
