"""Writing a run: snapshots become visible one by one, each in one step."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from huelapse.errors import LayerError, ResumeError
from huelapse.schema import FORMAT_VERSION, LABELS, Graph, Layer, RunState, Split, total_units
from huelapse.snapshot import Snapshot
from huelapse.store import layout
from huelapse.store.atomic import remove_half_written, replace_file, sync_directory
from huelapse.store.directory import check_free, holds_run
from huelapse.store.forked import check_not_forked, tensorstore
from huelapse.store.lock import WriterLock
from huelapse.store.reader import StoreReader
from huelapse.store.resuming import check_same_split, check_same_superclasses, check_same_units
from huelapse.store.segments import pruned, superseded
from huelapse.store.trusted import MOST_UNITS
from huelapse.store.values import values_of
from huelapse.superclasses import ATTRIBUTE


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
        superclasses: Mapping[str, str] | None = None,
        first_step: int | None = 0,
        resume: bool = False,
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
            superclasses: class or superclass → what it belongs to, as `check_superclasses` gives it;
                None for none, or those of the run that is there.
            first_step: optimizer steps made before. None, for a run that is there: only what was
                recorded elsewhere is added. Such a segment begins with its first commit, replaces
                but what it has itself, and leaves the run's state as it is; end with `abandon`.
            resume: go on with the run that is there, if any, in a new segment. What earlier ones
                recorded beyond `first_step` is superseded: kept, and hidden.

        Raises:
            RunExistsError: the directory holds a run, and `resume` is not asked for.
            ResumeError: the run there is of other units, or other superclasses.
            LayerError: there are more units than a run may hold.
            FormatError: the run there is damaged.
            RunLockedError: another process is writing there.
            ForkedError: this process was forked from one that had recorded or read.
        """
        check_not_forked()
        resume = resume and holds_run(directory)
        if not resume:
            check_free(directory)
        self.directory = directory
        self.root = directory / layout.ROOT
        self._lock = WriterLock(directory / "lock")
        self._units = total_units(layers)
        if self._units > MOST_UNITS:
            raise LayerError(
                f"the layers have {self._units:,} units together; a run holds at most {MOST_UNITS:,}: "
                f"choose fewer layers, as in layers=[…]"
            )
        self._responses = tuple(responses)
        self._attributes: layout.JSON = {
            "huelapse_format": FORMAT_VERSION,
            "id": uuid4().hex,
            "name": name,
            "state": "recording",
            "responses": list(self._responses),
            "layers": [layer.as_json() for layer in layers],
            "graph": graph.as_json() if graph is not None else None,
            "splits": [],
            "segments": [{"index": 0, "first_step": first_step, "facts": dict(facts)}],
            "facts": dict(facts),
            "gaps": [],
            "dropped": 0,
        }
        if superclasses is not None:
            self._attributes[ATTRIBUTE] = dict(superclasses)
        self._splits: dict[str, Split] = {}
        self._lengths: dict[str, int] = {}
        self._arrays: dict[str, tuple[layout.ArraySpec, Any]] = {}
        self._earlier: StoreReader | None = None
        self._segment, self._begun = 0, False
        self._disturbed: set[str] = set()  # splits in which a commit has failed
        self.durable = True
        """Whether the last commit would outlast a power cut, and is not just visible."""
        self._greatest: dict[str, int] = {}  # step of each split, in this segment
        self._again: dict[str, set[int]] = {}  # steps of earlier segments that it has too
        layout.encoded(self._attributes)  # what cannot be written is found before anything is made
        self._make_directories(directory)
        self._lock.acquire()
        try:
            self.root.mkdir(exist_ok=True)
            sync_directory(directory)
            if resume:
                remove_half_written(self.root)
                self._go_on(StoreReader(directory, superseded=True), layers)
            else:
                self._write_root()
        except BaseException:
            self._lock.release()
            raise

    def _go_on(self, earlier: StoreReader, layers: Sequence[Layer]) -> None:
        """Take over what is committed, and begin a segment."""
        check_same_units(earlier, layers, self._responses)
        check_same_superclasses(earlier, self._attributes.get(ATTRIBUTE))
        before = earlier.attributes
        (begun,), facts = self._attributes["segments"], self._attributes["facts"]
        self._segment = len(before["segments"])
        merging = begun["first_step"] is None
        if merging:
            steps = [earlier.read(f"{split.name}/step") for split in earlier.splits]
            begun["first_step"] = max((int(own.max(initial=0)) for own in steps), default=0)
            self._begun = True
        last = {**before["segments"][-1], "state": before["state"], "cost": before.get("cost")}
        begun = {"index": self._segment, "first_step": begun["first_step"], "facts": facts}
        if merging:
            begun["merged"] = True
        self._earlier = earlier
        self._attributes = {
            **{name: self._attributes[name] for name in (ATTRIBUTE,) if name in self._attributes},
            **before,
            "state": before["state"] if merging else "recording",
            "segments": [*before["segments"][:-1], last, begun],
        }
        for split in earlier.splits:
            self._splits[split.name] = split
            length = self._lengths[split.name] = earlier.stored(split.name)
            for spec in self._specs(split, earlier):
                if spec.metadata(length) != earlier.metadata_of(spec.path):
                    raise ResumeError(
                        f"{self.directory} cannot be gone on with: another version of huelapse has "
                        f'laid out {spec.path} otherwise. Pass exist="new" for a run beside it'
                    )
                self._open(spec, length, create=False)

    def _specs(self, split: Split, earlier: StoreReader) -> list[layout.ArraySpec]:
        """All arrays of a split that is there."""
        prefix = f"{split.name}/metric."
        metrics = [p.removeprefix(prefix) for p in earlier.arrays() if p.startswith(prefix)]
        return [
            *layout.coordinates(split.name, metrics),
            *layout.statistics(split, self._units, self._responses),
            *(layout.optional(split.name, extra) for extra in split.extras),
        ]

    def _hide(self, split: str, *, undo: bool = False) -> None:
        """Mark what was given up, for who reads the array by itself; readers tell it from the root.

        Args:
            split: with snapshots of earlier segments.
            undo: some may be marked that were not given up after all.
        """
        assert self._earlier is not None
        steps, taken = (
            self._earlier.read_chunks(f"{split}/{name}", ...) for name in ("step", "segment")
        )
        starts = [segment.get("first_step", 0) for segment in self._attributes["segments"]]
        again = np.array(sorted(self._again.get(split, ())), np.int64)
        hidden = superseded(steps, taken, starts) | np.isin(steps, again)
        if hidden.any() or undo:
            flags = self._arrays[f"{split}/superseded"][1]
            told = hidden.astype(np.uint8)
            told[pruned(self._attributes.get("pruned", {}).get(split, ()), len(told))] = layout.GONE
            flags[: len(steps)].write(told).result()

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

    @property
    def id(self) -> str:
        """Of the run, the same in all its segments; "" in runs from before there was one."""
        return str(self._attributes.get("id", ""))

    @property
    def segment(self) -> int:
        """Index of the one that is being recorded."""
        return self._segment

    @property
    def merged(self) -> list[layout.JSON]:
        """What the root says was merged of parts, so far."""
        return [dict(entry) for entry in self._attributes.get("merged", ())]

    def split(self, name: str) -> Split:
        """One that is declared."""
        return self._splits[name]

    def length(self, split: str) -> int:
        """Snapshots of a split that are committed, those that are superseded too."""
        return self._lengths[split]

    def check_split(self, split: Split) -> None:
        """
        Raises:
            ResumeError: the run that is gone on with has another split of that name.
        """
        if self._earlier is not None:
            before = {split.name: split for split in self._earlier.splits}
            if split.name in before:
                check_same_split(self._earlier, before[split.name], split)

    def _begin_segment(self) -> None:
        """From now on what was given up is hidden: there is something to take its place."""
        if self._earlier is not None and not self._begun:
            self._write_root()
            self._begun = True
            self._disturbed.update(split.name for split in self._earlier.splits)
            self._clear_up()

    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        """Declare a split before its first snapshot.

        Args:
            split: with the optional arrays its snapshots may hold.
            static: values of those that are static, by path below the split; visible from now on.

        Raises:
            ValueError: a static array is missing, or has another shape than declared.
            ResumeError: as `check_split`.
        """
        self.check_split(split)
        self._lock.check()
        self._begin_segment()
        if split.name in self._splits:
            return
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
        try:
            self._make_split(split, given)
        except BaseException:  # no root may name it: it will be made once more, from the start
            self._splits.pop(split.name, None)
            self._lengths.pop(split.name, None)
            for path in [path for path in self._arrays if path.startswith(f"{split.name}/")]:
                del self._arrays[path]
            self._attributes["splits"] = [s.as_json() for s in self._splits.values()]
            raise

    def _make_split(self, split: Split, static: Mapping[str, np.ndarray]) -> None:
        """
        Args:
            split: to be declared.
            static: path in the run → values, of its static arrays.
        """
        self._splits[split.name] = split
        self._lengths[split.name] = 0
        if (self.root / split.name).exists():  # left by one that could not be made
            remove_half_written(self.root / split.name)
        (self.root / split.name).mkdir(exist_ok=True)
        for path, attributes in layout.groups_of(split, self._responses).items():
            (self.root / split.name / path).mkdir(exist_ok=True)
            replace_file(
                self.root / split.name / path / layout.GROUP_FILE,
                layout.encoded(layout.group(attributes)),
            )
        for spec in (
            *layout.coordinates(split.name, ()),
            *layout.statistics(split, self._units, self._responses),
            *(layout.optional(split.name, extra) for extra in split.extras),
        ):
            self._open(spec, 0)
        for path, value in static.items():
            spec, array = self._arrays[path]
            array.write(np.asarray(value, spec.dtype)).result()
        self._attributes["splits"] = [s.as_json() for s in self._splits.values()]
        sync_directory(self.root)
        self._write_root()

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        """More facts of a split that is declared; visible from the next commit on."""
        split = self._splits[name]
        self._splits[name] = replace(split, facts={**split.facts, **facts})
        self._attributes["splits"] = [s.as_json() for s in self._splits.values()]

    def commit(self, snapshot: Snapshot) -> None:
        """Make one snapshot visible, durably and as a whole.

        After an error the next one can be committed in its place.

        Raises:
            OSError, ValueError: it could not be written; what was committed before is untouched.
            RunLockedError: another process has taken the run over; nothing was written.
        """
        self._lock.check()
        self._clear_up()
        again = {split: set(steps) for split, steps in self._again.items()}
        try:
            self._commit(snapshot)
        except BaseException:
            self._again = again
            self._disturbed.add(snapshot.split)
            raise

    def _clear_up(self) -> None:
        """Put right what commits that failed have left behind, and the next would not write over."""
        for split in sorted(self._disturbed):
            remove_half_written(self.root / split)
            if self._earlier is not None and self._earlier.has(f"{split}/step"):
                self._hide(split, undo=True)
            self._disturbed.discard(split)

    def _commit(self, snapshot: Snapshot) -> None:
        split = self._splits[snapshot.split]
        index = self._lengths[split.name]
        values = values_of(snapshot, self._responses, segment=self._segment)
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
        for path, grown in zip(growing, _all(growing.values()), strict=True):
            self._arrays[path] = (own[path][0], grown)
        # beyond the segment's first step all is hidden since it began
        first_step = self._attributes["segments"][-1]["first_step"]
        again = self._earlier is not None and self._earlier.has(f"{split.name}/step")
        if again and snapshot.step <= first_step:
            self._again.setdefault(split.name, set()).add(snapshot.step)
            self._hide(split.name)
        pending = [
            self._arrays[path][1][index].write(np.asarray(value, own[path][0].dtype))
            for path, value in values.items()
        ]
        _all(pending)
        self._lengths[split.name] = index + 1
        if snapshot.step < self._greatest.get(split.name, 0):
            unordered = {*self._attributes.get("unordered", ()), split.name}
            self._attributes["unordered"] = sorted(unordered)
        self._greatest[split.name] = max(snapshot.step, self._greatest.get(split.name, 0))
        try:
            self._write_split(split)
            self._write_root()
        except BaseException:
            self._lengths[split.name] = index
            raise

    def note(self, **attributes: Any) -> None:
        """Set attributes of the root (gaps, dropped, cost …); visible from the next commit on.

        Gaps and drops are this segment's, and are added to those of earlier ones.
        """
        if self._earlier is not None:
            before = self._earlier.attributes
            if "gaps" in attributes:
                attributes["gaps"] = [*before["gaps"], *attributes["gaps"]]
            if "dropped" in attributes:
                attributes["dropped"] += before["dropped"]
        self._attributes.update(attributes)

    def write_attributes(self) -> None:
        """Commit attributes alone."""
        if self._earlier is None or self._begun:
            self._write_root()

    def close(self, state: RunState = "complete") -> None:
        """Write the last word on the run and let go of the lock.

        Raises:
            OSError: it could not be written, and the lock is held still: try again, or `abandon`.
            RunLockedError: as `commit`.
        """
        self._attributes["state"] = state
        self.write_attributes()
        self._lock.release()

    def abandon(self) -> None:
        """Let go of the lock and write nothing more."""
        self._lock.release()

    def _open(self, spec: layout.ArraySpec, snapshots: int, *, create: bool = True) -> None:
        array = (
            tensorstore()
            .open(
                {
                    "driver": "zarr3",
                    "kvstore": {"driver": "file", "path": f"{self.root / spec.path}/"},
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
        self._arrays[spec.path] = (spec, array)

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
        replace_file(self.root / split.name / layout.GROUP_FILE, layout.encoded(metadata))

    def _write_root(self) -> None:
        metadata = layout.group(self._attributes, self._members())
        self._attributes["hash"] = metadata["attributes"]["hash"] = layout.digest(metadata)
        file, content = self.root / layout.GROUP_FILE, layout.encoded(metadata)
        self._lock.check()
        try:
            replace_file(file, content)
            self.durable = True
        except OSError:
            # where the rename was made, though what came after it failed, readers see it: to go back
            # would change what they have. The next one makes it durable too
            if not _holds(file, content):
                raise
            self.durable = False


def _all(futures: Iterable[Any]) -> list[Any]:
    """Results of all of them. After an error too nothing is under way any more: what came late would
    be written over the next commit."""
    waiting = list(futures)
    for one in waiting:
        one.exception()
    return [one.result() for one in waiting]


def _holds(file: Path, content: bytes) -> bool:
    with suppress(OSError):
        return file.read_bytes() == content
    return False


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
