"""The one writer of a run: an advisory lock, and a lease for where there are none.

`flock` decides between processes of one machine. Some file systems have no such locks, or have them
for each machine alone; there the holder's record in the file decides, for as long as it is renewed.
"""

import errno
import json
import logging
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any
from uuid import uuid4
from weakref import WeakSet, ref

from huelapse.errors import RunLockedError

logger = logging.getLogger(__name__)

LEASE = 60.0
"""Seconds since it was last renewed in which a holder counts as living."""
RENEW = 15.0
"""Seconds between renewals."""
OFTEN = 1.0
"""A commit renews too, but no more often than this."""
SETTLE = 0.5
"""Seconds in which two that take a lease at once find out, where no lock decides between them."""
PATIENCE = 0.5
"""Seconds for which a lock that is held is tried again: a reader that asks holds it briefly."""
RECORD = 512
"""Bytes of a record at least: all are as long, so that one replaces another in one write."""
MARGIN = 5.0
"""Seconds for which a lease is waited for beyond its length."""
LOOK = 0.5
"""Seconds between looks at a lease that is waited for."""
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """What `lock` says of the writer that holds it, or held it last."""

    host: str
    """Its name, for people."""
    machine: str
    """Names what runs until the next reboot: locks hold between all processes there."""
    pids: str
    """Names what process ids are counted in: a container has its own."""
    pid: int
    token: str
    started: float
    """Seconds since 1970, by its own clock."""
    held: bool
    age: float = 0.0
    """Seconds since it was last renewed."""
    renewed: float = 0.0
    """When that was, by the file system's clock."""

    @property
    def dead(self) -> bool:
        """Whether it is known to have ended: its process was one of those seen from here."""
        if (self.machine, self.pids) != _here() or os.name == "nt":  # kill(pid, 0) kills there
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except (OSError, OverflowError):  # somebody else's process
            return False
        return False

    def __str__(self) -> str:
        return f"host {self.host}, pid {self.pid}, last renewed {max(self.age, 0):.0f} s ago"


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
        first = self.holder()
        if first is None or first.machine == _here()[0]:
            return False
        if not first.held:
            return True
        began = time.monotonic()
        left = min(max(LEASE - first.age, 0.0), LEASE) + MARGIN
        logger.warning(
            "%s is held by another machine's writer (%s); waiting up to %.0f s for its lease to lapse",
            self.path.parent,
            first,
            left,
        )
        while time.monotonic() - began < left:
            time.sleep(LOOK)
            now = self.holder()
            if now is None or not now.held:
                return True
            if (now.token, now.renewed) != (first.token, first.renewed):
                return False
            if now.age > LEASE:
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
                raise self._refused(_holder(file, time.time()))
            time.sleep(0.02)
        before = _holder(file, self._clock)
        if before is not None and _is_living(before, locked):
            raise self._refused(before)
        self._token = uuid4().hex
        try:
            _write(file, _record(self._token, held=True))
        except OSError:  # with a lock it is worth having, and not worth failing for
            if not locked:
                raise
            logger.debug("the writer's record could not be written", exc_info=True)
            self._token = ""  # what stands there now is another's, of before
            return
        if locked and (before is None or before.machine == _here()[0]):
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
                f"not renew its lease of {LEASE:.0f} s; nothing more is written to it from here"
            )
        if time.monotonic() - self._renewed > OFTEN:
            self.renew()

    def holder(self) -> Holder | None:
        """Who holds it now, as far as the file says; opened anew, as network file systems look again
        only then."""
        try:
            with self.path.open("rb") as file:
                return _holder(file, time.time())
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
                _write(file, _record(self._token, held=False))
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
            if holder.machine != _here()[0]:
                until = (
                    f". If that one has died, it can be taken over in "
                    f"{max(LEASE - holder.age, 0):.0f} s"
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
            holder = _holder(file, time.time())
            return holder is not None and _is_living(holder, locked)
    except OSError:
        return False


def _is_living(holder: Holder, locked: bool | None) -> bool:
    """Whether a holder is to be left alone, by one who got the lock (None: there are no locks)."""
    if not holder.held or (locked and holder.machine == _here()[0]) or holder.dead:
        return False
    return holder.age < LEASE


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


@cache
def _here() -> tuple[str, str]:
    """This machine until its next reboot, and what its process ids are counted in."""
    machine, pids = socket.gethostname(), ""
    with suppress(OSError):
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = str(Path("/proc/self/ns/pid").stat().st_ino)
    return machine, pids


def _record(token: str, *, held: bool) -> bytes:
    machine, pids = _here()
    says = {
        "host": socket.gethostname(),
        "machine": machine,
        "pids": pids,
        "pid": os.getpid(),
        "token": token,
        "started": round(time.time(), 3),
        "held": held,
    }
    return json.dumps(says).encode().ljust(RECORD - 1) + b"\n"


def _write(file: IO[bytes], record: bytes) -> None:
    file.seek(0)
    file.write(record)
    file.truncate(len(record))


def _holder(file: IO[bytes], now: float) -> Holder | None:
    """What a lock file says; None where it says nothing, as those of earlier versions.

    Of one that cannot be read, as it is just being written or a power cut has left it so, nothing is
    known but when.
    """
    file.seek(0)
    content = file.read(8 * RECORD)
    if not content.strip():
        return None
    renewed = os.fstat(file.fileno()).st_mtime
    age = now - renewed
    try:
        says: Any = json.loads(content)
        return Holder(
            host=str(says["host"]),
            machine=str(says["machine"]),
            pids=str(says["pids"]),
            pid=int(says["pid"]),
            token=str(says["token"]),
            started=float(says["started"]),
            held=bool(says["held"]),
            age=age,
            renewed=renewed,
        )
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return Holder(
            host="?",
            machine="",
            pids="",
            pid=0,
            token="",
            started=0.0,
            held=True,
            age=age,
            renewed=renewed,
        )


_held: "WeakSet[WriterLock]" = WeakSet()


def _let_go_in_child() -> None:
    """A forked child (a DataLoader's worker) must not keep its parent's lock alive."""
    for lock in _held:
        lock.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_in_child)
