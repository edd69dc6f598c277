"""Files in a bucket, each in pieces. A file counts once the object that closes it is there.

`NAME/SHA256` are its pieces, named by their content; `NAME/whole.json` lists them, and is written last.
So an upload that was killed leaves nothing that counts, two that send the same file do not disturb
each other, and neither sending nor fetching has more than a piece in memory.
"""

import hashlib
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from huelapse.errors import NewerPartialError, PartialError
from huelapse.store.objects import Objects
from huelapse.store.unfinished import beside

PIECE_BYTES = 32 * 2**20
"""The most that is put into an object."""
GREATEST = 64 * 2**20
"""The most that is read of one."""
CLOSING = "whole.json"
CLOSING_BYTES = 2**16
"""What closes a file is filled up to this with spaces: so no more needs ever be read of it."""
MOST_PIECES = 600
VERSION = 1
TRIES = 3
"""How often a piece is fetched that is not what it should be."""
NAME = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,255}")
"""Of a file: it becomes a path on the disk of who fetches it."""
SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """What stands in the bucket."""

    whole: tuple[str, ...]
    """Names of files that are closed."""
    unfinished: tuple[str, ...]
    """Of those of which there are but pieces: being sent, or given up."""
    others: tuple[str, ...]
    """Keys of objects that are no file's."""


@dataclass(frozen=True, slots=True)
class _Piece:
    sha256: str
    size: int


