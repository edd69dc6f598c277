"""What each job of an array says of itself beside its parts, so that who commits knows what is missing.

A job that writes to a disk of its own leaves nothing here. The others tell how many there should be.
"""

import json
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from huelapse.replaying.report import Failed
from huelapse.replaying.shards import Shard
from huelapse.store.partial import PARTIAL
from huelapse.store.unfinished import beside

MOST_BYTES = 2**26
SHARED_DISK = "--out is on another disk there; it must be on one that all jobs share"
"""Why a job may have left nothing where others have."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Roster:
    """One job of a replay."""

    shard: tuple[int, int]
    """The i-th of n, from 0."""
    host: str
    tasks: Mapping[int, int]
    """Step → how many parts of its checkpoint this job has to do; without those in the run already."""
    failed: Sequence[Failed] = field(default=())
    ended: bool = False


def begun(shard: Shard, steps: Sequence[int]) -> Roster:
    """Of this process.

    Args:
        shard: which it is.
        steps: of each of its tasks.
    """
    tasks = {step: steps.count(step) for step in dict.fromkeys(steps)}
    return Roster(shard=(shard.i, shard.n), host=socket.gethostname(), tasks=tasks)


def ended(roster: Roster, failed: Sequence[Failed]) -> Roster:
    """The same, once nothing more comes of it."""
    return replace(roster, failed=tuple(failed), ended=True)


def leave(run: Path, digest: str, roster: Roster) -> Path:
    """Put it beside the parts; what the same job said before is replaced.

    Returns:
        Where it stands.

    Raises:
        OSError: it cannot be written.
    """
    i, n = roster.shard
    path = run / PARTIAL / f".replay-{digest}-job-{i:06d}of{n:06d}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = beside(path)
    try:
        content.write_text(json.dumps(asdict(roster)), encoding="utf-8")
        os.replace(content, path)  # noqa: PTH105 # lost in a power cut, it is said again
    finally:
        content.unlink(missing_ok=True)
    return path


def left_by(run: Path, digest: str) -> list[Roster]:
    """Of all jobs that have left one; one that cannot be read is as if it were not there."""
    found: list[Roster] = []
    for path in sorted((run / PARTIAL).glob(f".replay-{digest}-job-*.json")):
        try:
            if path.is_symlink() or path.stat().st_size > MOST_BYTES:
                continue
            told: Any = json.loads(path.read_bytes())
            i, n = (int(one) for one in told["shard"])
            roster = Roster(
                shard=(i, n),
                host=str(told["host"]),
                tasks={int(step): int(parts) for step, parts in told["tasks"].items()},
                failed=tuple(_failed(one) for one in told["failed"]),
                ended=told["ended"] is True,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if 0 <= i < n:
            found.append(roster)
    return found


def _failed(told: Mapping[str, Any]) -> Failed:
    step = told["step"]
    return Failed(
        checkpoint=str(told["checkpoint"]),
        step=None if step is None else int(step),
        why=str(told["why"]),
        tries=int(told["tries"]),
    )


def digests_in(run: Path) -> list[str]:
    """Of each replay of which a job has left one."""
    names = [path.name for path in (run / PARTIAL).glob(".replay-*-job-*.json")]
    return sorted({name.removeprefix(".replay-").partition("-job-")[0] for name in names})


def missing(rosters: Sequence[Roster], done: Collection[int], why: str = SHARED_DISK) -> list[str]:
    """What is known of jobs that have not done all, in sentences.

    Where arrays of several sizes were given, the one of which most has come counts.

    Args:
        rosters: of the jobs that have left one.
        done: steps of the snapshots that are in the run.
        why: a job may have left nothing here although it ran.
    """
    if not any(roster.tasks for roster in rosters):
        return []  # given again, and all was done before
    numbers = [roster.shard[1] for roster in rosters]
    of = max(set(numbers), key=lambda n: (numbers.count(n) / n, n))
    known = {roster.shard[0]: roster for roster in rosters if roster.shard[1] == of}
    told: list[str] = []
    unseen = [i for i in range(of) if i not in known]
    if unseen:
        hosts = ", ".join(sorted({roster.host for roster in rosters})[:4])
        told.append(
            f"{_jobs(unseen)} of {of} left nothing here (others ran on {hosts}): not begun yet, or "
            f"{why}"
        )
    working = [
        i
        for i, roster in sorted(known.items())
        if not roster.ended and not roster.tasks.keys() <= set(done)
    ]
    if working:
        hosts = ", ".join(sorted({known[i].host for i in working})[:4])
        told.append(f"{_jobs(working)} of {of} have not ended, or were lost (on {hosts})")
    return told


def _jobs(which: Sequence[int]) -> str:
    some = ", ".join(str(job) for job in which[:8]) + (" …" if len(which) > 8 else "")
    return f"jobs {some}" if len(which) > 1 else f"job {some}"
