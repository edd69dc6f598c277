"""Files of an array, looked at before the library opens them. They may come from anybody.

The library believes what a compressed tile says of its size, and asks for that much memory; and it
opens whatever stands at a chunk's name, also what never ends. What a read touches is compared here with
what the array's metadata allows: a few bytes of each file.
"""

import errno
import math
import os
import stat
import struct
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.errors import FormatError
from huelapse.store import layout
from huelapse.store.places import Place, forbidden, not_in_it

ENTRY = 16
"""Bytes of a shard's index for one inner tile: offset and length, as little-endian uint64."""
CHECKSUM = 4
ABSENT = 2**64 - 1
"""Offset and length of an inner tile that is not there: it equals the fill."""
HEADER = 16
"""Bytes that blosc puts before what it compressed; it never takes more than these in addition."""
SMALL = 2**16
"""Bytes of a file that is looked at as a whole."""

FLAGS = os.O_RDONLY | sum(
    getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY")
)

FREE = 2**30
"""Bytes of fills that may be read from files that are not there."""
RATIO = 2**16
"""The most bytes that one byte of a file can stand for: an absent tile of 1 MiB takes 16."""
LOST = 100_000
"""Files that are not there, one after another, after which no others are looked for."""


def check_chunks(
    place: Place, path: str, array: layout.JSON, selection: Any, elements: int
) -> None:
    """Whether the part of an array that is to be read takes no more memory than it should.

    On another machine that can't be seen without fetching it, and is not looked at.

    Args:
        place: of the run.
        path: of the array, whose metadata has been checked (`trusted.check_root`).
        array: its metadata.
        selection: what is to be read, as for numpy, within the array.
        elements: how many that are.

    Raises:
        FormatError: a chunk is a link or no file, a tile says that it takes more bytes than it can
            have, or there are far too few files for what the metadata says.
        PlaceError: a file may not be looked at.
    """
    if place.remote:
        return
    item = np.dtype(array["data_type"]).itemsize
    chunk: list[int] = array["chunk_grid"]["configuration"]["chunk_shape"]
    first = array["codecs"][0]
    sharded = first["name"] == "sharding_indexed"
    tile: list[int] = first["configuration"]["chunk_shape"] if sharded else chunk
    ranges = _ranges(selection, array["shape"])
    # all but the first dimension stand in one chunk
    along = _over(ranges[0], chunk[0])
    inside = [range(1) if chunk[0] == 1 else _over(ranges[0], tile[0])]
    inside += [_over(r, n) for r, n in zip(ranges[1:], tile[1:], strict=True)]
    grid = [-(-c // n) for c, n in zip(chunk, tile, strict=True)]
    wanted = [0] if not sharded else _flat(inside, grid)
    raw = math.prod(tile) * item
    tiles = math.prod(grid) if sharded else 0
    after = ".0" * (len(chunk) - 1)
    found = lost = 0
    for index in along:
        key = f"{path}/c.{index}{after}"
        piece = place.stored(key)
        if lost >= LOST and not found:
            break
        if piece is None:
            lost += 1
            continue
        file, start, size = piece
        try:
            with opened(file) as (descriptor, whole):
                size = whole if size is None else size
                what = _fault(descriptor, start, size, wanted, tiles, raw)
        except FileNotFoundError:
            lost += 1
            continue
        found += size
        if what is not None:
            raise FormatError(
                f"{place.inside(key)} cannot be read: {what}. It is damaged, or not written by "
                f"huelapse. Other arrays and snapshots of the run may still be whole"
            )
    if elements * item > max(FREE, found * RATIO):
        raise FormatError(
            f"{place.inside(path)} cannot be read: {elements * item:,} bytes of it are asked for, and "
            f"its files have {found:,} in all. Is the run whole? Otherwise read a smaller part"
        )


@contextmanager
def opened(file: str | Path) -> Generator[tuple[int, int]]:
    """A descriptor of a file and its bytes: never of what a link leads to, without waiting for a pipe.

    Raises:
        FileNotFoundError: there is none.
        FormatError: it is no file.
        PlaceError: it may not be read.
    """
    try:
        descriptor = os.open(file, FLAGS)
    except PermissionError as error:
        raise forbidden(file, error) from error
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        raise not_in_it(file, "is a symbolic link, or no file") from error
    try:
        told = os.fstat(descriptor)
        if not stat.S_ISREG(told.st_mode):
            raise not_in_it(file, "is no file")
        yield descriptor, told.st_size
    finally:
        os.close(descriptor)


def _fault(
    descriptor: int, start: int, size: int, wanted: Sequence[int], tiles: int, raw: int
) -> str | None:
    """What is wrong with a chunk, so that the library must not see it; what else is, it says itself.

    Args:
        start, size: where the chunk stands in its file.
        wanted: which tiles of a shard are to be read.
        tiles: of the shard; 0 where the chunk is one tile and no shard.
        raw: bytes of a tile.
    """
    packed = raw + HEADER + CHECKSUM
    most = tiles * (packed + ENTRY) + CHECKSUM if tiles else packed
    if size > most:
        return f"it has {size:,} bytes, and can have no more than {most:,}"
    small = read_at(descriptor, start, size) if size <= SMALL else None

    def part(offset: int, length: int) -> bytes:
        if small is not None:
            return small[offset : offset + length]
        return read_at(descriptor, start + offset, length)

    places = [(0, size)]
    if tiles:
        begins = size - tiles * ENTRY - CHECKSUM
        if begins < 0:
            return None
        index = np.frombuffer(part(begins, tiles * ENTRY), "<u8").reshape(-1, 2)
        if len(index) < tiles:
            return None
        entries: list[tuple[int, int]] = index[wanted].tolist()
        places = [(o, n) for o, n in entries if (o, n) != (ABSENT, ABSENT) and o + n <= begins]
    for offset, length in places:
        if length > packed:
            return f"a tile of it has {length:,} bytes, and can have no more than {packed:,}"
        header = part(offset + 4, 4)
        if len(header) == 4 and (told := struct.unpack("<I", header)[0]) != raw:
            return f"a tile of it says that it holds {told:,} bytes, and must hold {raw:,}"
    return None


def read_at(descriptor: int, start: int, length: int) -> bytes:
    """Bytes of a file from a place in it on, fewer where it ends before."""
    if hasattr(os, "pread"):
        return os.pread(descriptor, length, start)
    os.lseek(descriptor, start, os.SEEK_SET)  # Windows
    return os.read(descriptor, length)


def _ranges(selection: Any, shape: Sequence[int]) -> list[range]:
    """What a selection covers of each dimension; all of it where it is neither number nor slice."""
    parts = list(selection) if isinstance(selection, tuple) else [selection]
    for i, part in enumerate(parts):
        if part is Ellipsis:
            parts[i : i + 1] = [slice(None)] * (len(shape) - len(parts) + 1)
            break
    parts += [slice(None)] * (len(shape) - len(parts))
    return [_range(part, n) for part, n in zip(parts, shape, strict=True)]


def _range(part: Any, length: int) -> range:
    if isinstance(part, int | np.integer):
        return range(int(part), int(part) + 1)
    if isinstance(part, slice) and part.step in (None, 1):
        return range(*part.indices(length))
    return range(length)


def _over(covered: range, size: int) -> range:
    """Which pieces of a size a range touches."""
    return range(covered.start // size, -(-covered.stop // size)) if len(covered) else range(0)


def _flat(inside: Sequence[range], grid: Sequence[int]) -> list[int]:
    """Numbers of tiles in a shard, in the order of its index."""
    if all(len(r) == n for r, n in zip(inside, grid, strict=True)):
        return list(range(math.prod(grid)))
    strides = [math.prod(grid[i + 1 :]) for i in range(len(grid))]
    return [sum(n * s for n, s in zip(at, strides, strict=True)) for at in product(*inside)]
