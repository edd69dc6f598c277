"""A recorded run: open it, select, derive. Needs no torch.

run = huelapse.open("runs/fashion")
run.steps                                  # [0, 1, 2, 4, …]
run.strength(step=200, layer="fc2")        # [unit]
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import FormatError, SelectionError
from huelapse.extras import Extras
from huelapse.measures import MEASURES, TUNED, Measure, Reading, read
from huelapse.moments import Moments
from huelapse.schema import TRUE
from huelapse.store import StoreReader

if TYPE_CHECKING:
    from huelapse.export.frame import DataFrame
    from huelapse.export.labelled import Dataset, DataTree

MEANS = ("mean", "m2")
COUNTS = ("active", "nonfinite")


def open_run(path: str | Path, *, superseded: bool = False) -> "Run":
    """Open a run for reading, also while it is being written.

    Args:
        path: of the run's directory (or its `run.zarr`), or of a pack (`run.hue.zip`); or its
            address, `s3://bucket/key/run` or `http(s)://host/path/run` (docs/elsewhere.md).
        superseded: show also snapshots of steps that a resumed training made again.

    Raises:
        NotARunError: there is no run.
        FormatError: it was written by a newer huelapse, or is damaged.
        PlaceError: it is on another machine that can't be reached, or refuses.
    """
    return Run(StoreReader(path, superseded=superseded))


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
        found: dict[int, Moments] = {}
        for snapshots, moments in self.through_time(unit, grouping, split, response):
            for i, t in enumerate(snapshots.tolist()):
                found[t] = moments.of(slice(i, i + 1))
        return [found[t] for t in range(len(found))]

    def through_time(
        self,
        unit: int,
        grouping: str = TRUE,
        split: str | None = None,
        response: str | None = None,
    ) -> list[tuple[Int64[np.ndarray, " snapshot"], Moments]]:
        """The statistics of one unit at all snapshots, with a snapshot in each unit's place.

        Returns:
            Indices of snapshots with the same number of samples in each class, and moments with a
            column for each of these. A probe gives one such pair.
        """
        base, home = self._homes(grouping, split, response)
        self._check_within(unit, self.units, "unit")
        counts = self._reader.read_counts(f"{base}/count")
        if len(counts) == 0:
            return []
        *means, active, nonfinite = self._reader.through_time.unit(base, home, unit)
        cubes = (
            *means,
            self._reader.checked_counts(f"{home}/active", active),
            self._reader.checked_counts(f"{home}/nonfinite", nonfinite),
        )
        kinds, kind = np.unique(counts, axis=0, return_inverse=True)
        found: list[tuple[np.ndarray, Moments]] = []
        for k, count in enumerate(kinds):
            own = np.flatnonzero(kind.reshape(-1) == k)
            found.append((own, self._stored(home, count, *(cube[own].T for cube in cubes))))
        return found

    def _check_within(self, given: Any, number: int, what: str) -> None:
        if not isinstance(given, int | np.integer) or not 0 <= given < number:
            raise SelectionError(
                f"{self.place} has no {what} {given!r}: they are counted from 0 to {number - 1}"
            )

    def keep_series(self, split: str | None = None) -> None:
        """Keep in the cache what is read of all snapshots at once: counts and confusion."""
        self._reader.through_time.keep_series(self.split(split).name)

    def keep_units(
        self, split: str | None = None, grouping: str = TRUE, response: str | None = None
    ) -> Iterator[float]:
        """Keep all units' histories in the cache, 64 snapshots at a time; yields the share done.

        Raises:
            OSError: it cannot be written.
            FormatError: a part of the run is missing or damaged.
        """
        return self._reader.through_time.keep_units(*self._homes(grouping, split, response))

    def units_to_keep(
        self, split: str | None = None, grouping: str = TRUE, response: str | None = None
    ) -> int:
        """Bytes, before compression, that `keep_units` would write."""
        _, home = self._homes(grouping, split, response)
        return self._reader.through_time.bytes_to_keep(home)

    def _cubes(self, home: str, part: Any) -> list[np.ndarray]:
        means = [self._reader.read(f"{home}/{name}", part) for name in MEANS]
        return means + [self._reader.read_counts(f"{home}/{name}", part) for name in COUNTS]

    def _homes(self, grouping: str, split: str | None, response: str | None) -> tuple[str, str]:
        """Paths of a grouping, and of the statistics of a response in it."""
        base = f"{self.split(split).name}/{self.grouping(grouping, split).name}"
        response = self.response_names[0] if response is None else response
        if response not in self.response_names:
            raise SelectionError(
                f"{self.place} has no response {response!r}; recorded were "
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
                f"{self.place}: part of {base} is missing or damaged: counts and means do not fit "
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
            raise SelectionError(f"{self.place} holds no confusion counts for this split")
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

    # --- for other libraries -------------------------------------------------------------------

    def to_xarray(
        self,
        split: str | None = None,
        grouping: str | None = None,
        layer: str | None = None,
        response: str | None = None,
    ) -> "DataTree | Dataset":
        """The run as labelled arrays of xarray, read from disk when they are used.

        Without arguments a DataTree; with any of them the Dataset of one node of it, the others
        taking their defaults. Its nodes:

        - `units/{split}`: the user's metrics and `seconds`, along `snapshot`;
        - `units/{split}/{grouping}`: `count` (snapshot, class); `mean`, `m2`, `active`, `nonfinite`
          (snapshot, class, unit) of all units; `confusion` in "true". Beside `unit` stand `layer`,
          its path, and `index_in_layer`;
        - `layers/{split}/{grouping}/{layer}`: the same for one layer, its `unit` counted from 0. In
          a path a "/" and what else a file's name cannot hold stand as %XX (docs/format.md);
        - `…/peak` below each of these where a run has a second response.

        `class` holds class names. `snapshot` has `step` as an index, and `epoch`, `wall_time`:
        `ds.sel(step=200, **{"class": "cat"})`. Means are NaN where there is no data, as everywhere
        but in `moments`, where they are 0; all others equal those of `moments` bit for bit. A mean is
        float32 as stored, a count int64.

        Raises:
            MissingExtraError: xarray is not installed.
            SelectionError: there is no such split, grouping, layer or response.
            FormatError: when values are read: a part is missing or damaged.
        """
        from huelapse.export import labelled
        from huelapse.export.rows import select

        if split is grouping is layer is response is None:
            return labelled.tree(self, self._reader)
        chosen = select(
            self, split=split, grouping=TRUE if grouping is None else grouping, response=response
        )
        return labelled.dataset(self, self._reader, chosen, layer)

    def to_dataframe(
        self,
        layer: str | None = None,
        split: str | None = None,
        grouping: str = TRUE,
        step: int | None = None,
        response: str | None = None,
        *,
        per: str = "class",
    ) -> "DataFrame":
        """The run as a tidy pandas DataFrame: a row per snapshot, layer, unit, and class.

        It is whole in memory, some 70 bytes a row; `huelapse export` streams.

        Args:
            layer, split, grouping, response: as everywhere.
            step: of one snapshot; here the default is all of them.
            per: "class", or "unit" for what is derived: a row per snapshot, layer and unit.

        Returns:
            Columns split, grouping, step, epoch, layer, unit (index in the layer), and

            - per class: class, count (samples), nonfinite (responses that enter nothing else), mean,
              sd (from n - 1), active_share (responses > 0 of those that were finite);
            - per unit: preferred and runner_up (classes), suppressed, sure, margin, strength, and
              state: "tuned", "unselective", "tied", "silent", "no_data" or "not_finite".

            NaN where there is no data. Text is categorical, in the run's order.

        Raises:
            MissingExtraError: pandas is not installed.
            SelectionError: there is no such split, grouping, layer, step or response.
            ExportError: `per` is neither.
            FormatError: a part is missing or damaged.
        """
        from huelapse.export.frame import frame
        from huelapse.export.rows import select

        chosen = select(
            self, per=per, split=split, grouping=grouping, layer=layer, step=step, response=response
        )
        return frame(self, chosen)


def find_measure(name: str) -> Measure:
    if name not in MEASURES:
        raise SelectionError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
    return MEASURES[name]
