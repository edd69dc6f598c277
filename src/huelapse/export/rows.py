"""A run as rows of a table, part of a snapshot at a time.

Which columns there are stands here.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import ExportError
from huelapse.measures import State, read
from huelapse.moments import Moments
from huelapse.schema import TRUE, Grouping, Layer, Split
from huelapse.store.layout import TILE_UNITS

Per = Literal["class", "unit"]
Kind = Literal["text", "integer", "number", "flag"]

ROWS = 2**18
"""About how many rows are in memory at once."""

COLUMNS: dict[Per, dict[str, Kind]] = {
    "class": {
        "split": "text",
        "grouping": "text",
        "step": "integer",
        "epoch": "number",
        "layer": "text",
        "unit": "integer",
        "class": "text",
        "count": "integer",
        "nonfinite": "integer",
        "mean": "number",
        "sd": "number",
        "active_share": "number",
    },
    "unit": {
        "split": "text",
        "grouping": "text",
        "step": "integer",
        "epoch": "number",
        "layer": "text",
        "unit": "integer",
        "preferred": "text",
        "runner_up": "text",
        "suppressed": "flag",
        "sure": "number",
        "margin": "number",
        "strength": "number",
        "state": "text",
    },
}
"""Name → kind, in order. What a column means is told by `Run.to_dataframe` and docs/export.md."""

STATES = tuple(state.name.lower() for state in State)
"""What states are called in tables, by the value of `State`."""


class Source(Protocol):
    """What an export asks of a `Run`, which stands on a floor above."""

    layers: tuple[Layer, ...]
    splits: tuple[Split, ...]
    response_names: tuple[str, ...]
    signed: np.ndarray

    @property
    def name(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def units(self) -> int: ...
    def split(self, name: str | None = None) -> Split: ...
    def grouping(self, name: str = TRUE, split: str | None = None) -> Grouping: ...
    def layer(self, path: str) -> Layer: ...
    def coordinate(self, name: str, split: str | None = None) -> np.ndarray: ...
    def index(self, step: int | None = None, split: str | None = None) -> int: ...
    def moments(
        self,
        index: int,
        grouping: str = TRUE,
        split: str | None = None,
        unit: slice = ...,
        response: str | None = None,
    ) -> Moments: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which part of a run is asked for; everything named in it is there.

    `snapshots` are indices; `steps`, `epochs` and `wall_times` belong to them.
    """

    per: Per
    split: str
    grouping: Grouping
    response: str
    units: slice
    snapshots: tuple[int, ...]
    steps: Int64[np.ndarray, " snapshot"]
    epochs: Float64[np.ndarray, " snapshot"]
    wall_times: Float64[np.ndarray, " snapshot"]

    @property
    def size(self) -> int:
        """How many units."""
        return self.units.stop - self.units.start


def select(
    run: Source,
    *,
    per: str = "class",
    split: str | None = None,
    grouping: str = TRUE,
    layer: str | None = None,
    step: int | None = None,
    response: str | None = None,
) -> Selection:
    """What is asked for, checked at once.

    Args:
        run: where it is taken from.
        per: a row for each unit and "class", or for each "unit".
        split, grouping, layer, response: by name; the defaults are those of `Run`.
        step: of one snapshot; None for all.

    Raises:
        ExportError: `per` is neither.
        SelectionError: the run has no such split, grouping, layer, step or response.
    """
    if per not in COLUMNS:
        raise ExportError(f"per is {per!r}, expected {' or '.join(map(repr, COLUMNS))}")
    name = run.split(split).name
    classes = run.grouping(grouping, name)
    units = slice(0, run.units) if layer is None else run.layer(layer).slice
    steps = run.coordinate("step", name)
    snapshots = tuple(range(len(steps))) if step is None else (run.index(step, name),)
    chosen = np.array(snapshots, np.int64)
    response = run.response_names[0] if response is None else response
    if response not in run.response_names and snapshots:
        run.moments(snapshots[0], grouping, name, slice(0, 0), response)  # says what there is
    return Selection(
        per=per,
        split=name,
        grouping=classes,
        response=response,
        units=units,
        snapshots=snapshots,
        steps=steps[chosen],
        epochs=run.coordinate("epoch", name)[chosen],
        wall_times=run.coordinate("wall_time", name)[chosen],
    )


