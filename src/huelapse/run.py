"""A recorded run: open it, select, derive. Needs no torch.

run = huelapse.open("runs/fashion")
run.steps                                  # [0, 1, 2, 4, …]
run.strength(step=200, layer="fc2")        # [unit]
"""

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import FormatError, SelectionError
from huelapse.extras import Extras
from huelapse.measures import MEASURES, TUNED, Measure, Reading, read
from huelapse.moments import Moments
from huelapse.schema import TRUE
from huelapse.store import StoreReader

MEANS = ("mean", "m2")
COUNTS = ("active", "nonfinite")


def open_run(path: str | Path) -> "Run":
    """Open a run directory (or its `run.zarr`) for reading, also while it is being written.

    Raises:
        NotARunError: there is no run.
        FormatError: it was written by a newer huelapse, or is damaged.
    """
    return Run(StoreReader(path))


class Run(Extras):
    """One committed state of a run. `refreshed()` gives a later one while it is being recorded.

    Methods that read statistics take `step` (default: the last snapshot), `layer` (a path; default:
    all units, layers in call order), `grouping` (default: "true"), `split` (default: the first)
    and `response` ("mean" or "peak"; default: the first of `response_names`).
    """

    def __init__(self, reader: StoreReader) -> None:
        super().__init__(reader)
        self.reading = lru_cache(maxsize=64)(self._read)

    def refreshed(self) -> "Run":
        """This run, or its newer state where a snapshot was committed since it was opened."""
        reader = self._reader.refreshed()
        return self if reader is self._reader else Run(reader)

    # --- statistics ----------------------------------------------------------------------------

    def moments(
        self,
        index: int,
        grouping: str = TRUE,
        split: str | None = None,
        unit: slice = slice(None),
        response: str | None = None,
    ) -> Moments:
        """The stored statistics of the `index`-th snapshot, for a range of units.

        Raises:
            SelectionError: there is no such snapshot or unit.
            FormatError: a part is missing or damaged.
        """
        base, home = self._homes(grouping, split, response)
        part = (index, slice(None), unit)
        self._check_within(index, self._reader.shape(f"{base}/count")[0], "snapshot")
        for end in (unit.start, unit.stop):
            if end is not None:
                self._check_within(end, self.units + 1, "end of a range of units")
        count = self._reader.read_counts(f"{base}/count", index)
        return self._stored(home, count, *self._cubes(home, part))

    def history(
        self,
        unit: int,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> list[Moments]:
        """The statistics of one unit at every snapshot."""
        base, home = self._homes(grouping, split, response)
        self._check_within(unit, self.units, "unit")
        one = (slice(None), slice(None), slice(unit, unit + 1))
        count = self._reader.read_counts(f"{base}/count")
        cubes = self._cubes(home, one)
        return [
            self._stored(home, count[t], *(cube[t] for cube in cubes)) for t in range(len(count))
        ]

    def _check_within(self, given: Any, number: int, what: str) -> None:
        if not isinstance(given, int | np.integer) or not 0 <= given < number:
            raise SelectionError(
                f"{self.path} has no {what} {given!r}: they are counted from 0 to {number - 1}"
            )

    def _cubes(self, home: str, part: Any) -> list[np.ndarray]:
        means = [self._reader.read(f"{home}/{name}", part) for name in MEANS]
        return means + [self._reader.read_counts(f"{home}/{name}", part) for name in COUNTS]

    def _homes(self, grouping: str, split: str | None, response: str | None) -> tuple[str, str]:
        """Paths of a grouping, and of the statistics of a response in it."""
        base = f"{self.split(split).name}/{self.grouping(grouping, split).name}"
        response = self.response_names[0] if response is None else response
        if response not in self.response_names:
            raise SelectionError(
                f"{self.path} has no response {response!r}; recorded were "
                f"{', '.join(self.response_names)} (Recorder(response=…))"
            )
        return base, self._reader.home(base, response)

    def _stored(
        self,
        base: str,
        count: np.ndarray,
        mean: np.ndarray,
        m2: np.ndarray,
        active: np.ndarray,
        nonfinite: np.ndarray,
    ) -> Moments:
        """Statistics as they stand on disk, as moments.

        Raises:
            FormatError: statistics are missing for samples that were counted, or the reverse.
        """
        n = count[:, None] - nonfinite
        if ((n > 0) == np.isnan(mean)).any() or ((n > 0) == np.isnan(m2)).any():
            raise FormatError(
                f"{self.path}: part of {base} is missing or damaged: counts and means do not fit "
                f"each other. Other snapshots of the run may still be whole"
            )
        return Moments(
            count=count,
            mean=np.nan_to_num(mean.astype(np.float64), posinf=np.inf, neginf=-np.inf),
            m2=np.nan_to_num(m2.astype(np.float64), posinf=np.inf),
            active=active,
            nonfinite=nonfinite,
        )

    def confusion(self, split: str | None = None) -> Int64[np.ndarray, "snapshot true predicted"]:
        """Samples of each true class (rows) predicted as each class, at every snapshot."""
        path = f"{self.split(split).name}/{TRUE}/confusion"
        if not self._reader.has(path):
            raise SelectionError(f"{self.path} holds no confusion counts for this split")
        return self._reader.read_counts(path)

    def accuracy(self, split: str | None = None) -> Float64[np.ndarray, " snapshot"]:
        """Share of samples predicted as their true class; samples without a prediction are wrong."""
        right = np.trace(self.confusion(split), axis1=1, axis2=2).astype(np.float64)
        count = self._reader.read_counts(f"{self.split(split).name}/{TRUE}/count").sum(1)
        return np.divide(right, count, out=np.full(len(right), np.nan), where=count > 0)

    # --- derived -------------------------------------------------------------------------------

    def _read(
        self,
        index: int,
        grouping: str = TRUE,
        split: str | None = None,
        measure: str = "margin",
        response: str | None = None,
    ) -> Reading:
        moments = self.moments(index, grouping, split, response=response)
        return read(moments, signed=self.signed, measure=find_measure(measure))

    def tuning(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Float64[np.ndarray, "class unit"]:
        """Mean response per class and unit; NaN where no sample of the class was seen."""
        moments = self.moments(
            self.index(step, split), grouping, split, self._slice(layer), response
        )
        return np.where(moments.n > 0, moments.mean, np.nan)

    def preferred(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Int64[np.ndarray, " unit"]:
        """Class with the greatest tuning (for suppressed units: the least); -1 without data."""
        return self._reading(step, grouping, split, response).preference.preferred[
            self._slice(layer)
        ]

    def sure(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Float64[np.ndarray, " unit"]:
        """Probability that the preferred class really is the greatest; NaN without data."""
        return self._reading(step, grouping, split, response).preference.sure[self._slice(layer)]

    def strength(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> Float64[np.ndarray, " unit"]:
        """What color shows: the margin's lower one-standard-error bound, 0 where not held.

        NaN where nothing is known: no data, or responses that were not finite.
        """
        return self._reading(step, grouping, split, response).strength[self._slice(layer)]

    def state(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        threshold: float = TUNED,
        response: str | None = None,
    ) -> Int64[np.ndarray, " unit"]:
        """`huelapse.State` of each unit."""
        return self._reading(step, grouping, split, response).state(threshold)[self._slice(layer)]

    def _reading(
        self, step: int | None, grouping: str, split: str | None, response: str | None
    ) -> Reading:
        return self.reading(self.index(step, split), grouping, split, response=response)


def find_measure(name: str) -> Measure:
    if name not in MEASURES:
        raise SelectionError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
    return MEASURES[name]
