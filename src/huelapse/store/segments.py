"""Which snapshots of a run still stand, and in which order. No input or output.

Each start of a recording is a segment of the run, and says after how many optimizer steps it began.
A training that goes on from a checkpoint makes steps again that were made before; snapshots of the
weights that were given up are *superseded*: kept, and hidden. What ranks and workers have recorded is
merged in whatever order it comes, and some of it is made again: shown is all of it by step.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64


def superseded(
    step: Int64[np.ndarray, " snapshot"],
    segment: Int64[np.ndarray, " snapshot"],
    starts: Sequence[int],
) -> Bool[np.ndarray, " snapshot"]:
    """Which snapshots of a split a later segment replaced.

    Those of a step beyond the first of a later segment, and those of a step at which a later
    segment has a snapshot too.

    Args:
        step: optimizer steps made at each snapshot.
        segment: index of the segment each was taken in.
        starts: of every segment, the optimizer steps made when it began.
    """
    hidden = np.zeros(len(step), bool)
    for later in range(1, len(starts)):
        before = segment < later
        hidden |= before & (step > starts[later])
        hidden |= before & np.isin(step, step[segment == later])
    return hidden


def pruned(ranges: Sequence[Sequence[int]], length: int) -> Bool[np.ndarray, " snapshot"]:
    """Which snapshots of a split were given away by `prune`: ranges [from, to) of stored ones."""
    gone = np.zeros(length, bool)
    for first, end in ranges:
        gone[first:end] = True
    return gone


def ranges_of(gone: Bool[np.ndarray, " snapshot"]) -> list[list[int]]:
    """The reverse of `pruned`."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], gone, [False]]).astype(np.int8)))
    return edges.reshape(-1, 2).tolist()


def standing(
    step: Int64[np.ndarray, " snapshot"], hidden: Bool[np.ndarray, " snapshot"]
) -> Int64[np.ndarray, " shown"] | None:
    """Where what is not hidden is stored, by step; None for all snapshots as they stand."""
    stored = np.flatnonzero(~hidden)
    order = np.argsort(step[stored], kind="stable")
    sorted_already = bool((np.diff(order) > 0).all())
    return None if sorted_already and not hidden.any() else stored[order]


def chosen(selection: Any, shown: Int64[np.ndarray, " snapshot"]) -> tuple[Any, Any]:
    """A selection of shown snapshots, as one of stored snapshots and one of what that gives.

    Args:
        selection: as for numpy, with the snapshot first: an integer, slice or ellipsis there.
        shown: where each shown snapshot is stored.

    Returns:
        (what to read, what to take of it), the latter along the first axis; None for all.
    """
    parts = selection if isinstance(selection, tuple) else (selection,)
    first, *rest = parts or (...,)
    if isinstance(first, int | np.integer):
        return (int(shown[first]), *rest), None
    if first is Ellipsis:
        first = slice(None)
    wanted = shown[first]
    if not len(wanted):
        return (slice(0, 0), *rest), None
    # no more than what lies between them
    start, stop = int(wanted.min()), int(wanted.max()) + 1
    return (slice(start, stop), *rest), wanted - start
