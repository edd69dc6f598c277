"""What a run holds, beside what one process over the same samples would have."""

import numpy as np

from huelapse.moments import Moments

EXACT = slice(5, 12)
"""Units whose response is the module's output itself: relu2."""


def check_moments(found: Moments, truth: Moments) -> None:
    """Counts exactly, moments as float32 holds them."""
    assert np.array_equal(found.count, truth.count)
    assert np.array_equal(found.active, truth.active)
    there = found.count > 0
    rms = np.sqrt((truth.mean**2).mean(0) + truth.m2.max(0) / truth.count.max())
    assert (np.abs(found.mean - truth.mean)[there] <= 1e-6 * rms).all()
    assert (np.abs(found.m2 - truth.m2)[there] <= 2e-6 * rms**2 * truth.count.max()).all()
    for name in ("mean", "m2"):
        ours, theirs = (getattr(one, name)[there, EXACT] for one in (found, truth))
        assert np.array_equal(ours.astype(np.float32), theirs.astype(np.float32)), name
