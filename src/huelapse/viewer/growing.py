"""What the page asks again and again while a run is recorded: has it grown, and is it still at it?"""

import time
from typing import Any

import numpy as np

from huelapse.run import Run

GAPS = 3
"""Snapshots thin out as a training goes on: the longest of the last gaps is the usual one."""


def pulse(run: Run) -> dict[str, Any]:
    """How far a run is, as plain JSON values.

    Returns:
        `version` of its committed state; `state`; `snapshots` of each split; `age`, seconds since the
        last snapshot by this machine's clock, and `interval`, the usual seconds between two: None
        while there are none.
    """
    times = [run.coordinate("wall_time", split.name) for split in run.splits]
    moments = np.unique(np.concatenate([np.zeros(0), *times]))
    gaps = np.diff(moments)[-GAPS:]
    return {
        "version": run.version,
        "state": run.status,
        "snapshots": {s.name: len(t) for s, t in zip(run.splits, times, strict=True)},
        "age": max(0.0, time.time() - float(moments[-1])) if len(moments) else None,
        "interval": float(gaps.max()) if len(gaps) else None,
    }
