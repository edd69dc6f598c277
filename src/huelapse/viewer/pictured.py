"""What the page reads of recorded pictures: where units respond, first weights, watched samples."""

import math
from typing import Any

import numpy as np

from huelapse.errors import SelectionError
from huelapse.extras import MAPS, THUMBNAILS, WATCHED, WEIGHTS
from huelapse.run import Run
from huelapse.schema import Layer, layer_name
from huelapse.viewer.paths import number, snapshot

FULL, NOTHING = 254, 255
"""On the wire the greatest of a scale, and what is not known."""
ZERO, REACH = 128, 127
"""A weight of 0, and how far the greatest one is from it; 0 on the wire is not known."""
ALL_BYTES = 4 * 2**20
"""Of the maps of all layers, that are sent at once."""
SAMPLE_BYTES = 2**19
"""Of a watched sample's maps of one layer; larger ones have fewer positions."""
FILM_FRAMES, FILM_BYTES = 16, 4 * 2**20
"""Snapshots of first weights in a film."""
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
        out, *picture = weights_shape(run, split)
        shape = run.shape_of(WEIGHTS, split)[1:]
        module = str(run.attributes_of(WEIGHTS, split).get("module", ""))
        found["first_weights"] = {
            "module": module, "filters": out, "picture": picture, "shape": list(shape),
        }  # fmt: skip
    return found


def asked(run: Run, split: str, parts: list[str]) -> Arrays | None:
    """A resource of one snapshot's pictures, by its path below the split; None for what is none."""
    match parts:
        case ["maps", index] if index.endswith(".st"):
            return all_maps(run, split, snapshot(run, split, index))
        case ["maps", index, "unit", unit] if index.isdigit():
            at = snapshot(run, split, index)
            return unit_maps(run, split, at, number(unit.removesuffix(".st")))
        case ["maps", index, layer, *cls] if index.isdigit() and len(cls) < 2:
            at, own = snapshot(run, split, index), number(layer.removesuffix(".st"))
            of = number(cls[0].removesuffix(".st")) if cls else None
            return layer_maps(run, split, at, own, of)
        case ["watched", which, index, layer] if which.isdigit():
            at, own = snapshot(run, split, index), number(layer.removesuffix(".st"))
            return watched_maps(run, split, number(which), at, own)
        case ["first_weights", index] if index.endswith(".st"):
            return weights_at(run, split, snapshot(run, split, index))
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
    maps = _mean(run, split, index, _layer(run, layer), cls)
    with np.errstate(invalid="ignore"):
        low = np.fmin(0, np.fmin.reduce(maps, (1, 2)))
        high = np.fmax(0, np.fmax.reduce(maps, (1, 2)))
    coded = _coded(maps, low[:, None, None], high[:, None, None])
    return {"maps": coded, "low": low.astype(np.float32), "high": high.astype(np.float32)}


def all_maps(run: Run, split: str, index: int) -> Arrays:
    """`maps.L` of every layer L that has any, as `layer_maps` codes them.

    Raises:
        SelectionError: they are too many to be sent at once.
    """
    layers = described(run, split).get("maps", [])
    shapes = [run.shape_of(f"{MAPS}/{layer_name(run.layers[i].path)}", split) for i in layers]
    size = sum(math.prod(shape[2:]) for shape in shapes)
    if not layers or size > ALL_BYTES:
        raise SelectionError(f"split {split!r} has {size} positions of maps; ask for one layer")
    return {f"maps.{i}": layer_maps(run, split, index, i)["maps"] for i in layers}


def unit_maps(run: Run, split: str, index: int, unit: int) -> Arrays:
    """Mean maps of one unit by true class, on one scale.

    Returns:
        `maps` U8 [class, y, x] from `low` (0) to `high` (`FULL`), F32 [1] each, 0 between them;
        `NOTHING` where a class has no sample, or a response was not finite.
    """
    if unit >= run.units:
        raise SelectionError(f"no unit {unit}: the run has {run.units}")
    place = next(i for i, x in enumerate(run.layers) if unit < x.offset + x.units)
    layer = _layer(run, place)
    own = unit - layer.offset
    step = int(run.coordinate("step", split)[index])
    maps = run.maps(layer.path, step, split, units=slice(own, own + 1))[:, 0].astype(np.float64)
    return _on_one_scale(maps)


def _layer(run: Run, index: int) -> Layer:
    if index >= len(run.layers):
        raise SelectionError(f"no layer {index}: the run has {len(run.layers)}")
    return run.layers[index]


