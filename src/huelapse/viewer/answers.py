"""Answers as they go over the wire, made once for all who ask for them."""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from threading import Event, Lock

MEMORY_BYTES = 128 * 2**20
"""Of all answers that are kept."""

PACKED_FROM = 1024
"""Bytes below which packing an answer costs more than it saves."""

ALREADY_PACKED = ("font/woff2", "image/png", "image/webp", "video/mp4")


@dataclass(frozen=True, slots=True)
class Answer:
    """One resource: its bytes, its media type, the same bytes packed (None where that does not
    pay), and a tag that changes with them."""

    content: bytes
    kind: str
    packed: bytes | None
    tag: str

    @property
    def nbytes(self) -> int:
        return len(self.content) + len(self.packed or b"")

    @classmethod
    def of(cls, content: bytes, kind: str) -> "Answer":
        tag = f'"{hashlib.sha256(content).hexdigest()[:24]}"'
        pays = len(content) > PACKED_FROM and kind not in ALREADY_PACKED
        return cls(content, kind, gzip.compress(content, 2, mtime=0) if pays else None, tag)


class Answers:
    """The answers that were given last. May be used by several threads.

    Many who watch one training ask for the same at the same time, whenever it has grown: one of
    them makes it, the others wait for that.
    """

    def __init__(self, most_bytes: int = MEMORY_BYTES) -> None:
        self._most = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[Hashable, Answer] = OrderedDict()
        self._underway: dict[Hashable, Event] = {}
        self._lock = Lock()

    def find(self, key: Hashable, make: Callable[[], tuple[bytes, str]]) -> Answer:
        """The answer of this name; `make` gives its content and media type, where it is not there.

        Args:
            key: names what can never be anything else: the state of the run is part of it.

        Raises:
            Exception: whatever `make` raises, to each who asked: nothing is kept of it.
        """
        while True:
            with self._lock:
                found = self._kept.get(key)
                if found is not None:
                    self._kept.move_to_end(key)
                    return found
                made = self._underway.get(key)
                if made is None:
                    made = self._underway[key] = Event()
                    break
            made.wait()
        try:
            answer = Answer.of(*make())
            self._keep(key, answer)
            return answer
        finally:
            with self._lock:
                del self._underway[key]
            made.set()

    def _keep(self, key: Hashable, answer: Answer) -> None:
        if answer.nbytes > self._most // 4:  # it would push out all others
            return
        with self._lock:
            self._kept[key] = answer
            self._bytes += answer.nbytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
