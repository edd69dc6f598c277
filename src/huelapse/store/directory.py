"""Whether a directory, and a name in it, can be a run's."""

from pathlib import Path
from typing import Any

from huelapse.errors import RunExistsError, SplitNameError
from huelapse.schema import SPLIT_NAME
from huelapse.store import layout
from huelapse.store.lock import WriterLock
from huelapse.store.meeting import MEETING
from huelapse.store.reader import StoreReader


def free_directory(path: Path) -> Path:
    """`path`, or the first of `path-2`, `path-3` … that is not there or empty."""
    number, candidate = 1, path
    while candidate.exists() and not (candidate.is_dir() and _unused(candidate)):
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


def _unused(path: Path) -> bool:
    """Whether there is nothing in a directory; other ranks may have come there already."""
    return all(entry.name == MEETING for entry in path.iterdir())


def check_split_name(name: str) -> str:
    """
    Raises:
        SplitNameError: the name cannot be that of a group in the run.
    """
    given: Any = name
    if not isinstance(given, str) or not SPLIT_NAME.fullmatch(name) or name == layout.GROUP_FILE:
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


def check_resumable(path: Path) -> None:
    """Waits for the lease of another machine's writer to lapse, which may have died: 60 s and a margin.

    Raises:
        RunLockedError: the run there is being written.
        FormatError: it cannot be read.
    """
    if holds_run(path):
        StoreReader(path)
        lock = WriterLock(path / "lock")
        lock.acquire(wait=True)
        lock.release()
