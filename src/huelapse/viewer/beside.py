"""What the page reads of two runs, or of two splits or groupings of one, that are laid side by side."""

import json
import math
from typing import Any

import numpy as np

from huelapse.comparing import class_order, other_layers, other_samples, pair
from huelapse.comparing.pairing import By
from huelapse.errors import ComparisonError, SelectionError
from huelapse.run import Run

BY: tuple[By, ...] = ("step", "epoch", "accuracy")
NONE = -1
"""Index of a snapshot where there is none."""

JSON = dict[str, Any]


def beside(
    a: Run, b: Run, split: str, grouping: str, other_split: str, other_grouping: str
) -> JSON:
    """How the second is laid beside the first, or why it cannot be.

    Returns:
        `version`: of the second's state. `refused`: why not, else None. `samples`: in what the
        samples differ, else None. `layers`: where the layers first differ, else None. `same_units`:
        whether both are of one run, so that a unit of the one is that of the other. `classes`: of
        each class of the first its index in the second. `pairs` by step, epoch and accuracy: of
        each snapshot of the first the nearest `snapshot` of the second (`NONE` for none) and the
        `gap` between them, or `why` there are no pairs. `config`: in what the users' configs
        differ, `name`, `a`, `b`, as text; None where one has no such value.

    Raises:
        SelectionError: there is no such split or grouping.
    """
    first, second = a.split(split), b.split(other_split)
    one_run = a is b
    names = a.grouping(grouping, split).classes, b.grouping(other_grouping, other_split).classes
    samples = None
    if not (one_run and first.name == second.name):
        samples = other_samples(a, b, first, second)
    refused = None if one_run or samples is None else f"{samples}; record both with one probe"
    classes: list[int] = []
    try:
        classes = class_order(*names).tolist()
    except ComparisonError as error:
        refused = refused or str(error)
    return {
        "version": b.version,
        "refused": refused,
        "samples": samples,
        "layers": None if one_run else other_layers(a, b),
        "same_units": one_run,
        "classes": classes,
        "pairs": {by: _pairs(a, b, split, other_split, by) for by in BY},
        "config": [] if one_run else config_difference(a, b),
    }


def _pairs(a: Run, b: Run, split: str, other_split: str, by: By) -> JSON:
    try:
        found = pair(a, b, by=by, split=split, other_split=other_split)
    except (ComparisonError, SelectionError) as error:
        return {"why": str(error)}
    # a snapshot by another grouping is itself, though others may have its step, or its accuracy
    itself = a is b and split == other_split
    total = len(a.coordinate("step", split))
    snapshot = np.full(total, NONE)
    snapshot[found.a] = found.a if itself else found.b
    gap: list[float | None] = [None] * total
    for index, value in zip(found.a.tolist(), found.gap.tolist(), strict=True):
        gap[index] = 0.0 if itself else value
    return {"snapshot": snapshot.tolist(), "gap": gap}


def config_difference(a: Run, b: Run) -> list[dict[str, str | None]]:
    """In what the configs that users kept with two runs differ, nested names joined by dots."""
    one, other = (_flat((run.facts["facts"] or {}).get("config") or {}) for run in (a, b))
    return [
        {"name": name, "a": one.get(name), "b": other.get(name)}
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    ]


def _flat(config: Any, above: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in config.items():
        if isinstance(value, dict) and value:
            found |= _flat(value, f"{above}{name}.")
        else:
            found[f"{above}{name}"] = _text(value)
    return found


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and math.fabs(value) < 1e15:
        return str(int(value))  # 1.0 and 1 are the same setting
    return json.dumps(value)
