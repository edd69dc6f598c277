"""Writing off the training thread: nothing there waits on a disk."""

import logging
import queue
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huelapse.schema import RunState, Split
from huelapse.snapshot import PendingSnapshot, Snapshot
from huelapse.store.writer import StoreWriter

logger = logging.getLogger(__name__)

WAITING = 128
WAITING_BYTES = 256 * 2**20
"""Snapshots that may wait, and their size: what can be written within the 5 s that closing may
take. Beyond that further ones are dropped, counted and shown."""


WRITING = 0.7
"""Share of the time left to a program that is ending in which waiting snapshots are still written."""


@dataclass(frozen=True, slots=True)
class _Note:
    """Attributes of the root to be written now."""

    attributes: dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Declared:
    """A split that is to have snapshots from now on."""

    split: Split
    static: Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class _End:
    """The last word on the run."""

    state: RunState
    attributes: dict[str, Any]


_Taken = tuple[Snapshot | PendingSnapshot, dict[str, Any]]
"""A snapshot, and the root's attributes as of then."""


class WriterThread:
    """Writes what it is handed in the order it comes. From its start on it alone uses the store."""

    def __init__(
        self,
        store: StoreWriter,
        on_commit: Callable[[str, int], None] | None = None,
    ) -> None:
        self.error: Exception | None = None
        self.dropped = 0
        self.id = store.id
        self._store = store
        self._on_commit = on_commit
        self.waiting_bytes = 0
        self.bytes_written = 0
        self._ended = False
        self._leaving = False
        self._failed_at: int | None = None
        self._lock = threading.Lock()
        self._queue: queue.Queue[_Taken | _Declared | _Note | _End]
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="huelapse-writer", daemon=True)
        self._thread.start()

    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        """Declare a split before its first snapshot, with the values of its static arrays.

        Raises:
            ResumeError: as `StoreWriter.check_split`.
        """
        self._store.check_split(split)  # looks at nothing that the thread changes
        self._queue.put(_Declared(split, static or {}))

    def put(self, snapshot: Snapshot | PendingSnapshot, attributes: dict[str, Any]) -> bool:
        """Hand over a snapshot and the root's attributes as of now; False if it was dropped."""
        with self._lock:
            # one at least may always wait, however large
            full = self.waiting_bytes + snapshot.nbytes > WAITING_BYTES and self.waiting_bytes
            if self.error is not None or full or self._queue.qsize() >= WAITING:
                self.dropped += 1
                return False
            self.waiting_bytes += snapshot.nbytes
        self._queue.put((snapshot, attributes))
        return True

    def note(self, attributes: dict[str, Any]) -> None:
        """Write attributes of the root without a snapshot: a gap, for one."""
        self._queue.put(_Note(attributes))

    def finish(
        self, seconds: float, state: RunState, attributes: dict[str, Any], *, leaving: bool = False
    ) -> bool:
        """Write what waits and end the run; False if that takes longer than `seconds`.

        It goes on in the background then, for as long as the process lives. Where that is about to
        end (`leaving`), what still waits near the end of the time is dropped instead, counted: a
        thread at work while the interpreter goes down would take the process down hard.
        """
        self._queue.put(_End(state, attributes))
        if threading.current_thread() is self._thread:  # closed from on_commit
            return True
        self._thread.join(seconds * WRITING if leaving else seconds)
        if leaving and not self._ended:
            self._leaving = True
            self._thread.join(seconds * (1 - WRITING))
        return self._ended

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if isinstance(item, _End):
                self._end(item)
                return
            if isinstance(item, tuple):
                with self._lock:
                    self.waiting_bytes -= item[0].nbytes
            # what comes after a failure would not be whole
            if self.error is not None or (self._leaving and not isinstance(item, _Declared)):
                self.dropped += isinstance(item, tuple)
                continue
            try:
                self._write(item)
            except Exception as error:
                logger.debug("writing failed", exc_info=True)
                self._failed_at = item[0].step if isinstance(item, tuple) else None
                self.error = error
            del item  # what it holds may be large, and the next may be long in coming

    def _write(self, item: _Taken | _Declared | _Note) -> None:
        if isinstance(item, _Declared):
            self._store.add_split(item.split, item.static)
        elif isinstance(item, _Note):
            self._store.note(**item.attributes)
            self._store.write_attributes()
        else:
            taken, attributes = item
            snapshot = taken.finish() if isinstance(taken, PendingSnapshot) else taken
            self._store.note(**attributes, dropped=self.dropped)
            self._store.commit(snapshot)
            self.bytes_written += snapshot.nbytes
            if self._on_commit is not None:
                try:
                    self._on_commit(snapshot.split, snapshot.step)
                except BaseException:  # sys.exit() in it would end this thread, unseen
                    logger.warning("on_commit raised", exc_info=True)

    def _end(self, end: _End) -> None:
        try:
            self._store.note(**end.attributes, dropped=self.dropped)
            if self.error is not None and not end.attributes.get("gaps"):
                reason = f"{type(self.error).__name__}: {self.error}"
                self._store.note(gaps=[{"step": self._failed_at, "reason": reason}])
            self._store.close("interrupted" if self.error is not None else end.state)
        except Exception as error:
            logger.debug("the run could not be ended", exc_info=True)
            if self.error is None:
                self.error = error
            self._store.abandon()
        self._ended = True
