"""Reading a part that may be damaged, cut short, of another program, or made to fill the memory."""

import hashlib
import json
import math
import os
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from jaxtyping import Int64

from huelapse.errors import NewerPartialError, PartialError
from huelapse.moments import Moments
from huelapse.store.partial import (
    HEADER,
    IDS,
    MEMBERS,
    VERSION,
    About,
    Apart,
    Partial,
    arrays_expected,
    check_possible,
    digest_of,
    rows_at_once,
)

HEADER_BYTES = 16 * 2**20
DIRECTORY_BYTES = 4 * 2**20
"""The most that a file's own list of its arrays may take."""
NUMPY_HEADER_BYTES = 2**16
ROWS = 2**20
"""Of confusion counts and ids, read at once."""

BROKEN = (
    *(zipfile.BadZipFile, NotImplementedError, EOFError, ValueError, KeyError),
    *(RuntimeError, OverflowError, TypeError, AttributeError, OSError, Warning),
)
"""What Python's and numpy's readers raise on bytes that are not as they should be."""


class PartialFile:
    """A part on disk. Opening it reads the header alone; sizes are compared before memory is taken.

    Every reading compares the CRC-32 of each array; `verify` also SHA-256 and what must hold
    between the numbers.
    """

    def __init__(self, path: Path) -> None:
        """
        Raises:
            PartialError: it is not whole, not a part of a run, or of a newer format.
        """
        self.path = path
        try:
            if not path.is_file() or path.is_symlink():
                raise PartialError(f"{path} is no file")
            self._file = path.open("rb")
        except OSError as error:
            raise PartialError(f"{path} cannot be read: {error.strerror}") from error
        try:
            with self._explained():
                self._stat = os.fstat(self._file.fileno())
                self._check_directory()
                self._archive = zipfile.ZipFile(self._file)
                self._entries = {entry.filename: entry for entry in self._archive.infolist()}
                self._check_entries()
                header = self._read_header()
                self.about = About.from_json(header)
                self.peaks = bool(header["peaks"])
                self.has_confusion = bool(header["confusion"])
                self.has_ids = header["ids"] is not None
                self.digest = str(header["hash"])
                self._hashes: dict[str, str] = dict(header["sha256"])
                self._check_sizes(header)
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> "PartialFile":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._archive.close()
        self._file.close()

    def _explained(self) -> "_Explained":
        return _Explained(self.path)

    def _check_directory(self) -> None:
        """The zip's end says how much Python's reader would take into memory."""
        self._file.seek(max(0, self._stat.st_size - 22))
        end = self._file.read(22)
        if len(end) < 22 or end[:4] != b"PK\5\6" or end[20:] != b"\0\0":
            raise PartialError("it is cut short, or no part of a run at all")
        if int.from_bytes(end[12:16], "little") > DIRECTORY_BYTES:
            raise PartialError("it names more arrays than a part has")

    def _check_entries(self) -> None:
        if len(self._entries) != len(self._archive.infolist()):
            raise PartialError("it holds two arrays of one name")
        for entry in self._entries.values():
            stored = entry.compress_type == zipfile.ZIP_STORED and not entry.flag_bits & 1
            if not stored or entry.file_size != entry.compress_size:
                raise PartialError(f"{entry.filename!r:.99} is compressed or encrypted")
            if entry.file_size > self._stat.st_size:
                raise PartialError(
                    f"{entry.filename!r:.99} takes {entry.file_size:,} bytes, the file "
                    f"{self._stat.st_size:,}"
                )

    def _read_header(self) -> dict[str, Any]:
        entry = self._entries.get(f"{HEADER}.npy")
        if entry is None:
            raise PartialError("it has no header")
        if entry.file_size > HEADER_BYTES:
            raise PartialError(f"its header takes {entry.file_size:,} bytes")
        with self._archive.open(entry) as member:
            dtype, shape = _read_array_header(member)
            content = member.read()
        if (dtype, shape) != ("|u1", (len(content),)):
            raise PartialError("its header is no text")
        header: Any = json.loads(content)
        version: Any = header["huelapse_partial"]
        if header["hash"] != digest_of(header):
            raise PartialError("its header does not match its own hash")
        if version != VERSION:
            raise NewerPartialError(
                f"it is in format {version!r:.20}; this huelapse reads {VERSION}: upgrade it with "
                f"`pip install -U huelapse`"
            )
        return header

    def _check_sizes(self, header: Mapping[str, Any]) -> None:
        if header["ids"] not in (None, *IDS):
            raise PartialError(f"its ids are {header['ids']!r:.99}")
        several: list[str] = [str(name) for name in header.get("several", ())]
        self._expected = arrays_expected(self.about, list(self._hashes), header["ids"], several)
        groupings = range(len(self.about.groupings))
        wanted = {f"{i}.{r}.{n}" for i in groupings for r in range(1 + self.peaks) for n in MEMBERS}
        wanted |= {name for name in ("confusion", "ids") if header[name]}
        wanted |= {f"extra.{i}" for i in range(len(self.about.extras))}
        if self.about.held:
            responses = {f"apart.{r}" for r in range(1 + self.peaks)}
            wanted |= {"apart.ids", *responses, *(f"apart.row.{i}" for i in groupings)}
        if self._hashes.keys() != wanted:
            raise PartialError("it holds other arrays than its header says")
        if self._entries.keys() != {f"{name}.npy" for name in (*wanted, HEADER)}:
            raise PartialError("it holds other arrays than its header names")
        for name, (dtype, shape) in self._expected.items():
            needed = math.prod(shape) * np.dtype(dtype).itemsize
            beside = self._entries[f"{name}.npy"].file_size - needed
            if not 0 <= beside < NUMPY_HEADER_BYTES:
                raise PartialError(
                    f"{name} of shape {shape} needs {needed:,} bytes, and has {beside + needed:,}"
                )

    @property
    def nbytes(self) -> int:
        """Of the file."""
        return self._stat.st_size

    def same_as_on_disk(self) -> bool:
        """Whether the file of this name is still the one that was opened."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_ino, now.st_mtime_ns, now.st_size) == (
            *(self._stat.st_ino, self._stat.st_mtime_ns, self._stat.st_size),
        )

    def verify(self) -> None:
        """Read all of it.

        Raises:
            PartialError: something in it is damaged, or cannot be.
        """
        for i, r in self._homes():
            for _, block in self.blocks(i, r, hashed=True):
                with self._explained():
                    check_possible(block)
        for name in self._expected:
            if name in ("confusion", "ids") or name.startswith("extra."):
                for rows in self._rows(name, ROWS, hashed=True):
                    if name == "confusion" and (rows < 0).any():
                        raise PartialError(f"{self.path}: it holds a negative confusion count")

        self.apart(hashed=True)

    def apart(self, *, hashed: bool = False) -> Apart | None:
        """Samples that are in no statistics yet.

        Args:
            hashed: compare SHA-256 too.

        Raises:
            PartialError: they cannot be read back, or cannot be.
        """
        if not self.about.held:
            return None
        rows: dict[str, np.ndarray] = {}
        for i, grouping in enumerate(self.about.groupings):
            row = rows[grouping.name] = self._whole(f"apart.row.{i}", hashed=hashed)
            low, high = (0, 2) if row.ndim > 1 else (-1, len(grouping.classes))
            if (row < low).any() or (row >= high).any():
                raise PartialError(f"{self.path}: a sample in it is of a class that is none")
        return Apart(
            ids=self._whole("apart.ids", hashed=hashed),
            responses=tuple(
                self._whole(f"apart.{r}", hashed=hashed) for r in range(1 + self.peaks)
            ),
            rows=rows,
        )

    def _homes(self) -> Iterator[tuple[int, int]]:
        for i in range(len(self.about.groupings)):
            yield from ((i, r) for r in range(1 + self.peaks))

    def blocks(
        self, grouping: int, response: int, *, hashed: bool = False
    ) -> Iterator[tuple[slice, Moments]]:
        """Moments of some classes after the other: which, and those.

        Args:
            grouping: its index among those of the part.
            response: 0 for the first, 1 for peaks.
            hashed: compare SHA-256 too.

        Raises:
            PartialError: they cannot be read back.
        """
        size = rows_at_once(self.about.units)
        base = f"{grouping}.{response}"
        parts = [self._rows(f"{base}.{name}", size, hashed=hashed) for name in MEMBERS]
        first = 0
        for count, mean, m2, active, nonfinite in zip(*parts, strict=True):
            rows = slice(first, first + len(count))
            first = rows.stop
            yield (
                rows,
                Moments(count, mean, m2, active.astype(np.int64), nonfinite.astype(np.int64)),
            )

    def moments(self, grouping: int, response: int) -> Moments:
        """The same as a whole, in memory."""
        classes = len(self.about.groupings[grouping].classes)
        whole = Moments.empty(classes, self.about.units)
        for rows, block in self.blocks(grouping, response):
            for name in MEMBERS:
                getattr(whole, name)[rows] = getattr(block, name)
        return whole

    def confusion(self) -> Int64[np.ndarray, "class predicted_class"] | None:
        return self._whole("confusion") if "confusion" in self._expected else None

    def ids(self) -> np.ndarray | None:
        return self._whole("ids") if "ids" in self._expected else None

    def values(self) -> dict[str, np.ndarray]:
        """Path below the split → value of each of its optional arrays."""
        return {one.path: self._whole(f"extra.{i}") for i, one in enumerate(self.about.extras)}

    def _whole(self, name: str, *, hashed: bool = False) -> np.ndarray:
        dtype, shape = self._expected[name]
        rows = list(self._rows(name, ROWS, hashed=hashed))
        return np.concatenate([np.zeros((0, *shape[1:]), dtype), *rows])

    def _rows(self, name: str, size: int, *, hashed: bool = False) -> Iterator[np.ndarray]:
        """An array, some rows after the other."""
        dtype, shape = self._expected[name]
        width = math.prod(shape[1:]) * np.dtype(dtype).itemsize
        sha = hashlib.sha256()
        with self._explained(), self._archive.open(self._entries[f"{name}.npy"]) as member:
            if _read_array_header(member) != (dtype, shape):
                raise PartialError(f"{name} is not of shape {shape} as {dtype}")
            for first in range(0, shape[0], size):
                rows = min(size, shape[0] - first)
                content = member.read(rows * width)
                if len(content) < rows * width:
                    raise PartialError(f"{name} is cut short")
                if hashed:
                    sha.update(content)
                yield np.frombuffer(content, dtype).reshape(rows, *shape[1:])
            if member.read(1):  # at the end of it Python compares the CRC-32
                raise PartialError(f"{name} is longer than its shape")
        if hashed and sha.hexdigest() != self._hashes[name]:
            raise PartialError(f"{self.path}: {name} does not match its SHA-256: it is damaged")

    def load(self) -> Partial:
        """All of it in memory, verified.

        Raises:
            PartialError: something in it is damaged.
        """
        self.verify()
        names = [grouping.name for grouping in self.about.groupings]
        responses = [
            {name: self.moments(i, r) for i, name in enumerate(names)}
            for r in range(1 + self.peaks)
        ]
        own: dict[str, Any] = {
            name: getattr(self.about, name) for name in About.__dataclass_fields__
        }
        return Partial(
            **own,
            moments=responses[0],
            peaks=responses[1] if self.peaks else {},
            confusion=self.confusion(),
            ids=self.ids(),
            values=self.values(),
            apart=self.apart(),
        )


class _Explained:
    """What goes wrong inside is told as a `PartialError` that names the file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> None:
        if isinstance(error, PartialError):
            if str(error).startswith(str(self._path)):
                return
            raise type(error)(f"{self._path}: {error}") from error
        if isinstance(error, BROKEN):
            raise PartialError(f"{self._path} is damaged ({str(error)[:100]})") from error


def _read_array_header(member: IO[bytes]) -> tuple[str, tuple[int, ...]]:
    if np.lib.format.read_magic(member) != (1, 0):
        raise PartialError("an array in it is in another format than huelapse writes")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(member)
    if fortran:
        raise PartialError("an array in it is in another order than huelapse writes")
    return dtype.str, shape
