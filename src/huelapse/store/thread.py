"""Writing off the training thread: nothing there waits on a disk."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from huelapse.errors import without_frames
from huelapse.schema import RunState, Split
from huelapse.snapshot import PendingSnapshot, Share, Snapshot
from huelapse.store.disk import FINAL, disk_fault
from huelapse.store.sharing import SharedStore
from huelapse.store.writer import StoreWriter

logger = logging.getLogger(__name__)

WAITING = 128
WAITING_BYTES = 256 * 2**20
"""Snapshots that may wait, and their size: what can be written within the 5 s that closing may
take. Beyond that further ones are dropped, counted and shown."""

TRIES = 20
TRYING = 600.0
"""So many snapshots in a row, and so many seconds, that cannot be written end the recording."""

ENDINGS = (0.0, 0.1, 0.4)
"""Seconds before each try to write the last word on a run."""

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
    """Writes what it is handed in the order it comes. From its start on it alone uses the store.

    A snapshot that a fault of the disk keeps from being written is left out, which the run's `gaps`
    tell, and the next is tried again. Where nothing can be written any more, and after any other
    error, it stops: `error` says why.
    """

    def __init__(
        self,
        store: StoreWriter | SharedStore,
        on_commit: Callable[[str, int], None] | None = None,
    ) -> None:
        self.error: Exception | None = None
        self.trouble: tuple[int, Exception] | None = None
        """Step of the first snapshot that could not be written, and why."""
        self.dropped = 0
        self._store = store
        self._shared = store if isinstance(store, SharedStore) else None
        self._on_commit = on_commit
        self.waiting_bytes = 0
        self.bytes_written = 0
        self._ended = False
        self._leaving = False
        self._gaps: list[dict[str, Any]] = []
        self._hole: dict[str, Any] | None = None  # the gap that grows while the disk fails
        self._failing_since = 0.0
        self._step = 0  # of the last snapshot
        self._undeclared: list[_Declared] = []
        self._lock = threading.Lock()
        self._queue: queue.Queue[_Taken | _Declared | _Note | _End]
        self._queue = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="huelapse-writer", daemon=True)
        self._thread.start()

    @property
    def id(self) -> str:
        """Of the run; "" as long as nobody has told it to this rank."""
        return self._store.id

    def notice(self) -> str | None:
        """What the user is to be told of other ranks, once."""
        if self._shared is None or self._shared.notice is None:
            return None
        text, self._shared.notice = self._shared.notice, None
        return text

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
        if self._shared is not None:
            self._shared.end_by(time.monotonic() + seconds * WRITING)
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
            item = self._next()
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
                self._handle(item)
            except Exception as error:
                self._stop(error)
            del item  # what it holds may be large, and the next may be long in coming

    def _next(self) -> "_Taken | _Declared | _Note | _End":
        """What was handed over next; meanwhile looks for what other ranks give."""
        if self._shared is None:
            return self._queue.get()
        while True:
            try:
                return self._queue.get(timeout=self._shared.waits())
            except queue.Empty:
                self._look(self._shared)

    def _look(self, shared: SharedStore) -> None:
        if self.error is not None:
            return
        try:
            self._try(shared.look)
        except Exception as error:
            self._stop(error)

    def _handle(self, item: _Taken | _Declared | _Note) -> None:
        if isinstance(item, _Declared):
            self._undeclared.append(item)
            self._try(self._declare)
        elif isinstance(item, _Note):
            self._note(item.attributes)
            self._try(self._store.write_attributes)
        else:
            taken, attributes = item
            self._step = taken.step
            snapshot = taken.finish() if isinstance(taken, PendingSnapshot) else taken
            self._note({**attributes, "dropped": self.dropped})
            if self._try(lambda: self._commit(snapshot), snapshot=True):
                self._committed(snapshot)

    def _declare(self) -> None:
        while self._undeclared:
            declared = self._undeclared[0]
            self._store.add_split(declared.split, declared.static)
            del self._undeclared[0]

    def _commit(self, snapshot: Snapshot) -> None:
        self._declare()  # what could not be declared at its time
        self._store.commit(snapshot)

    def _committed(self, snapshot: Snapshot) -> None:
        self._hole = None
        self.bytes_written += snapshot.nbytes
        if isinstance(snapshot, Share):  # committed once all ranks' are there
            return
        if self._on_commit is not None and self._store.durable:
            try:
                self._on_commit(snapshot.split, snapshot.step)
            except BaseException:  # sys.exit() in it would end this thread, unseen
                logger.warning("on_commit raised", exc_info=True)

    def _try(self, write: Callable[[], None], *, snapshot: bool = False) -> bool:
        """Whether something could be written. A fault of the disk leaves it out.

        Args:
            write: raises what is wrong.
            snapshot: it is one. Anything else is written with the next.
        """
        try:
            write()
        except Exception as error:
            number = disk_fault(error)
            if number is None:
                raise
            logger.debug("writing failed", exc_info=True)
            lasting = snapshot and self._left_out(error)
            if lasting or number in FINAL:
                self._stop(error)
            return False
        return True

    def _left_out(self, error: Exception) -> bool:
        """Mark that a snapshot is missing; whether that has gone on for too long."""
        step = self._step
        if self.trouble is None:
            self.trouble = step, without_frames(error)
        if self._hole is None:
            self._hole = {"step": step, "until": step, "snapshots": 0, "reason": _told(error)}
            self._gaps.append(self._hole)
            self._failing_since = time.monotonic()
        self._hole["until"] = step
        self._hole["snapshots"] += 1
        long = time.monotonic() - self._failing_since >= TRYING
        return long and self._hole["snapshots"] >= TRIES

    def _stop(self, error: Exception) -> None:
        """Write nothing more."""
        logger.debug("recording ended", exc_info=error)
        step = self._step
        if self._hole is not None and disk_fault(error) is not None:
            step = self._hole["step"]
            self._gaps.remove(self._hole)
        self._gaps.append({"step": step, "reason": _told(error)})
        self.error = error

    def _note(self, attributes: Mapping[str, Any]) -> None:
        """Attributes of the root, with what is missing."""
        ours = [dict(gap) for gap in self._gaps]
        self._store.note(**{**attributes, "gaps": [*attributes.get("gaps", ()), *ours]})

    def _end(self, end: _End) -> None:
        self._note({**end.attributes, "dropped": self.dropped})
        state: RunState = "interrupted" if self.error is not None else end.state
        failed: Exception | None = None
        for seconds in ENDINGS:
            time.sleep(seconds)
            try:
                self._store.close(state)
            except Exception as error:
                logger.debug("the run could not be ended", exc_info=True)
                failed = error
            else:
                failed = None
            if failed is None or disk_fault(failed) is None:
                break
        if failed is not None:
            self.error = self.error or failed
            self._store.abandon()
        self._ended = True


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
