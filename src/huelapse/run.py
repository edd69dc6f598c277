"""A recorded run: open it, select, derive. Needs no torch.

run = huelapse.open("runs/fashion")
run.steps                                  # [0, 1, 2, 4, …]
run.strength(step=200, layer="fc2")        # [unit]
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.errors import FormatError, SelectionError
from huelapse.measures import MEASURES, TUNED, Measure, Reading, read
from huelapse.moments import Moments
from huelapse.schema import TRUE, Grouping, Layer, RunState, Split
from huelapse.store import StoreReader

CUBES = ("mean", "m2", "active", "nonfinite")


def open_run(path: str | Path) -> "Run":
    """Open a run directory (or its `run.zarr`) for reading, also while it is being written.

    Raises:
        NotARunError: there is no run.
        FormatError: it was written by a newer huelapse, or is damaged.
    """
    return Run(StoreReader(path))


class Run:
    """One committed state of a run. `refreshed()` gives a later one while it is being recorded.

    Methods that read statistics take `step` (default: the last snapshot), `layer` (a path; default:
    all units, layers in call order), `grouping` (default: "true") and `split` (default: the first).
    """

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self.layers: tuple[Layer, ...] = reader.layers
        self.splits: tuple[Split, ...] = reader.splits
        self.signed: Bool[np.ndarray, " unit"] = np.array(
            [layer.signed for layer in self.layers for _ in range(layer.units)], bool
        )
        self.reading = lru_cache(maxsize=64)(self._read)

    @property
    def path(self) -> Path:
        return self._reader.directory

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def status(self) -> RunState:
        """Whether the run is complete, still recording, or was interrupted."""
        return self._reader.state

    @property
    def version(self) -> str:
        """Changes with every committed snapshot."""
        return self._reader.version

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance and price: versions, model, seed, gaps, dropped snapshots, cost."""
        kept = ("facts", "gaps", "dropped", "cost", "notes")
        return {name: self._reader.attributes.get(name) for name in kept}

    def refreshed(self) -> "Run":
        """This run, or its newer state where a snapshot was committed since it was opened."""
        reader = self._reader.refreshed()
        return self if reader is self._reader else Run(reader)

    # --- what is there -------------------------------------------------------------------------

    def split(self, name: str | None = None) -> Split:
        if not self.splits:
            raise SelectionError(f"{self.path} has no split yet: nothing has been recorded")
        if name is None:
            return self.splits[0]
        return _find(self.splits, name, "split", self.path)

    def grouping(self, name: str = TRUE, split: str | None = None) -> Grouping:
        return _find(self.split(split).groupings, name, "grouping", self.path)

    def layer(self, path: str) -> Layer:
        for layer in self.layers:
            if layer.path == path:
                return layer
        raise SelectionError(
            f"{self.path} has no layer {path!r}; it has "
            f"{', '.join(layer.path for layer in self.layers)}"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the true classes."""
        return self.grouping().classes

    @property
    def units(self) -> int:
        return len(self.signed)

    @property
    def steps(self) -> Int64[np.ndarray, " snapshot"]:
        """Optimizer steps of the first split's snapshots."""
        return self.coordinate("step")

    def coordinate(self, name: str, split: str | None = None) -> np.ndarray:
        """A one-dimensional array along `snapshot`: step, epoch, wall_time, seconds, metric.NAME."""
        path = f"{self.split(split).name}/{name}"
        if not self._reader.has(path):
            raise SelectionError(f"{self.path} has no {path!r}; it has {', '.join(self.metrics())}")
        values = self._reader.read(path)
        lost = np.isnan(values) if name == "wall_time" else values < 0
        if name in ("step", "wall_time") and lost.any():
            raise FormatError(f"{self.path}: coordinates of {path} are missing or damaged")
        return values

    def metrics(self, split: str | None = None) -> list[str]:
        """Names of the scalars the user passed."""
        prefix = f"{self.split(split).name}/metric."
        return sorted(p.removeprefix(prefix) for p in self._reader.arrays() if p.startswith(prefix))

    def index(self, step: int | None = None, split: str | None = None) -> int:
        """Which snapshot was taken at `step` (the last of them); None is the last snapshot."""
        steps = self.coordinate("step", split)
        if len(steps) == 0:
            raise SelectionError(f"{self.path} has no snapshot yet")
        if step is None:
            return len(steps) - 1
        found = np.flatnonzero(steps == step)
        if len(found) == 0:
            near = steps[np.abs(steps - step).argsort()[:3]]
            raise SelectionError(
                f"no snapshot at step {step}; the nearest are at {', '.join(map(str, sorted(near)))}"
            )
        return int(found[-1])

    # --- statistics ----------------------------------------------------------------------------

    def moments(
        self, index: int, grouping: str = TRUE, split: str | None = None, unit: slice = slice(None)
    ) -> Moments:
        """The stored statistics of the `index`-th snapshot, for a range of units."""
        base = f"{self.split(split).name}/{self.grouping(grouping, split).name}"
        part = (index, slice(None), unit)
        count = self._reader.read(f"{base}/count", index)
        cubes = [self._reader.read(f"{base}/{name}", part) for name in CUBES]
        return self._stored(base, count, *cubes)

    def history(self, unit: int, grouping: str = TRUE, split: str | None = None) -> list[Moments]:
        """The statistics of one unit at every snapshot."""
        base = f"{self.split(split).name}/{self.grouping(grouping, split).name}"
        one = (slice(None), slice(None), slice(unit, unit + 1))
        count = self._reader.read(f"{base}/count")
        cubes = [self._reader.read(f"{base}/{name}", one) for name in CUBES]
        return [
            self._stored(base, count[t], *(cube[t] for cube in cubes)) for t in range(len(count))
        ]

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
        n = count.astype(np.int64)[:, None] - nonfinite
        if ((n > 0) == np.isnan(mean)).any() or ((n > 0) == np.isnan(m2)).any():
            raise FormatError(
                f"{self.path}: part of {base} is missing or damaged: counts and means do not fit "
                f"each other. Other snapshots of the run may still be whole"
            )
        return Moments(
            count=count.astype(np.int64),
            mean=np.nan_to_num(mean.astype(np.float64), posinf=np.inf, neginf=-np.inf),
            m2=np.nan_to_num(m2.astype(np.float64), posinf=np.inf),
            active=active.astype(np.int64),
            nonfinite=nonfinite.astype(np.int64),
        )

    def confusion(self, split: str | None = None) -> Int64[np.ndarray, "snapshot true predicted"]:
        """Samples of each true class (rows) predicted as each class, at every snapshot."""
        path = f"{self.split(split).name}/{TRUE}/confusion"
        if not self._reader.has(path):
            raise SelectionError(f"{self.path} holds no confusion counts for this split")
        return self._reader.read(path).astype(np.int64)

    def accuracy(self, split: str | None = None) -> Float64[np.ndarray, " snapshot"]:
        """Share of samples predicted as their true class; samples without a prediction are wrong."""
        right = np.trace(self.confusion(split), axis1=1, axis2=2).astype(np.float64)
        count = self._reader.read(f"{self.split(split).name}/{TRUE}/count").sum(1)
        return np.divide(right, count, out=np.full(len(right), np.nan), where=count > 0)

    # --- derived -------------------------------------------------------------------------------

    def _read(
        self,
        index: int,
        grouping: str = TRUE,
        split: str | None = None,
        measure: str = "margin",
    ) -> Reading:
        return read(
            self.moments(index, grouping, split), signed=self.signed, measure=find_measure(measure)
        )

    def tuning(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
    ) -> Float64[np.ndarray, "class unit"]:
        """Mean response per class and unit; NaN where no sample of the class was seen."""
        moments = self.moments(self.index(step, split), grouping, split, self._slice(layer))
        return np.where(moments.n > 0, moments.mean, np.nan)

    def preferred(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
    ) -> Int64[np.ndarray, " unit"]:
        """Class with the greatest tuning (for suppressed units: the least); -1 without data."""
        return self._reading(step, grouping, split).preference.preferred[self._slice(layer)]

    def sure(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
    ) -> Float64[np.ndarray, " unit"]:
        """Probability that the preferred class really is the greatest; NaN without data."""
        return self._reading(step, grouping, split).preference.sure[self._slice(layer)]

    def strength(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
    ) -> Float64[np.ndarray, " unit"]:
        """What color shows: the margin's lower one-standard-error bound, 0 where not held.

        NaN where nothing is known: no data, or responses that were not finite.
        """
        return self._reading(step, grouping, split).strength[self._slice(layer)]

    def state(
        self,
        step: int | None = None,
        layer: str | None = None,
        grouping: str = TRUE,
        split: str | None = None,
        threshold: float = TUNED,
    ) -> Int64[np.ndarray, " unit"]:
        """`huelapse.State` of each unit."""
        return self._reading(step, grouping, split).state(threshold)[self._slice(layer)]

    def _reading(self, step: int | None, grouping: str, split: str | None) -> Reading:
        return self.reading(self.index(step, split), grouping, split)

    def _slice(self, layer: str | None) -> slice:
        return slice(None) if layer is None else self.layer(layer).slice


def find_measure(name: str) -> Measure:
    if name not in MEASURES:
        raise SelectionError(f"no measure {name!r}; there are {', '.join(MEASURES)}")
    return MEASURES[name]


Named = TypeVar("Named", Split, Grouping)


def _find(items: Sequence[Named], name: str, what: str, path: Path) -> Named:
    for item in items:
        if item.name == name:
            return item
    raise SelectionError(
        f"{path} has no {what} {name!r}; it has {', '.join(item.name for item in items)}"
    )
