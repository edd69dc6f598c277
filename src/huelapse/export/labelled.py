"""A run as labelled arrays of xarray, read when they are used.

Read through huelapse's own reader, not through xarray's Zarr backend: so they are of exactly one
committed state, superseded snapshots stay hidden, and what is damaged is an error.
"""

from typing import Any

import numpy as np

from huelapse.errors import FormatError, MissingExtraError
from huelapse.export.about import ABOUT, layer_attributes
from huelapse.export.rows import Selection, Source, places, select
from huelapse.schema import Layer, layer_name
from huelapse.store import StoreReader

try:
    import xarray as xr
    from xarray import Dataset, DataTree
    from xarray.backends import BackendArray
    from xarray.core import indexing
except ModuleNotFoundError as error:
    if error.name != "xarray":
        raise
    raise MissingExtraError(
        "labelled arrays need xarray, which is not installed: pip install 'huelapse[xarray]'",
        name="xarray",
    ) from error

__all__ = ["DataTree", "Dataset", "dataset", "tree"]

CUBE = ("snapshot", "class", "unit")
COORDINATES = ("step", "epoch", "wall_time")


def tree(run: Source, reader: StoreReader) -> DataTree:
    """Everything that is summed up of a run; its nodes are told by `Run.to_xarray`."""
    nodes: dict[str, Any] = {
        "/": Dataset(attrs={"name": run.name, "version": run.version}),
    }
    for split in run.splits:
        base = f"/units/{split.name}"
        nodes[base] = _scalars(run, reader, split.name)
        for grouping in split.groupings:
            for response in run.response_names:
                chosen = select(run, split=split.name, grouping=grouping.name, response=response)
                whole = _whole(run, reader, chosen)
                below = "" if response == run.response_names[0] else f"/{response}"
                nodes[f"{base}/{grouping.name}{below}"] = whole
                for layer in run.layers:
                    place = f"/layers/{split.name}/{grouping.name}/{layer_name(layer.path)}"
                    nodes[place + below] = _of_layer(whole, layer)
    return DataTree.from_dict(nodes)


def dataset(run: Source, reader: StoreReader, chosen: Selection, layer: str | None) -> Dataset:
    """One grouping of one split, of all units or of one layer's."""
    whole = _whole(run, reader, chosen)
    return whole if layer is None else _of_layer(whole, run.layer(layer))


class Committed(BackendArray):
    """A committed array, read in the parts that are asked for."""

    def __init__(self, reader: StoreReader, path: str, count: str | None = None) -> None:
        """
        Args:
            reader: of one state of the run.
            path: of the array.
            count: path of the counts that a mean must fit: NaN where, and only where, there are
                no finite responses.
        """
        self.reader, self.path, self.count = reader, path, count
        stored = np.dtype(reader.metadata_of(path)["data_type"])
        self.dtype = stored if stored.kind == "f" else np.dtype(np.int64)
        self.shape = reader.shape(path)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._part
        )

    def _part(self, key: tuple[int | slice, ...]) -> np.ndarray:
        ranges = tuple(map(_range, key, self.shape))
        if self.dtype.kind != "f":
            values = self.reader.read_counts(self.path, ranges)
        else:
            values = self.reader.read(self.path, ranges)
            if self.count is not None:
                self._check(values, self.count, ranges)
        return values[tuple(0 if not isinstance(one, slice) else slice(None) for one in key)]

    def _check(self, values: np.ndarray, count: str, ranges: tuple[slice, ...]) -> None:
        home = self.path.rpartition("/")[0]
        nonfinite = self.reader.read_counts(f"{home}/nonfinite", ranges)
        n = self.reader.read_counts(count, ranges[:2])[..., None] - nonfinite
        if ((n > 0) == np.isnan(values)).any():
            raise FormatError(
                f"{self.reader.directory}: part of {self.path} is missing or damaged: it does not "
                f"fit its counts. Other snapshots of the run may still be whole"
            )


def _range(one: int | slice, size: int) -> slice:
    if not isinstance(one, slice):
        one = int(one) % size
        return slice(one, one + 1)
    start, stop, step = one.indices(size)
    return slice(start, max(start, stop), step)


def _variable(dims: tuple[str, ...], name: str, values: Any) -> xr.Variable:
    if isinstance(values, Committed):
        values = indexing.LazilyIndexedArray(values)
    return xr.Variable(dims, values, {"long_name": ABOUT[name]} if name in ABOUT else {})


def _whole(run: Source, reader: StoreReader, chosen: Selection) -> Dataset:
    base = f"{chosen.split}/{chosen.grouping.name}"
    home, count = reader.home(base, chosen.response), f"{base}/count"
    variables = {
        "count": _variable(CUBE[:2], "count", Committed(reader, count)),
        "mean": _variable(CUBE, "mean", Committed(reader, f"{home}/mean", count)),
        "m2": _variable(CUBE, "m2", Committed(reader, f"{home}/m2", count)),
        "active": _variable(CUBE, "active", Committed(reader, f"{home}/active")),
        "nonfinite": _variable(CUBE, "nonfinite", Committed(reader, f"{home}/nonfinite")),
    }
    classes = _texts(chosen.grouping.classes)
    layer, within = places(run.layers, slice(0, run.units))
    coords: dict[str, Any] = {
        "class": classes,
        "unit": np.arange(run.units, dtype=np.int64),
        "layer": _variable(("unit",), "layer", _texts([one.path for one in run.layers])[layer]),
        "index_in_layer": _variable(("unit",), "index_in_layer", within),
        **_along_snapshots(chosen),
    }
    confusion = f"{base}/confusion"
    if reader.has(confusion) and home == base:
        dims = ("snapshot", "class", "predicted_class")
        variables["confusion"] = _variable(dims, "confusion", Committed(reader, confusion))
        coords["predicted_class"] = classes
    attrs = {
        "split": chosen.split,
        "grouping": chosen.grouping.name,
        "response": chosen.response,
    }
    # by step, so that ds.sel(step=200) works
    return Dataset(variables, coords=coords, attrs=attrs).set_xindex("step")


def _of_layer(whole: Dataset, layer: Layer) -> Dataset:
    """Its units, counted from 0."""
    part = whole.isel(unit=layer.slice).drop_vars(
        ["layer", "index_in_layer", "confusion", "predicted_class"], errors="ignore"
    )
    part = part.assign_coords(
        unit=np.arange(layer.units, dtype=np.int64), layer=_variable((), "layer", layer.path)
    )
    part.attrs.update(layer_attributes(layer))
    return part


def _scalars(run: Source, reader: StoreReader, split: str) -> Dataset:
    """What a split has along its snapshots alone: coordinates, the user's metrics."""
    chosen = select(run, split=split)
    prefix = f"{split}/metric."
    metrics = {
        path.removeprefix(f"{split}/"): ("snapshot", run.coordinate(path[len(split) + 1 :], split))
        for path in reader.arrays()
        if path.startswith(prefix)
    }
    found = run.split(split)
    return Dataset(
        {**metrics, "seconds": ("snapshot", run.coordinate("seconds", split))},
        coords=_along_snapshots(chosen),
        attrs={"split": split, "kind": found.kind},
    ).set_xindex("step")


def _along_snapshots(chosen: Selection) -> dict[str, xr.Variable]:
    values = (chosen.steps, chosen.epochs, chosen.wall_times)
    return {
        name: _variable(("snapshot",), name, own)
        for name, own in zip(COORDINATES, values, strict=True)
    }


def _texts(names: Any) -> np.ndarray:
    """Names as an array of objects: one copy of each, however often it stands there."""
    return np.array([*names, None], object)[:-1]
