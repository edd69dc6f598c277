"""What must hold between the numbers of a run, so that one that is gone or wrong is noticed.

No input or output: arrays are taken by path below the split, one at a time, and given up at once.
A rule whose numbers cannot be read holds.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from huelapse import kept
from huelapse.schema import LABELS, PREDICTED, TRUE, Split
from huelapse.store import layout
from huelapse.store.segments import superseded

Take = Callable[[str], np.ndarray | None]
Fault = tuple[str, str]
"""Path of an array below the split, and what is wrong with it."""

MISSING = "a part is missing: it holds the fill, which is no value of it"


def coordinates(
    values: Mapping[str, np.ndarray], segments: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, str, np.ndarray]]:
    """Faults of a split's coordinates, and the snapshots they concern.

    Args:
        values: name → all of it; left out where it cannot be read.
        segments: of the run.
    """
    rules: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "step": lambda step: step < 0,
        "wall_time": np.isnan,
        "segment": lambda segment: (segment < 0) | (segment >= max(1, len(segments))),
        "superseded": lambda flag: flag > layout.GONE,
    }
    for name, is_wrong in rules.items():
        if name in values:
            lost = np.flatnonzero(is_wrong(values[name]))
            if len(lost):
                yield name, "a value is missing, or one that cannot be", lost
    if not {"step", "segment", "superseded"} <= values.keys() or len(segments) < 2:
        return
    step, segment, told = (
        values[name].astype(np.int64) for name in ("step", "segment", "superseded")
    )
    if len(segment) and segment[-1] == len(segments) - 1:  # its commit has written the flags
        expected = superseded(step, segment, [one.get("first_step", 0) for one in segments])
        lost = np.flatnonzero(expected & (told == 0))
        if len(lost):
            yield "superseded", "it does not tell what a later segment has replaced", lost


def static(name: str, value: np.ndarray) -> Iterator[str]:
    """Faults of an array without `snapshot`."""
    if name == LABELS and (value < -1).any():
        yield MISSING


def statistics(
    split: Split,
    grouping: str,
    responses: Sequence[str],
    members: Mapping[str, Any],
    take: Take,
) -> Iterator[Fault]:
    """Faults of a grouping's counts and statistics at one snapshot."""
    count = take(f"{grouping}/count")
    if count is not None and (count < 0).any():
        yield f"{grouping}/count", MISSING
        count = None
    for response in responses:
        yield from _cubes(layout.home_of(grouping, response, responses), count, take)
    if grouping == TRUE and f"{split.name}/{TRUE}/confusion" in members:
        yield from _confusion(split, members, count, take)


def _cubes(home: str, count: np.ndarray | None, take: Take) -> Iterator[Fault]:
    left_out = _counts(f"{home}/nonfinite", take)
    n: np.ndarray | None = None
    if isinstance(left_out, tuple):
        yield left_out
    elif left_out is not None and count is not None:
        if (left_out > count[:, None]).any():
            yield f"{home}/nonfinite", "it is greater than the count of its class"
        else:  # in the dtype of what is stored: there may be many units
            n = count.astype(left_out.dtype)[:, None] - left_out
    del left_out
    active = _counts(f"{home}/active", take)
    if isinstance(active, tuple):
        yield active
    elif active is not None and n is not None and (active > n).any():
        yield f"{home}/active", "it is greater than the number of samples"
    del active
    seen = None if n is None else n > 0
    del n
    for name in ("mean", "m2"):
        value = take(f"{home}/{name}")
        if value is not None and seen is not None and (np.isnan(value) == seen).any():
            yield (
                f"{home}/{name}",
                "a part is missing: it has no value where samples were counted, or the reverse",
            )


def _counts(name: str, take: Take) -> np.ndarray | Fault | None:
    value = take(name)
    if value is not None and (value == layout.NO_COUNT[str(value.dtype)]).any():
        return name, MISSING
    return value


def _confusion(
    split: Split, members: Mapping[str, Any], count: np.ndarray | None, take: Take
) -> Iterator[Fault]:
    """Samples without a prediction stand in no cell, so its sums may be less than the counts."""
    name = f"{TRUE}/confusion"
    confusion = _counts(name, take)
    if isinstance(confusion, tuple):
        yield confusion
        return
    if confusion is None:
        return
    if count is not None and (confusion.sum(1, dtype=np.int64) > count).any():
        yield name, "it holds more samples of a class than were counted"
    if f"{split.name}/{PREDICTED}/count" in members:
        predicted = take(f"{PREDICTED}/count")
        if predicted is None or (predicted < 0).any():
            return  # told where its own grouping is looked at
        if (confusion.sum(0, dtype=np.int64) > predicted).any():
            yield name, "it holds more predictions of a class than were counted"


def kept_responses(split: Split, members: Mapping[str, Any], take: Take) -> Iterator[Fault]:
    """Faults of kept responses at one snapshot: all of them were kept, or none."""
    if not all(f"{split.name}/{n}" in members for n in (kept.RESPONSES, kept.SCALE, kept.REF)):
        return
    scale, ref = take(kept.SCALE), take(kept.REF)
    if scale is None:
        return
    unknown = np.isnan(scale)
    was_kept = not unknown.all()
    if was_kept and unknown.any():
        yield kept.SCALE, MISSING
    if ref is not None and (np.isnan(ref) == was_kept).any():
        yield kept.REF, "a part is missing: responses were kept without it, or it without them"
    codes = take(kept.RESPONSES)
    if codes is not None:
        finite = np.isfinite(codes).any(0)
        if (finite != np.isfinite(scale)).any():
            yield kept.RESPONSES, "a part is missing: it does not fit response_scale"
    if f"{split.name}/{kept.PREDICTIONS}" in members:
        predictions = take(kept.PREDICTIONS)
        if predictions is not None and ((predictions < -1) == was_kept).any():
            yield kept.PREDICTIONS, "a part is missing: it does not fit response_scale"
