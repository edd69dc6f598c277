"""An export within a budget: as many of a run's parts as there is room for."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from huelapse.errors import ExportError, FormatError, SelectionError
from huelapse.viewer.part import JSON, Part
from huelapse.viewer.resources import Resources

BESIDE = 80
"""Bytes that a resource takes beside its content and its name."""

PROBED = 6
"""Resources of a part that are made first, spread over it, to see how much all of them will take."""
SURELY = 2
"""How many times the room that is left a part must be expected to take to be left out by that alone."""

Done = Callable[[float, str], None]
"""Told the share of the work that is done, and what is being made."""


def nobody(share: float, what: str) -> None:
    """Is told, and does nothing."""


@dataclass(slots=True)
class Collected:
    """What an export holds."""

    content: dict[str, bytes] = field(default_factory=dict[str, bytes])
    """By path below the run."""
    manifest: JSON = field(default_factory=dict[str, Any])
    left_out: list[str] = field(default_factory=list[str])
    """Parts that had no room."""
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    """Why resources that would have had room could not be read back, by path."""


@dataclass(slots=True)
class _Making:
    """A part, as far as it is made."""

    packed: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unreadable: dict[str, str] = field(default_factory=dict[str, str])
    size: int = 0


def collect(
    parts: Sequence[Part],
    resources: Resources,
    whole: JSON,
    room: int | None,
    pack: Callable[[bytes], bytes],
    done: Done = nobody,
) -> Collected:
    """As many of the parts as there is room for, the most needed first.

    A part that is far too large is left out once a few of its resources are made, or before, where
    what others took tells; a resource that
    cannot be read back is left out alone, and named in the manifest.

    Args:
        parts: the most needed first.
        whole: the manifest of all of them.
        room: bytes, names included; None for everything.
        pack: how content is stored.
        done: called with the share of the work that is done, and what is being made.

    Raises:
        ExportError: there is no room even for the first part.
    """
    bare = {**whole, "splits": [], "measures": whole["measures"][:1]}
    found = Collected(manifest=bare)
    left = math.inf if room is None else room
    unreadable: list[str] = []
    for i, part in enumerate(parts):

        def told(share: float, part: Part = part, i: int = i) -> None:
            done((i + share) / len(parts), part.name)

        told(0.0)
        paths = part.paths(found.manifest)
        expected = _expected(part, paths, found)
        if i > 0 and (expected > SURELY * left or part.least(found.manifest, pack) > left):
            found.left_out.append(part.name)
            continue
        for share in part.begin(found.manifest, left / expected if expected else math.inf):
            told(share)
        made = _make(part, paths, resources.get, left, pack, told, certain=i == 0)
        if made.size > left and i == 0:
            raise ExportError(
                f"there is room for {max(left, 0) / 1e6:.2f} MB, and the pictures of the run alone "
                f"take more than {made.size / 1e6:.2f} MB; raise it with --budget, or thin the run "
                f"out first (huelapse prune)"
            )
        if made.size > left or not (made.packed or made.unreadable):
            found.left_out.append(part.name)
            continue
        if made.unreadable:
            place, name = resources.run.place, resources.run.name
            for path, why in made.unreadable.items():
                found.unreadable[path] = why.replace(place, name)
            unreadable.append(f"{part.name} ({len(made.unreadable):,} of {len(paths):,} files)")
        if not made.packed:
            continue
        found.content |= {path: made.packed[path] for path in paths if path in made.packed}
        left -= made.size
        part.keep(found.manifest)
    found.manifest["left_out"] = found.left_out
    if unreadable:
        found.manifest["unreadable"] = unreadable
    return found


def _expected(part: Part, paths: Sequence[str], found: Collected) -> float:
    """Bytes that a part will take, by what others do that are like it; 0 where nobody knows."""
    like = [found.content.get(part.like(path), b"") for path in paths]
    return float(sum(map(len, like)))


def _make(
    part: Part,
    paths: Sequence[str],
    get: Callable[[str], tuple[bytes, str]],
    left: float,
    pack: Callable[[bytes], bytes],
    told: Callable[[float], None],
    *,
    certain: bool,
) -> _Making:
    """A part, or as much of it as shows that it has no room: its size then is more than `left`.

    Args:
        certain: make it until it has no more room, whatever is expected.
    """
    made = _Making()
    weight = None if certain or len(paths) < 4 * PROBED else part.weight
    first = _spread(paths) if weight else []
    probed = set(first)
    for n, path in enumerate([*first, *(path for path in paths if path not in probed)]):
        if weight and n == len(first):
            share = sum(map(weight, first)) / sum(map(weight, paths))
            if made.size / share > SURELY * left:
                made.size = math.ceil(made.size / share)
                break
            for _ in part.prepare():
                told(n / len(paths))
        try:
            content = get(path)[0]
        except FormatError as error:
            made.unreadable[path] = str(error)
            continue
        except SelectionError:  # a resource that is too large to be asked for at all
            made.packed.clear()
            break
        made.packed[path] = pack(content)
        made.size += len(made.packed[path]) + len(path) + BESIDE
        if made.size > left:
            break
        told((n + 1) / len(paths))
    return made


def _spread(paths: Sequence[str]) -> list[str]:
    """`PROBED` of them, from the middles of as many equal stretches."""
    return [paths[(2 * i + 1) * len(paths) // (2 * PROBED)] for i in range(PROBED)]
