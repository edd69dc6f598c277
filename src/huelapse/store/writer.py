"""Writing a run: snapshots become visible one by one, each in one step."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.errors import RunExistsError, SplitNameError
from huelapse.moments import Moments
from huelapse.schema import FORMAT_VERSION, LABELS, TRUE, Graph, Layer, RunState, Split, total_units
from huelapse.snapshot import Snapshot
from huelapse.store import layout
from huelapse.store.atomic import WriterLock, replace_file, sync_directory
from huelapse.store.forked import check_not_forked, tensorstore

SPLIT_NAME = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9_.\-]*")


def free_directory(path: Path) -> Path:
    """`path`, or the first of `path-2`, `path-3` … that is not there or empty."""
    number, candidate = 1, path
    while candidate.exists() and not (candidate.is_dir() and not any(candidate.iterdir())):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def check_split_name(name: str) -> str:
    """
    Raises:
        SplitNameError: the name cannot be that of a group in the run.
    """
    given: Any = name
    if (
        not isinstance(given, str)
        or not SPLIT_NAME.fullmatch(name)
        or name == layout.GROUP_FILE
        or len(name) > 100
    ):
        raise SplitNameError(
            f"split name {name!r}: use letters, digits, '_', '-' and '.', not '.' first, as in 'val'"
        )
    return name


def holds_run(path: Path) -> bool:
    """Whether a run was begun here: its root is there."""
    return (path / layout.ROOT / layout.GROUP_FILE).exists()


def check_free(path: Path) -> None:
    """
    Raises:
        RunExistsError: the directory holds a run.
    """
    if holds_run(path):
        raise RunExistsError(
            f"{path} already holds a run; give another directory, or pass "
            f'exist="new" to record into a numbered one beside it. Nothing was changed'
        )


class StoreWriter:
    """The one writer of a run directory.

    `commit` writes a snapshot's arrays, then the split's group file, then replaces the root's
    `zarr.json`: the commit point. Until then nothing of the snapshot is visible to readers, who
    look only at the root; after it all of it is. TensorStore syncs every file and its directory; the
    group files are synced here.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        layers: Sequence[Layer],
        facts: Mapping[str, Any],
        responses: Sequence[str] = ("mean",),
        graph: Graph | None = None,
    ) -> None:
        """
        Args:
            directory: where the run shall be; made if it is not there.
            name: what the viewer calls the run.
            layers: the layer table, in call order.
            facts: provenance, plain JSON values, stored as attributes.
            responses: of each unit: "mean", "peak" or both; a snapshot's `moments` are those of
                the first, its `peaks` those of the second.

            graph: which layer feeds which, where that is known.

        Raises:
            RunExistsError: the directory holds a run.
            RunLockedError: another process is writing there.
            ForkedError: this process was forked from one that had recorded or read.
        """
        check_not_forked()
        check_free(directory)
        self.directory = directory
        self.root = directory / layout.ROOT
        self._lock = WriterLock(directory / "lock")
        self._units = total_units(layers)
        self._responses = tuple(responses)
        self._attributes: layout.JSON = {
            "huelapse_format": FORMAT_VERSION,
            "name": name,
            "state": "recording",
            "responses": list(self._responses),
            "layers": [layer.as_json() for layer in layers],
            "graph": graph.as_json() if graph is not None else None,
            "splits": [],
            "segments": [{"index": 0, "facts": dict(facts)}],
            "facts": dict(facts),
            "gaps": [],
            "dropped": 0,
        }
        self._splits: dict[str, Split] = {}
        self._lengths: dict[str, int] = {}
        self._arrays: dict[str, tuple[layout.ArraySpec, Any]] = {}
        _encode(self._attributes)  # what cannot be written is found before anything is made
        self._make_directories(directory)
        self._lock.acquire()
        try:
            self.root.mkdir(exist_ok=True)
            sync_directory(directory)
            self._write_root()
        except BaseException:
            self._lock.release()
            raise

    @staticmethod
    def _make_directories(directory: Path) -> None:
        fresh: list[Path] = []
        above = directory
        while not above.exists():
            fresh.append(above)
            above = above.parent
        directory.mkdir(parents=True, exist_ok=True)
        for made in reversed(fresh):
            sync_directory(made.parent)

    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        """Declare a split before its first snapshot.

        Args:
            split: with the optional arrays its snapshots may hold.
            static: values of those that are static, by path below the split; visible from now on.

        Raises:
            ValueError: a static array is missing, or has another shape than declared.
        """
        optional = [layout.optional(split.name, extra) for extra in split.extras]
        given = {f"{split.name}/{path}": value for path, value in (static or {}).items()}
        written = {spec.path: spec for spec in optional if spec.static}
        if given.keys() != written.keys():
            raise ValueError(
                f"split {split.name!r} declares the static arrays {sorted(written)}, "
                f"but was given {sorted(given)}"
            )
        for path, spec in written.items():
            _check_shape(spec, given[path])
        self._splits[split.name] = split
        self._lengths[split.name] = 0
        (self.root / split.name).mkdir(exist_ok=True)
        for path, attributes in layout.groups_of(split, self._responses).items():
            (self.root / split.name / path).mkdir(exist_ok=True)
            replace_file(
                self.root / split.name / path / layout.GROUP_FILE,
                _encode(layout.group(attributes)),
            )
        for spec in (
            *layout.coordinates(split.name, ()),
            *layout.statistics(split, self._units, self._responses),
            *optional,
        ):
            self._open(spec, 0)
        for path, spec in written.items():
            self._arrays[path][1].write(np.asarray(given[path], spec.dtype)).result()
        self._attributes["splits"] = [s.as_json() for s in self._splits.values()]
        sync_directory(self.root)
        self._write_root()

    def commit(self, snapshot: Snapshot) -> None:
        """Make one snapshot visible, durably and as a whole.

        Raises:
            OSError, ValueError: it could not be written; what was committed before is untouched.
        """
        split = self._splits[snapshot.split]
        index = self._lengths[split.name]
        values = self._values(snapshot)
        for name in snapshot.metrics:
            path = f"{split.name}/metric.{name}"
            if path not in self._arrays:  # earlier snapshots read as NaN: there was none
                self._open(
                    layout.ArraySpec(path=path, dims=("snapshot",), shape=(), dtype="float64"),
                    index,
                )
        # all arrays grow at once and then are written at once: each waits on the disk several times
        own = {
            path: (spec, array)
            for path, (spec, array) in self._arrays.items()
            if path.startswith(f"{split.name}/") and not spec.static
        }
        for path, value in values.items():
            _check_shape(own[path][0], value)
        for path, (spec, _) in own.items():
            # not kept this time: nothing that a commit which failed left behind may stand there
            values.setdefault(path, np.full(spec.shape, spec.fill_value, spec.dtype))
        growing = {
            path: array.resize(exclusive_max=[index + 1, *spec.shape], expand_only=True)
            for path, (spec, array) in own.items()
        }
        for path, grown in growing.items():
            self._arrays[path] = (own[path][0], grown.result())
        pending = [
            self._arrays[path][1][index].write(np.asarray(value, own[path][0].dtype))
            for path, value in values.items()
        ]
        for write in pending:
            write.result()
        self._lengths[split.name] = index + 1
        try:
            self._write_split(split)
            self._write_root()
        except BaseException:
            self._lengths[split.name] = index
            raise

    def note(self, **attributes: Any) -> None:
        """Set attributes of the root (gaps, dropped, cost …); visible from the next commit on."""
        self._attributes.update(attributes)

    def write_attributes(self) -> None:
        """Commit attributes alone."""
        self._write_root()

    def close(self, state: RunState = "complete") -> None:
        """Write the last word on the run and let go of the lock."""
        try:
            self._attributes["state"] = state
            self._write_root()
        finally:
            self._lock.release()

    def abandon(self) -> None:
        """Let go of the lock and write nothing more."""
        self._lock.release()

    def _open(self, spec: layout.ArraySpec, snapshots: int) -> None:
        array = (
            tensorstore()
            .open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{self.root / spec.path}/"},
                    "metadata": spec.metadata(snapshots),
                },
                create=True,
            )
            .result()
        )
        self._arrays[spec.path] = (spec, array)

    def _values(self, snapshot: Snapshot) -> dict[str, Any]:
        """Array path → value of this snapshot. Mean and m2 are NaN where there is no data."""
        split = snapshot.split
        values: dict[str, Any] = {
            f"{split}/step": snapshot.step,
            f"{split}/epoch": snapshot.epoch,
            f"{split}/wall_time": snapshot.wall_time,
            f"{split}/segment": 0,
            f"{split}/superseded": 0,
            f"{split}/seconds": snapshot.seconds,
            **{f"{split}/metric.{name}": value for name, value in snapshot.metrics.items()},
            **{f"{split}/{path}": value for path, value in snapshot.extras.items()},
        }
        of_responses = (snapshot.moments, snapshot.peaks)
        for response, groupings in zip(self._responses, of_responses, strict=False):
            for name, moments in groupings.items():
                base = f"{split}/{name}"
                home = layout.home_of(base, response, self._responses)
                values[f"{base}/count"] = moments.count
                values |= _cubes(home, moments)
        if snapshot.confusion is not None:
            values[f"{split}/{TRUE}/confusion"] = snapshot.confusion
        return values

    def _members(self, below: str = "") -> dict[str, layout.JSON]:
        members: dict[str, layout.JSON] = {}
        for path, (spec, _) in self._arrays.items():
            if path.startswith(below):
                split = path.partition("/")[0]
                members[path.removeprefix(below)] = spec.metadata(self._lengths[split])
        for split in self._splits.values():
            groups = {split.name: _split_attributes(split)} | {
                f"{split.name}/{path}": attributes
                for path, attributes in layout.groups_of(split, self._responses).items()
            }
            for path, attributes in groups.items():
                if path.startswith(below) and path != below.rstrip("/"):
                    members[path.removeprefix(below)] = layout.group(attributes)
        return members

    def _write_split(self, split: Split) -> None:
        metadata = layout.group(_split_attributes(split), self._members(f"{split.name}/"))
        replace_file(self.root / split.name / layout.GROUP_FILE, _encode(metadata))

    def _write_root(self) -> None:
        metadata = layout.group(self._attributes, self._members())
        self._attributes["hash"] = metadata["attributes"]["hash"] = layout.digest(metadata)
        replace_file(self.root / layout.GROUP_FILE, _encode(metadata))


