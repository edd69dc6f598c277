"""Parts of one moment of a split, as one snapshot: exact, and the same bits in whatever order."""

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from huelapse.errors import PartialError
from huelapse.moments import Moments
from huelapse.schema import PREDICTED, TRUE
from huelapse.snapshot import Snapshot
from huelapse.store.partial import GREATEST, MEMBERS, About, Apart, check_possible
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
    counted = {part.about.part: part.about.samples for part in parts}
    for part in parts:
        with PartialFile(part.path) as file:
            own = file.confusion()
            extras |= file.values()  # of the only part, where there are any
        if own is not None:
            confusion = own if confusion is None else confusion + own
    for part, apart in _counting_once(parts):
        with np.errstate(over="ignore", invalid="ignore"):
            for r, responses in enumerate(apart.responses):
                for grouping in about.groupings:
                    k = len(grouping.classes)
                    members = _members(apart.rows[grouping.name], k)
                    own = Moments.from_members(responses.astype(np.float64), members)
                    moments[r][grouping.name] = moments[r][grouping.name].merge(own)
                    check_possible(moments[r][grouping.name])
        if confusion is not None:
            true, predicted = (apart.rows[name] for name in (TRUE, PREDICTED))
            known = (true >= 0) & (predicted >= 0)
            np.add.at(confusion, (true[known], predicted[known]), 1)
        counted[part.about.part] += len(apart.ids)
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
        metrics=_metrics(every, counted),
        extras=extras,
    )


def _add(whole: Moments, part: Part, grouping: int, response: int) -> None:
    with PartialFile(part.path) as file:
        check_same(part, file)
        for rows, block in file.blocks(grouping, response):
            if not block.count.any():
                continue  # nothing of these classes: their zeros take no memory before they are written
            so_far = Moments(**{name: getattr(whole, name)[rows] for name in MEMBERS})
            with np.errstate(over="ignore", invalid="ignore"):
                merged = so_far.merge(block)
            check_possible(merged)
            for name in MEMBERS:
                if name != "nonfinite" or merged.nonfinite.any():
                    getattr(whole, name)[rows] = getattr(merged, name)


def _counting_once(parts: Sequence[Part]) -> Iterator[tuple[Part, Apart]]:
    """Of the samples that parts keep apart, those that no statistics hold: each with the first."""
    taken = np.zeros(0, np.int64)
    if not any(part.about.held for part in parts):
        return
    for part in parts:
        with PartialFile(part.path) as file:
            own = file.ids()
        if own is not None:
            taken = np.union1d(taken, own.astype(np.int64, copy=False))
    for part in parts:
        with PartialFile(part.path) as file:
            check_same(part, file)
            apart = file.apart()
        if apart is None:
            continue
        _, first = np.unique(apart.ids, return_index=True)
        rows = np.sort(first)
        rows = rows[~np.isin(apart.ids[rows], taken)]
        taken = np.union1d(taken, apart.ids)
        if len(rows):
            yield (
                part,
                Apart(
                    ids=apart.ids[rows],
                    responses=tuple(values[rows] for values in apart.responses),
                    rows={name: row[rows] for name, row in apart.rows.items()},
                ),
            )


def samples_of(parts: Sequence[Part]) -> int:
    """How many samples a snapshot of these counts, those of no class too."""
    apart = sum(len(one.ids) for _, one in _counting_once(parts))
    return sum(part.about.samples for part in parts) + apart


def _members(row: np.ndarray, classes: int) -> Bool[np.ndarray, "sample class"]:
    return row.astype(bool) if row.ndim > 1 else row[:, None] == np.arange(classes)


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


def _metrics(parts: Sequence[About], counted: Mapping[str, int]) -> dict[str, float]:
    """Means over the samples of all parts that have a scalar."""
    merged: dict[str, float] = {}
    for name in sorted({name for part in parts for name in part.metrics}):
        own = [
            (part.metrics[name], counted[part.part])
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
