"""Writing a run: snapshots become visible one by one, each in one step."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from huelapse.errors import LayerError, ResumeError
from huelapse.schema import FORMAT_VERSION, Graph, Layer, RunState, Split, total_units
from huelapse.snapshot import Snapshot
from huelapse.store import layout
from huelapse.store.arrays import Arrays, check_shape
from huelapse.store.atomic import (
    make_directory,
    remove_half_written,
    replace_file,
    sync_directory,
)
from huelapse.store.directory import check_free, holds_run
from huelapse.store.forked import check_not_forked
from huelapse.store.lock import WriterLock
from huelapse.store.reader import StoreReader
from huelapse.store.resuming import check_same_split, check_same_superclasses, check_same_units
from huelapse.store.root import Root
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
        attributes: layout.JSON = {
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
            attributes[ATTRIBUTE] = dict(superclasses)
        self._arrays = Arrays(self.root)
        self._top = Root(self.root, self._arrays, attributes, self._responses)
        self._earlier: StoreReader | None = None
        self._segment, self._begun = 0, False
        self._disturbed: set[str] = set()  # splits in which a commit has failed
        self._greatest: dict[str, int] = {}  # step of each split, in this segment
        self._again: dict[str, set[int]] = {}  # steps of earlier segments that it has too
        layout.encoded(attributes)  # what cannot be written is found before anything is made
        make_directory(directory)
        self._lock.acquire()
        try:
            self.root.mkdir(exist_ok=True)
            sync_directory(directory)
            if resume:
                remove_half_written(self.root)
                self._go_on(StoreReader(directory, superseded=True), layers)
            else:
                self._top.write(self._lock)
        except BaseException:
            self._lock.release()
            raise

    def _go_on(self, earlier: StoreReader, layers: Sequence[Layer]) -> None:
        """Take over what is committed, and begin a segment."""
        check_same_units(earlier, layers, self._responses)
        check_same_superclasses(earlier, self._top.attributes.get(ATTRIBUTE))
        before, ours = earlier.attributes, self._top.attributes
        (begun,), facts = ours["segments"], ours["facts"]
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
        self._top.attributes = {
            **{name: ours[name] for name in (ATTRIBUTE,) if name in ours},
            **before,
            "state": before["state"] if merging else "recording",
            "segments": [*before["segments"][:-1], last, begun],
        }
        for split in earlier.splits:
            self._top.splits[split.name] = split
            length = self._top.lengths[split.name] = earlier.stored(split.name)
            for spec in self._specs(split, earlier):
                if spec.metadata(length) != earlier.metadata_of(spec.path):
                    raise ResumeError(
                        f"{self.directory} cannot be gone on with: another version of huelapse has "
                        f'laid out {spec.path} otherwise. Pass exist="new" for a run beside it'
                    )
                self._arrays.open(spec, length, create=False)

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
        starts = [segment.get("first_step", 0) for segment in self._top.attributes["segments"]]
        again = np.array(sorted(self._again.get(split, ())), np.int64)
        hidden = superseded(steps, taken, starts) | np.isin(steps, again)
        if hidden.any() or undo:
            told = hidden.astype(np.uint8)
            told[pruned(self._top.attributes.get("pruned", {}).get(split, ()), len(told))] = (
                layout.GONE
            )
            self._arrays.write_first(f"{split}/superseded", told)

    @property
    def durable(self) -> bool:
        """Whether the last commit would outlast a power cut, and is not just visible."""
        return self._top.durable

    @property
    def id(self) -> str:
        """Of the run, the same in all its segments; "" in runs from before there was one."""
        return str(self._top.attributes.get("id", ""))

    @property
    def segment(self) -> int:
        """Index of the one that is being recorded."""
        return self._segment

    @property
    def merged(self) -> list[layout.JSON]:
        """What the root says was merged of parts, so far."""
        return [dict(entry) for entry in self._top.attributes.get("merged", ())]

    def split(self, name: str) -> Split:
        """One that is declared."""
        return self._top.splits[name]

    def length(self, split: str) -> int:
        """Snapshots of a split that are committed, those that are superseded too."""
        return self._top.lengths[split]

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
            self._top.write(self._lock)
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
        if split.name in self._top.splits:
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
            check_shape(spec, given[path])
        try:
            self._make_split(split, given)
        except BaseException:  # no root may name it: it will be made once more, from the start
            self._top.splits.pop(split.name, None)
            self._top.lengths.pop(split.name, None)
            self._arrays.forget(split.name)
            self._top.name_splits()
            raise

    def _make_split(self, split: Split, static: Mapping[str, np.ndarray]) -> None:
        """
        Args:
            split: to be declared.
            static: path in the run → values, of its static arrays.
        """
        self._top.splits[split.name] = split
        self._top.lengths[split.name] = 0
        if (self.root / split.name).exists():  # left by one that could not be made
            remove_half_written(self.root / split.name)
        (self.root / split.name).mkdir(exist_ok=True)
        for path, attributes in self._top.groups_of(split).items():
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
            self._arrays.open(spec, 0)
        for path, value in static.items():
            self._arrays.write_static(path, value)
        self._top.name_splits()
        sync_directory(self.root)
        self._top.write(self._lock)

    def tell(self, name: str, facts: Mapping[str, Any]) -> None:
        """More facts of a split that is declared; visible from the next commit on."""
        split = self._top.splits[name]
        self._top.splits[name] = replace(split, facts={**split.facts, **facts})
        self._top.name_splits()

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
        split = self._top.splits[snapshot.split]
        index = self._top.lengths[split.name]
        values = values_of(snapshot, self._responses, segment=self._segment)
        for name in snapshot.metrics:
            path = f"{split.name}/metric.{name}"
            if path not in self._arrays:  # earlier snapshots read as NaN: there was none
                spec = layout.ArraySpec(path=path, dims=("snapshot",), shape=(), dtype="float64")
                self._arrays.open(spec, index)
        own = self._arrays.growing(split.name)
        for path, value in values.items():
            check_shape(own[path], value)
        for path, spec in own.items():
            # not kept this time: nothing that a commit which failed left behind may stand there
            values.setdefault(path, np.full(spec.shape, spec.fill_value, spec.dtype))
        self._arrays.grow(split.name, index + 1)
        # beyond the segment's first step all is hidden since it began
        first_step = self._top.attributes["segments"][-1]["first_step"]
        again = self._earlier is not None and self._earlier.has(f"{split.name}/step")
        if again and snapshot.step <= first_step:
            self._again.setdefault(split.name, set()).add(snapshot.step)
            self._hide(split.name)
        self._arrays.write(index, values)
        self._top.lengths[split.name] = index + 1
        if snapshot.step < self._greatest.get(split.name, 0):
            unordered = {*self._top.attributes.get("unordered", ()), split.name}
            self._top.attributes["unordered"] = sorted(unordered)
        self._greatest[split.name] = max(snapshot.step, self._greatest.get(split.name, 0))
        try:
            self._top.write_split(split)
            self._top.write(self._lock)
        except BaseException:
            self._top.lengths[split.name] = index
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
        self._top.attributes.update(attributes)

    def write_attributes(self) -> None:
        """Commit attributes alone."""
        if self._earlier is None or self._begun:
            self._top.write(self._lock)

    def close(self, state: RunState = "complete") -> None:
        """Write the last word on the run and let go of the lock.

        Raises:
            OSError: it could not be written, and the lock is held still: try again, or `abandon`.
            RunLockedError: as `commit`.
        """
        self._top.attributes["state"] = state
        self.write_attributes()
        self._lock.release()

    def abandon(self) -> None:
        """Let go of the lock and write nothing more."""
        self._lock.release()
