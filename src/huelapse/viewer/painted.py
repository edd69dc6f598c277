"""What the page reads of pictures and of the curves that are counted in them."""

import numpy as np

from huelapse.measures import find_measure
from huelapse.painting import BINS, CHUNK, HELD, PICTURE, STATES, Painter
from huelapse.run import Run
from huelapse.schema import TRUE
from huelapse.viewer import pictured

ALL = slice(None)

Arrays = dict[str, np.ndarray]


def picture(painter: Painter, split: str, grouping: str, measure: str, chunk: int) -> Arrays:
    """What is drawn of the units at 16 snapshots."""
    painted = painter.chunk(split, grouping, measure, chunk)
    return {name: painted[name] for name in PICTURE}


def cell_maps(
    run: Run, painter: Painter, split: str, grouping: str, measure: str, index: int
) -> Arrays:
    """Where each unit responds to the class its cell shows; to all samples where it shows none, or
    the classes are not those of the maps."""
    chunk, row = divmod(index, CHUNK)
    painted = painter.chunk(split, grouping, measure, chunk)
    held = (painted["state"][row] == HELD) & (grouping == TRUE)
    cls = np.where(held, painted["preferred"][row].astype(np.int64), -1)
    return pictured.cell_maps(run, split, index, cls)


def summary(painter: Painter, split: str, grouping: str, measure: str, part: slice = ALL) -> Arrays:
    """What is counted of every layer at some snapshots; see `Painter.chunk`. `damaged` [snapshot]: 1
    where one cannot be read back."""
    layers, number = len(painter.run.layers), len(painter.run.grouping(grouping, split).classes)
    empty: Arrays = {
        "n": np.zeros((0, number), np.uint32),
        "mean_strength": np.zeros((0, layers), np.float32),
        "magnitude": np.zeros((0, layers), np.float32),
        "bins": np.zeros((0, layers, BINS), np.uint32),
        "states": np.zeros((0, layers, STATES), np.uint32),
    }
    found = _curves(painter, split, grouping, measure, empty, part)
    damaged = np.zeros(len(found["n"]), np.uint8)
    start = part.start or 0
    for t in painter.damaged(split, grouping, measure):
        if start <= t < start + len(damaged):
            damaged[t - start] = 1
    return {**found, "damaged": damaged}


def classes(painter: Painter, split: str, grouping: str, measure: str, part: slice = ALL) -> Arrays:
    """`bins` [snapshot, class, bin] of some snapshots: held units by level."""
    number = len(painter.run.grouping(grouping, split).classes)
    empty: Arrays = {"class_bins": np.zeros((0, number, BINS), np.uint32)}
    return {"bins": _curves(painter, split, grouping, measure, empty, part)["class_bins"]}


def _curves(
    painter: Painter, split: str, grouping: str, measure: str, empty: Arrays, part: slice
) -> Arrays:
    """Curves of some snapshots, those named in `empty`."""
    find_measure(measure)
    start, stop, _ = part.indices(len(painter.run.coordinate("step", split)))
    first = start // CHUNK
    parts = [
        painter.curves(split, grouping, measure, chunk) for chunk in range(first, -(-stop // CHUNK))
    ]
    own = slice(start - first * CHUNK, stop - first * CHUNK)
    return {
        name: np.concatenate([none, *(p[name] for p in parts)])[own] for name, none in empty.items()
    }
