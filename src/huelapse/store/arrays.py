"""The arrays of a run that is being written, open: they grow, and are written, all at once."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.store import layout
from huelapse.store.forked import tensorstore


class Arrays:
    """Open arrays of a run, by their path in it."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._open: dict[str, tuple[layout.ArraySpec, Any]] = {}

    def __contains__(self, path: str) -> bool:
        return path in self._open

    def __iter__(self) -> Iterator[layout.ArraySpec]:
        return (spec for spec, _ in self._open.values())

    def open(self, spec: layout.ArraySpec, snapshots: int, *, create: bool = True) -> None:
        """
        Args:
            spec: of the array.
            snapshots: its length; what a commit that was cut off has left beyond it goes.
            create: anew, and what stands in its place goes.
        """
        array = (
            tensorstore()
            .open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{self._root / spec.path}/"},
                    "metadata": {
                        name: value
                        for name, value in spec.metadata(snapshots).items()
                        # what a commit that was cut off has left may be longer
                        if create or name != "shape"
                    },
                },
                open=not create,
                create=create,
                delete_existing=create,  # left by a commit that was cut off: the root has none
            )
            .result()
        )
        if not (create or spec.static) and array.shape[0] > snapshots:  # of cut-off commits
            array = array.resize(exclusive_max=[snapshots, *spec.shape]).result()
        self._open[spec.path] = (spec, array)

    def forget(self, split: str) -> None:
        """Those of a split are no longer the run's."""
        for path in [path for path in self._open if path.startswith(f"{split}/")]:
            del self._open[path]

    def growing(self, split: str) -> dict[str, layout.ArraySpec]:
        """Those of a split that have a value for each snapshot."""
        return {
            path: spec
            for path, (spec, _) in self._open.items()
            if path.startswith(f"{split}/") and not spec.static
        }

    def grow(self, split: str, snapshots: int) -> None:
        """Make room for so many. Each array waits on the disk several times, so all at once."""
        own = self.growing(split)
        pending = [
            self._open[path][1].resize(exclusive_max=[snapshots, *spec.shape], expand_only=True)
            for path, spec in own.items()
        ]
        for (path, spec), grown in zip(own.items(), _all(pending), strict=True):
            self._open[path] = (spec, grown)

    def write(self, index: int, values: Mapping[str, Any]) -> None:
        """The values of one snapshot, by path."""
        pending: list[Any] = []
        for path, value in values.items():
            spec, array = self._open[path]
            pending.append(array[index].write(np.asarray(value, spec.dtype)))
        _all(pending)

    def write_static(self, path: str, value: Any) -> None:
        """The one value of an array without snapshots."""
        spec, array = self._open[path]
        array.write(np.asarray(value, spec.dtype)).result()

    def write_first(self, path: str, values: np.ndarray) -> None:
        """The values of the first snapshots of one array, anew."""
        self._open[path][1][: len(values)].write(values).result()


def _all(futures: Iterable[Any]) -> list[Any]:
    """Results of all of them. After an error too nothing is under way any more: what came late would
    be written over the next commit."""
    waiting = list(futures)
    for one in waiting:
        one.exception()
    return [one.result() for one in waiting]


def check_shape(spec: layout.ArraySpec, value: Any) -> None:
    """TensorStore would repeat a value of one sample for all, and be silent about it."""
    if np.shape(value) != spec.shape:
        raise ValueError(
            f"{spec.path} was declared with shape {spec.shape}, but got {np.shape(value)}"
        )
