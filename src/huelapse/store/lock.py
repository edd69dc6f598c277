"""The one writer of a run: an advisory lock, and a lease for where there are none.

`flock` decides between processes of one machine. Some file systems have no such locks, or have them
for each machine alone; there the holder's record in the file decides, for as long as it is renewed.
"""

import errno
import logging
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from uuid import uuid4
from weakref import WeakSet, ref

from huelapse.errors import RunLockedError
from huelapse.store import lease
from huelapse.store.lease import (
    Holder,
    here,
    is_living,
    read_holder,
    record,
    write_record,
)

logger = logging.getLogger(__name__)

RENEW = 15.0
"""Seconds between renewals."""
OFTEN = 1.0
"""A commit renews too, but no more often than this."""
SETTLE = 0.5
"""Seconds in which two that take a lease at once find out, where no lock decides between them."""
PATIENCE = 0.5
"""Seconds for which a lock that is held is tried again: a reader that asks holds it briefly."""
MARGIN = 5.0
"""Seconds for which a lease is waited for beyond its length."""
LOOK = 0.5
"""Seconds between looks at a lease that is waited for."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


class WriterLock:
    """A run's `lock` file, held by its one writer.

    The operating system lets go of the lock when the writer ends, however it ends; a lease that
    nobody renews is over after 60 s. The holder's record is written in place, since a lock is of a
    file and not of its name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: IO[bytes] | None = None
        self._token = ""
        self._renewed = 0.0
        self._released = threading.Event()

    def acquire(self, *, wait: bool = False) -> None:
        """
        Args:
            wait: where another machine's lease refuses us, wait for it to lapse (60 s and a margin
                at most), as its holder may have died there. Never while a model is training.

        Raises:
            RunLockedError: another process holds it, or renewed its lease while it was waited for.
            OSError: the file cannot be opened, or, where there are no locks, written.
        """
        try:
            self._acquire()
        except RunLockedError:
            if not wait or not self._lapses():
                raise
            self._acquire()

    def _lapses(self) -> bool:
        """Wait for another machine's lease; False, at once, where its holder is seen to live."""
        # by the clock that decides afterwards: this machine's own may be ahead of it
        first = self._holder(self._clock)
        if first is None or first.machine == here()[0]:
            return False
        if not first.held:
            return True
        began = time.monotonic()
        left = min(max(lease.LEASE - first.age, 0.0), lease.LEASE) + MARGIN
        logger.warning(
            "%s is held by another machine's writer (%s); waiting up to %.0f s for its lease to lapse",
            self.path.parent,
            first,
            left,
        )
        while time.monotonic() - began < left:
            time.sleep(LOOK)
            now = self._holder(self._clock)
            if now is None or not now.held:
                return True
            if (now.token, now.renewed) != (first.token, first.renewed):
                return False
            if now.age > lease.LEASE:
                return True
        return True

    def _acquire(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        file = os.fdopen(descriptor, "r+b", buffering=0)
        try:
            self._take(file)
        except BaseException:
            file.close()
            raise
        self._file = file
        _held.add(self)
        self._renewed = time.monotonic()
        released = self._released = threading.Event()
        # the thread must not keep a lock alive that nobody holds on to
        weak = ref(self, lambda _: released.set())
        threading.Thread(
            target=_keep, args=(weak, released), name="huelapse-lease", daemon=True
        ).start()

    def _take(self, file: IO[bytes]) -> None:
        deadline = time.monotonic() + PATIENCE
        while (locked := _try_lock(file)) is False:
            if time.monotonic() > deadline:
                raise self._refused(read_holder(file, time.time()))
            time.sleep(0.02)
        before = read_holder(file, self._clock)
        if before is not None and is_living(before, locked):
            raise self._refused(before)
        self._token = uuid4().hex
        try:
            write_record(file, record(self._token, held=True))
        except OSError:  # with a lock it is worth having, and not worth failing for
            if not locked:
                raise
            logger.debug("the writer's record could not be written", exc_info=True)
            self._token = ""  # what stands there now is another's, of before
            return
        if locked and (before is None or before.machine == here()[0]):
            return
        time.sleep(SETTLE)
        self.check()

    def check(self) -> None:
        """Before anything is written: whether it is ours still.

        It is not where this process was suspended for longer than its lease, and another took over.

        Raises:
            RunLockedError: who has it.
        """
        if not self._token:  # the lock alone decides
            return
        now = self.holder()
        if now is not None and now.token and now.token != self._token:
            raise RunLockedError(
                f"{self.path.parent} was taken over by another process ({now}) while this one did "
                f"not renew its lease of {lease.LEASE:.0f} s; nothing more is written to it from here"
            )
        if time.monotonic() - self._renewed > OFTEN:
            self.renew()

    def holder(self) -> Holder | None:
        """Who holds it now, as far as the file says; opened anew, as network file systems look again
        only then."""
        return self._holder(time.time())

    def _holder(self, now: float) -> Holder | None:
        try:
            with self.path.open("rb") as file:
                return read_holder(file, now)
        except OSError:
            return None

    def renew(self) -> None:
        """Go on holding the lease. A file that cannot be touched is no reason to stop."""
        now = self.holder()
        if now is None or not self._token or now.token != self._token:
            return
        with suppress(OSError):
            os.utime(self.path)  # to the file system's own time
            self._renewed = time.monotonic()

    def release(self) -> None:
        """Let go: another may take it at once."""
        file, self._file = self._file, None
        if file is None:
            return
        self._released.set()
        now = self.holder()
        if now is not None and now.token == self._token:
            with suppress(OSError):
                write_record(file, record(self._token, held=False))
        file.close()

    def forget(self) -> None:
        """Close the file and leave the lock as it is: it is our parent's."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    @property
    def _clock(self) -> float:
        """Now, by the clock that times of files are of: another machine's may be another."""
        beside = self.path.with_name(f".{self.path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
        try:
            beside.touch()
            return beside.stat().st_mtime
        except OSError:
            return time.time()
        finally:
            with suppress(OSError):
                beside.unlink()

    def _refused(self, holder: Holder | None) -> RunLockedError:
        who, until = "", ""
        if holder is not None and holder.held:
            who = f" ({holder})"
            if holder.machine != here()[0]:
                until = (
                    f". If that one has died, it can be taken over in "
                    f"{max(lease.LEASE - holder.age, 0):.0f} s"
                )
        return RunLockedError(
            f"{self.path.parent} is being written by another process{who}; "
            f"give this recorder another directory, or stop the other one{until}"
        )


def is_locked(path: Path) -> bool:
    """Whether some process holds the writer's lock (False where the file is not there).

    Looks and changes nothing. A writer on another machine is known by its lease, by this one's clock.
    """
    try:
        if not path.is_file():  # a pipe that somebody put there would never open
            return False
        with path.open("rb") as file:
            locked = _try_lock(file, shared=True)
            if locked is False:
                return True
            holder = read_holder(file, time.time())
            return holder is not None and is_living(holder, locked)
    except OSError:
        return False


def _keep(lock: "ref[WriterLock]", released: threading.Event) -> None:
    """Renew a lease until it is released, or nobody holds on to it."""
    while not released.wait(RENEW):
        held = lock()
        if held is None:
            return
        held.renew()
        del held


def _try_lock(file: IO[bytes], *, shared: bool = False) -> bool | None:
    """Whether we got it; None where the file system has no locks."""
    try:
        import fcntl
    except ModuleNotFoundError:  # Windows
        return None
    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in NO_LOCKS:
            raise
        return None
    return True


_held: "WeakSet[WriterLock]" = WeakSet()


def _let_go_in_child() -> None:
    """A forked child (a DataLoader's worker) must not keep its parent's lock alive."""
    for lock in _held:
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
