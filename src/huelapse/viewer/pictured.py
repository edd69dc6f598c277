"""What the page reads of recorded pictures: where units respond, to classes and to watched samples."""

import math
from typing import Any

import numpy as np

from huelapse.errors import SelectionError
from huelapse.extras import MAPS, WATCHED, WEIGHTS
from huelapse.painting import CHUNK
from huelapse.run import Run
from huelapse.schema import Layer, layer_name
from huelapse.viewer import filters
from huelapse.viewer.paths import number, snapshot

FULL, NOTHING = 254, 255
"""On the wire the greatest of a scale, and what is not known."""
ALL_BYTES = 4 * 2**20
"""Of the maps of all layers, that are sent at once."""
SAMPLE_BYTES = 2**19
"""Of a watched sample's maps of one layer; larger ones have fewer positions."""
BLOCK_BYTES = 64 * 2**20
"""Of class maps, that are held at once."""

Arrays = dict[str, np.ndarray]


def described(run: Run, split: str) -> dict[str, Any]:
    """What a split has of pictures, for the manifest: only that which can be shown."""
    extras = set(run.extras(split))
    maps, watched = (
        [i for i, x in enumerate(run.layers) if f"{folder}/{layer_name(x.path)}" in extras]
        for folder in (MAPS, WATCHED)
    )
    found: dict[str, Any] = {}
    if maps:
        found["maps"] = maps
    if watched and (samples := _watched(run, split)):
        found["watched"] = {"samples": samples, "layers": watched}
    if WEIGHTS in extras:
        out, *picture = filters.shape(run, split)
        shape = run.shape_of(WEIGHTS, split)[1:]
        module = str(run.attributes_of(WEIGHTS, split).get("module", ""))
        found["first_weights"] = {
            "module": module, "filters": out, "picture": picture, "shape": list(shape),
        }  # fmt: skip
    return found


def asked(run: Run, split: str, parts: list[str]) -> Arrays | None:
    """A resource of one snapshot's pictures, by its path below the split; None for what is none."""
    match parts:
        case ["maps", "unit", unit, chunk] if unit.isdigit():
            return unit_maps(run, split, number(unit), number(chunk.removesuffix(".st")))
        case ["maps", index, layer, *cls] if index.isdigit() and len(cls) < 2:
            at, own = snapshot(run, split, index), number(layer.removesuffix(".st"))
            of = number(cls[0].removesuffix(".st")) if cls else None
            return layer_maps(run, split, at, own, of)
        case ["watched", which, index, layer] if which.isdigit():
            at, own = snapshot(run, split, index), number(layer.removesuffix(".st"))
            return watched_maps(run, split, number(which), at, own)
        case ["first_weights", index] if index.endswith(".st"):
            return filters.at(run, split, snapshot(run, split, index))
        case _:
            return None


def _watched(run: Run, split: str) -> list[int]:
    """Watched samples; none where a run that somebody else made says what cannot be."""
    samples = run.watched_samples(split).tolist()
    known = run.split(split).facts.get("samples")
    most = known if isinstance(known, int) else math.inf
    return samples if all(0 <= i < most for i in samples) else []


# --- where units respond -----------------------------------------------------------------------------


def layer_maps(run: Run, split: str, index: int, layer: int, cls: int | None = None) -> Arrays:
    """Mean maps of all units of a layer at one snapshot, over the samples of one class or of all.

    Returns:
        `maps` U8 [unit, y, x]: each unit's from `low` (0) to `high` (`FULL`); `NOTHING` where it is not
        known. `low`, `high` F32 [unit] hold 0 between them, so that a faint difference looks faint.
    """
    return _each(_mean(run, split, index, _layer(run, layer), cls))


def _each(maps: np.ndarray) -> Arrays:
    """Maps [unit, y, x], each on a scale of its own."""
    with np.errstate(invalid="ignore"):
        low = np.fmin(0, np.fmin.reduce(maps, (1, 2)))
        high = np.fmax(0, np.fmax.reduce(maps, (1, 2)))
    coded = _coded(maps, low[:, None, None], high[:, None, None])
    return {"maps": coded, "low": low.astype(np.float32), "high": high.astype(np.float32)}


def cell_maps(run: Run, split: str, index: int, cls: np.ndarray) -> Arrays:
    """`maps.L` U8 [unit, y, x] of every layer L that has any: each unit's, from 0 or its least, to its
    greatest, as `layer_maps` codes them.

    Args:
        cls: [unit] the class over whose samples the mean of each unit is; -1 for all samples.

    Raises:
        SelectionError: they are too many to be sent at once.
    """
    layers = described(run, split).get("maps", [])
    shapes = [run.shape_of(f"{MAPS}/{layer_name(run.layers[i].path)}", split) for i in layers]
    size = sum(math.prod(shape[2:]) for shape in shapes)
    if not layers or size > ALL_BYTES:
        raise SelectionError(f"split {split!r} has {size} positions of maps; ask for one layer")
    found: Arrays = {}
    for i in layers:
        layer = run.layers[i]
        maps = _mean(run, split, index, layer, None)
        own = cls[layer.slice]
        for k in np.unique(own[own >= 0]).tolist():
            units = own == k
            maps[units] = _mean(run, split, index, layer, k)[units]
        found[f"maps.{i}"] = _each(maps)["maps"]
    return found


