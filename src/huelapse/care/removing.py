"""Removing runs, and nothing else: what is not surely a run of huelapse is left alone."""

import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huelapse.care.metadata import OURS
from huelapse.errors import NotARunError, OptionError, PlaceError, RunLockedError
from huelapse.listing import find_runs
from huelapse.store import holds_run, layout
from huelapse.store.atomic import sync_directory
from huelapse.store.lock import WriterLock, is_locked
from huelapse.store.places import LocalPlace, size_of
from huelapse.store.trusted import parse

AGE = re.compile(r"([0-9]{1,6})([mhdw])")
SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
SHOWN = 3
"""Foreign files that are named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Removal:
    """A run that may be removed, or, where `refused` says why, may not."""

    path: Path
    bytes: int
    written: float
    """When it was last committed to: UTC, seconds since 1970."""
    refused: str | None = None


def parse_age(text: str) -> float:
    """Seconds of an age such as 30d: minutes (m), hours (h), days (d) or weeks (w).

    Raises:
        OptionError: it is not one.
    """
    found = AGE.fullmatch(text.strip())
    if found is None:
        raise OptionError(f"age {text!r}: expected a number and m, h, d or w, as in 30d or 12h")
    return int(found[1]) * SECONDS[found[2]]


def plan_removal(
    paths: Sequence[str | Path], older_than: float | None = None, now: float | None = None
) -> list[Removal]:
    """What would be removed, and what is refused. Changes nothing.

    Args:
        paths: of runs; with `older_than` also of directories, for the runs found in them.
        older_than: seconds since a run's last commit; younger runs are left out.
        now: seconds since 1970, for tests.

    Raises:
        NotARunError: a path is not there.
    """
    now = time.time() if now is None else now
    found: dict[Path, Removal] = {}
    for path in map(Path, paths):
        if not path.exists() and not path.is_symlink():
            raise NotARunError(f"{path} does not exist; nothing was removed")
        several = older_than is not None and path.is_dir() and not path.is_symlink()
        for one in find_runs(path) if several else [path]:
            removal = _look(one)
            if older_than is None or removal.written < now - older_than:
                found.setdefault(one.absolute(), removal)
    return list(found.values())


def remove(path: str | Path) -> int:
    """Remove a run, its root first: what is left of one that is half removed is no run.

    Returns:
        bytes freed.

    Raises:
        NotARunError: it is not a run, or not a run alone.
        RunLockedError: it is being written.
        OSError: a file could not be removed.
    """
    path = Path(path).absolute()
    removal = _look(path)
    if removal.refused is not None:
        error = RunLockedError if is_locked(path / "lock") else NotARunError
        raise error(f"{path} {removal.refused}; nothing was removed")
    lock = WriterLock(path / "lock")
    try:
        lock.acquire()  # from now on nobody begins to write here
    except RunLockedError as error:
        raise RunLockedError(f"{path} is being written; nothing was removed") from error
    try:
        (path / layout.ROOT / layout.GROUP_FILE).unlink()
        sync_directory(path / layout.ROOT)
        for name in sorted(OURS - {"lock"}):
            if (path / name).exists():
                shutil.rmtree(path / name)
        (path / "lock").unlink(missing_ok=True)
    finally:
        lock.release()
    path.rmdir()
    return removal.bytes


def _look(path: Path) -> Removal:
    refused = _why_not(path)
    root = path / layout.ROOT / layout.GROUP_FILE
    written = root.stat().st_mtime if root.is_file() else time.time()
    size = size_of(path) if refused is None else 0
    return Removal(path=path, bytes=size, written=written, refused=refused)


def _why_not(path: Path) -> str | None:
    """Why a path is not to be removed; None where it is a run, alone, and not being written."""
    if path.is_symlink():
        return "is a symbolic link; pass the directory it points to"
    if not path.is_dir():
        return "is not a directory"
    if path.absolute().name == layout.ROOT:
        return "is the inside of a run; pass the directory it stands in"
    if not holds_run(path):
        return "holds no run (with --older-than the runs found below a directory are removed)"
    inside = list(path.iterdir())
    links = [entry.name for entry in inside if entry.is_symlink()]
    if links or (path / layout.ROOT / layout.GROUP_FILE).is_symlink():
        return f"holds symbolic links ({_some(links or [layout.GROUP_FILE])})"
    foreign = [entry.name for entry in inside if entry.name not in OURS]
    if foreign:
        return f"holds more than a run ({_some(foreign)}); move that away first"
    try:
        root: Any = parse(LocalPlace(path).root()[0])
        ours = isinstance(root["attributes"]["huelapse_format"], int)
    except PlaceError as error:
        return f"can't be looked into: {error}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        ours = False
    if not ours:
        return (
            "does not say that it is a run of huelapse, or its root is damaged: delete it by hand"
        )
    if is_locked(path / "lock"):
        return "is being written"
    return None


def _some(names: Sequence[str]) -> str:
    more = "" if len(names) <= SHOWN else f" and {len(names) - SHOWN} more"
    return ", ".join(sorted(names)[:SHOWN]) + more
