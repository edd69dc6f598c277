"""A part of a run as netCDF-4: the arrays that `Run.to_xarray` gives, in one file.

Through h5netcdf, a snapshot at a time, as xarray alone would hold whole arrays in memory.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.errors import MissingExtraError
from huelapse.export.about import ABOUT
from huelapse.export.rows import STATES, Selection, Source, parts, places, plain, readings
from huelapse.store.layout import TILE_CLASSES, TILE_UNITS

try:
    import h5netcdf
    import h5py
except ModuleNotFoundError as error:
    if error.name not in ("h5netcdf", "h5py"):
        raise
    raise MissingExtraError(
        f"netCDF needs {error.name}, which is not installed: pip install 'huelapse[export]'",
        name=error.name,
    ) from error

CUBE = ("snapshot", "class", "unit")
STATISTICS = {"mean": "float32", "m2": "float32", "active": "int64", "nonfinite": "int64"}
READINGS = {
    "preferred": "int32",
    "runner_up": "int32",
    "suppressed": "int8",
    "sure": "float64",
    "margin": "float64",
    "strength": "float64",
    "state": "int8",
}


def write(path: Path, run: Source, chosen: Selection, done: Callable[[int], None]) -> None:
    """Statistics per class and unit, or what follows from them per unit, with coordinates."""
    with h5netcdf.File(path, "w") as file:
        _begin(file, run, chosen)
        if chosen.per == "class":
            _statistics(file, run, chosen, done)
        else:
            _readings(file, run, chosen, done)


def _begin(file: Any, run: Source, chosen: Selection) -> None:
    """Dimensions and coordinates. `layer` and others are told as such by the CF convention."""
    names = chosen.grouping.classes
    layer, within = places(run.layers, chosen.units)
    paths = np.array([_text(one.path) for one in run.layers], object)
    file.dimensions = {
        "snapshot": len(chosen.snapshots),
        "class": len(names),
        "unit": len(layer),
    }
    text = h5py.string_dtype()
    coordinates: dict[str, tuple[str, Any, Any]] = {
        "class": ("class", text, np.array([*map(_text, names)], object)),
        "unit": ("unit", "int64", np.arange(chosen.units.start, chosen.units.stop)),
        "step": ("snapshot", "int64", chosen.steps),
        "epoch": ("snapshot", "float64", chosen.epochs),
        "wall_time": ("snapshot", "float64", chosen.wall_times),
        "layer": ("unit", text, paths[layer]),
        "index_in_layer": ("unit", "int64", within),
    }
    for name, (dim, dtype, values) in coordinates.items():
        variable = file.create_variable(name, (dim,), dtype=dtype)
        if len(values):
            variable[...] = values
        if name in ABOUT:
            variable.attrs["long_name"] = ABOUT[name]
    file.attrs["coordinates"] = "step epoch wall_time layer index_in_layer"
    file.attrs["name"] = _text(run.name)
    file.attrs["version"] = run.version
    file.attrs["split"] = _text(chosen.split)
    file.attrs["grouping"] = _text(chosen.grouping.name)
    file.attrs["response"] = chosen.response


def _statistics(file: Any, run: Source, chosen: Selection, done: Callable[[int], None]) -> None:
    count = _create(file, "count", CUBE[:2], "int64")
    made = {name: _create(file, name, CUBE, dtype) for name, dtype in STATISTICS.items()}
    for number, index in enumerate(chosen.snapshots):
        for part in parts(chosen):
            moments = run.moments(index, chosen.grouping.name, chosen.split, part, chosen.response)
            here = slice(part.start - chosen.units.start, part.stop - chosen.units.start)
            some = moments.n > 0
            count[number] = moments.count
            made["mean"][number, :, here] = np.where(some, moments.mean, np.nan)
            made["m2"][number, :, here] = np.where(some, moments.m2, np.nan)
            made["active"][number, :, here] = moments.active
            made["nonfinite"][number, :, here] = moments.nonfinite
        done(number + 1)


def _readings(file: Any, run: Source, chosen: Selection, done: Callable[[int], None]) -> None:
    dims = ("snapshot", "unit")
    made = {name: _create(file, name, dims, dtype) for name, dtype in READINGS.items()}
    made["state"].attrs["flag_values"] = np.arange(len(STATES), dtype=np.int8)
    made["state"].attrs["flag_meanings"] = " ".join(STATES)
    for number, index in enumerate(chosen.snapshots):
        for part in parts(chosen):
            here = slice(part.start - chosen.units.start, part.stop - chosen.units.start)
            for name, values in readings(run, chosen, index, part).items():
                made[name][number, here] = values.astype(READINGS[name])
        done(number + 1)


def _create(file: Any, name: str, dims: tuple[str, ...], dtype: str) -> Any:
    most = {"snapshot": 1, "class": TILE_CLASSES, "unit": TILE_UNITS}
    sizes = [len(file.dimensions[dim]) for dim in dims]
    chunks = tuple(max(min(size, most[dim]), 1) for size, dim in zip(sizes, dims, strict=True))
    packed = {"chunks": chunks, "compression": "gzip", "compression_opts": 4, "shuffle": True}
    fill = np.nan if dtype.startswith("float") else None
    variable = file.create_variable(
        name, dims, dtype=dtype, fillvalue=fill, **(packed if min(sizes) else {})
    )
    variable.attrs["long_name"] = ABOUT[name]
    return variable


def _text(name: str) -> str:
    """A name as HDF5 can hold it, whose texts end at the first zero."""
    return plain(name).replace("\0", "\\x00")
