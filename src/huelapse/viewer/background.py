"""Threads for what is done beside answering, which end before the interpreter does.

A thread that reads a run while the interpreter is taken down is ended within foreign code, and takes
the whole process with it ("terminate called without an active exception").
"""

import atexit
import threading
from collections.abc import Callable
from weakref import WeakSet

PATIENCE = 10.0
"""Seconds for which the end of the program waits for a thread that does not look up."""

_ending = threading.Event()
_begun: WeakSet[threading.Thread] = WeakSet()


def begin(name: str, work: Callable[[], None]) -> threading.Thread:
    """A thread that does `work`, which is to look at `ending` between its parts."""
    thread = threading.Thread(target=work, name=name, daemon=True)
    _begun.add(thread)
    thread.start()
    return thread


def ending() -> bool:
    """Whether the program ends, and work with it."""
    return _ending.is_set()


@atexit.register
def _end() -> None:
    _ending.set()
    for thread in list(_begun):
        thread.join(PATIENCE)
