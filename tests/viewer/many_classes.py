"""Runs of many classes in superclasses, written without a training: some units are tuned to a class,
some to a superclass, some to none."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from huelapse.moments import Moments
from huelapse.schema import Grouping, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

# last: what tests call the same is theirs
sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
from runs import layers

SAMPLES = 40
"""Of each class."""


def superclass(k: int, classes: int) -> int:
    """Ten classes to a superclass, dealt out so that those of one do not stand side by side."""
    return k % max(2, classes // 10)


def parents(classes: int) -> dict[str, str]:
    return {f"class {k:03}": f"group {superclass(k, classes)}" for k in range(classes)}


def write(
    path: Path,
    *,
    classes: int = 100,
    units: int = 600,
    snapshots: int = 4,
    hidden: int = 4,
    names: tuple[str, ...] = (),
    superclasses: Mapping[str, str] | None = None,
) -> None:
    """A complete run, recorded with superclasses if any are given. Of the hidden units a third
    prefers a class, a third a superclass. At the first snapshot every sample is predicted as
    class 0."""
    rng = np.random.default_rng(0)
    groups = np.array([superclass(k, classes) for k in range(classes)])
    names = names or tuple(parents(classes))
    split = Split(
        name="val",
        kind="probe",
        groupings=(Grouping(name="true", classes=names), Grouping(name="predicted", classes=names)),
        facts={"samples": SAMPLES * classes},
    )
    own = layers(units, classes, hidden, lambda i: f"stage{1 + 4 * i // hidden}.{i}.relu")
    store = StoreWriter(
        path,
        name="many classes",
        layers=own,
        facts={"model": "none"},
        superclasses=superclasses,
    )
    store.add_split(split)
    output = own[-1].slice
    kind = rng.integers(0, 3, units)
    favorite = rng.integers(0, classes, units)
    kind[output], favorite[output] = 0, np.arange(classes)
    depth = np.concatenate(
        [np.full(layer.units, (i + 1) / len(own)) for i, layer in enumerate(own)]
    )
    same = groups[:, None] == groups[favorite][None]
    itself = np.arange(classes)[:, None] == favorite[None]
    lifts = np.where(kind == 0, itself + 0.25 * same, np.where(kind == 1, 1.0 * same, 0.0))
    count = np.full(classes, SAMPLES, np.int64)
    for t in range(snapshots):
        learned = (1 - np.exp(-3 * t / max(1, snapshots - 1))) * depth
        mean = 0.5 + 0.02 * rng.random((classes, units)) + 0.5 * learned * lifts
        mean[:, :3] = 0  # silent
        spread = np.where(mean > 0, 0.15, 0.0)
        moments = Moments(
            count=count,
            mean=mean,
            m2=(SAMPLES - 1) * spread**2,
            active=np.where(mean > 0, SAMPLES, 0).astype(np.int64),
            nonfinite=np.zeros(mean.shape, np.int64),
        )
        right = learned[-1] * rng.uniform(0.5, 1, classes)
        confusion = np.zeros((classes, classes), np.int64)
        for k in range(classes):
            near = np.where(groups == groups[k], 30.0 * learned[-1] + 1, 1.0) + rng.random(classes)
            near[k] = 0
            chances = (1 - right[k]) * near / near.sum()
            chances[k] = right[k]
            confusion[k] = rng.multinomial(SAMPLES, chances)
        predicted = moments if t > 0 else _all_as_one(moments)
        store.commit(
            Snapshot(
                split="val",
                step=10 * t,
                epoch=t / 10,
                wall_time=1.7e9 + t,
                seconds=0.1,
                moments={"true": moments, "predicted": predicted},
                confusion=confusion,
            )
        )
    store.close()


def _all_as_one(moments: Moments) -> Moments:
    """As if all samples were of the first class."""
    shape = moments.mean.shape
    count = np.zeros(shape[0], np.int64)
    count[0] = moments.count.sum()
    first = np.zeros(shape, bool)
    first[0] = True
    return Moments(
        count=count,
        mean=np.where(first, moments.mean, 0.0),
        m2=np.where(first, moments.m2, 0.0),
        active=np.where(first & (moments.mean > 0), count[0], 0).astype(np.int64),
        nonfinite=moments.nonfinite,
    )