class FilesInBucket:
    """Sends, fetches and removes files."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    def send(self, name: str, path: Path) -> None:
        """Put a file there; one that is there is replaced in one moment.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
            OSError: the file cannot be read.
        """
        with path.open("rb") as file:
            self._send(name, file)

    def write(self, name: str, content: bytes) -> None:
        """The same of a small file that this process alone writes: what stood there before goes.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        try:
            before = self._closing(name) or []
        except PartialError:
            before = []
        now = self._send(name, io.BytesIO(content))
        self._objects.remove(f"{name}/{one.sha256}" for one in before if one.sha256 not in now)

    def _send(self, name: str, file: IO[bytes]) -> list[str]:
        """SHA-256 of its pieces."""
        pieces: list[dict[str, Any]] = []
        while content := file.read(PIECE_BYTES):
            if len(pieces) == MOST_PIECES:
                raise PartialError(
                    f"{name} has more than {MOST_PIECES} pieces of {PIECE_BYTES:,} bytes"
                )
            sha = hashlib.sha256(content).hexdigest()
            self._objects.put(f"{name}/{sha}", content)
            pieces.append({"sha256": sha, "bytes": len(content)})
        told = {"huelapse_pieces": VERSION, "name": name, "pieces": pieces}
        self._objects.put(f"{name}/{CLOSING}", json.dumps(told).encode().ljust(CLOSING_BYTES))
        return [piece["sha256"] for piece in pieces]

    def has(self, name: str) -> bool:
        """Whether a file is there as a whole: closed, with every piece that it should have.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        try:
            pieces = self._closing(name)
        except PartialError:
            return False
        if pieces is None:
            return False
        there = set(self._objects.names(f"{name}/"))
        return all(f"{name}/{piece.sha256}" in there for piece in pieces)

    def fetch(self, name: str, to: Path, most: int) -> None:
        """Put a file onto the disk, whole or not at all.

        Args:
            name: of the file.
            to: where; what is there is replaced.
            most: bytes it may have.

        Raises:
            PartialError: it is not there, or not what it was when it was sent.
            PlaceError: the bucket cannot be reached, or refuses.
            OSError: it cannot be written.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        begun = beside(to)
        try:
            with begun.open("xb") as file:
                self._read(name, most, file.write)
            os.replace(begun, to)  # noqa: PTH105 # lost in a power cut, it is fetched again
        finally:
            begun.unlink(missing_ok=True)

    def read(self, name: str, most: int) -> bytes | None:
        """A small file; None where it is not there. Raises as `fetch`."""
        content: list[bytes] = []
        for last in (False, True):
            if self._closing(name) is None:
                return None
            content.clear()
            try:
                self._read(name, most, content.append)
            except PartialError:  # written anew meanwhile?
                if last:
                    raise
            else:
                break
        return b"".join(content)

    def remove(self, name: str) -> None:
        """Of a file that is there, or was begun, nothing is left. What closes it goes first.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        self.reopen(name)
        self._objects.remove(self._objects.names(f"{name}/"))

    def reopen(self, name: str) -> None:
        """It does not count any more, and may be sent again. Raises as `remove`."""
        self._objects.remove([f"{name}/{CLOSING}"])

    def listed(self) -> Listed:
        """
        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        whole: list[str] = []
        begun: dict[str, None] = {}
        others: list[str] = []
        for key in self._objects.names():
            name, _, inside = key.partition("/")
            if NAME.fullmatch(name) and inside == CLOSING:
                whole.append(name)
            elif NAME.fullmatch(name) and SHA256.fullmatch(inside):
                begun[name] = None
            else:
                others.append(key)
        closed = set(whole)
        unfinished = (name for name in begun if name not in closed)
        return Listed(whole=tuple(whole), unfinished=tuple(unfinished), others=tuple(others))

    def _read(self, name: str, most: int, take: Callable[[bytes], object]) -> None:
        pieces = self._closing(name)
        if pieces is None:
            raise PartialError(f"{self._of(name)} is not there")
        size = sum(piece.size for piece in pieces)
        if size > most:
            raise PartialError(
                f"{self._of(name)} has {size:,} bytes, more than the {most:,} it may have"
            )
        for content in self._contents(name, pieces):
            take(content)

    def _contents(self, name: str, pieces: list[_Piece]) -> Iterator[bytes]:
        for piece in pieces:
            yield self._piece(name, piece)

    def _piece(self, name: str, piece: _Piece) -> bytes:
        why = ""
        for _ in range(TRIES):  # on its way, too, something may have changed
            try:
                content = self._objects.get(f"{name}/{piece.sha256}", piece.size)
            except PartialError as error:
                why = str(error)
                continue
            if content is None:
                raise PartialError(f"{self._of(name)} lacks a piece that it should have")
            if hashlib.sha256(content).hexdigest() == piece.sha256:
                return content
            why = f"{self._of(name)} is damaged: a piece does not match its SHA-256"
        raise PartialError(why)

    def _closing(self, name: str) -> list[_Piece] | None:
        """What a file should have; None where it is not closed.

        Raises:
            PartialError: that cannot be.
        """
        content = self._objects.get(f"{name}/{CLOSING}", CLOSING_BYTES)
        if content is None:
            return None
        try:
            told: Any = json.loads(content)
            self._check_version(name, told["huelapse_pieces"])
            own = told["name"]
            pieces = [_Piece(str(one["sha256"]), one["bytes"]) for one in told["pieces"]]
        except NewerPartialError:  # which is a ValueError
            raise
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise PartialError(f"{self._of(name)}: what closes it is damaged") from error
        fits = own == name and len(pieces) <= MOST_PIECES
        for piece in pieces:
            sized = type(piece.size) is int and 0 < piece.size <= GREATEST
            fits = fits and sized and SHA256.fullmatch(piece.sha256) is not None
        if not fits:
            raise PartialError(
                f"{self._of(name)}: what closes it belongs to another file, or to none"
            )
        return pieces

    def _check_version(self, name: str, version: Any) -> None:
        if version != VERSION:
            raise NewerPartialError(
                f"{self._of(name)} is in format {version!r:.20}; this huelapse reads {VERSION}: "
                f"upgrade it with `pip install -U huelapse`"
            )

    def _of(self, name: str) -> str:
        return f"{self._objects.name}/{name}"
