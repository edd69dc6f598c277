"""A pack's zip file: whether it is one that can be read in place, and one entry of it."""

import struct
import zipfile
from pathlib import Path

from huelapse.errors import FormatError, NotARunError
from huelapse.store import layout

INDEX_BYTES = 64 * 2**20
"""Memory for what TensorStore knows of a zip."""
NAMES = 26
"""Bytes of an entry's header before the lengths of its name and of what follows that."""
ENTRIES = 2_000_000
"""The most files a pack may hold."""


def check_pack(path: Path, root_bytes: int) -> None:
    """
    Raises:
        FormatError: not a zip, a damaged one, or one that `huelapse pack` would not have made.
        NotARunError: a zip without a run.
    """
    try:
        with path.open("rb") as file:
            begins = file.read(4)
        if begins[:2] != b"PK":
            raise FormatError(
                f"{path} is a file, but no zip: expected a run's directory, or a pack made by "
                f"`huelapse pack`"
            )
        with zipfile.ZipFile(path) as archive:
            _check_entries(path, archive.infolist(), root_bytes)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, ValueError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(
            f"{path} is a damaged or truncated zip ({str(error)[:100]}): copy it again, or make it "
            f"again with `huelapse pack`"
        ) from error


def _check_entries(path: Path, entries: list[zipfile.ZipInfo], root_bytes: int) -> None:
    whole = path.stat().st_size
    names: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name in names:
            raise _not_ours(path, f"has two entries {name[:100]!r}")
        names.add(name)
        if name.startswith("/") or "\\" in name or ":" in name[:2] or ".." in name.split("/"):
            raise _not_ours(path, f"has an entry {name[:100]!r}, which leads out of it")
        if entry.flag_bits & 1:
            raise _not_ours(path, f"has an encrypted entry {name[:100]!r}")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise _not_ours(path, f"has a compressed entry {name[:100]!r}")
        if entry.file_size > whole:
            raise _not_ours(
                path, f"says that {name[:100]!r} takes {entry.file_size:,} bytes, and has {whole:,}"
            )
        if name == layout.GROUP_FILE and entry.file_size > root_bytes:
            raise FormatError(
                f"{path}: its root takes {entry.file_size:,} bytes, more than the {root_bytes:,} "
                f"that a run's root may take: it was not written by huelapse, or is damaged"
            )
    if len(names) > ENTRIES:
        raise _not_ours(path, f"has {len(names):,} entries")
    if layout.GROUP_FILE not in names:
        raise NotARunError(
            f"{path} is a zip without a run: expected {layout.GROUP_FILE} at its top, as "
            f"`huelapse pack RUN -o run.hue.zip` makes it"
        )


def _not_ours(path: Path, what: str) -> FormatError:
    return FormatError(
        f"{path} {what}: a pack holds plain names and uncompressed entries, to be read in place. "
        f"Unpack it with care and make it again with `huelapse pack`"
    )


def entries_of(path: Path) -> dict[str, tuple[int, int]]:
    """Name → where its header begins, and its bytes, of every entry of a pack that was checked."""
    with zipfile.ZipFile(path) as archive:
        return {e.filename: (e.header_offset, e.file_size) for e in archive.infolist()}


def place_of(path: Path, header: int, size: int) -> tuple[int, int]:
    """Where an entry's content begins in the pack, and its bytes."""
    with path.open("rb") as file:
        file.seek(header + NAMES)
        name, extra = struct.unpack("<HH", file.read(4).ljust(4, b"\0"))
    return header + NAMES + 4 + name + extra, size


def read_entry(path: Path, name: str) -> bytes:
    """
    Raises:
        FormatError: it is damaged.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, KeyError) as error:
        raise FormatError(
            f"{path}: {name} is damaged ({str(error)[:100]}); copy the pack again"
        ) from error
