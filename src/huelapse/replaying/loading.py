"""Checkpoints, fetched and read, the next one while one is in use."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huelapse.errors import CheckpointError, FactoryError
from huelapse.replaying import reading
from huelapse.replaying.checkpoints import is_address
from huelapse.replaying.files import files_of
from huelapse.replaying.named import Named, call
from huelapse.replaying.naming import identity_at


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint in memory."""

    path: Path
    identity: str
    """Of its content."""
    content: Any
    fetched: bool
    wall_time: float
    """When it was saved."""


class Loading:
    """The checkpoint that is in use, and the one that is read meanwhile."""

    def __init__(self, fetch: Named | None, *, delete_fetched: bool) -> None:
        """
        Args:
            fetch: from an address to a local path.
            delete_fetched: fetched files are removed once nothing is to be read of them any more.
        """
        self._fetch, self._delete = fetch, delete_fetched
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="huelapse-load")
        self._coming: tuple[str, Future[Loaded]] | None = None
        self._there: tuple[str, Loaded] | None = None

    def close(self) -> None:
        """Let go of files that were fetched."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        if self._coming is not None and self._coming[1].done() and not self._coming[1].cancelled():
            with suppress(Exception):
                self._forget(self._coming[1].result())
        if self._there is not None:
            self._forget(self._there[1])
        self._coming = self._there = None

    def begin(self, place: str) -> None:
        """Read what probably comes next."""
        if self._coming is None and (self._there is None or self._there[0] != place):
            self._coming = place, self._thread.submit(self._read, place)

    def load(self, place: str) -> Loaded:
        """The checkpoint of a place; the one before is let go.

        Raises:
            CheckpointError: it cannot be read.
            OSError: nor fetched, for now.
        """
        if self._there is not None and self._there[0] == place:
            return self._there[1]
        if self._there is not None:
            self._forget(self._there[1])
            self._there = None
        coming, self._coming = self._coming, None
        if coming is not None and coming[0] == place:
            loaded = coming[1].result()
        else:
            if coming is not None:
                with suppress(Exception):
                    self._forget(coming[1].result())
            loaded = self._read(place)
        self._there = place, loaded
        return loaded

    def _read(self, place: str) -> Loaded:
        fetched = is_address(place)
        if fetched:
            if self._fetch is None:
                raise CheckpointError(
                    "it is an address, and nobody says how to fetch it: --fetch module:function, "
                    "which is given the address and gives a local path"
                )
            try:
                path = Path(call(self._fetch, "fetch", place))
            except FactoryError as error:  # a network that is gone for now: tried again
                raise OSError(str(error)) from error
        else:
            path = Path(place)
        identity = identity_at(place)
        files = files_of(path)
        wall_time = max(file.stat().st_mtime for file in files)
        return Loaded(path, identity, reading.read(path), fetched, wall_time)

    def _forget(self, loaded: Loaded) -> None:
        if loaded.fetched and self._delete:
            with suppress(OSError, CheckpointError):
                for file in files_of(loaded.path):
                    file.unlink(missing_ok=True)
                if loaded.path.is_dir():
                    loaded.path.rmdir()
