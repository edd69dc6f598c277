"""What the page reads of events, and of what noise alone would read."""

import numpy as np

from huelapse.events import KINDS, NONE, Log
from huelapse.painting import NO_CLASS, SUPPRESSED
from huelapse.run import Run

NO_UNIT = 2**32 - 1

PERMUTATIONS, UNITS = 20, 128
"""Of a noise floor that somebody waits for: 2,560 bounds a layer, if it is large."""

ALONG = {
    "snapshot": np.uint32,
    "kind": np.uint8,
    "layer": np.uint32,
    "unit": np.uint32,
    "before": np.uint16,
    "after": np.uint16,
    "level": np.uint8,
    "confirmed": np.uint32,
    "flags": np.uint8,
}

Arrays = dict[str, np.ndarray]


def events(log: Log) -> Arrays:
    """Events in order of time, along `event`; and `expected`, along kinds, NaN where not told."""
    found = log.found
    expected = log.expected_false()
    told = {
        "unit": np.where(found["unit"] == NONE, NO_UNIT, found["unit"]),
        **{k: np.where(found[k] == NONE, NO_CLASS, found[k]) for k in ("before", "after")},
        "flags": SUPPRESSED * found["suppressed"],
    }
    return {
        **{
            name: (told[name] if name in told else found[name]).astype(dtype)
            for name, dtype in ALONG.items()
        },
        "expected": np.array([expected.get(kind, np.nan) for kind in KINDS]),
    }


def floor(run: Run, split: str, measure: str, index: int) -> Arrays:
    """`floor` [layer]: the 95th percentile of strength under permuted labels at a snapshot."""
    found = run.noise_floor_at(index, None, split, measure, PERMUTATIONS, UNITS)
    return {"floor": np.array([found[layer.path] for layer in run.layers], np.float32)}
