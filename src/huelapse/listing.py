"""The runs in a folder, in one row each."""

import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from huelapse.committed import Committed
from huelapse.errors import FormatError, HuelapseError, NotARunError, PlaceError
from huelapse.schema import TRUE
from huelapse.store import StoreReader, holds_run, layout
from huelapse.store.bucket import runs_in_bucket
from huelapse.store.places import forbidden, size_of

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
    """Or its address."""
    bytes: int | None
    """None in a bucket, where that isn't told."""
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

    Args:
        directory: or a folder in a bucket, `s3://bucket/folder`: everything in it is listed.

    Raises:
        NotARunError: there is no such directory.
        PlaceError: it may not be looked into; it is on a web server, where nothing can be listed.
        ForkedError: this process was forked from one that had recorded or read.
    """
    return [list_one(place) for place in places_in(directory)]


def places_in(directory: str | Path) -> list[str | Path]:
    """Where the runs in a directory are, or the one that it is; args and errors as `list_runs`."""
    given = str(directory)
    if is_bucket(given):
        return list(runs_in_bucket(given, DEPTH))
    if given.lower().startswith(("http://", "https://")):
        raise PlaceError(
            f"{given}: a web server cannot be asked which runs it has. Pass the address of one to "
            f"`huelapse info` or `huelapse view`, or list a folder here or in a bucket (s3://…)"
        )
    directory = Path(directory)
    try:
        if not directory.is_dir():
            raise NotARunError(f"{directory} is not a directory; pass one that holds runs")
        os.scandir(directory).close()
    except PermissionError as error:
        raise forbidden(directory, error) from error
    return list(find_runs(directory))


def is_bucket(given: str) -> bool:
    """Whether this is an address in a bucket."""
    return given.lower().startswith("s3://")


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
        try:
            held = holds_run(path)
        except OSError:  # it may not be entered
            continue
        if held:
            yield path
        elif depth > 1 and name != layout.ROOT:
            yield from _below(path, depth - 1)


def list_one(path: Path | str, *, sized: bool = True) -> Listed:
    """One run, or why it cannot be read.

    Args:
        path: its directory, or its address.
        sized: whether to add up what its files take, which is slow where there are many.
    """
    size = size_of(path) if sized and isinstance(path, Path) else None
    try:
        return _read(path, size)
    except (HuelapseError, OSError) as error:
        return _failed(path, size, error)
    except (KeyError, TypeError, ValueError, IndexError) as error:  # whole, but not as we know runs
        return _failed(path, size, FormatError(f"{type(error).__name__}: {error}"))


def _failed(path: Path | str, size: int | None, error: Exception) -> Listed:
    above = f"{path.absolute()}{os.sep}" if isinstance(path, Path) else f"{path}/"
    text = " ".join(str(error).replace(above, "").split())
    said = text if len(text) <= SAID else f"{text[:SAID]}…"
    return Listed(path=str(path), bytes=size, error=f"{type(error).__name__}: {said}")


def _read(path: Path | str, size: int | None) -> Listed:
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
