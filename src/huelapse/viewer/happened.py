"""What the page reads of events, and of what noise alone would read."""

import numpy as np

from huelapse.events import KINDS, NONE, Log
from huelapse.painting import NO_CLASS, SUPPRESSED
from huelapse.run import Run

NO_UNIT = 2**32 - 1

PERMUTATIONS, UNITS = 20, 128
"""Of a noise floor that somebody waits for: 2,560 bounds a layer, if it is large."""

Arrays = dict[str, np.ndarray]


def events(log: Log) -> Arrays:
    """Events in order of time, along `event`; and `expected`, along kinds, NaN where not told."""
    found = log.found
    expected = log.expected_false()
    return {
        "snapshot": np.array([e.snapshot for e in found], np.uint32),
        "kind": np.array([KINDS.index(e.kind) for e in found], np.uint8),
        "layer": np.array([e.layer for e in found], np.uint32),
        "unit": np.array([NO_UNIT if e.unit == NONE else e.unit for e in found], np.uint32),
        "before": np.array([NO_CLASS if e.before == NONE else e.before for e in found], np.uint16),
        "after": np.array([NO_CLASS if e.after == NONE else e.after for e in found], np.uint16),
        "level": np.array([e.level for e in found], np.uint8),
        "confirmed": np.array([e.confirmed for e in found], np.uint32),
        "flags": np.array([SUPPRESSED * e.suppressed for e in found], np.uint8),
        "expected": np.array([expected.get(kind, np.nan) for kind in KINDS]),
    }


def floor(run: Run, split: str, measure: str, index: int) -> Arrays:
    """`floor` [layer]: the 95th percentile of strength under permuted labels at a snapshot."""
    found = run.noise_floor_at(index, None, split, measure, PERMUTATIONS, UNITS)
    return {"floor": np.array([found[layer.path] for layer in run.layers], np.float32)}
