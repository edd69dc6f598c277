"""Runs written without a training, so that what happens in them, and when, is known."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import huelapse
from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

CLASSES = ("ant", "bee", "cat", "dog")
LAYERS = {"first": 10, "second": 8, "output": 4}
UNITS = sum(LAYERS.values())
SAMPLES = 60
"""Of each class."""


@dataclass
class Units:
    """What each unit does at one snapshot."""

    prefers: np.ndarray
    """[unit], a class, or -1 for none."""
    silent: np.ndarray
    lost: np.ndarray
    """Responses that are not finite."""

    @classmethod
    def of(cls, prefers: Iterable[int]) -> "Units":
        given = np.array(list(prefers))
        return cls(given, np.zeros(UNITS, bool), np.zeros(UNITS, bool))


def layers() -> list[Layer]:
    ends = np.cumsum(list(LAYERS.values()))
    return [
        Layer(
            path=name,
            kind="probability" if name == "output" else "ReLU",
            shape=(size,),
            unit_axis=1,
            units=size,
            offset=int(end - size),
            signed=False,
            output=name == "output",
        )
        for (name, size), end in zip(LAYERS.items(), ends, strict=True)
    ]


def split(classes: tuple[str, ...] = CLASSES) -> Split:
    return Split(
        name="val",
        kind="probe",
        groupings=(Grouping(name="true", classes=classes),),
        facts={"samples": SAMPLES * len(classes), "mode": "eval", "hash": "made"},
    )


def snapshot(step: int, units: Units, *, wall_time: float, right: float = 0.5) -> Snapshot:
    K = len(CLASSES)
    count = np.full(K, SAMPLES, np.int64)
    mean = np.full((K, UNITS), 0.2)
    some = np.flatnonzero(units.prefers >= 0)
    mean[units.prefers[some], some] = 0.8
    m2 = np.full((K, UNITS), SAMPLES * 0.02)
    mean[:, units.silent], m2[:, units.silent] = 0.0, 0.0
    mean[:, units.lost], m2[:, units.lost] = 0.0, 0.0
    active = np.full((K, UNITS), SAMPLES, np.int64)
    active[:, units.silent | units.lost] = 0
    nonfinite = np.zeros((K, UNITS), np.int64)
    nonfinite[:, units.lost] = SAMPLES
    hits = round(SAMPLES * right)
    confusion = np.eye(K, dtype=np.int64) * hits
    confusion += np.roll(np.eye(K, dtype=np.int64), 1, 1) * (SAMPLES - hits)
    return Snapshot(
        split="val",
        step=step,
        epoch=step / 10,
        wall_time=wall_time,
        seconds=0.01,
        moments={"true": Moments(count, mean, m2, active, nonfinite)},
        confusion=confusion,
        metrics={"loss": 1 / (1 + step)},
    )


def begin(path: Path, *, first_step: int = 0, resume: bool = False) -> StoreWriter:
    store = StoreWriter(
        path, name=path.name, layers=layers(), facts={"model": "Made", "parameters": 9},
        first_step=first_step, resume=resume,
    )  # fmt: skip
    store.add_split(split())
    return store


def write(
    path: Path, steps: Iterable[int], units: Callable[[int], Units], *, since: float = 1.7e9
) -> huelapse.Run:
    """A complete run; `units` is asked by the number of the snapshot."""
    store = begin(path)
    for t, step in enumerate(steps):
        store.commit(snapshot(step, units(t), wall_time=since + 10 * t, right=0.2 + t / 400))
    store.close()
    return huelapse.open(path)
