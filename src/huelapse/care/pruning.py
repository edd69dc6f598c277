"""Thinning a run out: which snapshots stay, and giving the others away."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from huelapse.errors import OptionError
from huelapse.store import StoreReader
from huelapse.store.places import LocalPlace
from huelapse.store.pruning import prune as prune_store
from huelapse.store.pruning import shards_of
from huelapse.store.segments import pruned


@dataclass(frozen=True, slots=True)
class Thinning:
    """What of one split is to go."""

    split: str
    steps: Int64[np.ndarray, " snapshot"]
    """Of all stored snapshots."""
    gone: Bool[np.ndarray, " snapshot"]
    """Those that are to go now."""
    before: Bool[np.ndarray, " snapshot"]
    """Those that went before."""

    @property
    def stays(self) -> int:
        return int((~self.gone & ~self.before).sum())


def plan_pruning(
    path: str | Path, *, every: int | None = None, keep: int | None = None, replaced: bool = False
) -> list[Thinning]:
    """What would go, split by split. Changes nothing.

    The first and the last snapshot of a split always stay.

    Args:
        path: of the run's directory.
        every: keep every so many-th of the shown snapshots.
        keep: keep at most so many, evenly spread.
        replaced: give away those that a resumed training made again; if nothing else is asked for,
            those alone.

    Raises:
        OptionError: nothing is asked for, or both `every` and `keep`, or a number that can't be.
        NotARunError, FormatError: there is no run, or it is damaged.
    """
    if (every is None) == (keep is None) and (every is not None or not replaced):
        raise OptionError(
            "which snapshots are to stay? Pass either --every N or --keep N; --superseded gives away "
            "those that a resumed training made again"
        )
    for name, number, least in (("--every", every, 2), ("--keep", keep, 2)):
        if number is not None and number < least:
            raise OptionError(f"{name} is {number}; expected {least} or more")
    with_hidden, shown_only = StoreReader(path, superseded=True), StoreReader(path)
    if not isinstance(with_hidden.place, LocalPlace):
        raise OptionError(
            f"{with_hidden.place.name}: only a run's own directory can be thinned out"
        )
    found: list[Thinning] = []
    for split in with_hidden.splits:
        steps = with_hidden.read_chunks(f"{split.name}/step", ...)
        stored: np.ndarray = np.arange(len(steps))
        before = pruned(with_hidden.attributes.get("pruned", {}).get(split.name, ()), len(steps))
        shown = shown_only.shown(f"{split.name}/step")
        shown = stored[~before] if shown is None else shown
        stays = np.zeros(len(steps), bool)
        stays[_chosen(shown, every, keep)] = True
        if not replaced:
            stays |= ~np.isin(stored, shown)
        found.append(Thinning(split.name, steps, ~stays & ~before, before))
    return found


def _chosen(shown: np.ndarray, every: int | None, keep: int | None) -> np.ndarray:
    if every is not None:
        return np.union1d(shown[::every], shown[-1:])
    if keep is not None and keep < len(shown):
        return shown[np.unique(np.linspace(0, len(shown) - 1, keep).round().astype(int))]
    return shown


def prune(path: str | Path, plan: list[Thinning]) -> int:
    """Give away what a plan names, for good; bytes freed.

    Raises:
        RunLockedError: the run is being written.
        FormatError: it is damaged, or has grown since it was planned.
        OSError: it can't be written.
    """
    directory = StoreReader(path).place.path
    return prune_store(directory, {one.split: one.gone for one in plan})


def bytes_of(path: str | Path, plan: list[Thinning]) -> int:
    """What the shards that are to go take on disk."""
    reader = StoreReader(path, superseded=True)
    shards = (
        shard for one in plan for shard in shards_of(reader, reader.place.path, one.split, one.gone)
    )
    return sum(shard.lstat().st_size for shard in shards if shard.is_file())
