"""Files in a run's `partial/` that are being written, and those that nobody will finish.

A file is written beside its place and renamed. The name it has meanwhile says which process is writing
it: machine, process id. So what a killed process has left is told from what a living one writes, here
and on a disk that other machines share.
"""

import hashlib
import os
import re
import socket
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from huelapse.store.lease import has_ended, here

STALE = 3600.0
"""Seconds since it was last written to, after which a file of a process that cannot be seen from here
is taken to be given up. Were it not, renaming it fails, and the part is made anew: nothing is wrong."""

NAME = re.compile(r"\..+\.(?:by-([0-9a-f]{12})-(\d{1,9})-)?[0-9a-f]+\.tmp")
"""Of such a file; of one that does not say whose it is, its age alone tells."""


def beside(path: Path) -> Path:
    """Where a file is written that is to become `path`: a name that is used once."""
    own = f"by-{_seen_from_here()}-{os.getpid()}-{uuid4().hex[:12]}"
    return path.with_name(f".{path.name.lstrip('.')}.{own}.tmp")


def remove_unfinished(directory: Path) -> int:
    """Remove what killed processes had begun to write: those of this machine at once, others once
    nobody has written to it for an hour. What a living process writes stays.

    Args:
        directory: a run's `partial/`; it may not be there.

    Returns:
        How many files were removed.
    """
    removed = 0
    now: float | None = None
    with suppress(OSError):
        for path in list(directory.iterdir()):
            match = NAME.fullmatch(path.name)
            if match is None:
                continue
            ended = match[1] == _seen_from_here() and has_ended(int(match[2]))
            now = now if ended or now is not None else _now(directory)
            with suppress(OSError):  # somebody else has removed it, or may alone
                if ended or (now is not None and now - path.lstat().st_mtime > STALE):
                    path.unlink()
                    removed += 1
    return removed


def _now(directory: Path) -> float:
    """By the file system's clock, by which files are dated: it may be another machine's."""
    path = beside(directory / "clock")
    try:
        path.touch()
        return path.lstat().st_mtime
    finally:
        path.unlink(missing_ok=True)


def _seen_from_here() -> str:
    """Names where process ids mean the same as here."""
    return hashlib.sha256(repr((*here(), socket.gethostname())).encode()).hexdigest()[:12]
