"""Files that are whole or not there."""

import os
import threading
from contextlib import suppress
from pathlib import Path

from huelapse.errors import ExportError, ExportExistsError


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
        with suppress(OSError):  # what went wrong is worth telling, not that this does too
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


def make_directory(path: Path) -> None:
    """A directory, and those above it that are not there; each stands after a power cut."""
    fresh: list[Path] = []
    above = path
    while not above.exists():
        fresh.append(above)
        above = above.parent
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(fresh):
        sync_directory(made.parent)


def remove_half_written(directory: Path) -> None:
    """Remove what a writer that was killed had begun. For who holds the writer's lock.

    TensorStore writes over such a file without cutting it, and renames it: where the new content is
    shorter, the old one's end would stay behind it.
    """
    for above, _, names in os.walk(directory):
        for name in names:
            if name.endswith(HALF_WRITTEN):
                (Path(above) / name).unlink(missing_ok=True)


def check_place(path: Path, *, force: bool = False) -> None:
    """Whether a file may be written there.

    Raises:
        ExportError: it is a directory, or in one that is not there.
        ExportExistsError: there is a file, and it is not to be replaced.
    """
    if path.is_dir() or not path.absolute().parent.is_dir():
        what = "is a directory" if path.is_dir() else "is in a directory that does not exist"
        raise ExportError(f"{path} {what}; name a file in a directory that is there")
    if path.exists() and not force:
        raise ExportExistsError(
            f"{path} is already there; name another file, or replace it with force (--force)"
        )
