"""How a program ends: what is recorded is written out first, within seconds."""

import atexit
import os
import signal
import sys
import threading
from typing import Any, Protocol
from weakref import WeakSet

SECONDS = 5.0
"""Longest that ending may take."""


class Open(Protocol):
    """Something to be ended with the program."""

    def end(self, state: Any, *, leaving: bool = False) -> None:
        """Write what waits, in at most a few seconds, and stop; the program ends where `leaving`."""
        ...


_open: "WeakSet[Any]" = WeakSet()
_pid = os.getpid()


def end_with_program(one: Open) -> None:
    """See that `one.end` is called when the program ends: by itself, by an error, or by SIGTERM.

    SIGTERM (a cluster's preemption) is taken only where nobody else has: Python's default would end
    the program at once. Afterwards it ends the program as it would have.
    """
    global _pid
    if not _open:
        _pid = os.getpid()
        atexit.register(_at_exit)
    _open.add(one)
    _take_signal()


def ended(one: Open) -> None:
    """Nothing is left to be done for it."""
    _open.discard(one)
    if not _open:
        atexit.unregister(_at_exit)
        _give_signal_back()


def _at_exit() -> None:
    """Runs are complete unless an exception ended the program."""
    if os.getpid() != _pid:  # a forked child ends on its own account
        return
    crashed = getattr(sys, "last_value", None) is not None
    for one in list(_open):
        one.end("interrupted" if crashed else "complete", leaving=True)


def _take_signal() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _give_signal_back() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:  # else it is somebody else's by now
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _end_all() -> None:
    for one in list(_open):
        one.end("interrupted", leaving=True)


def _on_sigterm(number: int, _frame: Any) -> None:
    if os.getpid() == _pid:  # a DataLoader's worker inherits the handler, and just ends
        # in a thread, since the code this interrupts may hold a lock that ending needs
        thread = threading.Thread(target=_end_all, daemon=True)
        thread.start()
        thread.join(SECONDS)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os.kill(os.getpid(), number)
