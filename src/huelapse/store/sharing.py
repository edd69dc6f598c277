"""What several ranks record of one moment: each its share, written as a part."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from huelapse.errors import RankError
from huelapse.moments import Moments
from huelapse.schema import Grouping, RunState, Split
from huelapse.snapshot import Held, Share, Snapshot
from huelapse.store.partial import Apart, Partial

Layers = tuple[tuple[str, int], ...]
"""Path and number of units of each."""


class SharedStore(ABC):
    """Where a rank's writer thread puts snapshots: what `StoreWriter` is to one process alone."""

    notice: str | None = None
    """What the user is to be told of other ranks."""

    @property
    def durable(self) -> bool:
        """As `StoreWriter.durable`."""
        return True

    @property
    @abstractmethod
    def id(self) -> str:
        """Of the run; "" where it is not known yet."""

    @abstractmethod
    def check_split(self, split: Split) -> None:
        """As `StoreWriter.check_split`."""

    @abstractmethod
    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        """As `StoreWriter.add_split`."""

    @abstractmethod
    def commit(self, snapshot: Snapshot) -> None:
        """Put a snapshot, or this rank's share of one, where it belongs."""

    @abstractmethod
    def note(self, **attributes: Any) -> None:
        """As `StoreWriter.note`."""

    @abstractmethod
    def write_attributes(self) -> None:
        """As `StoreWriter.write_attributes`."""

    @abstractmethod
    def close(self, state: RunState) -> None:
        """As `StoreWriter.close`."""

    @abstractmethod
    def abandon(self) -> None:
        """As `StoreWriter.abandon`."""

    @abstractmethod
    def waits(self) -> float:
        """Seconds until it should look for what other ranks have given."""

    @abstractmethod
    def look(self) -> None:
        """See what other ranks have given."""

    @abstractmethod
    def end_by(self, until: float) -> None:
        """Called from another thread: wait for no rank beyond this time (`time.monotonic`)."""


def part_name(rank: int) -> str:
    return f"rank-{rank}"


def part_of(
    share: Share,
    *,
    rank: int,
    ranks: int,
    run: str,
    segment: int,
    layers: Layers,
    groupings: Sequence[Grouping],
) -> Partial:
    """A rank's share, of those units and groupings that rank 0 records.

    Raises:
        RankError: there are some that this rank does not have.
    """
    lacking = [one.name for one in groupings if one.name not in share.moments]
    if lacking:
        raise RankError(
            f"rank {rank} has no grouping {lacking[0]!r}, which rank 0 records; all ranks must "
            f"make the recorder with the same options"
        )
    columns = _columns(share, layers, rank)
    names = [one.name for one in groupings]
    return Partial(
        split=share.split,
        step=share.step,
        part=part_name(rank),
        expected=ranks,
        layers=layers,
        groupings=tuple(groupings),
        samples=share.samples,
        epoch=share.epoch,
        wall_time=share.wall_time,
        seconds=share.seconds,
        metrics=share.metrics,
        run=run,
        segment=segment,
        moments={name: _of(share.moments[name], columns) for name in names},
        peaks={name: _of(share.peaks[name], columns) for name in names if share.peaks},
        confusion=share.confusion,
        ids=None if share.ids is None else numbers_of(share.ids),
        held=len(share.held.ids) if share.held is not None else 0,
        apart=_apart(share.held, columns, names) if share.held is not None else None,
    )


def _apart(held: Held, columns: np.ndarray | None, names: Sequence[str]) -> Apart:
    rows = {name: held.rows[name] for name in names}
    return Apart(
        ids=numbers_of(held.ids),
        responses=tuple(one if columns is None else one[:, columns] for one in held.responses),
        rows={n: r.astype(np.uint8 if r.ndim > 1 else np.int64) for n, r in rows.items()},
    )


def _columns(share: Share, layers: Layers, rank: int) -> Int64[np.ndarray, " unit"] | None:
    """Which of the share's units are recorded, in order; None for all as they stand."""
    ours = {layer.path: layer for layer in share.layers}
    if layers == tuple((layer.path, layer.units) for layer in share.layers):
        return None
    for path, units in layers:
        if path not in ours or ours[path].units != units:
            has = "has none of that name" if path not in ours else f"has {ours[path].units}"
            raise RankError(
                f"rank 0 records {units} units of layer {path!r}, and rank {rank} {has}; all ranks "
                f"must train the same model, and make the recorder with the same options"
            )
    own = [ours[path] for path, _ in layers]
    return np.concatenate(
        [np.arange(layer.offset, layer.offset + layer.units, dtype=np.int64) for layer in own]
    )


def _of(moments: Moments, columns: np.ndarray | None) -> Moments:
    if columns is None:
        return moments
    return Moments(
        count=moments.count,
        mean=moments.mean[:, columns],
        m2=moments.m2[:, columns],
        active=moments.active[:, columns],
        nonfinite=moments.nonfinite[:, columns],
    )


def numbers_of(ids: Collection[Any]) -> Int64[np.ndarray, " sample"]:
    """A number for each id, the same in every process: integers themselves, of others a hash."""
    return np.fromiter((_number(one) for one in ids), np.int64, len(ids))


def _number(one: Any) -> int:
    if isinstance(one, int) and -(2**63) <= one < 2**63:
        return int(one)
    return int.from_bytes(hashlib.sha256(repr(one).encode()).digest()[:8], "little", signed=True)
