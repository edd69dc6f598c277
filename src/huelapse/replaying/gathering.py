"""Committing what jobs that knew nothing of each other have left. Needs neither the model nor torch."""

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from huelapse.errors import HuelapseError, OptionError, PartialError, ReplayError, RunLockedError
from huelapse.replaying import roster
from huelapse.replaying.beginning import left_in, of_all_parts
from huelapse.replaying.committing import REPLAYED, Committer, clear, explained, standing
from huelapse.replaying.naming import key_in
from huelapse.replaying.report import Failed, Happening, Report, Watch
from huelapse.schema import RunState
from huelapse.store import StoreReader, holds_run
from huelapse.store.partial import PARTIAL, SUFFIX
from huelapse.store.partial_file import PartialFile
from huelapse.store.unfinished import remove_unfinished


def commit(run: str | PathLike[str], *, progress: Watch | None = None) -> Report:
    """Commit what the shards of replays have left in a run: every checkpoint of which all parts are
    there. Needs neither the model nor the data, nor PyTorch.

    Args:
        run: directory of the run, as given to `replay`.
        progress: as for `replay`.

    Raises:
        ReplayError: nothing was left there.
        RunLockedError, FormatError: the run cannot be written.
    """
    place = directory_of(run)
    if not left_in(place) and not roster.digests_in(place) and not holds_run(place):
        raise ReplayError(
            f"{place} holds no parts of a replay: `huelapse replay --shard i/n` leaves them there"
        )
    return _commit_left(place, progress)


def directory_of(run: Any) -> Path:
    """The absolute directory of a run.

    Raises:
        OptionError: it is named by no path.
    """
    given: Any = os.fspath(run) if isinstance(run, os.PathLike) else run
    if not isinstance(given, str) or not given:
        raise OptionError(f"run is {run!r}, expected a directory")
    return Path(given).absolute()


def _commit_left(run: Path, progress: Watch | None) -> Report:
    """Commit every checkpoint of which all parts stand in `partial/`, of every replay.

    Raises:
        RunLockedError: another process writes the run.
        FormatError, ReplayError: it cannot be gone on with.
    """
    report = Report(run=str(run), split="")
    steps: set[int] = set()
    remove_unfinished(run / PARTIAL)
    for digest, parts in left_in(run):
        found: dict[str, list[Path]] = {}
        waiting: dict[str, int] = {}
        beginning = of_all_parts(run, digest, parts)
        for path in sorted((run / PARTIAL).glob(f"*{SUFFIX}")):
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
        if beginning is not None:
            split = beginning.split.name
            _commit_replay(run, digest, parts, split, found, waiting, report, progress)
        steps.update(waiting.values())
    for digest in roster.digests_in(run):
        steps.update(_left_undone(run, digest, report, steps))
    report.waiting = sorted(steps)
    report.checkpoints = len(report.committed) + len(report.waiting) + len(report.failed)
    report.finished = True
    return report


def _commit_replay(
    run: Path,
    digest: str,
    parts: int,
    split: str,
    found: Mapping[str, Sequence[Path]],
    waiting: dict[str, int],
    report: Report,
    progress: Watch | None,
) -> None:
    report.split = split
    there = standing(run, split)
    if there is not None and there.digest != digest:
        raise ReplayError(f"{run} has replayed {split!r} otherwise: commit it into another run")
    whole = {key: paths for key, paths in found.items() if len(paths) == parts}
    committer = Committer(run, split, digest, parts, name=run.name)
    state: RunState = "interrupted"
    failed = len(report.failed)
    try:
        for number, (key, paths) in enumerate(
            sorted(whole.items(), key=lambda one: waiting[one[0]])
        ):
            step = waiting[key]
            try:
                committer.commit(paths)
            except RunLockedError:
                raise
            except (HuelapseError, OSError) as error:
                failure = Failed(checkpoint=paths[0].name, step=step, why=explained(error))
                report.failed.append(failure)
            else:
                report.committed.append(step)
            del waiting[key]
            if progress is not None:
                progress(Happening(samples=0, done=number + 1, tasks=len(whole), report=report))
        if len(report.failed) == failed and len(whole) == len(found):
            jobs = roster.left_by(run, digest)
            done = _committed(run, digest)
            if not roster.missing(jobs, done) and not _failures(jobs, done):
                state = "complete"
                if done:
                    committer.begin()  # so that it is marked, though nothing was left to commit
                clear(run, digest)
    finally:
        committer.close(state)


def _left_undone(run: Path, digest: str, report: Report, waiting: set[int]) -> list[int]:
    """Steps of checkpoints that jobs have to do, and of which there is nothing yet. What they have
    failed at, and which of them are missing, is told in the report."""
    jobs = roster.left_by(run, digest)
    done = _committed(run, digest)
    for failed in _failures(jobs, done):
        if all(one.checkpoint != failed.checkpoint for one in report.failed):
            report.failed.append(failed)
    report.lacking += roster.missing(jobs, done)
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
