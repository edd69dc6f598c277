"""What may be compared with what."""

import warnings
from collections.abc import Sequence
from itertools import zip_longest

import numpy as np
from jaxtyping import Int64

from huelapse.errors import ComparisonError, HuelapseWarning
from huelapse.run import Run
from huelapse.schema import TRUE, Layer, Split


def check_samples(a: Run, b: Run, split_a: Split, split_b: Split, *, anyway: bool) -> None:
    """Refuse, or warn of, probes of other samples: a difference could then be that of the samples.

    Raises:
        ComparisonError: the probes' hashes differ, or one is not told, and not `anyway`.
    """
    found = other_samples(a, b, split_a, split_b)
    if found is None:
        return
    if not anyway:
        raise ComparisonError(
            f"{found}; record both with one probe, or say anyway=True to be warned only"
        )
    warnings.warn(found, HuelapseWarning, stacklevel=3)


def other_samples(a: Run, b: Run, split_a: Split, split_b: Split) -> str | None:
    """Why two splits are not known to be of the same samples; None where they are."""
    hashes = split_a.facts.get("hash"), split_b.facts.get("hash")
    kinds = split_a.kind, split_b.kind
    if kinds == ("probe", "probe") and hashes[0] is not None and hashes[0] == hashes[1]:
        return None
    told = " and ".join(
        f"{run.name}'s {split.name!r} ({split.kind}, {str(digest)[:8] if digest else 'no hash'})"
        for run, split, digest in zip((a, b), (split_a, split_b), hashes, strict=True)
    )
    return f"{told} are not known to be of the same samples, so a difference may be theirs"


def other_layers(a: Run, b: Run) -> str | None:
    """Where two runs first differ in their layers, by path and units; None where they don't."""
    for one, other in zip_longest(a.layers, b.layers):
        if one is None or other is None:
            return f"{a.name} has {len(a.layers)} layers, {b.name} has {len(b.layers)}"
        if (one.path, one.units) != (other.path, other.units):
            return (
                f"{one.path} with {one.units} units in {a.name}, "
                f"{other.path} with {other.units} in {b.name}"
            )
    return None


def class_order(a: Sequence[str], b: Sequence[str]) -> Int64[np.ndarray, " class"]:
    """For each class of a, its index in b.

    Raises:
        ComparisonError: they are not the same classes by name.
    """
    if sorted(a) != sorted(b):
        only = [name for name in a if name not in b] + [name for name in b if name not in a]
        raise ComparisonError(
            f"classes differ: {', '.join(map(repr, only[:5]))} in one of them only "
            f"({len(a)} and {len(b)} classes); only the same classes can be compared"
        )
    place = {name: k for k, name in enumerate(b)}
    return np.array([place[name] for name in a], np.int64)


def common_layers(a: Run, b: Run) -> list[tuple[Layer, Layer]]:
    """Layers of the same path and number of units, in a's order.

    Raises:
        ComparisonError: there are none.
    """
    others = {layer.path: layer for layer in b.layers}
    found = [
        (layer, others[layer.path])
        for layer in a.layers
        if layer.path in others and others[layer.path].units == layer.units
    ]
    if not found:
        raise ComparisonError(
            f"{a.name} and {b.name} share no layer of the same path and number of units: "
            f"{_some(a)} against {_some(b)}"
        )
    return found


def same_start(a: Run, b: Run, split: str | None = None) -> bool:
    """Whether both began with the same weights, as far as what is stored can tell.

    Their first snapshots must be of step 0, of the same samples, and equal in every statistic bit for
    bit. Only then does a unit's index mean the same in both.
    """
    one, other = a.split(split), b.split(split)
    if one.facts.get("hash") is None or one.facts.get("hash") != other.facts.get("hash"):
        return False
    if [(x.path, x.units) for x in a.layers] != [(x.path, x.units) for x in b.layers]:
        return False
    for run in (a, b):
        steps = run.coordinate("step", split)
        if len(steps) == 0 or steps[0] != 0:
            return False
    first, second = a.moments(0, TRUE, split), b.moments(0, TRUE, split)
    return all(
        np.array_equal(getattr(first, name), getattr(second, name))
        for name in ("count", "mean", "m2", "active", "nonfinite")
    )


def _some(run: Run) -> str:
    told = [f"{layer.path} ({layer.units})" for layer in run.layers[:3]]
    return ", ".join(told) + (" …" if len(run.layers) > 3 else "")
