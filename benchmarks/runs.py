"""Runs to read, written without a training: random statistics that look like a network's."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

LAYERS = 20


def layers(
    units: int,
    classes: int,
    number: int = LAYERS,
    path: Callable[[int], str] = "layer{}.relu".format,
) -> list[Layer]:
    """So many rectified layers and the output, of `units` in all."""
    sizes = [len(part) for part in np.array_split(np.arange(units - classes), number)] + [classes]
    ends = np.cumsum(sizes)
    return [
        Layer(
            path=path(i) if i < number else "output",
            kind="ReLU" if i < number else "probability",
            shape=(size,),
            unit_axis=1,
            units=size,
            offset=int(end - size),
            signed=False,
            output=i == number,
        )
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]


class Synthetic:
    """A stream of snapshots of one split: each unit prefers a class, the more the later."""

    def __init__(self, units: int, classes: int, groupings: tuple[str, ...] = ("true",)) -> None:
        self.units, self.classes = units, classes
        self._rng = np.random.default_rng(0)
        self._favorite = self._rng.integers(0, classes, units)
        names = tuple(f"class {k}" for k in range(classes))
        self.split = Split(
            name="val",
            kind="probe",
            groupings=tuple(Grouping(name=name, classes=names) for name in groupings),
            facts={"samples": 200 * classes},
        )

    def snapshot(self, step: int) -> Snapshot:
        """The next one; its numbers differ from all others'."""
        rng = self._rng
        shape = (self.classes, self.units)
        count = np.full(self.classes, 200, np.int64)
        noise = rng.random(shape, np.float32)
        mean = 0.4 + 0.1 * noise
        mean[self._favorite, np.arange(self.units)] += 0.5 * (1 - np.exp(-step / 50))
        moments = Moments(
            count=count,
            mean=mean.astype(np.float64),
            m2=(200 * (0.05 + 0.05 * noise)).astype(np.float64),
            active=(50 + 150 * noise).astype(np.int64),
            nonfinite=np.zeros(shape, np.int64),
        )
        confusion = np.full((self.classes, self.classes), 0, np.int64)
        np.fill_diagonal(confusion, count)
        return Snapshot(
            split="val",
            step=step,
            epoch=step / 100,
            wall_time=1.7e9 + step,
            seconds=0.1,
            moments={grouping.name: moments for grouping in self.split.groupings},
            confusion=confusion,
        )


def begin(directory: Path, source: Synthetic, name: str = "synthetic") -> StoreWriter:
    """A run that waits for its snapshots."""
    store = StoreWriter(
        directory, name=name, layers=layers(source.units, source.classes), facts={"model": "none"}
    )
    store.add_split(source.split)
    return store


def write(directory: Path, *, snapshots: int, units: int, classes: int) -> None:
    """A complete run."""
    source = Synthetic(units, classes)
    store = begin(directory, source)
    for step in range(snapshots):
        store.commit(source.snapshot(step))
    store.close()
