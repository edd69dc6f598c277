"""What a snapshot writes: array path → value."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from huelapse.moments import Moments
from huelapse.schema import TRUE
from huelapse.snapshot import Snapshot
from huelapse.store import layout


def values_of(snapshot: Snapshot, responses: Sequence[str], *, segment: int = 0) -> dict[str, Any]:
    """Array path → value of this snapshot. Mean and m2 are NaN where there is no data."""
    split = snapshot.split
    values: dict[str, Any] = {
        f"{split}/step": snapshot.step,
        f"{split}/epoch": snapshot.epoch,
        f"{split}/wall_time": snapshot.wall_time,
        f"{split}/segment": segment,
        f"{split}/superseded": 0,
        f"{split}/seconds": snapshot.seconds,
        **{f"{split}/metric.{name}": value for name, value in snapshot.metrics.items()},
        **{f"{split}/{path}": value for path, value in snapshot.extras.items()},
    }
    of_responses = (snapshot.moments, snapshot.peaks)
    for response, groupings in zip(responses, of_responses, strict=False):
        for name, moments in groupings.items():
            base = f"{split}/{name}"
            home = layout.home_of(base, response, responses)
            values[f"{base}/count"] = moments.count
            values |= _cubes(home, moments)
    if snapshot.confusion is not None:
        values[f"{split}/{TRUE}/confusion"] = snapshot.confusion
    return values


def _cubes(home: str, moments: Moments) -> dict[str, Any]:
    empty = moments.n == 0
    with np.errstate(over="ignore"):  # becomes inf: read as not finite
        mean, m2 = moments.mean.astype(np.float32), moments.m2.astype(np.float32)
    return {
        f"{home}/mean": np.where(empty, np.float32(np.nan), mean),
        f"{home}/m2": np.where(empty, np.float32(np.nan), m2),
        f"{home}/active": moments.active,
        f"{home}/nonfinite": moments.nonfinite,
    }
