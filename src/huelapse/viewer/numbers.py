"""A layer as a table: what its picture says, in numbers."""

import numpy as np

from huelapse.measures import find_measure
from huelapse.measures.intervals import interval_of
from huelapse.moments import Moments
from huelapse.painting import NO_CLASS, class_on_wire, on_wire
from huelapse.run import Run
from huelapse.schema import Layer

Arrays = dict[str, np.ndarray]


def table(run: Run, split: str, grouping: str, measure: str, index: int, layer: Layer) -> Arrays:
    """A row for each unit of a layer at a snapshot, in the order of its units.

    Beside what paint holds: `value`, `strength`, `sure`, and of the preferred class `n` its samples,
    `mean` the unit's mean response to them, `low` and `high` its 95 % interval. NaN where there is no
    class, or the measure has no meaning; n is 0 there.
    """
    moments = run.moments(index, grouping, split, layer.slice)
    return _rows(run, moments, layer.slice, split, grouping, measure)


class Tables:
    """The same of one layer after another, as an export asks: from the second of a snapshot on they are
    made of all its units at once, whose statistics are read in one piece."""

    def __init__(self) -> None:
        self._asked: tuple[Run, str, str, str, int] | None = None
        self._made: Arrays | None = None

    def table(
        self, run: Run, split: str, grouping: str, measure: str, index: int, layer: Layer
    ) -> Arrays:
        asked = run, split, grouping, measure, index
        if asked != self._asked:
            self._asked, self._made = asked, None
            return table(run, split, grouping, measure, index, layer)
        if self._made is None:
            parts = [
                _rows(run, moments, own, split, grouping, measure)
                for own, moments in run.blocks(index, grouping, split)
            ]
            self._made = {name: np.concatenate([one[name] for one in parts]) for name in parts[0]}
        return {name: values[layer.slice] for name, values in self._made.items()}


def _rows(
    run: Run, moments: Moments, units: slice, split: str, grouping: str, measure: str
) -> Arrays:
    """Of some units, by their statistics."""
    by, signed = find_measure(measure), run.signed[units]
    reading = run.judged(moments, grouping, split, signed=signed, measure=by)
    wire = on_wire(reading)
    known = wire["preferred"] != NO_CLASS
    at = np.where(known, wire["preferred"], 0), np.arange(len(signed))
    # of these alone: an array of all classes would take longer than all the rest
    mean, n = moments.mean[at], moments.count[at[0]] - moments.nonfinite[at]
    variance = np.where(n > 1, moments.m2[at] / np.maximum(n - 1, 1), np.nan)
    low, high = interval_of(mean, variance, n)
    return {
        **wire,
        "runner_up": class_on_wire(reading.preference.runner_up),
        "value": reading.selectivity.value.astype(np.float32),
        "strength": reading.strength.astype(np.float32),
        "sure": reading.preference.sure.astype(np.float32),
        "n": np.where(known, n, 0).astype(np.uint32),
        **{
            name: np.where(known, of, np.nan).astype(np.float32)
            for name, of in (("mean", mean), ("low", low), ("high", high))
        },
    }
