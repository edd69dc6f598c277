"""A worker on a machine that may be another: what an actor of a cluster does. Nothing here knows Ray,
and torch is loaded by the first task alone."""

import hashlib
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir, mkdtemp
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from huelapse.errors import PlaceError
from huelapse.replaying.checkpoints import is_address
from huelapse.replaying.engines import Result, Task
from huelapse.replaying.engines.process import worker_of
from huelapse.replaying.in_bucket import InBucket
from huelapse.schema import VERSION
from huelapse.store.lease import has_ended, here
from huelapse.store.partial import PARTIAL

if TYPE_CHECKING:
    from huelapse.replaying.working import Worker

PAUSE = 1.0
"""Seconds before a model or samples that cannot be had are asked for again."""
SEEN = 5.0
"""Seconds a file may take to be seen on another machine."""


class BucketMark:
    """An object in the bucket by which others tell that they see the same one."""

    def __init__(self, address: str) -> None:
        """
        Raises:
            PlaceError: it cannot be written.
        """
        self._bucket = InBucket(address)
        self.path, self.content = self._bucket.mark()

    def remove(self) -> None:
        with suppress(PlaceError):
            self._bucket.unmark(self.path)


def unseen_bucket(address: str, key: str, content: str) -> str | None:
    """Why this process cannot use the bucket of a mark; None where it can."""
    bucket = InBucket(address)
    try:
        bucket.try_out()
        if bucket.sees(key, content):
            return None
    except PlaceError as error:
        return str(error)
    return f"{address} is another bucket there than here: AWS_ENDPOINT_URL must be the same"


class Mark:
    """A file in the run's directory by which others tell that they see the same one."""

    def __init__(self, run: Path) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        directory = run / PARTIAL
        directory.mkdir(parents=True, exist_ok=True)
        own = hashlib.sha256(repr(here()).encode()).hexdigest()[:8]
        for path in directory.glob(f".shared-{own}-*.tmp"):
            pid = path.name.split("-")[2]
            if pid.isdigit() and has_ended(int(pid)):
                path.unlink(missing_ok=True)
        self.content = uuid4().hex
        self.path = directory / f".shared-{own}-{os.getpid()}-{uuid4().hex[:12]}.tmp"
        self.path.write_text(self.content, encoding="ascii")

    def remove(self) -> None:
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def unseen(path: Path, content: str, patience: float) -> str | None:
    """Why this process does not share the directory of a mark; None where it does.

    Args:
        path: of the mark.
        content: that was written into it.
        patience: seconds it may take to be seen.
    """
    until = time.monotonic() + patience
    while True:
        try:
            found = path.read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            why = f"{path.parent.parent} {_lacks(path.parent.parent, error)}"
        else:
            if found == content:
                break
            why = f"{path.parent.parent} is another directory there than here"
        if time.monotonic() > until:
            return why
        time.sleep(0.2)
    own = path.with_name(f"{path.stem}-{uuid4().hex[:12]}.tmp")
    try:
        own.write_text(content, encoding="ascii")
        own.unlink()
    except OSError as error:
        return f"{path.parent.parent} cannot be written there: {error.strerror}"
    return None


def _lacks(directory: Path, error: Exception) -> str:
    if not directory.is_dir():
        return "does not exist there"
    if isinstance(error, FileNotFoundError):
        return "is another directory there than here"
    return f"cannot be read there: {getattr(error, 'strerror', None) or error}"


def own_directory() -> Path:
    """A new directory of this process, for what it hands over; those of ended ones go."""
    seen = hashlib.sha256(repr(here()).encode()).hexdigest()[:8]
    for path in Path(gettempdir()).glob(f"huelapse-parts-{seen}-*"):
        pid = path.name.split("-")[3]
        if pid.isdigit() and has_ended(int(pid)):
            rmtree(path, ignore_errors=True)
    return Path(mkdtemp(prefix=f"huelapse-parts-{seen}-{os.getpid()}-"))