def _split_attributes(split: Split) -> layout.JSON:
    # the CF convention by which xarray tells coordinates from data
    along = [spec.path.partition("/")[2] for spec in layout.coordinates(split.name, ())]
    along += [extra.path for extra in split.extras if extra.path == LABELS]
    return {**split.as_json(), "coordinates": " ".join(along)}


def _check_shape(spec: layout.ArraySpec, value: Any) -> None:
    """TensorStore would repeat a value of one sample for all, and be silent about it."""
    if np.shape(value) != spec.shape:
        raise ValueError(
            f"{spec.path} was declared with shape {spec.shape}, but got {np.shape(value)}"
        )


def _encode(metadata: layout.JSON) -> bytes:
    return json.dumps(metadata, indent=1, allow_nan=False).encode()


def _cubes(home: str, moments: Moments) -> dict[str, Any]:
    empty = moments.n == 0
    with np.errstate(over="ignore"):  # becomes inf: read as not finite
        mean, m2 = moments.mean.astype(np.float32), moments.m2.astype(np.float32)
    return {
        f"{home}/mean": np.where(empty, np.float32(np.nan), mean),
        f"{home}/m2": np.where(empty, np.float32(np.nan), m2),
        f"{home}/active": moments.active,
        f"{home}/nonfinite": moments.nonfinite,
    }
