"""Everything kept at one moment of a split, on its way from capture to store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64

from huelapse.moments import Moments
from huelapse.schema import Layer


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """One moment of one split.

    `step` counts optimizer steps, `epoch` passes over the training data (NaN when not told),
    `wall_time` is UTC seconds, `seconds` what taking it cost the training thread.
    """

    split: str
    step: int
    epoch: float
    wall_time: float
    seconds: float
    moments: Mapping[str, Moments]
    """Grouping → moments over all units of all layers, of the first response that is recorded."""
    confusion: Int64[np.ndarray, "class predicted_class"] | None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])
    peaks: Mapping[str, Moments] = field(default_factory=dict[str, Moments])
    """The same of the second response, `peak`, where both are recorded."""
    extras: Mapping[str, np.ndarray] = field(default_factory=dict[str, np.ndarray])
    """Path below the split → value, of optional arrays the split has declared. What is left out
    was not kept at this snapshot, and reads as the array's fill."""

    @property
    def nbytes(self) -> int:
        """Bytes it holds in memory while it waits to be written."""
        statistics = sum(
            m.count.nbytes + m.mean.nbytes + m.m2.nbytes + m.active.nbytes + m.nonfinite.nbytes
            for m in (*self.moments.values(), *self.peaks.values())
        )
        return statistics + sum(value.nbytes for value in self.extras.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """Samples one by one, in no statistics yet: whether they count is told by other ranks' samples.

    A sampler that gives all ranks as many forwards some of the last ones on two of them.
    """

    ids: Sequence[Any]
    responses: Sequence[Float32[np.ndarray, "sample unit"]]
    """Of each response that is recorded."""
    rows: Mapping[str, np.ndarray]
    """Grouping → int64 [sample], class or -1 for none; with several classes bool [sample, class]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Share(Snapshot):
    """What one of several ranks gives to a moment: the statistics of its own samples."""

    layers: tuple[Layer, ...]
    """Of whose units they are."""
    output: str
    """What the model's output was taken for."""
    samples: int
    """In the statistics: those of no class too."""
    ids: Sequence[Any] | None = None
    """Of these samples, integers or texts; None where nobody has told them apart."""
    held: Held | None = None
    """Further samples, which may be another rank's too."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingSnapshot:
    """A snapshot whose numbers are not on the host yet, or not finished.

    `finish` is called once, in the writer's thread: copying from the device, the last float64
    arithmetic and encoding cost the training thread nothing. What it raises counts as a snapshot
    that could not be written.
    """

    split: str
    step: int
    nbytes: int
    """Bytes it holds until it is written, on the device or the host."""
    finish: Callable[[], Snapshot]
