"""Committing what jobs that knew nothing of each other have left. Needs neither the model nor torch."""

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from huelapse.errors import (
    HuelapseError,
    OptionError,
    PartialError,
    PlaceError,
    ReplayError,
    RunLockedError,
    RunPathError,
)
from huelapse.replaying import roster
from huelapse.replaying.beginning import left_in, of_all_parts
from huelapse.replaying.committing import (
    REPLAYED,
    Committer,
    Standing,
    clear,
    explained,
    standing,
)
from huelapse.replaying.in_bucket import InBucket
from huelapse.replaying.naming import NamedPart, key_in
from huelapse.replaying.report import Failed, Happening, Report, Watch
from huelapse.schema import RunState
from huelapse.store import StoreReader, holds_run
from huelapse.store.partial import PARTIAL, SUFFIX
from huelapse.store.partial_file import PartialFile
from huelapse.store.unfinished import beside, remove_unfinished


def commit(
    run: str | PathLike[str],
    *,
    parts_at: str | None = None,
    keep_parts: bool = False,
    progress: Watch | None = None,
) -> Report:
    """Commit what the shards of replays have left in a run, or in a bucket: every checkpoint of which
    all parts are there. Needs neither the model nor the data, nor PyTorch.

    Args:
        run: directory of the run, as given to `replay`; with `parts_at` any, on this machine.
        parts_at: `s3://bucket/key`, as given to `replay`. Parts are fetched, committed and removed
            there, one checkpoint's after the other.
        keep_parts: leave them in the bucket.
        progress: as for `replay`.

    Raises:
        ReplayError: nothing was left there.
        OptionError: the address is none.
        PlaceError: the bucket cannot be reached, or may not be used; what is committed is safe.
        RunPathError, RunLockedError, FormatError: the run cannot be written.
    """
    place = directory_of(run)
    if parts_at is not None:
        bucket = InBucket(parts_at, keep=keep_parts)
        bucket.try_out(writing=False)
        check_writable(place)
        return _commit_left(place, progress, bucket)
    if keep_parts:
        raise OptionError("keep_parts is of parts in a bucket: parts_at='s3://bucket/key'")
    if not left_in(place) and not roster.digests_in(place) and not holds_run(place):
        raise ReplayError(
            f"{place} holds no parts of a replay: `huelapse replay --shard i/n` leaves them there"
        )
    return _commit_left(place, progress, None)


def directory_of(run: Any) -> Path:
    """The absolute directory of a run.

    Raises:
        OptionError: it is named by no path.
    """
    given: Any = os.fspath(run) if isinstance(run, os.PathLike) else run
    if not isinstance(given, str) or not given:
        raise OptionError(f"run is {run!r}, expected a directory")
    return Path(given).absolute()


def check_writable(run: Path) -> None:
    """See that files can be put into a run's `partial/`, before anything long is begun.

    Raises:
        RunPathError: they cannot.
    """
    trial = beside(run / PARTIAL / "trial")
    try:
        trial.parent.mkdir(parents=True, exist_ok=True)
        trial.write_bytes(b"written to see whether it can be")
    except OSError as error:
        raise RunPathError(
            f"nothing can be written into {run} ({error.strerror}): give another directory, or make "
            f"room"
        ) from error
    finally:
        with suppress(OSError):
            trial.unlink(missing_ok=True)


def _commit_left(run: Path, progress: Watch | None, bucket: InBucket | None) -> Report:
    """Commit every checkpoint of which all parts stand in `partial/`, or in a bucket, of every replay.

    Raises:
        RunLockedError: another process writes the run.
        FormatError, ReplayError: it cannot be gone on with.
        PlaceError: the bucket cannot be reached.
    """
    report = Report(run=str(run), split="", parts_at=None if bucket is None else bucket.name)
    steps: set[int] = set()
    remove_unfinished(run / PARTIAL)
    elsewhere: list[NamedPart] = []
    if bucket is not None:
        elsewhere, report.left = bucket.parts(run)
        if not bucket.known:
            with suppress(OSError):  # nothing but what was made just now
                (run / PARTIAL).rmdir()
                run.rmdir()
            raise ReplayError(
                f"{bucket.name} holds no parts of a replay: `huelapse replay --shard i/n --parts-at "
                f"{bucket.name}` leaves them there"
            )
    names = {part.name for part in elsewhere}
    for digest, parts in left_in(run):
        found: dict[str, list[Path]] = {}
        waiting: dict[str, int] = {}
        beginning = of_all_parts(run, digest, parts)
        for path in sorted((run / PARTIAL).glob(f"*{SUFFIX}")):
            if path.name in names:
                continue  # a copy of what is in the bucket, left by one that was killed
            try:
                with PartialFile(path) as file:
                    about = file.about
            except PartialError as error:
                if not any(one.checkpoint == path.name for one in report.failed):
                    why = f"{error}: replay again"
                    report.failed.append(Failed(checkpoint=path.name, step=None, why=why))
                continue
            key = key_in(about.part, digest)
            if key is not None and about.expected == parts:
                found.setdefault(key, []).append(path)
                waiting.setdefault(key, about.step)
        for part in elsewhere:
            if part.digest == digest[:8]:
                found.setdefault(part.key, []).append(run / PARTIAL / part.name)
                waiting.setdefault(part.key, part.step)
        if beginning is not None:
            split = beginning.split.name
            one = _Replay(run, digest, parts, split, found, waiting, names, bucket)
            one.commit(report, progress)
        steps.update(waiting.values())
    why = (
        roster.SHARED_DISK if bucket is None else f"it leaves them elsewhere than at {bucket.name}"
    )
    for digest in roster.digests_in(run):
        steps.update(_left_undone(run, digest, report, steps, why))
    report.waiting = sorted(steps)
    report.checkpoints = (
        len(report.committed) + len(report.waiting) + len(report.failed) + report.already
    )
    report.finished = True
    return report


