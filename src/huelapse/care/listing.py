"""The runs in a folder, in one row each."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huelapse.committed import Committed
from huelapse.errors import FormatError, HuelapseError, NotARunError
from huelapse.schema import TRUE
from huelapse.store import StoreReader, holds_run, layout
from huelapse.store.places import size_of

DEPTH = 4
"""Directories below the given one that are looked into."""
SAID = 200
"""Letters of an error that are told of a run that cannot be read."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One run. Of a run that cannot be read there is nothing but `path`, `bytes` and `error`.

    `snapshots`, `last_step` and `accuracy` are of the first split that has a snapshot; None is what
    there is not.
    """

    path: str
    bytes: int
    name: str | None = None
    state: str | None = None
    created: str | None = None
    classes: int | None = None
    split: str | None = None
    snapshots: int = 0
    last_step: int | None = None
    accuracy: float | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def list_runs(directory: str | Path) -> list[Listed]:
    """The runs in a directory, or the one that it is, in order of their paths.

    Of each its root, its steps, and one snapshot's confusion are read. A run that cannot be read
    is listed with its error.

    Raises:
        NotARunError: there is no such directory.
        ForkedError: this process was forked from one that had recorded or read.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise NotARunError(f"{directory} is not a directory; pass one that holds runs")
    return [_listed(path) for path in find_runs(directory)]


def find_runs(directory: Path) -> Iterator[Path]:
    """Directories of runs: the given one, or those at most four below it; not in one another.

    Symbolic links are not followed; what may not be looked into is passed over.
    """
    if holds_run(directory):
        yield directory
        return
    yield from _below(directory, DEPTH)


def _below(directory: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(directory) as entries:
            inside = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False))
    except OSError:
        return
    for name in inside:
        path = directory / name
        if holds_run(path):
            yield path
        elif depth > 1 and name != layout.ROOT:
            yield from _below(path, depth - 1)


def _listed(path: Path) -> Listed:
    size = size_of(path)
    try:
        return _read(path, size)
    except (HuelapseError, OSError) as error:
        return _failed(path, size, error)
    except (KeyError, TypeError, ValueError, IndexError) as error:  # whole, but not as we know runs
        return _failed(path, size, FormatError(f"{type(error).__name__}: {error}"))


def _failed(path: Path, size: int, error: Exception) -> Listed:
    text = " ".join(str(error).replace(f"{path.absolute()}{os.sep}", "").split())
    said = text if len(text) <= SAID else f"{text[:SAID]}…"
    return Listed(path=str(path), bytes=size, error=f"{type(error).__name__}: {said}")


def _read(path: Path, size: int) -> Listed:
    reader = StoreReader(path)
    run = Committed(reader)
    splits = [s for s in run.splits if reader.shape(f"{s.name}/step")[0]]
    facts: dict[str, Any] = run.facts["facts"] or {}
    created = facts.get("created")
    known: dict[str, Any] = {
        "path": str(path),
        "bytes": size,
        "name": run.name,
        "state": run.status,
        "created": None if created is None else str(created),
        "classes": len(run.splits[0].grouping(TRUE).classes) if run.splits else None,
    }
    if not splits:
        return Listed(**known)
    split = splits[0].name
    steps = run.coordinate("step", split)
    return Listed(
        **known,
        split=split,
        snapshots=len(steps),
        last_step=int(steps[-1]),
        accuracy=_accuracy(reader, split, len(steps) - 1),
    )


def _accuracy(reader: StoreReader, split: str, index: int) -> float | None:
    """Share of the samples of one snapshot that were predicted as their true class."""
    path = f"{split}/{TRUE}/confusion"
    if not reader.has(path):
        return None
    right = int(reader.read_counts(path, index).trace())
    samples = int(reader.read_counts(f"{split}/{TRUE}/count", index).sum())
    return right / samples if samples else None
