"""What an export takes along together, or not at all: its resources, what the manifest says of it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from huelapse.viewer.leveled import FINEST, MARK

JSON = dict[str, Any]
"""A manifest, or a split of one."""


def no_bytes(manifest: JSON, pack: Callable[[bytes], bytes]) -> int:
    """Nothing is known."""
    return 0


def no_steps(manifest: JSON, room: float) -> Iterable[float]:
    """There is nothing to begin with."""
    return ()


@dataclass(frozen=True, slots=True)
class Part:
    """What goes along together, or not at all."""

    name: str
    """As it is told when it is left out."""
    paths: Callable[[JSON], Sequence[str]]
    """Its resources, by the manifest of what goes along already: none where nobody could reach them."""
    keep: Callable[[JSON], None] = lambda manifest: None
    """Says in the manifest that it is there."""
    weight: Callable[[str], float] | None = None
    """About how much each resource takes, beside the others of the part; None where nobody knows."""
    like: Callable[[str], str] = str
    """A resource of another part that takes about as much as this one."""
    least: Callable[[JSON, Callable[[bytes], bytes]], int] = no_bytes
    """Bytes that it takes at least, without making it: by the manifest, and how content is packed."""
    begin: Callable[[JSON, float], Iterable[float]] = no_steps
    """Makes at once what it and those after it need, where there is room for so many such parts."""
    prepare: Callable[[], Iterable[float]] = tuple
    """What makes the resources faster to make, once it is known that there may be room for all."""


def within(split: JSON, paths: Sequence[str]) -> Callable[[JSON], Sequence[str]]:
    """These, if their split goes along."""
    return lambda manifest: paths if groupings_of(manifest, split) else []


def split_of(manifest: JSON, split: JSON) -> JSON:
    return next(one for one in manifest["splits"] if one["name"] == split["name"])


def groupings_of(manifest: JSON, split: JSON) -> list[JSON]:
    """Of a split, those that go along."""
    there = [one for one in manifest["splits"] if one["name"] == split["name"]]
    return there[0]["groupings"] if there else []


def derived(grouping: JSON) -> list[str]:
    """Names of a grouping by other levels than its classes."""
    told = grouping.get("superclasses")
    levels = range(1, len(told["levels"]) + 1) if told else ()
    return [f"{grouping['name']}{MARK}{level}" for level in (FINEST, *levels)] if told else []


def has(name: str, split: JSON) -> Callable[[JSON], None]:
    """Says that a split has a resource."""
    return lambda manifest: split_of(manifest, split)["resources"].append(name)


def alike(path: str) -> float:
    """Each takes as much as any other."""
    return 1.0


def nothing(_: JSON) -> None:
    """There is nothing to be said of it."""
