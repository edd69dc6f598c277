"""Whether a run is whole on disk: every committed byte is read, and what it says is compared."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.care import metadata, truths
from huelapse.errors import FormatError
from huelapse.schema import Split
from huelapse.store import layout
from huelapse.store.checking import StoredRun, check_shard, is_newer
from huelapse.store.lock import is_locked
from huelapse.store.reader import locate
from huelapse.store.segments import pruned


@dataclass(frozen=True, kw_only=True, slots=True)
class Damage:
    """One thing that is wrong. `snapshots` are the first and the last it concerns, from 0 on."""

    file: str
    """Inside the run's directory; of an array that contradicts others, its first such file."""
    what: str
    split: str | None = None
    array: str | None = None
    """Path of the array below the split; None for what belongs to a group, or to the whole run."""
    snapshots: tuple[int, int] | None = None
    """None where none is concerned: huelapse reads all of them as before."""


@dataclass(kw_only=True, slots=True)
class Report:
    """What was found so far; `finished` once everything was looked at."""

    path: str
    version: str = ""
    """Of the run's commit that was looked at."""
    damages: list[Damage] = field(default_factory=list[Damage])
    leftovers: list[str] = field(default_factory=list[str])
    """Harmless: what commits that were cut short have left, and files of others."""
    snapshots: dict[str, int] = field(default_factory=dict[str, int])
    """Split → snapshots committed."""
    checked: int = 0
    """Parts looked at: one array of one snapshot each."""
    total: int = 0
    finished: bool = False

    @property
    def whole(self) -> bool:
        """Everything was looked at and nothing is damaged."""
        return self.finished and not self.damages

    def damaged_snapshots(self, split: str) -> list[int]:
        """Those with a damage in any of their arrays."""
        found: set[int] = set()
        for damage in self.damages:
            if damage.split == split and damage.snapshots is not None:
                found.update(range(damage.snapshots[0], damage.snapshots[1] + 1))
        return sorted(found)

    def as_json(self) -> dict[str, Any]:
        splits = {
            name: {"snapshots": number, "damaged": self.damaged_snapshots(name)}
            for name, number in self.snapshots.items()
        }
        return {**asdict(self), "snapshots": splits, "whole": self.whole}


@dataclass(frozen=True, slots=True)
class Place:
    """How far a verification has come."""

    split: str
    snapshot: int
    snapshots: int


def verify(path: str | Path) -> Report:
    """Read everything a run has committed, and say what of it is damaged.

    Raises:
        NotARunError: no run there.
        FormatError: it is of a newer format.
        ForkedError: this process was forked from one that had recorded or read.
    """
    verification = Verification(path)
    for _ in verification.steps():
        pass
    return verification.report