@dataclass(frozen=True, slots=True)
class _Replay:
    """What waits of one replay."""

    run: Path
    digest: str
    parts: int
    split: str
    found: Mapping[str, Sequence[Path]]
    """Key of a checkpoint → its parts, where they are or are to be fetched to."""
    waiting: dict[str, int]
    """Key → step; what is committed, or has failed, goes."""
    elsewhere: Collection[str]
    """Names of those that are in the bucket."""
    bucket: InBucket | None

    def commit(self, report: Report, progress: Watch | None) -> None:
        report.split = self.split
        there = standing(self.run, self.split)
        if there is not None and there.digest != self.digest:
            raise ReplayError(
                f"{self.run} has replayed {self.split!r} otherwise: commit it into another run"
            )
        whole = {key: paths for key, paths in self.found.items() if len(paths) == self.parts}
        committer = Committer(self.run, self.split, self.digest, self.parts, name=self.run.name)
        state: RunState = "interrupted"
        failed = len(report.failed)
        try:
            for number, (key, paths) in enumerate(
                sorted(whole.items(), key=lambda one: self.waiting[one[0]])
            ):
                step = self.waiting[key]
                try:
                    if self._is_in(key, step, there, paths):
                        self._settle(committer, paths)
                        report.already += 1
                    else:
                        self._commit(committer, paths)
                        report.committed.append(step)
                except (RunLockedError, PlaceError):
                    raise
                except (HuelapseError, OSError) as error:
                    failure = Failed(checkpoint=paths[0].name, step=step, why=explained(error))
                    report.failed.append(failure)
                del self.waiting[key]
                if progress is not None:
                    progress(Happening(samples=0, done=number + 1, tasks=len(whole), report=report))
            if len(report.failed) == failed and len(whole) == len(self.found):
                jobs = roster.left_by(self.run, self.digest)
                done = _committed(self.run, self.digest)
                undone = {step for job in jobs for step in job.tasks} - done
                if not roster.missing(jobs, done) and not _failures(jobs, done) and not undone:
                    state = "complete"
                    if done:
                        committer.begin()  # so that it is marked, though nothing was left to commit
                    if self.bucket is not None:
                        self.bucket.clear(self.digest)
                    clear(self.run, self.split, self.digest)
        finally:
            committer.close(state)

    def _is_in(self, key: str, step: int, there: Standing | None, paths: Sequence[Path]) -> bool:
        """Whether parts that are all in the bucket were committed before, and not removed since."""
        known = there is not None and there.keys.get(step) == key
        return known and all(path.name in self.elsewhere for path in paths)

    def _settle(self, committer: Committer, paths: Sequence[Path]) -> None:
        if self.bucket is not None:
            committer.begin()
            self.bucket.settle(committer, [path.name for path in paths])

    def _commit(self, committer: Committer, paths: Sequence[Path]) -> None:
        own = [path for path in paths if path.name in self.elsewhere]
        if self.bucket is None or not own:
            committer.commit(paths)
        else:
            self.bucket.commit(committer, paths, fetched=own)


def _left_undone(run: Path, digest: str, report: Report, waiting: set[int], why: str) -> list[int]:
    """Steps of checkpoints that jobs have to do, and of which there is nothing yet. What they have
    failed at, and which of them are missing, is told in the report."""
    jobs = roster.left_by(run, digest)
    done = _committed(run, digest)
    for failed in _failures(jobs, done):
        if all(one.checkpoint != failed.checkpoint for one in report.failed):
            report.failed.append(failed)
    report.lacking += roster.missing(jobs, done, why)
    without = done | waiting | {one.step for one in report.failed if one.step is not None}
    return [step for job in jobs for step in job.tasks if step not in without]


def _failures(jobs: Sequence[roster.Roster], done: set[int]) -> list[Failed]:
    """What jobs have failed at, and none has done since."""
    return [one for job in jobs for one in job.failed if one.step not in done]


def _committed(run: Path, digest: str) -> set[int]:
    """Steps that a replay has in the run."""
    if not holds_run(run):
        return set()
    told: Mapping[str, Any] = StoreReader(run).attributes.get(REPLAYED) or {}
    splits = [split for split, one in told.items() if one.get("digest") == digest]
    found = [standing(run, split) for split in splits]
    return {step for one in found if one is not None for step in one.keys}
