"""A run with every kind of optional array, made without torch."""

from pathlib import Path
from typing import Any

import numpy as np

from huelapse import kept
from huelapse.moments import Moments
from huelapse.schema import ExtraArray, Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

CLASSES = ("cat", "dog", "owl")
SAMPLES, UNITS = 60, 23
LAYERS = [
    Layer(path="a/b.relu#1", kind="ReLU", shape=(20, 7, 5), unit_axis=1, units=20, offset=0,
          signed=False),
    Layer(path="output", kind="probability", shape=(3,), unit_axis=1, units=3, offset=20,
          signed=False, output=True),
]  # fmt: skip
MAPS = "true/maps/a%2Fb.relu#1"
WATCHED = "watched/a%2Fb.relu#1"


def labels() -> np.ndarray:
    own = np.arange(SAMPLES, dtype=np.int64) % 3
    own[7] = -1
    return own


def responses(step: int) -> np.ndarray:
    rng = np.random.default_rng(step)
    x = np.maximum(rng.standard_normal((SAMPLES, UNITS)), 0).astype(np.float32)
    x[:, 3] = 0.25
    x[4, 5], x[5, 5], x[6, 5] = np.nan, np.inf, -np.inf
    x[:, 6] = np.nan
    return x


def probabilities(step: int) -> np.ndarray:
    logits = np.random.default_rng(step + 100).standard_normal((SAMPLES, 3))
    p = np.exp(logits)
    return (p / p.sum(1, keepdims=True)).astype(np.float32)


def thumbnails() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 255, (SAMPLES, 9, 8, 3)).astype(np.uint8)


def split(name: str = "val") -> Split:
    layer = "a%2Fb.relu#1"
    return Split(
        name=name,
        kind="probe",
        groupings=(
            Grouping(name="true", classes=CLASSES),
            Grouping(name="predicted", classes=CLASSES),
            Grouping(name="size", classes=("small", "large")),
        ),
        facts={"samples": SAMPLES},
        extras=(
            *kept.arrays(SAMPLES, UNITS, 3),
            ExtraArray(
                path=MAPS,
                dims=("class", f"unit@{layer}", f"y@{layer}", f"x@{layer}"),
                shape=(3, 20, 7, 5),
                dtype="float32",
                attributes={"layer": "a/b.relu#1"},
            ),
            ExtraArray(
                path=WATCHED,
                dims=("watched", f"unit@{layer}", f"y@{layer}", f"x@{layer}"),
                shape=(2, 20, 7, 5),
                dtype="float32",
                attributes={"layer": "a/b.relu#1", "samples": [1, 8]},
            ),
            ExtraArray(
                path="first_weights",
                dims=("weight_out", "weight_in", "weight_y", "weight_x"),
                shape=(4, 3, 5, 5),
                dtype="float32",
                attributes={"module": "conv1"},
            ),
            ExtraArray(
                path="thumbnails",
                dims=("sample", "thumbnail_y", "thumbnail_x", "rgb"),
                shape=(SAMPLES, 9, 8, 3),
                dtype="uint8",
                static=True,
                attributes={"source": "dataset"},
            ),
        ),
    )


def static() -> dict[str, np.ndarray]:
    return {"labels": labels(), "thumbnails": thumbnails()}


def moments(x: np.ndarray, name: str) -> Moments:
    classes = {"true": 3, "predicted": 3, "size": 2}[name]
    own = labels() if name != "size" else np.arange(SAMPLES) % 2
    return Moments.from_samples(x.astype(np.float64), own.astype(np.int64), classes)


def extras(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step + 50)
    codes = kept.encode(responses(step))
    return {
        "responses": codes.codes,
        "response_ref": codes.ref,
        "response_scale": codes.scale,
        "probabilities": probabilities(step),
        "predictions": probabilities(step).argmax(1).astype(np.int32),
        MAPS: rng.random((3, 20, 7, 5)).astype(np.float32),
        WATCHED: rng.random((2, 20, 7, 5)).astype(np.float32),
        "first_weights": rng.random((4, 3, 5, 5)).astype(np.float32),
    }


def snapshot(
    seed: int, *, name: str = "val", kept_too: bool = True, step: int | None = None
) -> Snapshot:
    """Numbers that follow from a seed, which is also the step unless that is given."""
    names = ("true", "predicted", "size")
    step = seed if step is None else step
    return Snapshot(
        split=name,
        step=step,
        epoch=step / 10,
        wall_time=1e9 + step,
        seconds=0.1,
        moments={n: moments(responses(seed), n) for n in names},
        peaks={n: moments(2 * responses(seed) + 1, n) for n in names},
        confusion=np.zeros((3, 3), np.int64),
        extras=extras(seed) if kept_too else {},
    )


def begin(path: Path, *, both: bool = True, **how: Any) -> StoreWriter:
    return StoreWriter(
        path,
        name="test",
        layers=LAYERS,
        facts={},
        responses=("mean", "peak") if both else ("mean",),
        **how,
    )


def record(path: Path, steps: int = 3) -> Path:
    store = begin(path)
    store.add_split(split(), static())
    for step in range(steps):
        store.commit(snapshot(step))
    store.close()
    return path
