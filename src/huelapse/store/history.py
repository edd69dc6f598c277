"""Units through time: statistics turned so that one unit's are together, derived and cached.

In the run a snapshot is one file of each statistic, and a unit's history is a tile of every file.
Here a block is 64 snapshots of all statistics, and eight units a tile. Statistics stand as their bits,
as uint32, so that one fill can mean "not there": all bits set is no count, and a NaN that no program
computes.
"""

import contextlib
import itertools
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.store import layout
from huelapse.store.atomic import sync_directory
from huelapse.store.cache import Cache
from huelapse.store.forked import tensorstore

logger = logging.getLogger(__name__)

BLOCK = 64
"""Snapshots in one block; those after the last whole block are read from the run itself."""
TILE_UNITS = 8
SHARD_BYTES = 16 * 2**20
"""About what one file of a block holds before compression; it is made in memory."""
FILL = 2**32 - 1
KIND = "history"

_numbers = itertools.count()

STATISTICS = tuple(name for name, _ in layout.CUBES)
DTYPES = tuple(dtype for _, dtype in layout.CUBES)

Read = Callable[[str, Any], np.ndarray]
"""Path of an array and a selection of shown snapshots → values."""


def shard_units(classes: int, units: int) -> int:
    """Units in one file of a block: whole tiles of the run's own arrays, as many as fit."""
    per_unit = BLOCK * len(STATISTICS) * classes * 4
    fitting = SHARD_BYTES // per_unit // layout.TILE_UNITS * layout.TILE_UNITS
    all_units = -(-units // TILE_UNITS) * TILE_UNITS
    return int(min(max(fitting, layout.TILE_UNITS), all_units))


def metadata(classes: int, units: int) -> layout.JSON:
    """Zarr metadata of one block: [snapshot, statistic, class, unit]."""
    tile = [BLOCK, len(STATISTICS), min(classes, layout.TILE_CLASSES), TILE_UNITS]
    shard = [
        BLOCK,
        len(STATISTICS),
        -(-classes // tile[2]) * tile[2],
        shard_units(classes, units),
    ]
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [BLOCK, len(STATISTICS), classes, units],
        "data_type": "uint32",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": shard}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "."}},
        "fill_value": FILL,
        "codecs": layout.sharded(tile, "uint32"),
    }


class Blocks:
    """The blocks of one run's cache. They are named by what they hold, and never change."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache

    @property
    def directory(self) -> Path | None:
        above = self._cache.directory
        return None if above is None else above / KIND

    def find(
        self, keys: Sequence[str], classes: int, units: int, unit: int
    ) -> list[list[np.ndarray] | None]:
        """Of each block, all read at once: each statistic of one unit as [snapshot, class], or None
        where no whole block is kept."""
        above, described = self.directory, metadata(classes, units)
        if above is None:
            return [None] * len(keys)
        there = [(above / key).is_dir() for key in keys]
        opening = [
            _opening(above / key, described, create=False) if is_there else None
            for key, is_there in zip(keys, there, strict=True)
        ]
        reading = [_begun(one, unit) for one in opening]
        found: list[list[np.ndarray] | None] = []
        for key, is_there, one in zip(keys, there, reading, strict=True):
            statistics = _whole(one)
            if is_there and statistics is None:  # damaged, and so one to be made anew
                shutil.rmtree(above / key, ignore_errors=True)
            found.append(statistics)
        return found

    def has(self, key: str) -> bool:
        directory = self.directory
        return directory is not None and (directory / key).is_dir()

    def make(self, key: str, source: "Source", first: int) -> Iterator[float]:
        """Make a block, a file at a time; yields the share that is done. All of it or nothing.

        Args:
            key: its name.
            source: the statistics it holds, in the run.
            first: the first of its snapshots.

        Raises:
            OSError: it cannot be written.
            FormatError: the run cannot be read.
        """
        directory, units = self.directory, source.units
        if directory is None or self.has(key):
            return
        beside = directory / f".{key}.{os.getpid()}.{next(_numbers)}.tmp"
        beside.mkdir(parents=True, exist_ok=True)
        try:
            block = _opening(beside, metadata(source.classes, units), create=True).result()
            width = shard_units(source.classes, units)
            for start in range(0, units, width):
                own = slice(start, min(start + width, units))
                bits = source.bits(slice(first, first + BLOCK), own)
                if bits is None:
                    return
                block[:, :, :, own].write(bits).result()
                yield own.stop / units
            with contextlib.suppress(OSError):  # another was faster
                beside.rename(directory / key)
            sync_directory(directory)
            self._cache.make_room()
        finally:
            shutil.rmtree(beside, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Source:
    """The statistics of a response in a grouping, as they stand in a run."""

    read: Read
    grouping: str
    """Path of the group that holds its counts."""
    home: str
    """Path of the group that holds the statistics."""
    classes: int
    units: int

    def bits(self, snapshots: slice, units: slice) -> np.ndarray | None:
        """[snapshot, statistic, class, unit] as uint32; None where a part of the run is missing."""
        count = self.read(f"{self.grouping}/count", snapshots)
        values = {
            name: np.ascontiguousarray(
                self.read(f"{self.home}/{name}", (snapshots, slice(None), units)), dtype
            )
            for name, dtype in layout.CUBES
        }
        bits = np.stack([values[name].view(np.uint32) for name in STATISTICS], axis=1)
        some = count[:, :, None] > values["nonfinite"]
        missing = (some == np.isnan(values["mean"])) | (some == np.isnan(values["m2"]))
        return None if (bits == FILL).any() or missing.any() else bits


def _begun(opening: Any, unit: int) -> Any:
    """The reading of one unit of a block; None where that cannot be opened."""
    try:
        return None if opening is None else opening.result()[:, :, :, unit].read()
    except Exception as error:
        logger.debug("a block of a history cannot be used: %s", error)
        return None


def _whole(reading: Any) -> list[np.ndarray] | None:
    """Each statistic that was read; None where a part of the block is not there."""
    try:
        bits = None if reading is None else np.asarray(reading.result())
    except Exception as error:
        logger.debug("a block of a history cannot be used: %s", error)
        return None
    if bits is None or (bits == FILL).any():
        return None
    return [bits[:, i].view(dtype) for i, dtype in enumerate(DTYPES)]


def _opening(directory: Path, described: layout.JSON, *, create: bool) -> Any:
    spec: dict[str, Any] = {
        "driver": "zarr3",
        "kvstore": {"driver": "file", "path": f"{directory}/"},
        "metadata": described,
    }
    how = {"create": True} if create else {"open": True, "assume_metadata": True}
    return tensorstore().open({**spec, **how})
