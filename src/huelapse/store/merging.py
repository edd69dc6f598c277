"""Parts of snapshots, as ranks and workers have left them, become snapshots of the run.

What was merged of which parts stands in the root, so that missing ranks are told, and that merging once
more changes nothing. A part that comes late is never merged into what is on disk, which is float32: all
parts of its moment are merged again, exactly, and the new snapshot takes the place of the former.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.errors import NotARunError, PartialError
from huelapse.schema import Split
from huelapse.store.fitting import refusal
from huelapse.store.joining import Part, check_same, digest_of, forwarded_twice, merge_parts
from huelapse.store.ledger import entries_with, entry_of, missing_of
from huelapse.store.partial import PARTIAL, SUFFIX
from huelapse.store.partial_file import PartialFile
from huelapse.store.reader import StoreReader, locate
from huelapse.store.segments import superseded
from huelapse.store.unfinished import remove_unfinished
from huelapse.store.writer import StoreWriter


@dataclass(frozen=True, kw_only=True, slots=True)
class Merged:
    """A moment whose parts became a snapshot (or would, where nothing was to be changed)."""

    split: str
    step: int
    parts: int
    expected: int | None
    missing: tuple[str, ...]
    """Names of parts that are not in it, where they can be told from those that are."""
    twice: int | None
    """How many samples were forwarded more than once, and count so; None where parts have no ids."""
    again: bool
    """Whether it takes the place of one that had been merged of fewer parts."""

    @property
    def complete(self) -> bool:
        return self.parts == self.expected


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiting:
    """A moment of which parts are missing."""

    split: str
    step: int
    parts: tuple[str, ...]
    expected: int | None
    missing: tuple[str, ...]
    committed: bool
    """Whether these parts are in the run already, as a snapshot that is marked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A file that was not merged, and is left where it is."""

    file: str
    why: str
    damaged: bool


@dataclass(kw_only=True, slots=True)
class MergeReport:
    """What was found and done so far; `finished` once everything was looked at."""

    path: str
    dry_run: bool
    merged: list[Merged] = field(default_factory=list[Merged])
    waiting: list[Waiting] = field(default_factory=list[Waiting])
    left: list[Left] = field(default_factory=list[Left])
    already: int = 0
    """Files whose moment had been merged of all its parts before."""
    removed: int = 0
    """Files that are in the run now, and were removed."""
    moments: int = 0
    """Moments of which there are parts."""
    finished: bool = False

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


_Key = tuple[int, str, int]
"""Step, split, segment (-1 for none): what parts of one moment share."""


class Merging:
    """One pass over a run's parts. It can be stopped at any step: what is committed stays."""

    def __init__(
        self, path: str | Path, *, incomplete: bool = False, keep: bool = False, dry: bool = False
    ) -> None:
        """
        Args:
            path: of the run's directory.
            incomplete: commit also moments of which parts are missing, marked.
            keep: leave the files where they are, also those that are in the run completely.
            dry: look, and change nothing.

        Raises:
            NotARunError: no run there.
            FormatError: it cannot be read.
        """
        self._directory = locate(Path(path))
        if not self._directory.is_dir():
            raise NotARunError(
                f"{path} is no run's directory: parts are merged where it was recorded"
            )
        self._incomplete, self._keep, self._dry = incomplete, keep or dry, dry
        self.report = MergeReport(path=str(self._directory), dry_run=dry)
        self._reader = StoreReader(self._directory, superseded=True)
        self._writer: StoreWriter | None = None

    def steps(self) -> Iterator[int]:
        """Merge one moment after the other; yields how many are done, of `report.moments`.

        Raises:
            RunLockedError: the run is being written.
            OSError: a snapshot cannot be written; those before it are.
        """
        files = self._files()
        with ExitStack() as ending:
            if files and not self._dry:
                reader = self._reader
                self._writer = StoreWriter(
                    self._directory,
                    name=reader.name,
                    layers=reader.layers,
                    facts={},
                    responses=reader.responses,
                    first_step=None,
                    resume=True,
                )
                ending.callback(self._writer.abandon)
                self._reader = StoreReader(self._directory, superseded=True)
                remove_unfinished(self._directory / PARTIAL)
            self._entries: list[dict[str, Any]] = [
                dict(entry) for entry in self._reader.attributes.get("merged", ())
            ]
            self._standing = {split.name: self._steps_of(split) for split in self._reader.splits}
            moments = self._moments(files)
            self.report.moments = len(moments)
            for done, key in enumerate(sorted(moments)):
                yield done
                self._take(sorted(moments[key], key=lambda part: part.about.part))
            yield len(moments)
        self.report.finished = True

    # --- what is there ---------------------------------------------------------------------------

    def _files(self) -> list[Path]:
        directory = self._directory / PARTIAL
        if not directory.is_dir():
            return []
        found: list[Path] = []
        for path in sorted(directory.iterdir()):
            if path.suffix == SUFFIX and not path.name.startswith("."):
                found.append(path)
            elif not path.name.startswith("."):  # those are being written
                self._leave(path, "it is no part of a run", damaged=False)
        return found

    def _steps_of(self, split: Split) -> dict[int, int]:
        """Step → where the snapshot is stored that stands for it."""
        steps, taken = (
            self._reader.read_chunks(f"{split.name}/{name}", ...) for name in ("step", "segment")
        )
        segments = self._reader.attributes["segments"]
        starts = [one.get("first_step", 0) for one in segments]
        hidden = superseded(steps, taken, starts)
        return {int(steps[i]): int(i) for i in np.flatnonzero(~hidden)}

    def _moments(self, files: Sequence[Path]) -> dict[_Key, list[Part]]:
        """Parts that belong to the run, by their moment."""
        moments: dict[_Key, list[Part]] = defaultdict(list)
        splits = {split.name: split for split in self._reader.splits}
        layers = tuple((layer.path, layer.units) for layer in self._reader.layers)
        for path in files:
            try:
                with PartialFile(path) as file:
                    about, digest = file.about, file.digest
                    reason = refusal(file, self._reader, layers, splits)
            except PartialError as error:
                self._leave(path, _without(path, error), damaged=True)
                continue
            if reason is not None:
                self._leave(path, reason, damaged=False)
                continue
            # one copy of long tables for all files
            about = replace(about, layers=layers, groupings=splits[about.split].groupings)
            key = about.step, about.split, -1 if about.segment is None else about.segment
            moments[key].append(Part(path, about, digest))
        return moments

    # --- one moment ------------------------------------------------------------------------------

    def _take(self, parts: list[Part]) -> None:
        """Merge the parts of a moment, or say why not."""
        while parts:
            if not self._due(parts):
                return
            whole = self._verified(parts)
            if len(whole) == len(parts):
                self._merge(parts)
                return
            parts = whole  # and these alone may not be enough

    def _verified(self, parts: Sequence[Part]) -> list[Part]:
        whole: list[Part] = []
        for part in parts:
            try:
                with PartialFile(part.path) as file:
                    check_same(part, file)
                    file.verify()
            except PartialError as error:
                self._leave(part.path, _without(part.path, error), damaged=True)
            else:
                whole.append(part)
        return whole

    def _due(self, parts: Sequence[Part]) -> bool:
        """Whether these parts are to be merged now; if not, that is told."""
        about, names = parts[0].about, [part.about.part for part in parts]
        expected = {part.about.expected for part in parts}
        if len(expected) > 1:
            told = ", ".join(sorted(map(str, expected)))
            self._leave_all(parts, f"parts of this moment do not agree how many there are: {told}")
            return False
        if about.expected is not None and len(parts) > about.expected:
            self._leave_all(parts, f"there are {len(parts)} parts of {about.expected}")
            return False
        index = self._standing[about.split].get(about.step)
        entry = None if index is None else entry_of(self._entries, about.split, index)
        complete = len(parts) == about.expected
        if entry is not None:
            if "present" not in entry:
                self.report.already += len(parts)
                self._remove(parts)
                return False
            gone = sorted(set(entry["present"]) - set(names))
            if gone:
                self._leave_all(
                    parts,
                    f"it came late, and {', '.join(gone)}, merged before without it, are gone or "
                    f"damaged: what is in the run is rounded, so it cannot be merged exactly",
                )
                return False
        committed = entry is not None and entry["digest"] == digest_of(parts)
        if committed or not (complete or self._incomplete):
            self.report.waiting.append(
                Waiting(
                    split=about.split,
                    step=about.step,
                    parts=tuple(names),
                    expected=about.expected,
                    missing=missing_of(names, about.expected),
                    committed=committed,
                )
            )
            return False
        return True

    def _merge(self, parts: Sequence[Part]) -> None:
        about = parts[0].about
        names = [part.about.part for part in parts]
        again = about.step in self._standing[about.split]
        try:
            twice = forwarded_twice(parts)
            snapshot = None if self._writer is None else merge_parts(parts)
        except PartialError as error:
            self._leave_all(parts, str(error))
            return
        merged = Merged(
            split=about.split,
            step=about.step,
            parts=len(parts),
            expected=about.expected,
            missing=missing_of(names, about.expected),
            twice=twice,
            again=again,
        )
        if self._writer is not None and snapshot is not None:
            index = self._writer.length(about.split)
            entries = entries_with(
                self._entries,
                split=about.split,
                index=index,
                names=names,
                expected=about.expected,
                digest=digest_of(parts),
                twice=twice,
                former=self._standing[about.split].get(about.step),
            )
            self._writer.note(merged=entries)
            self._writer.commit(snapshot)
            self._entries = entries
            self._standing[about.split][about.step] = index
        self.report.merged.append(merged)
        if merged.complete and (self._writer is None or self._writer.durable):
            self._remove(parts)

    # --- files -----------------------------------------------------------------------------------

    def _remove(self, parts: Sequence[Part]) -> None:
        """Parts that are in the run, but for those that were written anew meanwhile."""
        if self._keep:
            return
        for part in parts:
            try:
                with PartialFile(part.path) as file:
                    check_same(part, file)
            except PartialError:
                continue
            part.path.unlink(missing_ok=True)
            self.report.removed += 1

    def _leave(self, path: Path, why: str, *, damaged: bool) -> None:
        self.report.left.append(Left(file=path.name, why=why, damaged=damaged))

    def _leave_all(self, parts: Sequence[Part], why: str) -> None:
        for part in parts:
            self._leave(part.path, why, damaged=False)


def merge(
    path: str | Path, *, incomplete: bool = False, keep: bool = False, dry: bool = False
) -> MergeReport:
    """Merge what ranks and workers have left in a run's `partial/`, and commit it.

    Args and Raises: as `Merging`.
    """
    merging = Merging(path, incomplete=incomplete, keep=keep, dry=dry)
    for _ in merging.steps():
        pass
    return merging.report


def _without(path: Path, error: PartialError) -> str:
    return str(error).removeprefix(f"{path}: ").removeprefix(f"{path} ")
