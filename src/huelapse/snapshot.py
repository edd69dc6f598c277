"""Everything kept at one moment of a split, on its way from capture to store."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int64

from huelapse.moments import Moments


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
    """Grouping → moments over all units of all layers."""
    confusion: Int64[np.ndarray, "class predicted_class"] | None
    metrics: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def nbytes(self) -> int:
        """Bytes it holds in memory while it waits to be written."""
        return sum(
            m.count.nbytes + m.mean.nbytes + m.m2.nbytes + m.active.nbytes + m.nonfinite.nbytes
            for m in self.moments.values()
        )