@dataclass(frozen=True, slots=True)
class Named:
    """A column of text: for each row which of `names`, -1 for none."""

    codes: Int64[np.ndarray, " row"]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    def texts(self) -> list[str | None]:
        """The text of each row."""
        names = [*self.names, None]  # where -1 points
        return [names[code] for code in self.codes.tolist()]


Column = Named | np.ndarray
Rows = dict[str, Column]
"""Columns by name, all of one length, in the order of `COLUMNS`."""


def rows_of(run: Source, chosen: Selection, number: int) -> Iterator[Rows]:
    """The rows of one snapshot, by layer, unit, class.

    Args:
        run: as given to `select`.
        chosen: what it gave.
        number: which of the chosen snapshots.
    """
    for part in parts(chosen):
        yield _rows(run, chosen, number, part)


def parts(chosen: Selection) -> Iterator[slice]:
    """Ranges of units that together are those chosen: statistics of about `ROWS` rows each."""
    # parts begin where units that lie together on disk do, so that none is unpacked twice
    width = max(ROWS // len(chosen.grouping.classes) // TILE_UNITS, 1) * TILE_UNITS
    start = chosen.units.start
    while start < chosen.units.stop:
        stop = min((start // width + 1) * width, chosen.units.stop)
        yield slice(start, stop)
        start = stop


def _rows(run: Source, chosen: Selection, number: int, part: slice) -> Rows:
    index, names = chosen.snapshots[number], chosen.grouping.classes
    each = len(names) if chosen.per == "class" else 1
    size = (part.stop - part.start) * each
    layer, unit = places(run.layers, part)
    nothing = np.zeros(size, np.int64)
    common: Rows = {
        "split": Named(nothing, (plain(chosen.split),)),
        "grouping": Named(nothing, (plain(chosen.grouping.name),)),
        "step": np.full(size, chosen.steps[number], np.int64),
        "epoch": np.full(size, chosen.epochs[number], np.float64),
        "layer": Named(np.repeat(layer, each), tuple(plain(one.path) for one in run.layers)),
        "unit": np.repeat(unit, each),
    }
    classes = tuple(plain(name) for name in names)
    if chosen.per == "unit":
        names_of = {"preferred": classes, "runner_up": classes, "state": STATES}
        derived = readings(run, chosen, index, part)
        return common | {
            name: Named(values, names_of[name]) if name in names_of else values
            for name, values in derived.items()
        }
    moments = run.moments(index, chosen.grouping.name, chosen.split, part, chosen.response)
    return common | _of_classes(moments, classes)


def _of_classes(moments: Moments, classes: tuple[str, ...]) -> Rows:
    n = moments.n
    units = n.shape[1]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where(n > 0, moments.active / n, np.nan)
    return {
        "class": Named(np.tile(np.arange(len(classes)), units), classes),
        "count": np.tile(moments.count, units),
        "nonfinite": moments.nonfinite.T.ravel(),
        "mean": np.where(n > 0, moments.mean, np.nan).T.ravel(),
        "sd": np.sqrt(moments.variance).T.ravel(),
        "active_share": share.T.ravel(),
    }


def readings(run: Source, chosen: Selection, index: int, part: slice) -> dict[str, np.ndarray]:
    """Column → [unit] what is derived of a range of units at one snapshot; texts as indices.

    Each unit is derived by itself, so it is as `Run.strength` and its like say.
    """
    moments = run.moments(index, chosen.grouping.name, chosen.split, part, chosen.response)
    reading = read(moments, signed=run.signed[part])
    preference = reading.preference
    return {
        "preferred": preference.preferred,
        "runner_up": preference.runner_up,
        "suppressed": preference.suppressed,
        "sure": preference.sure,
        "margin": reading.selectivity.value,
        "strength": reading.strength,
        "state": reading.state(),
    }


def places(layers: tuple[Layer, ...], part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Of each unit in a range: the index of its layer, and its own index in that layer."""
    offsets = np.array([layer.offset for layer in layers], np.int64)
    unit = np.arange(part.start, part.stop, dtype=np.int64)
    layer = np.searchsorted(offsets, unit, side="right") - 1
    return layer.astype(np.int64), unit - offsets[layer]


def plain(text: str) -> str:
    """A name as UTF-8 can hold it: halves of a surrogate pair stand as \\udXXX."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def empty(kind: Kind) -> Any:
    """A column without rows."""
    if kind == "text":
        return Named(np.zeros(0, np.int64), ())
    return np.zeros(0, {"integer": np.int64, "number": np.float64, "flag": np.bool_}[kind])
