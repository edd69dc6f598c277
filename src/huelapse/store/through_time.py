"""All snapshots at once: what is small of each, and one unit's statistics. Fast where it was compacted.

Blocks of 64 shown snapshots are kept in the run's cache by `compact`, under names that tell what they
hold; what is not kept is read from the run itself.
"""

import math
from collections.abc import Iterator
from threading import Lock
from typing import Any, Protocol

import numpy as np

from huelapse.store import layout
from huelapse.store.cache import Cache, digest
from huelapse.store.history import BLOCK, STATISTICS, Blocks, Source

IDENTITY = ("step", "wall_time", "segment")
"""Coordinates by which a snapshot is told from any other."""
SMALL = {"class", "predicted_class"}
SERIES_BYTES = 2**20
"""Arrays of no other dimensions, and no more a snapshot, are read as a whole: counts, confusion."""
MEMORY_BYTES = 64 * 2**20
KIND = "series"


class Stored(Protocol):
    """A committed state of a run, as it is stored."""

    @property
    def id(self) -> str: ...
    def metadata_of(self, path: str) -> layout.JSON: ...
    def shown(self, path: str) -> np.ndarray | None: ...
    def arrays(self) -> list[str]: ...
    def read_chunks(self, path: str, selection: Any) -> np.ndarray: ...


class ThroughTime:
    """Reads and keeps what spans the snapshots of one committed state of a run."""

    def __init__(self, stored: Stored, cache: Cache) -> None:
        self._stored = stored
        self._cache = cache
        self._blocks = Blocks(cache)
        self._known: dict[str, np.ndarray] = {}
        self._told: dict[str, list[list[Any]]] = {}
        self._lock = Lock()

    # --- what is told of every snapshot ----------------------------------------------------------

    def identity(self, split: str) -> list[list[Any]]:
        """Step, time and segment of every shown snapshot of a split."""
        if split not in self._told:
            shown = self._stored.shown(f"{split}/step")
            coordinates = [self._stored.read_chunks(f"{split}/{name}", ...) for name in IDENTITY]
            self._told[split] = [
                (values if shown is None else values[shown]).tolist() for values in coordinates
            ]
        return self._told[split]

    def is_series(self, path: str) -> bool:
        """Whether an array holds little of each snapshot, and so is read as a whole."""
        metadata = self._stored.metadata_of(path)
        along, *dims = metadata.get("dimension_names") or [None]
        size = math.prod(metadata["shape"][1:]) * np.dtype(metadata["data_type"]).itemsize
        small = bool(dims) and SMALL.issuperset(dims) and size <= SERIES_BYTES
        return along == "snapshot" and small

    def series(self, path: str) -> np.ndarray:
        """A whole array of which there is little in each snapshot, [snapshot, …] of those shown."""
        with self._lock:
            if path in self._known:
                return self._known[path]
        parts: list[np.ndarray] = []
        first = 0
        shape = tuple(self._stored.metadata_of(path)["shape"][1:])
        for key in self._keys(path):
            kept = (self._cache.find(KIND, key) or {}).get("values")
            if kept is None or kept.shape != (BLOCK, *shape):
                kept = self._read(path, slice(first, first + BLOCK))
            parts.append(kept)
            first += BLOCK
        values = np.concatenate([*parts, self._read(path, slice(first, None))])
        values.flags.writeable = False  # given to whoever asks
        with self._lock:
            if sum(array.nbytes for array in self._known.values()) + values.nbytes <= MEMORY_BYTES:
                self._known[path] = values
        return values

    # --- one unit --------------------------------------------------------------------------------

    def unit(self, grouping: str, home: str, unit: int) -> list[np.ndarray]:
        """Mean, m2, active and nonfinite of one unit at every shown snapshot, [snapshot, class].

        Args:
            grouping: path of the group that holds the counts.
            home: path of the group that holds the statistics.
            unit: among all units of the run.

        Raises:
            FormatError, PlaceError: a part cannot be read back.
        """
        source = self._source(grouping, home)
        parts: list[list[np.ndarray]] = []
        first = 0
        for kept in self._blocks.find(self._keys(home), source.classes, source.units, unit):
            if kept is None:
                kept = self._unit(home, slice(first, first + BLOCK), unit)
            parts.append(kept)
            first += BLOCK
        parts.append(self._unit(home, slice(first, None), unit))
        return [np.concatenate(statistic) for statistic in zip(*parts, strict=True)]

    # --- keeping ---------------------------------------------------------------------------------

    def keep_series(self, split: str) -> None:
        """Keep what is small of each snapshot of a split, for all whole blocks."""
        for path in self._stored.arrays():
            if path.startswith(f"{split}/") and self.is_series(path):
                for i, key in enumerate(self._keys(path)):
                    if not self._cache.has(KIND, key):
                        values = self._read(path, slice(i * BLOCK, (i + 1) * BLOCK))
                        fill = self._stored.metadata_of(path)["fill_value"]
                        if not (isinstance(fill, int) and fill and (values == fill).any()):
                            self._cache.keep(KIND, key, {"values": values})

    def keep_units(self, grouping: str, home: str) -> Iterator[float]:
        """Keep the histories of all units, for all whole blocks; yields the share that is done.

        Raises:
            OSError: the cache cannot be written.
            FormatError, PlaceError: a part cannot be read back.
        """
        source, keys = self._source(grouping, home), self._keys(home)
        for i, key in enumerate(keys):
            for share in self._blocks.make(key, source, i * BLOCK):
                yield (i + share) / len(keys)

    def bytes_to_keep(self, home: str) -> int:
        """What `keep_units` has still to write, before compression."""
        _, classes, units = self._stored.metadata_of(f"{home}/mean")["shape"]
        missing = [key for key in self._keys(home) if not self._blocks.has(key)]
        return len(missing) * BLOCK * len(STATISTICS) * 4 * classes * units

    def names(self) -> set[str]:
        """Names in the cache of all that may be kept of this state of the run."""
        paths = [path for path in self._stored.arrays() if self.is_series(path)]
        homes = [p.removesuffix("/m2") for p in self._stored.arrays() if p.endswith("/m2")]
        return {key for path in (*paths, *homes) for key in self._keys(path)}

    # --- inside ----------------------------------------------------------------------------------

    def _keys(self, path: str) -> list[str]:
        """Names of the whole blocks of an array, or of a group of statistics."""
        if self._cache.directory is None:
            return []
        told = self.identity(path.partition("/")[0])
        own = f"{path}/mean" if f"{path}/mean" in self._stored.arrays() else path
        shape = self._stored.metadata_of(own)["shape"][1:]
        return [
            digest(self._stored.id, path, shape, [one[b * BLOCK : (b + 1) * BLOCK] for one in told])
            for b in range(len(told[0]) // BLOCK)
        ]

    def _source(self, grouping: str, home: str) -> Source:
        _, classes, units = self._stored.metadata_of(f"{home}/mean")["shape"]
        return Source(self._read, grouping, home, classes, units)

    def _unit(self, home: str, snapshots: slice, unit: int) -> list[np.ndarray]:
        part = (snapshots, slice(None), unit)
        return [self._read(f"{home}/{name}", part) for name in STATISTICS]

    def _read(self, path: str, part: Any) -> np.ndarray:
        """A range of the shown snapshots, and a part of each."""
        shown = self._stored.shown(path)
        snapshots, *rest = part if isinstance(part, tuple) else (part,)
        return self._stored.read_chunks(
            path, (snapshots if shown is None else shown[snapshots], *rest)
        )
