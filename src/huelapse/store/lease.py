"""What a run's `lock` file says of its writer: who, on which machine, and when it was last renewed."""

import json
import os
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

LEASE = 60.0
"""Seconds since it was last renewed in which a holder counts as living."""
RECORD = 512
"""Bytes of a record at least: all are as long, so that one replaces another in one write."""


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
        return (self.machine, self.pids) == here() and has_ended(self.pid)

    def __str__(self) -> str:
        return f"host {self.host}, pid {self.pid}, last renewed {max(self.age, 0):.0f} s ago"


def is_living(holder: Holder, locked: bool | None) -> bool:
    """Whether a holder is to be left alone, by one who got the lock (None: there are no locks)."""
    if not holder.held or (locked and holder.machine == here()[0]) or holder.dead:
        return False
    return holder.age < LEASE


def has_ended(pid: int) -> bool:
    """Whether it is known that no process here has this id."""
    if os.name == "nt":  # kill(pid, 0) kills there
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # somebody else's process
        return False
    return False


@cache
def here() -> tuple[str, str]:
    """This machine until its next reboot, and what its process ids are counted in."""
    machine, pids = socket.gethostname(), ""
    with suppress(OSError):
        machine = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        pids = str(Path("/proc/self/ns/pid").stat().st_ino)
    return machine, pids


def record(token: str, *, held: bool) -> bytes:
    machine, pids = here()
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


def write_record(file: IO[bytes], record: bytes) -> None:
    file.seek(0)
    file.write(record)
    file.truncate(len(record))


def read_holder(file: IO[bytes], now: float) -> Holder | None:
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
