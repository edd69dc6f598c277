"""One committed state of a run: what is there, and which part of it is asked for."""

from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Bool, Int64

from huelapse.errors import FormatError, SelectionError
from huelapse.schema import TRUE, Graph, Grouping, Incomplete, Layer, RunState, Split
from huelapse.store import StoreReader
from huelapse.store.cache import Cache, digest
from huelapse.store.segments import superseded
from huelapse.superclasses import ATTRIBUTE

GEOMETRY = "geometry"
GEOMETRY_VERSION = 1
"""Of what is kept of a snapshot's geometry; a change makes it be derived anew."""


class Committed:
    """What a run says of itself, and how its parts are named: steps, splits, groupings, layers."""

    def __init__(self, reader: StoreReader) -> None:
        self._reader = reader
        self.layers: tuple[Layer, ...] = reader.layers
        self.splits: tuple[Split, ...] = reader.splits
        self.response_names: tuple[str, ...] = reader.responses
        self.signed: Bool[np.ndarray, " unit"] = np.array(
            [layer.signed for layer in self.layers for _ in range(layer.units)], bool
        )

    @property
    def graph(self) -> Graph | None:
        """Which layer feeds which; None in a run that does not say."""
        return self._reader.graph

    @property
    def path(self) -> Path:
        """The run's directory, or its pack.

        Raises:
            PlaceError: the run is on another machine.
        """
        return self._reader.place.path

    @property
    def place(self) -> str:
        """Where the run stands: its path or its address."""
        return self._reader.place.name

    @property
    def remote(self) -> bool:
        """Whether the run is on another machine."""
        return self._reader.place.remote

    @property
    def bytes(self) -> int | None:
        """What the run takes on disk; None on another machine, where nothing is listed."""
        return self._reader.place.size()

    @property
    def cache(self) -> Cache:
        """Where what follows from the run is kept."""
        return self._reader.cache

    def identity(self, split: str, snapshots: slice) -> list[Any]:
        """What tells this run's snapshots from any others, as plain JSON values."""
        told = self._reader.through_time.identity(split)
        return [self.id, *(one[snapshots] for one in told)]

    def geometry_key(self, split: str, index: int) -> str:
        """The name, in the cache, of the geometry of a snapshot."""
        return digest(GEOMETRY, GEOMETRY_VERSION, self.identity(split, slice(index, index + 1)))

    def kept_names(self) -> set[str]:
        """Names of all that the cache may hold of this state, beside pictures."""
        return self._reader.through_time.names()

    @property
    def id(self) -> str:
        """The same for as long as the run is gone on with; "" in runs from before there was one."""
        return self._reader.id

    @property
    def name(self) -> str:
        return self._reader.name

    @property
    def status(self) -> RunState:
        """Whether the run is complete, still recording, or was interrupted."""
        return self._reader.state

    @property
    def version(self) -> str:
        """Changes with every committed snapshot."""
        return self._reader.version

    @property
    def facts(self) -> dict[str, Any]:
        """Provenance and price: versions, model, seed, gaps, dropped snapshots, cost, ranks."""
        kept = ("facts", "gaps", "dropped", "cost", "notes", "ranks")
        return {name: self._reader.attributes.get(name) for name in kept}

    @property
    def superclasses(self) -> dict[str, str]:
        """Class or superclass → what it belongs to, as it was recorded; a class that stands alone
        belongs to itself. Empty where nothing was said. `Hierarchy.from_parents` reads it, without
        those that stand alone."""
        return dict(self._reader.attributes.get(ATTRIBUTE) or {})

    # --- what is there -------------------------------------------------------------------------

    def split(self, name: str | None = None) -> Split:
        if not self.splits:
            raise SelectionError(f"{self.place} has no split yet: nothing has been recorded")
        if name is None:
            return self.splits[0]
        return _find(self.splits, name, "split", self.place)

    def grouping(self, name: str = TRUE, split: str | None = None) -> Grouping:
        return _find(self.split(split).groupings, name, "grouping", self.place)

    def layer(self, path: str) -> Layer:
        for layer in self.layers:
            if layer.path == path:
                return layer
        raise SelectionError(
            f"{self.place} has no layer {path!r}; it has "
            f"{', '.join(layer.path for layer in self.layers)}"
        )

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the true classes."""
        return self.grouping().classes

    @property
    def units(self) -> int:
        return len(self.signed)

    @property
    def steps(self) -> Int64[np.ndarray, " snapshot"]:
        """Optimizer steps of the first split's snapshots."""
        return self.coordinate("step")

    def coordinate(self, name: str, split: str | None = None) -> np.ndarray:
        """A one-dimensional array along `snapshot`: step, epoch, wall_time, seconds, metric.NAME."""
        path = f"{self.split(split).name}/{name}"
        if not self._reader.has(path):
            raise SelectionError(
                f"{self.place} has no {path!r}; it has {', '.join(self.metrics())}"
            )
        values = self._reader.read(path)
        lost = np.isnan(values) if name == "wall_time" else values < 0
        if name in ("step", "wall_time") and lost.any():
            raise FormatError(f"{self.place}: coordinates of {path} are missing or damaged")
        return values

    def incomplete(self, split: str | None = None) -> tuple[Incomplete, ...]:
        """Snapshots of which ranks or workers are missing, by step."""
        name = self.split(split).name
        merged = self._reader.attributes.get("merged", ())
        if not merged:
            return ()
        stored = self._reader.shown(f"{name}/step")
        if stored is None:
            stored = np.arange(self._reader.stored(name))
        steps = self.coordinate("step", name)
        found: list[Incomplete] = []
        for entry in merged:
            parts, expected = entry["parts"], entry["expected"]
            if entry["split"] != name or parts == expected:
                continue
            for index in np.flatnonzero((stored >= entry["first"]) & (stored <= entry["last"])):
                step = int(steps[index])
                found.append(
                    Incomplete(snapshot=int(index), step=step, parts=parts, expected=expected)
                )
        return tuple(sorted(found, key=lambda one: one.snapshot))

    @property
    def segments(self) -> tuple[int, ...]:
        """Optimizer steps made when each recording of the run began: several where it was resumed."""
        told = self._reader.attributes.get("segments", ())
        return tuple(int(one.get("first_step", 0)) for one in told)

    def hidden(self, split: str | None = None) -> int:
        """How many snapshots are kept but not shown, since a resumed training made them again."""
        name = self.split(split).name
        given_away = self._reader.attributes.get("pruned", {}).get(name, ())
        gone = sum(end - first for first, end in given_away)
        return self._reader.stored(name) - gone - len(self.coordinate("step", name))

    def superseded(self, split: str | None = None) -> Bool[np.ndarray, " snapshot"]:
        """Which of the shown snapshots a later segment made again: none, unless they were asked for."""
        name = self.split(split).name
        steps, segments = self.coordinate("step", name), self.coordinate("segment", name)
        return superseded(steps, segments, self.segments)

    def metrics(self, split: str | None = None) -> list[str]:
        """Names of the scalars the user passed."""
        prefix = f"{self.split(split).name}/metric."
        return sorted(p.removeprefix(prefix) for p in self._reader.arrays() if p.startswith(prefix))

    def index(self, step: int | None = None, split: str | None = None) -> int:
        """Which snapshot was taken at `step` (the last of them); None is the last snapshot."""
        steps = self.coordinate("step", split)
        if len(steps) == 0:
            raise SelectionError(f"{self.place} has no snapshot yet")
        if step is None:
            return len(steps) - 1
        if not isinstance(step, Real):
            raise SelectionError(
                f"step is {step!r}, expected a number: the optimizer steps at a snapshot"
            )
        found = np.flatnonzero(steps == step)
        if len(found) == 0:
            near = steps[np.abs(steps - step).argsort()[:3]]
            raise SelectionError(
                f"no snapshot at step {step}; the nearest are at {', '.join(map(str, sorted(near)))}"
            )
        return int(found[-1])

    def _slice(self, layer: str | None) -> slice:
        return slice(None) if layer is None else self.layer(layer).slice


Named = TypeVar("Named", Split, Grouping)


def _find(items: Sequence[Named], name: str, what: str, place: str) -> Named:
    for item in items:
        if item.name == name:
            return item
    raise SelectionError(
        f"{place} has no {what} {name!r}; it has {', '.join(item.name for item in items)}"
    )