class Remote:
    """A worker that is asked from elsewhere how far it is: `told` answers while `do` is running.

    It may begin anew in another process, or on another machine, whenever the one it was in is lost;
    then it looks again whether it shares the run's directory, or sees the bucket of the parts. With a
    bucket it works in a directory of its own.
    """

    def __init__(
        self, job: Mapping[str, Any], where: str, mark: tuple[str, str], device: str | None
    ) -> None:
        """
        Args:
            job: as `Job.as_json`.
            where: working directory of the one that asks; taken where it is there.
            mark: path and content of the run's `Mark`, or key and content of the `BucketMark`.
            device: another than the job's.
        """
        self._job, self._mark, self._device = job, mark, device
        self._made: Worker | None = None
        self._own: Path | None = None
        self._one = threading.Lock()  # a task that was sent twice is done once
        self._life = uuid4().hex
        self._fit = False
        self._samples = 0
        self._since: float | None = None
        with suppress(OSError):
            os.chdir(where)
        sys.path.extend(p for p in job["path"] if p not in sys.path)

    def greet(self) -> dict[str, Any]:
        """Where it is, and why it cannot be used: "host", "unfit" (None where it can); and `told`."""
        return {**self.told(), "host": socket.gethostname(), "unfit": self._unfit()}

    def told(self) -> dict[str, Any]:
        """How far it is: "samples" forwarded in this "life", "seconds" of the task under way."""
        since = self._since
        seconds = 0.0 if since is None else time.monotonic() - since
        return {"life": self._life, "samples": self._samples, "seconds": seconds}

    def do(self, task: dict[str, Any], then: str | None) -> dict[str, Any]:
        """A task's "result", or why none can come of any: "unfit"; and what `told` tells."""
        with self._one:
            unfit = self._unfit()
            if unfit is not None:
                return {"unfit": unfit, **self.told()}
            import_module("huelapse.replaying.working")  # torch: no time of the task

            self._since = time.monotonic()
            try:
                result = self._do(Task(**task), then)
                made = self._made
                while made is not None and made.failing and made.broken is None:
                    time.sleep(PAUSE)
                    result = self._do(Task(**task), then)
            finally:
                self._since = None
            if made is not None and made.broken is not None:  # elsewhere it may go well
                return {"unfit": made.broken, **self.told()}
            return {"result": result.as_json(), **self.told()}

    def close(self) -> None:
        """Let go of files that were fetched."""
        with self._one:
            if self._made is not None:
                self._made.close()
                self._made = None
            if self._own is not None:
                rmtree(self._own, ignore_errors=True)
                self._own = None

    def _do(self, task: Task, then: str | None) -> Result:
        try:
            if self._made is None:
                if self._job["parts_at"] is not None and self._own is None:
                    self._own = own_directory()
                self._made = worker_of(self._job, self._device, self._own)
            result = self._made.do(task, then, self._count)
        except Exception as error:
            result = Result(task=task, error=str(error))
        except SystemExit as error:  # of the user's code: it would end the actor for good
            why = f"its code ended the process: sys.exit({error.code!r})"
            result = Result(task=task, error=why, lasting=False)
        if result.error is None:
            return result
        place = Path(task.place)
        if not is_address(task.place) and not place.exists():
            why = (
                f"{place} is not there for the worker: checkpoints must be on a disk that all share"
            )
            result = replace(result, error=why, lasting=False)  # other machines may see it
        return replace(result, error=f"{result.error} (on {socket.gethostname()})")

    def _count(self, samples: int) -> None:
        self._samples += samples

    def _unfit(self) -> str | None:
        if self._fit:
            return None
        if self._job["version"] != VERSION:
            return f"it has huelapse {VERSION}, and {self._job['version']} is asking: install one"
        path, content = self._mark
        if self._job["parts_at"] is not None:
            why = unseen_bucket(self._job["parts_at"], path, content)
            self._fit = why is None
            return why
        why = unseen(Path(path), content, SEEN)
        self._fit = why is None
        hint = "the run must be on a disk that all machines share, at the same path"
        return None if why is None else f"{why}: {hint}"