def unit_maps(run: Run, split: str, unit: int, chunk: int) -> Arrays:
    """Mean maps of one unit by true class, at 16 snapshots: at each on one scale.

    Returns:
        `maps` U8 [t, class, y, x] from `low` (0) to `high` (`FULL`), F32 [t] each, 0 between them;
        `NOTHING` where a class has no sample, or a response was not finite.
    """
    if unit >= run.units:
        raise SelectionError(f"no unit {unit}: the run has {run.units}")
    place = next(i for i, x in enumerate(run.layers) if unit < x.offset + x.units)
    layer = _layer(run, place)
    own = slice(unit - layer.offset, unit - layer.offset + 1)
    snapshots = range(len(run.coordinate("step", split)))[chunk * CHUNK : (chunk + 1) * CHUNK]
    if len(snapshots) == 0:
        raise SelectionError(f"no chunk {chunk} of 16 snapshots")
    found = [
        _on_one_scale(run.maps_at(index, layer.path, split, units=own)[:, 0].astype(np.float64))
        for index in snapshots
    ]
    return {
        "maps": np.stack([one["maps"] for one in found]),
        "low": np.concatenate([one["low"] for one in found]),
        "high": np.concatenate([one["high"] for one in found]),
    }


def _layer(run: Run, index: int) -> Layer:
    if index >= len(run.layers):
        raise SelectionError(f"no layer {index}: the run has {len(run.layers)}")
    return run.layers[index]


def _mean(run: Run, split: str, index: int, layer: Layer, cls: int | None) -> np.ndarray:
    """[unit, y, x]: over all samples of the class, or of all classes; NaN where it is not known."""
    shape = run.shape_of(f"{MAPS}/{layer_name(layer.path)}", split)[1:]
    if cls is not None:
        if cls >= shape[0]:
            raise SelectionError(f"no class {cls}: there are {shape[0]}")
        own = slice(cls, cls + 1)
        return run.maps_at(index, layer.path, split, classes=own)[0].astype(np.float64)
    count = run.samples_at(index, split).astype(np.float64)
    total = np.zeros(shape[1:])
    at_once = max(1, BLOCK_BYTES // (8 * math.prod(shape[1:])))
    for start in range(0, shape[0], at_once):
        some = slice(start, min(start + at_once, shape[0]))
        maps = run.maps_at(index, layer.path, split, classes=some)
        has = count[some] > 0
        total += np.tensordot(count[some][has], maps[has].astype(np.float64), 1)
    return total / count.sum() if count.sum() > 0 else np.full(shape[1:], np.nan)


def _on_one_scale(values: np.ndarray) -> Arrays:
    known = values[np.isfinite(values)]
    low, high = min(0.0, known.min(initial=0.0)), max(0.0, known.max(initial=0.0))
    return {
        "maps": _coded(values, np.array(low), np.array(high)),
        "low": np.array([low], np.float32),
        "high": np.array([high], np.float32),
    }


def _coded(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    known = np.isfinite(values)
    range_ = np.where(high > low, high - low, 1.0)
    share = np.where(known, (np.where(known, values, 0.0) - low) / range_, 0.0)
    return np.where(known, np.floor(FULL * share + 0.5), NOTHING).astype(np.uint8)


# --- watched samples ---------------------------------------------------------------------------------


def watched_maps(run: Run, split: str, which: int, index: int, layer: int) -> Arrays:
    """Feature maps of one watched sample in one layer, all units on one scale.

    Args:
        which: of the watched samples, in their order.

    Returns:
        `maps` U8 [unit, y, x] from `low` (0) to `high` (`FULL`), F32 [1] each, 0 between them. Of
        large layers the means of neighboring positions.
    """
    path = _layer(run, layer).path
    samples = run.shape_of(f"{WATCHED}/{layer_name(path)}", split)[1]
    if which >= samples:
        raise SelectionError(f"no watched sample {which}: there are {samples}")
    maps = run.watched_at(index, path, split, samples=slice(which, which + 1))[0].astype(np.float64)
    factor = 1
    while len(maps) * math.prod(-(-side // factor) for side in maps.shape[1:]) > SAMPLE_BYTES:
        factor += 1
        if factor > max(maps.shape[1:]):
            break
    return _on_one_scale(_pooled(maps, factor))


def _pooled(maps: np.ndarray, factor: int) -> np.ndarray:
    """Means of squares of `factor` positions; those at the far edges may be smaller."""
    if factor == 1:
        return maps
    for axis in (1, 2):
        starts = np.arange(0, maps.shape[axis], factor)
        sizes = np.diff([*starts, maps.shape[axis]])
        maps = np.add.reduceat(maps, starts, axis)
        maps /= sizes[:, None] if axis == 1 else sizes
    return maps
