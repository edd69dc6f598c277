"""Files that are whole or not there, and the one writer's lock."""

import errno
import os
import threading
import time
from pathlib import Path
from typing import IO
from weakref import WeakSet

from huelapse.errors import RunLockedError


def replace_file(path: Path, content: bytes) -> None:
    """Write beside, fsync, rename over, fsync the directory: readers see the old or the new."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new names in a directory durable."""
    if os.name == "nt":  # a directory cannot be opened there, and renames are journalled
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


HALF_WRITTEN = ".__lock"
"""What TensorStore calls a file beside the one it is to become."""


def remove_half_written(directory: Path) -> None:
    """Remove what a writer that was killed had begun. For who holds the writer's lock.

    TensorStore writes over such a file without cutting it, and renames it: where the new content is
    shorter, the old one's end would stay behind it.
    """
    for above, _, names in os.walk(directory):
        for name in names:
            if name.endswith(HALF_WRITTEN):
                (Path(above) / name).unlink(missing_ok=True)


class WriterLock:
    """An advisory lock on a run's `lock` file, held by its one writer.

    The operating system lets go of it when the writer ends, however it ends.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """
        Raises:
            RunLockedError: another process holds it.
        """
        file = self.path.open("ab")
        deadline = (
            time.monotonic() + 0.5
        )  # a reader that asks whether it is locked holds it briefly
        while not _try_lock(file):
            if time.monotonic() < deadline:
                time.sleep(0.02)
                continue
            file.close()
            raise RunLockedError(
                f"{self.path.parent} is being written by another process; "
                f"give this recorder another directory, or stop the other one"
            )
        self._file = file
        _held.add(self)

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


_held: "WeakSet[WriterLock]" = WeakSet()


def _let_go_in_child() -> None:
    """A forked child (a DataLoader's worker) must not keep its parent's lock alive."""
    for lock in _held:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)


def is_locked(path: Path) -> bool:
    """Whether some process holds the writer's lock (False where the file is not there)."""
    try:
        with path.open("rb") as file:
            return not _try_lock(file)
    except OSError:
        return False


def _try_lock(file: IO[bytes]) -> bool:
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:  # some network file systems have no locks: better none than no run
        if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    return True
