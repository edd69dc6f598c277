"""What a run has stored of its units: statistics, counts, confusion. Read, checked, not judged."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.errors import FormatError, SelectionError
from huelapse.extras import Extras
from huelapse.measures import Measure, Reading, blocks_of, read_by
from huelapse.moments import Moments
from huelapse.schema import TRUE
from huelapse.store.layout import TILE_UNITS

MEANS = ("mean", "m2")
COUNTS = ("active", "nonfinite")

READ_AT_ONCE = 2**20
"""Numbers (classes × units) that are read together."""


class Stored(Extras):
    """One committed state of a run: its statistics.

    Methods take `grouping` (default: "true"), `split` (default: the first) and `response` ("mean" or
    "peak"; default: the first of `response_names`).
    """

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
        for end in (unit.start, unit.stop):
            if end is not None:
                self._check_within(end, self.units + 1, "end of a range of units")
        grouping, made = self.made_of(grouping, split)
        home, count = self._counted(index, grouping, split, response)
        return made(self._stored(home, count, *self._cubes(home, (index, slice(None), unit))))

    def blocks(
        self, index: int, grouping: str = TRUE, split: str | None = None
    ) -> Iterator[tuple[slice, Moments]]:
        """The same of all units, as many at a time as a processor keeps at hand: whole, in float64,
        they would be ten times what is stored, and come from main memory at each step.

        Yields:
            Which units these are, and their statistics.
        """
        grouping, made = self.made_of(grouping, split)
        home, count = self._counted(index, grouping, split, None)
        tiles = max(1, READ_AT_ONCE // max(len(count), 1) // TILE_UNITS) * TILE_UNITS
        for start in range(0, self.units, tiles):
            end = min(start + tiles, self.units)
            cubes = [
                self._reader.read(f"{home}/{name}", (index, slice(None), slice(start, end)))
                for name in (*MEANS, *COUNTS)
            ]
            for some in blocks_of(len(count), end - start):
                mean, m2, *counts = (cube[:, some] for cube in cubes)
                active, nonfinite = (
                    self._reader.checked_counts(f"{home}/{name}", values)
                    for name, values in zip(COUNTS, counts, strict=True)
                )
                own = slice(start + some.start, start + some.stop)
                yield own, made(self._stored(home, count, mean, m2, active, nonfinite))

    def _counted(
        self, index: int, grouping: str, split: str | None, response: str | None
    ) -> tuple[str, np.ndarray]:
        """Where statistics of a snapshot are, and the samples of each class."""
        base, home = self._homes(grouping, split, response)
        self._check_within(index, self._reader.shape(f"{base}/count")[0], "snapshot")
        return home, self._reader.read_counts(f"{base}/count", index)

    def made_of(self, grouping: str, split: str | None) -> tuple[str, Callable[[Moments], Moments]]:
        """The recorded grouping that statistics by a grouping are made of, and how: as they are, of
        those recorded."""
        return grouping, _as_they_are

    def rule(self, grouping: str, split: str) -> tuple[str, ...]:
        """What a grouping is made by, beyond what is committed: nothing, of those recorded."""
        self.grouping(grouping, split)
        return ()

    def judged(
        self,
        moments: Moments,
        grouping: str,
        split: str,
        *,
        signed: Bool[np.ndarray, " unit"],
        measure: Measure,
    ) -> Reading:
        """What statistics by a grouping say of each unit."""
        return self.judged_by(moments, grouping, split, signed=signed, measures=[measure])[0]

    def judged_by(
        self,
        moments: Moments,
        grouping: str,
        split: str,
        *,
        signed: Bool[np.ndarray, " unit"],
        measures: Sequence[Measure],
        held_alone: bool = False,
    ) -> list[Reading]:
        """The same by several measures.

        Args:
            held_alone: how sure a preference is need not be told: it may be NaN.
        """
        return read_by(moments, signed=signed, measures=measures, held_alone=held_alone)

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
        grouping, made = self.made_of(grouping, split)
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
            found.append((own, made(self._stored(home, count, *(cube[own].T for cube in cubes)))))
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
        known = (count[:, None] > nonfinite) if nonfinite.any() else (count > 0)[:, None]
        mean, m2 = mean.astype(np.float64), m2.astype(np.float64)
        # what is finite in sum has nothing in it that is not a number, as nearly always
        odd = not (known.all() and np.isfinite(mean.sum()) and np.isfinite(m2.sum()))
        if odd and ((known == np.isnan(mean)).any() or (known == np.isnan(m2)).any()):
            raise FormatError(
                f"{self.place}: part of {base} is missing or damaged: counts and means do not fit "
                f"each other. Other snapshots of the run may still be whole"
            )
        return Moments(
            count=count,
            mean=np.nan_to_num(mean, posinf=np.inf, neginf=-np.inf) if odd else mean,
            m2=np.nan_to_num(m2, posinf=np.inf) if odd else m2,
            active=active,
            nonfinite=nonfinite,
        )

    def confusion(self, split: str | None = None) -> Int64[np.ndarray, "snapshot true predicted"]:
        """Samples of each true class (rows) predicted as each class, at every snapshot."""
        return self._reader.read_counts(self._confusion_path(split))

    def confusion_at(
        self, index: int, split: str | None = None
    ) -> Int64[np.ndarray, "true predicted"]:
        """The same at the `index`-th snapshot alone."""
        return self._reader.read_counts(self._confusion_path(split), index)

    def samples(self, split: str | None = None) -> Int64[np.ndarray, "snapshot true"]:
        """Samples of each true class at every snapshot, those without a prediction too, which no
        confusion counts."""
        return self._reader.read_counts(f"{self.split(split).name}/{TRUE}/count")

    def samples_at(self, index: int, split: str | None = None) -> Int64[np.ndarray, " true"]:
        """The same at the `index`-th snapshot alone."""
        return self._reader.read_counts(f"{self.split(split).name}/{TRUE}/count", index)

    def _confusion_path(self, split: str | None) -> str:
        path = f"{self.split(split).name}/{TRUE}/confusion"
        if not self._reader.has(path):
            raise SelectionError(f"{self.place} holds no confusion counts for this split")
        return path

    def accuracy(self, split: str | None = None) -> Float64[np.ndarray, " snapshot"]:
        """Share of samples predicted as their true class; samples without a prediction are wrong."""
        right = np.trace(self.confusion(split), axis1=1, axis2=2).astype(np.float64)
        count = self.samples(split).sum(1)
        return np.divide(right, count, out=np.full(len(right), np.nan), where=count > 0)


def _as_they_are(moments: Moments) -> Moments:
    return moments