def _mean(run: Run, split: str, index: int, layer: Layer, cls: int | None) -> np.ndarray:
    """[unit, y, x]: over all samples of the class, or of all classes; NaN where it is not known."""
    step = int(run.coordinate("step", split)[index])
    shape = run.shape_of(f"{MAPS}/{layer_name(layer.path)}", split)[1:]
    if cls is not None:
        if cls >= shape[0]:
            raise SelectionError(f"no class {cls}: there are {shape[0]}")
        return run.maps(layer.path, step, split, classes=slice(cls, cls + 1))[0].astype(np.float64)
    count = run.samples_at(index, split).astype(np.float64)
    total = np.zeros(shape[1:])
    at_once = max(1, BLOCK_BYTES // (8 * math.prod(shape[1:])))
    for start in range(0, shape[0], at_once):
        some = slice(start, min(start + at_once, shape[0]))
        maps = run.maps(layer.path, step, split, classes=some)
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
    path, step = _layer(run, layer).path, int(run.coordinate("step", split)[index])
    samples = run.shape_of(f"{WATCHED}/{layer_name(path)}", split)[1]
    if which >= samples:
        raise SelectionError(f"no watched sample {which}: there are {samples}")
    maps = run.watched(path, step, split, samples=slice(which, which + 1))[0].astype(np.float64)
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


# --- first weights -----------------------------------------------------------------------------------


def weights_shape(run: Run, split: str) -> tuple[int, int, int, int]:
    """Filters, y, x and channels (3 or 1) of first weights as pictures.

    Of three input channels the picture is in color, of others it is their mean; so is that of what is
    deeper than a picture. A filter in one dimension has its input channels as rows. One of a linear
    module is laid out as the thumbnails are where it has as many weights as they have pixels, else it
    is one row.
    """
    out, inputs, *size = run.shape_of(WEIGHTS, split)[1:]
    if len(size) >= 2:
        return out, size[-2], size[-1], 3 if inputs == 3 else 1
    if len(size) == 1:
        return out, inputs, size[0], 1
    if run.has(THUMBNAILS, split):
        y, x = run.shape_of(THUMBNAILS, split)[1:3]
        for channels in (1, 3):
            if channels * y * x == inputs:
                return out, y, x, channels
    return out, 1, inputs, 1


def _pictures(weights: np.ndarray, shape: tuple[int, int, int, int]) -> np.ndarray:
    """[out, in, …] as [out, y, x, channel]."""
    out, y, x, channels = shape
    if weights.ndim > 4:
        weights = weights.mean(tuple(range(2, weights.ndim - 2)))
    if weights.ndim == 4 and channels == 1:
        weights = weights.mean(1, keepdims=True)
    if weights.ndim == 3:
        weights = weights[:, None]
    return weights.reshape(out, channels, y, x).transpose(0, 2, 3, 1)


def weights_at(run: Run, split: str, index: int) -> Arrays:
    """First weights at one snapshot, as pictures.

    Returns:
        `weights` U8 [filter, y, x, channel]: `ZERO` is 0, `ZERO` ± `REACH` is ± `scale`, 0 not known;
        `scale` F32 [1], the greatest of them without sign.
    """
    weights, scale = _scaled(_weights(run, split, index))
    return {"weights": weights, "scale": np.array([scale], np.float32)}


def weights_film(run: Run, split: str) -> Arrays:
    """The same at up to `FILM_FRAMES` snapshots, evenly spread, the first and last among them.

    Returns:
        `snapshot` U32 [frame], `weights` U8 [frame, filter, y, x, channel], each frame by its own
        `scale` F32 [frame].
    """
    snapshots = len(run.coordinate("step", split))
    size = math.prod(weights_shape(run, split))
    number = min(snapshots, FILM_FRAMES, max(2, FILM_BYTES // max(size, 1)))
    chosen = np.unique(np.linspace(0, snapshots - 1, number).round().astype(int))
    frames = [_scaled(_weights(run, split, t)) for t in chosen.tolist()]
    return {
        "snapshot": chosen.astype(np.uint32),
        "weights": np.stack([weights for weights, _ in frames]),
        "scale": np.array([scale for _, scale in frames], np.float32),
    }


def _weights(run: Run, split: str, index: int) -> np.ndarray:
    step = int(run.coordinate("step", split)[index])
    weights = run.first_weights(step, split).astype(np.float64)
    return _pictures(weights, weights_shape(run, split))


def _scaled(weights: np.ndarray) -> tuple[np.ndarray, float]:
    known = np.isfinite(weights)
    weights = np.where(known, weights, 0.0)
    scale = float(np.abs(weights).max(initial=0.0))
    coded = ZERO + np.rint(REACH * weights / (scale or 1.0))
    return np.where(known, coded, 0).astype(np.uint8), scale
