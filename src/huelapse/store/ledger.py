"""What the root says was merged of which parts: its `merged`. No input or output."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

NUMBERED = re.compile(r"(.*?)([0-9]+)")
_ENDS = {"first": 0, "last": 0}

Entries = list[dict[str, Any]]


def missing_of(names: Sequence[str], expected: int | None) -> tuple[str, ...]:
    """Names of the missing parts, where those that are there are numbered: "rank-0" … of `expected`."""
    found = [NUMBERED.fullmatch(name) for name in names]
    if expected is None or not all(found):
        return ()
    prefixes = {match.group(1) for match in found if match}
    numbers = {int(match.group(2)) for match in found if match}
    if len(prefixes) != 1 or max(numbers) >= expected:
        return ()
    (prefix,) = prefixes
    return tuple(f"{prefix}{i}" for i in range(expected) if i not in numbers)


def entry_of(
    entries: Sequence[Mapping[str, Any]], split: str, index: int
) -> Mapping[str, Any] | None:
    """The entry of a stored snapshot; None where it was not merged of parts."""
    for entry in entries:
        if entry["split"] == split and entry["first"] <= index <= entry["last"]:
            return entry
    return None


def entries_with(
    entries: Sequence[Mapping[str, Any]],
    *,
    split: str,
    index: int,
    names: Sequence[str],
    expected: int | None,
    digest: str,
    twice: int | None = None,
    former: int | None = None,
) -> Entries:
    """The root's `merged` with one more: complete ones that follow each other are one entry.

    Args:
        entries: those so far.
        split: of the snapshot.
        index: where it is stored.
        names: of the parts it was merged of.
        expected: how many there should be.
        digest: of these parts.
        twice: how many of its samples count more than once.
        former: where the snapshot is stored whose place it takes.
    """
    result = [dict(entry) for entry in entries]
    for entry in result:
        if entry["split"] == split and entry["first"] == former == entry["last"]:
            entry.pop("present", None)  # of no use any more
            entry.pop("digest", None)
    own: dict[str, Any] = {
        "split": split,
        "first": index,
        "last": index,
        "parts": len(names),
        "expected": expected,
    }
    if len(names) != expected:
        own |= {"present": list(names), "digest": digest}
    if twice:
        own["twice"] = twice
    last = next((e for e in reversed(result) if e["split"] == split), None)
    if last is not None and last["last"] == index - 1 and {**last, **_ENDS} == {**own, **_ENDS}:
        last["last"] = index
    else:
        result.append(own)
    return result
