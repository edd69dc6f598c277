"""Deriving ahead of time what makes a run fast to look at, kept in its cache."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from huelapse.errors import OptionError
from huelapse.measures import DEFAULT, MEASURES
from huelapse.painting import Painter
from huelapse.run import Run
from huelapse.store.places import size_of

LEFT_OVER = ".tmp"


@dataclass(frozen=True, slots=True)
class Done:
    """How far a compaction has come."""

    what: str
    """What is being made now, in words."""
    share: float
    """Of the whole, 0 … 1."""


def compact(run: Run, *, units: bool = True) -> Iterator[Done]:
    """Keep pictures, curves and histories of every split and grouping; yields how far that is.

    Pictures are those of the default measure; those of others are made when they are looked at.

    Made are whole blocks only (16 snapshots of pictures, 64 of histories), each once: a compaction that
    was stopped goes on where it stopped, and one of a run that grew makes what is new.

    Args:
        run: nothing that was recorded is changed.
        units: whether to keep each unit's history too, which takes about as much as the run itself.

    Raises:
        OptionError: the run has no id, so nothing can be kept of it.
        FormatError: a part of it is missing or damaged.
        OSError: the cache can't be written.
    """
    if run.cache.directory is None:
        raise OptionError(
            f"{run.place} was recorded by a huelapse that gave runs no id, so nothing derived from it "
            f"can be told from another run's; it is read as it is"
        )
    painter = Painter(run)
    tasks = [(s.name, g.name) for s in run.splits for g in s.groupings]
    steps = len(tasks) * (1 + (len(run.response_names) if units else 0))
    done = 0
    for split in run.splits:
        run.keep_series(split.name)
    for split, grouping in tasks:
        where = f"{split} by {grouping}"
        whole = len(painter.keys(split, grouping, DEFAULT))
        for chunk in range(whole):
            painter.chunk(split, grouping, DEFAULT, chunk)
            yield Done(f"{where}: pictures", (done + (chunk + 1) / whole) / steps)
        done += 1
        for response in run.response_names if units else ():
            for share in run.keep_units(split, grouping, response):
                yield Done(f"{where}: histories", (done + share) / steps)
            done += 1
    yield Done("done", 1.0)


def bytes_to_keep(run: Run) -> int:
    """What the histories that are not kept yet take before compression."""
    return sum(
        run.units_to_keep(split.name, grouping.name, response)
        for split in run.splits
        for grouping in split.groupings
        for response in run.response_names
    )


def remove_stale(run: Run) -> int:
    """Remove from the run's own cache what does not belong to its present state; bytes freed."""
    directory = run.cache.directory
    if directory is None or run.cache.shared or not directory.is_dir():
        return 0
    painter = Painter(run)
    named = run.kept_names() | {
        key
        for split in run.splits
        for grouping in split.groupings
        for measure in MEASURES
        for key in painter.keys(split.name, grouping.name, measure)
    }
    named |= {
        run.geometry_key(split.name, index)
        for split in run.splits
        for index in range(len(run.coordinate("step", split.name)))
    }
    freed = 0
    for kind in sorted(directory.iterdir()):
        if kind.is_symlink() or not kind.is_dir():
            continue
        for entry in sorted(kind.iterdir()):
            if entry.name.removesuffix(".npz") not in named and not _in_the_making(entry):
                freed += size_of(entry) or entry.lstat().st_size
                _remove(entry)
    return freed


def _remove(entry: Path) -> None:
    if entry.is_dir() and not entry.is_symlink():
        shutil.rmtree(entry, ignore_errors=True)
    else:
        entry.unlink(missing_ok=True)


def _in_the_making(entry: Path) -> bool:
    """Whether a living process may be at work on it."""
    parts = entry.name.split(".")
    if not entry.name.endswith(LEFT_OVER) or len(parts) < 4 or not parts[-3].isdigit():
        return False
    try:
        os.kill(int(parts[-3]), 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
