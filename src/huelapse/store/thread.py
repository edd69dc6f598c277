"""Writing off the training thread: nothing there waits on a disk."""

import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from huelapse.snapshot import Snapshot
from huelapse.store.writer import StoreWriter

logger = logging.getLogger(__name__)

WAITING = 128
WAITING_BYTES = 256 * 2**20
"""Snapshots that may wait, and their size: what can be written within the 5 s that closing may
take. Beyond that further ones are dropped, counted and shown."""


class WriterThread:
    """Commits snapshots in the order they come, in a thread of its own."""

    def __init__(
        self,
        writer: StoreWriter,
        on_commit: Callable[[str, int], None] | None = None,
    ) -> None:
        self.error: Exception | None = None
        self.committed = 0
        self.dropped = 0
        self._writer = writer
        self._on_commit = on_commit
        self._waiting_bytes = 0
        self._lock = threading.Lock()
        self._queue: queue.Queue[tuple[Snapshot, dict[str, Any]] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name="huelapse-writer", daemon=True)
        self._thread.start()

    def put(self, snapshot: Snapshot, notes: dict[str, Any]) -> bool:
        """Hand over a snapshot and the root's attributes as of now; False if it was dropped."""
        with self._lock:
            # one at least may always wait, however large
            full = self._waiting_bytes + snapshot.nbytes > WAITING_BYTES and self._waiting_bytes
            if full or self._queue.qsize() >= WAITING:
                self.dropped += 1
                return False
            self._waiting_bytes += snapshot.nbytes
        self._queue.put((snapshot, {**notes, "dropped": self.dropped}))
        return True

    def finish(self, seconds: float) -> bool:
        """Let it write what waits, for at most so long; False if something is still unwritten."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is None:
                return
            snapshot, notes = item
            if self.error is not None:  # what comes after a failure would not be whole
                self.dropped += 1
                continue
            with self._lock:
                self._waiting_bytes -= snapshot.nbytes
            try:
                self._writer.note(**notes)
                self._writer.commit(snapshot)
            except Exception as error:
                logger.debug("writing the snapshot at step %d failed", snapshot.step, exc_info=True)
                self.error = error
                continue
            self.committed += 1
            if self._on_commit is not None:
                try:
                    self._on_commit(snapshot.split, snapshot.step)
                except Exception:
                    logger.warning("on_commit raised", exc_info=True)
