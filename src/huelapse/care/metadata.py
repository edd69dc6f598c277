"""The files of a run beside its numbers: do they say what the root says, and what else is there?"""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from huelapse.errors import FormatError
from huelapse.store import layout
from huelapse.store.checking import StoredRun, encoded, read_metadata
from huelapse.store.meeting import MEETING

CHUNK = re.compile(r"c(\.[0-9]+)+")
OURS = frozenset((layout.ROOT, "lock", "partial", "cache", MEETING))
"""What may stand in the directory of a run."""

Fault = tuple[str, str | None, str]
"""File in the run's directory, its split, and what is wrong."""

OTHER = "it does not say what the root says of it"


def faults(run: StoredRun, snapshots: Mapping[str, int], live: bool) -> Iterator[Fault]:
    """Groups' and arrays' own `zarr.json` that are damaged. huelapse reads the root's copy of
    them; another program that opens a group or an array by itself reads these.

    Args:
        run: as committed.
        snapshots: of each split.
        live: whether a writer may be changing the run just now.
    """
    complete = run.attributes["state"] == "complete"
    for split, number in snapshots.items():
        longer: list[str] = []
        for path, member in run.members.items():
            if path != split and not path.startswith(f"{split}/"):
                continue
            if path == split and not number and not (run.root / _name(path)).exists():
                continue  # it comes with the first snapshot
            try:
                found = _read(run.root / path)
                if path == split:
                    _check_split(run, split, found, live)
                elif member["node_type"] == "group":
                    _check_same(found, layout.group(member["attributes"]))
                elif _check_array(run, path, found, number, live):
                    longer.append(path)
            except FormatError as error:
                yield _file(path), split, str(error)
        # a commit that was cut short makes all arrays grow before it writes anything
        if complete and not live and len(longer) == 1:
            yield _file(longer[0]), split, f"it says there are {number + 1} snapshots, not {number}"


def _name(path: str) -> str:
    return f"{path}/{layout.GROUP_FILE}"


def _file(path: str) -> str:
    return f"{layout.ROOT}/{_name(path)}"


def _read(directory: Path) -> layout.JSON:
    try:
        content = (directory / layout.GROUP_FILE).read_bytes()
    except FileNotFoundError as error:
        raise FormatError("it is missing") from error
    except OSError as error:
        raise FormatError(f"it cannot be read: {error.strerror}") from error
    return read_metadata(content)


def _check_same(found: Any, expected: Any) -> None:
    one, other = (json.dumps(value, sort_keys=True) for value in (found, expected))
    if one != other:
        raise FormatError(OTHER)


def _check_split(run: StoredRun, split: str, found: layout.JSON, live: bool) -> None:
    """The file of a split is written just before the root: it may be one snapshot ahead."""
    prefix = f"{split}/"
    expected = {p.removeprefix(prefix): m for p, m in run.members.items() if p.startswith(prefix)}
    number: int = expected["step"]["shape"][0]
    try:
        consolidated: layout.JSON = found["consolidated_metadata"]
        members = dict(consolidated["metadata"])
        length: Any = members["step"]["shape"][0]
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise FormatError(OTHER) from error
    if not isinstance(length, int) or length < number or (length > number + 1 and not live):
        raise FormatError(f"it says there are {length} snapshots, not {number}")
    if length > number:  # scalars may have come with what is not committed
        members = {p: m for p, m in members.items() if p in expected or not _is_metric(p)}
    if run.attributes["state"] != "complete":  # or with a snapshot that could not be written
        expected = {p: m for p, m in expected.items() if p in members or not _is_metric(p)}
    expected = {p: _with_length(m, length) for p, m in expected.items()}
    _check_same(
        {**found, "consolidated_metadata": {**consolidated, "metadata": members}},
        layout.group(run.members[split]["attributes"], expected),
    )


def _is_metric(path: str) -> bool:
    return path.startswith("metric.")


def _with_length(member: layout.JSON, length: int) -> layout.JSON:
    if member.get("dimension_names", [None])[0] != "snapshot":
        return member
    return {**member, "shape": [length, *member["shape"][1:]]}


def _check_array(run: StoredRun, path: str, found: layout.JSON, number: int, live: bool) -> bool:
    """Whether it is ahead of the root, as all arrays are while a snapshot is being written."""
    member = run.members[path]
    shape: Any = found.get("shape")
    length: Any = shape[0] if isinstance(shape, list) and shape else None
    longer = (
        member["dimension_names"][0] == "snapshot"
        and isinstance(length, int)
        and (length > number if live else length == number + 1)
    )
    expected = _with_length(member, length) if longer else member
    written: layout.JSON = json.loads(encoded(expected))
    if found != written:  # another version of the library may leave out other defaults
        try:
            _check_same(json.loads(encoded(found)), written)
        except FormatError:
            raise FormatError(OTHER) from None
    return longer


def leftovers(run: StoredRun) -> list[str]:
    """Files and directories that nothing committed refers to: temporary files, shards past the
    committed end, arrays and splits that were never committed, files of others."""
    found = [entry.name for entry in run.directory.iterdir() if entry.name not in OURS]
    pending = [run.root]
    while pending:
        directory = pending.pop()
        member: layout.JSON = run.members.get(directory.relative_to(run.root).as_posix(), {})
        for entry in directory.iterdir():
            path = entry.relative_to(run.root).as_posix()
            if path in run.members and entry.is_dir() and not entry.is_symlink():
                pending.append(entry)
            elif entry.name != layout.GROUP_FILE and not _is_chunk(entry.name, member):
                found.append(f"{layout.ROOT}/{path}")
    return sorted(found)


def _is_chunk(name: str, member: layout.JSON) -> bool:
    """Whether a committed array may have such a file."""
    if member.get("node_type") != "array" or not CHUNK.fullmatch(name):
        return False
    place = [int(n) for n in name.split(".")[1:]]
    sizes = member["chunk_grid"]["configuration"]["chunk_shape"]
    grid = [-(-n // size) for n, size in zip(member["shape"], sizes, strict=True)]
    return len(place) == len(grid) and all(n < many for n, many in zip(place, grid, strict=True))
