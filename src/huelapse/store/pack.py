"""A run in one file: a zip of what its root commits, read in place (docs/format.md, "The pack")."""

import itertools
import json
import os
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, cast

from huelapse.errors import FormatError, NotARunError, PackError
from huelapse.store import layout
from huelapse.store.atomic import sync_directory
from huelapse.store.chunks import opened
from huelapse.store.places import LocalPlace, find_place
from huelapse.store.reader import StoreReader

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every entry, so that one state of a run always gives the same bytes."""
PIECE = 2**20


def pack_run(
    run: str | Path,
    to: Path,
    *,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Write what is committed of a run into one file. Nothing is changed in the run.

    Args:
        run: a run's directory.
        to: the file, which appears whole or not at all.
        force: replace a file that is there.
        progress: called with how many arrays are done, and how many there are.

    Returns:
        How many files are in it.

    Raises:
        PackError: a file is there already, there is no such folder, or the run is no directory.
        NotARunError: there is no run, or it went away meanwhile.
        FormatError: it is damaged.
    """
    place = find_place(run)
    if not isinstance(place, LocalPlace):
        raise PackError(f"{place.name} is not a run's directory: only those are packed")
    if to.is_dir():
        raise PackError(f"{to} is a directory; name a file in it, as {to / 'run.hue.zip'}")
    if to.exists() and not force:
        raise PackError(f"{to} is there already; choose another name, or replace it with --force")
    if not to.absolute().parent.is_dir():
        raise PackError(f"there is no folder {to.absolute().parent}; make it first")
    reader = StoreReader(place)
    beside = to.with_name(f".{to.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with beside.open("xb") as file:
            files = _write(reader, place, file, progress)
            file.flush()
            os.fsync(file.fileno())
        if not (place.path / layout.ROOT / layout.GROUP_FILE).is_file():
            raise NotARunError(f"{place.name} went away while it was packed; nothing was written")
        if force:
            beside.replace(to)
        else:
            _rename_new(beside, to)
    finally:
        beside.unlink(missing_ok=True)
    sync_directory(to.absolute().parent)
    return files


def _rename_new(beside: Path, to: Path) -> None:
    """Rename, but over nothing that came there meanwhile."""
    try:
        os.link(beside, to)
    except FileExistsError as error:
        raise PackError(f"{to} is there already; replace it with --force") from error
    except OSError:  # a file system without hard links
        beside.replace(to)


def _write(
    reader: StoreReader,
    place: LocalPlace,
    file: IO[bytes],
    progress: Callable[[int, int], None] | None,
) -> int:
    root = place.path / layout.ROOT
    metadata = reader.metadata
    members: dict[str, layout.JSON] = metadata["consolidated_metadata"]["metadata"]
    arrays = reader.arrays()
    known = frozenset(arrays)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        _add(archive, layout.GROUP_FILE, _json(metadata))
        for path, member in members.items():
            _add(archive, f"{_plain(path)}/{layout.GROUP_FILE}", _json(_standing(path, members)))
            if member["node_type"] != "array":
                continue
            if path not in known:
                raise PackError(
                    f"{place.name} holds an array {path} that this huelapse does not know: pack it "
                    f"with the one that wrote it, or upgrade: `pip install -U huelapse`"
                )
            place.check_folder(path)
            for key in chunk_keys(member):
                _copy(archive, f"{path}/{key}", root / path / key)
            if progress is not None:
                progress(arrays.index(path) + 1, len(arrays))
        return len(archive.infolist())


def chunk_keys(array: layout.JSON) -> Iterator[str]:
    """Names of the files an array may have, by its committed shape.

    Raises:
        FormatError: it is chunked in a way this format does not have.
    """
    try:
        shape: list[int] = array["shape"]
        chunk: list[int] = array["chunk_grid"]["configuration"]["chunk_shape"]
        encoding = array["chunk_key_encoding"]
        known = encoding["name"] == "default" and encoding["configuration"]["separator"] == "."
        grid = [range(-(-n // c)) for n, c in zip(shape, chunk, strict=True)]
    except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
        raise FormatError(f"an array's metadata cannot be understood: {error!r}") from error
    if not known:
        raise FormatError("an array names its chunks in a way this huelapse does not know")
    return (".".join(["c", *map(str, index)]) for index in itertools.product(*grid))


def _standing(path: str, members: dict[str, layout.JSON]) -> layout.JSON:
    """What a member's own file says: a split's also holds the metadata of what is in it."""
    member = members[path]
    if member["node_type"] == "array" or "/" in path:
        return member
    below = {p[len(path) + 1 :]: m for p, m in members.items() if p.startswith(f"{path}/")}
    return layout.group(cast(layout.JSON, member["attributes"]), below)


def _plain(path: str) -> str:
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise FormatError(f"the run names an array {path!r}, which leads out of it")
    return path


def _json(metadata: Any) -> bytes:
    return json.dumps(metadata, separators=(",", ":")).encode()


def _entry(name: str, size: int) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = 0o644 << 16
    entry.file_size = size  # what is larger than 2 GiB is told beforehand
    return entry


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(_entry(name, len(content)), content)


def _copy(archive: zipfile.ZipFile, name: str, source: Path) -> None:
    """A chunk's file; one that is not there equals the fill."""
    try:
        with opened(source) as (descriptor, size), archive.open(_entry(name, size), "w") as into:
            while piece := os.read(descriptor, PIECE):
                into.write(piece)
    except FileNotFoundError:
        return
