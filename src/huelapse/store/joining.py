"""Parts of one moment of a split, as one snapshot: exact, and the same bits in whatever order."""

import hashlib
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from huelapse.errors import PartialError
from huelapse.moments import Moments
from huelapse.snapshot import Snapshot
from huelapse.store.partial import GREATEST, MEMBERS, About, check_possible
from huelapse.store.partial_file import PartialFile


@dataclass(frozen=True, slots=True)
class Part:
    """A file, and what it said of itself when it was looked at."""

    path: Path
    about: About
    digest: str


def merge_parts(parts: Sequence[Part]) -> Snapshot:
    """Parts of a moment as one snapshot, merged in the order they come in: one of them and one block
    of it is in memory beside the result.

    Raises:
        PartialError: a file has changed since it was looked at, or sums have no room on disk.
    """
    about = parts[0].about
    moments: list[dict[str, Moments]] = [{}, {}]
    confusion: np.ndarray | None = None
    with PartialFile(parts[0].path) as file:
        responses = 1 + file.peaks
    for r in range(responses):
        for i, grouping in enumerate(about.groupings):
            whole = Moments.empty(len(grouping.classes), about.units)
            for part in parts:
                _add(whole, part, i, r)
            moments[r][grouping.name] = whole
    extras: dict[str, np.ndarray] = {}
    for part in parts:
        with PartialFile(part.path) as file:
            own = file.confusion()
            extras |= file.values()  # of the only part, where there are any
        if own is not None:
            confusion = own if confusion is None else confusion + own
    if confusion is not None and int(confusion.max(initial=0)) > GREATEST:
        raise PartialError(f"together they count more than {GREATEST:,}, which has no room")
    every = [part.about for part in parts]
    return Snapshot(
        split=about.split,
        step=about.step,
        epoch=_greatest(one.epoch for one in every),
        wall_time=_greatest(one.wall_time for one in every),
        seconds=_greatest(one.seconds for one in every),
        moments=moments[0],
        peaks=moments[1],
        confusion=confusion,
        metrics=_metrics(every),
        extras=extras,
    )


def _add(whole: Moments, part: Part, grouping: int, response: int) -> None:
    with PartialFile(part.path) as file:
        check_same(part, file)
        for rows, block in file.blocks(grouping, response):
            so_far = Moments(**{name: getattr(whole, name)[rows] for name in MEMBERS})
            with np.errstate(over="ignore", invalid="ignore"):
                merged = so_far.merge(block)
            check_possible(merged)
            for name in MEMBERS:
                getattr(whole, name)[rows] = getattr(merged, name)


def check_same(part: Part, file: PartialFile) -> None:
    """
    Raises:
        PartialError: the file is not the one that was looked at.
    """
    if file.digest != part.digest:
        raise PartialError(f"{part.path} was written anew while it was being merged: merge again")


def forwarded_twice(parts: Sequence[Part]) -> int | None:
    """How many of the samples had been forwarded before, here or in another part; None where not all
    parts say which theirs were."""
    ids: list[np.ndarray] = []
    for part in parts:
        with PartialFile(part.path) as file:
            own = file.ids()
        if own is None:
            return None
        ids.append(own.astype(np.uint64, copy=False))
    every = np.concatenate(ids)
    return len(every) - len(np.unique(every))


def _metrics(parts: Sequence[About]) -> dict[str, float]:
    """Means over the samples of all parts that have a scalar."""
    merged: dict[str, float] = {}
    for name in sorted({name for part in parts for name in part.metrics}):
        own = [
            (part.metrics[name], part.samples)
            for part in parts
            if not math.isnan(part.metrics.get(name, math.nan))
        ]
        weight = sum(samples for _, samples in own)
        if not own:
            merged[name] = math.nan
        elif weight:
            merged[name] = sum(value * (n / weight) for value, n in own if n)
        else:
            merged[name] = sum(value for value, _ in own) / len(own)
    return merged


def _greatest(values: Iterable[float]) -> float:
    return max((value for value in values if not math.isnan(value)), default=math.nan)


def digest_of(parts: Sequence[Part]) -> str:
    """Of which parts, of which content, something was merged."""
    text = "\n".join(f"{part.about.part}\n{part.digest}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
