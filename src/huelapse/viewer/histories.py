"""What the page reads of one unit: all that is known of it, through training."""

import numpy as np

from huelapse.errors import SelectionError
from huelapse.measures import Reading, active_interval, find_measure, interval
from huelapse.moments import Moments
from huelapse.painting import NO_CLASS, NOT_RECORDED, class_on_wire, on_wire
from huelapse.run import Run
from huelapse.viewer import closer
from huelapse.viewer.leveled import own_classes

DAMAGED = {
    **dict.fromkeys(("mean", "low", "high", "active", "active_low", "active_high"), np.nan),
    **dict.fromkeys(("value", "strength", "sure"), np.nan),
    "preferred": NO_CLASS,
    "runner_up": NO_CLASS,
    "state": NOT_RECORDED,
}
"""What a unit's history holds at a snapshot that cannot be read back, other than 0."""

Arrays = dict[str, np.ndarray]


def of_unit(run: Run, split: str, grouping: str, measure: str, unit: int) -> Arrays:
    """What the inspector shows of a unit, along all snapshots; see docs/wire.md.

    Raises:
        SelectionError: there is no such unit, grouping or measure.
        FormatError: no snapshot of it can be read back.
    """
    measured_by = find_measure(measure)
    run.grouping(grouping, split)
    if not 0 <= unit < run.units:
        raise SelectionError(f"no unit {unit}: the run has {run.units}")
    signed = run.signed[unit]
    parts: list[tuple[np.ndarray, Arrays]] = []
    for snapshots, moments in closer.history(run, unit, grouping, split):
        signs = np.full(len(snapshots), signed)
        reading = run.judged(moments, grouping, split, signed=signs, measure=measured_by)
        parts.append((snapshots, _traced(own_classes(run, moments, grouping, split), reading)))
    total, found = len(run.coordinate("step", split)), dict[str, np.ndarray]()
    for snapshots, traced in parts:
        for name, values in traced.items():
            if name not in found:
                shape = (total, *values.shape[1:])
                found[name] = np.full(shape, DAMAGED.get(name, 0), values.dtype)
            found[name][snapshots] = values
    return found


def _traced(moments: Moments, reading: Reading) -> Arrays:
    """What the inspector shows of a unit, along `snapshot`; `moments` has a snapshot in each column."""
    low, high = interval(moments)
    fewest, most = active_interval(moments)
    n = moments.n.T
    responded = np.full(n.shape, np.nan)
    np.divide(moments.active.T, n, out=responded, where=n > 0)
    return {
        "n": n.astype(np.uint32),
        "mean": np.where(n > 0, moments.mean.T, np.nan).astype(np.float32),
        "low": low.T.astype(np.float32),
        "high": high.T.astype(np.float32),
        "active": responded.astype(np.float32),
        "active_low": fewest.T.astype(np.float32),
        "active_high": most.T.astype(np.float32),
        "runner_up": class_on_wire(reading.preference.runner_up),
        "value": reading.selectivity.value.astype(np.float32),
        "strength": reading.strength.astype(np.float32),
        "sure": reading.preference.sure.astype(np.float32),
        "active_samples": reading.active_samples.astype(np.uint32),
        **on_wire(reading),
    }