class Verification:
    """One pass over a run, which can be stopped at any step: `report` holds what is known by then.

    At any time it holds no more than one snapshot of two arrays, and what comparing them takes.
    """

    def __init__(self, path: str | Path) -> None:
        """
        Raises:
            NotARunError, FormatError, ForkedError: as `verify`.
        """
        directory = locate(Path(path))
        self.report = Report(path=str(directory))
        self._run: StoredRun | None = None
        self._live = is_locked(directory / "lock")
        try:
            self._run = StoredRun(directory)
        except FormatError as error:
            if is_newer(directory):
                raise FormatError(
                    f"{directory}: {error}; verify it with the huelapse that wrote it, or upgrade "
                    f"this one: `pip install -U huelapse`"
                ) from error
            self.report.damages.append(
                Damage(file=f"{layout.ROOT}/{layout.GROUP_FILE}", what=str(error))
            )
            self.report.finished = True
            return
        self.report.version = self._run.version
        self._splits = [Split.from_json(split) for split in self._run.attributes["splits"]]
        for split in self._splits:
            number = self._run.members[f"{split.name}/step"]["shape"][0]
            self.report.snapshots[split.name] = number
            self.report.total += sum(
                number if along and not flat else 1
                for _, along, flat in self._arrays_of(split.name)
            )

    def steps(self) -> Iterator[Place]:
        """Look at one snapshot after the other."""
        if self._run is None:
            return
        for file, split, what in metadata.faults(self._run, self.report.snapshots, self._live):
            self.report.damages.append(Damage(file=file, what=what, split=split))
        for split in self._splits:
            number = self.report.snapshots[split.name]
            yield Place(split.name, 0, number)
            self._check_flat(split)
            gone = pruned(self._run.attributes.get("pruned", {}).get(split.name, ()), number)
            for index in range(number):
                if not gone[index]:
                    self._check_snapshot(split, index)
                yield Place(split.name, index + 1, number)
        if not self._live:  # what a writer has in hand just now is not left over
            self.report.leftovers = metadata.leftovers(self._run)
        self.report.finished = True

    def _arrays_of(self, split: str) -> Iterator[tuple[str, bool, bool]]:
        """Path, whether it is along `snapshot`, whether that is all (coordinates)."""
        assert self._run is not None
        for path, member in self._run.arrays().items():
            if path.startswith(f"{split}/"):
                along = member["dimension_names"][0] == "snapshot"
                yield path, along, along and len(member["shape"]) == 1

    def _check_flat(self, split: Split) -> None:
        """What is not one file per snapshot: coordinates, and arrays without `snapshot`."""
        assert self._run is not None
        coordinates: dict[str, np.ndarray] = {}
        for path, along, flat in self._arrays_of(split.name):
            if along and not flat:
                continue
            name = path.removeprefix(f"{split.name}/")
            number = self.report.snapshots[split.name]
            self.report.checked += 1
            if not along:
                value = self._read(split, name, None)
                if value is not None:
                    for what in truths.static(name, value):
                        self._tell(split, name, what, None)
                continue
            parts: list[np.ndarray] = []
            for first in range(0, number, layout.COORDINATE_CHUNK):
                last = min(number, first + layout.COORDINATE_CHUNK) - 1
                value = self._read(split, name, slice(first, last + 1), (first, last))
                if value is not None:
                    parts.append(value)
            if sum(map(len, parts)) == number:
                coordinates[name] = np.concatenate([np.zeros(0), *parts]) if parts else np.zeros(0)
        segments = self._run.attributes["segments"]
        for name, what, lost in truths.coordinates(coordinates, segments):
            self._tell(split, name, what, (int(lost[0]), int(lost[-1])))

    def _check_snapshot(self, split: Split, index: int) -> None:
        assert self._run is not None
        readable: dict[str, bool] = {}

        def take(name: str) -> np.ndarray | None:
            if not readable.get(name, True):
                return None  # and that is told
            value = self._read(split, name, index, (index, index))
            self.report.checked += name not in readable
            readable[name] = value is not None
            return value

        members = self._run.members
        responses: list[str] = self._run.attributes.get("responses", ["mean"])
        for grouping in split.groupings:
            for name, what in truths.statistics(split, grouping.name, responses, members, take):
                self._tell(split, name, what, (index, index))
        for name, what in truths.kept_responses(split, members, take):
            self._tell(split, name, what, (index, index))
        for path, along, flat in self._arrays_of(split.name):
            name = path.removeprefix(f"{split.name}/")
            if along and not flat and name not in readable:
                take(name)

    def _read(
        self, split: Split, name: str, selection: Any, snapshots: tuple[int, int] | None = None
    ) -> np.ndarray | None:
        """A part of an array; None where it is damaged, which is then told."""
        assert self._run is not None
        path = f"{split.name}/{name}"
        member = self._run.members[path]
        try:
            if len(member["shape"]) > 1 or snapshots is None:
                check_shard(self._run.root / path / self._file(path, snapshots), member)
            return self._run.read(path, ... if selection is None else selection)
        except FormatError as error:
            self._tell(split, name, str(error), snapshots)
            return None

    def _file(self, path: str, snapshots: tuple[int, int] | None) -> str:
        """The chunk that holds a snapshot, or the only one of a static array."""
        assert self._run is not None
        member = self._run.members[path]
        first = snapshots[0] if snapshots is not None else 0
        size = member["chunk_grid"]["configuration"]["chunk_shape"][0]
        rest = [0] * (len(member["shape"]) - 1)
        return ".".join(map(str, ("c", first // size, *rest)))

    def _tell(self, split: Split, name: str, what: str, snapshots: tuple[int, int] | None) -> None:
        path = f"{split.name}/{name}"
        self.report.damages.append(
            Damage(
                file=f"{layout.ROOT}/{path}/{self._file(path, snapshots)}",
                what=what,
                split=split.name,
                array=name,
                snapshots=snapshots,
            )
        )
