"""Tasks on a cluster, by actors of Ray Core: an existing one, or one on this machine for as long as the
replay takes. Ray is imported in this file alone, when it is used.

A worker is an actor. Where its process is lost, Ray starts it again, here or on another machine; it is
given tasks anew once it has answered, and its task meanwhile goes to the next that is idle. Ray itself
could send the task again, but counts as tries what never reached an actor: while it does not know yet
that a machine is lost, it has used up all of them. Results are paths: the files are on a disk that all
machines share.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from huelapse.errors import MissingExtraError, OptionError, ReplayError, notice
from huelapse.replaying.engines import OVERDUE, PATIENCE, TRIES, Job, Progress, Result, Task
from huelapse.replaying.engines.order import Order
from huelapse.replaying.engines.remote import Mark, Remote
from huelapse.schema import VERSION

OFTEN = 0.5
"""Seconds between two questions how far a worker is."""
SILENT = 600.0
"""Seconds without an answer after which a worker is given up, on a machine that is there."""
AWAY = 20.0
"""The same, where the cluster says that its machine is gone."""
START = 600.0
"""Seconds in which one worker at least must be there."""
SLOW = 30.0
"""Seconds after which it is said that none is."""
CONNECT = 10.0
"""Seconds in which somebody must answer at a cluster's address."""
LOOK = 5.0
"""Seconds between two looks at the cluster's machines."""
GET = 30.0
"""Seconds for an answer that is there already."""
STORE = 128 * 2**20
"""Bytes of Ray's object store in a cluster of one's own: only paths go through it."""


class RayWorker(Remote):
    """`Remote`, and which node of the cluster it is on."""

    def told(self) -> dict[str, Any]:
        import ray

        return {**super().told(), "node": ray.get_runtime_context().get_node_id()}


class RayActors:
    """Workers of one torch thread, each with a CPU of the cluster, and a GPU or a share of one if it is
    asked for."""

    def __init__(
        self,
        job: Job,
        workers: int | None = None,
        *,
        address: str | None = None,
        gpus: float | None = None,
        timeout: float | None = None,
    ) -> None:
        """
        Args:
            job: what all tasks have in common; its `memory` is that of all workers on a machine.
            workers: how many; None for one on each CPU of the cluster, or on each GPU.
            address: "auto", "host:port" or "ray://host:port" of a cluster; None for what RAY_ADDRESS
                says, else a cluster of its own.
            gpus: of each worker, such as 1 or 0.25; None for 1 where `job` is for GPUs, or where it
                may use them and the cluster has some, else 0.
            timeout: seconds after which a task is given up, and its worker ended.

        Raises:
            MissingExtraError: Ray is not installed.
            OptionError: options that cannot be.
        """
        try:
            import ray
        except ModuleNotFoundError as error:
            if error.name != "ray":
                raise
            raise MissingExtraError(
                "the engine ray needs Ray, here and on every machine of the cluster: "
                "pip install 'huelapse[ray]'"
            ) from error
        device = str(job.asked["device"])
        if device.startswith("cuda:"):
            raise OptionError(
                f"device is {device}; a worker of Ray sees its own GPU alone: say cuda"
            )
        if device == "cuda" and gpus == 0:
            raise OptionError("device is cuda, and workers are given no GPU: gpus=1")
        if gpus is not None and (gpus < 0 or (gpus > 1 and gpus != int(gpus))):
            raise OptionError(f"gpus is {gpus:g}, expected a share up to 1, or a whole number")
        self._ray: Any = ray
        self._job, self._workers, self._device = job, workers, device
        self._address = address or os.environ.get("RAY_ADDRESS") or None
        self._gpus, self._timeout = gpus, timeout

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        """As `Engine.run`.

        Raises:
            ReplayError: no cluster can be reached or started, no worker starts in it, or none shares
                the run's directory.
        """
        if not tasks:
            return
        with _connected(self._ray, self._address, self._workers), _marked(self._job.run) as mark:
            crew = self._crew(len(tasks), mark)
            try:
                yield from crew.serve(tasks, progress)
            finally:
                crew.end()

    def _crew(self, most: int, mark: Mark) -> "_Crew":
        there = self._ray.cluster_resources()
        gpus = self._gpus
        if gpus is None:
            may = self._device == "auto" and there.get("GPU", 0) > 0
            gpus = 1.0 if may or self._device == "cuda" else 0.0
        fit = there.get("GPU", 0) / gpus if gpus else there.get("CPU", 0)
        workers = min(self._workers or max(1, int(fit)), most)
        machines = sum(bool(node["Alive"]) for node in self._ray.nodes())
        memory = self._job.memory // -(-workers // max(1, machines))
        job = {**replace(self._job, memory=memory).as_json(), "version": VERSION}
        device = None if gpus or self._device != "auto" else "cpu"
        actor = self._ray.remote(RayWorker).options(
            num_cpus=1,
            num_gpus=gpus,
            max_restarts=-1,
            max_task_retries=TRIES - 1,  # of questions; they wait while it is started again
            max_concurrency=3,  # a task, a question, a task that was sent twice
            runtime_env={"env_vars": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}},
        )
        told = (job, str(Path.cwd()), (str(mark.path), mark.content), device)
        return _Crew(self._ray, lambda: actor.remote(*told), workers, self._timeout)


@dataclass(eq=False)
class _Handle:
    """An actor, as seen from here."""

    actor: Any
    greeting: Any
    doing: Any = None
    telling: Any = None
    task: Task | None = None
    place: str | None = None
    ready: bool = False
    host: str = ""
    node: str = ""
    life: str = ""
    samples: int = 0
    asked: float = 0.0
    """When it was asked last how far it is."""

    @property
    def refs(self) -> list[Any]:
        return [ref for ref in (self.greeting, self.doing, self.telling) if ref is not None]


class _Crew:
    """All actors of a replay, and who does what."""

    def __init__(
        self, ray: Any, start: Callable[[], Any], workers: int, timeout: float | None
    ) -> None:
        self._ray, self._start, self._timeout = ray, start, timeout
        self._handles: list[_Handle] = []
        self._waiting = Order(())
        self._ended: list[Result] = []
        self._tries: dict[Task, int] = {}
        self._unfit: dict[str, str] = {}
        """Host → why workers on it cannot be used."""
        self._why = ""
        """An actor could not be started."""
        self._failed = 0
        """How many could not, one after the other."""
        self._there = time.monotonic()
        """When there was a worker."""
        self._ever = self._said = False
        self._looked = 0.0
        self._nodes: set[str] = set()
        for _ in range(workers):
            self._add()

    def serve(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        self._waiting = Order(tasks)
        left = len(tasks)
        while left:
            ready = self._answers()
            for handle in list(self._handles):
                if handle.greeting in ready:
                    self._greeted(handle)
                if handle.telling in ready:
                    self._heard(handle, progress)
                if handle.doing in ready:
                    self._done(handle, progress)
                self._watch(handle)
            self._without_workers()
            for handle in self._handles:
                self._give(handle)
            ended, self._ended = self._ended, []
            left -= len(ended)
            yield from ended

    def end(self) -> None:
        """End all actors. Those that are idle remove first what they have fetched."""
        idle = [one.actor for one in self._handles if one.ready and one.task is None]
        with suppress(Exception):
            closing = [actor.close.remote() for actor in idle]
            if closing:
                self._ray.wait(closing, num_returns=len(closing), timeout=PATIENCE)
        for handle in list(self._handles):
            self._drop(handle)

    def _answers(self) -> set[Any]:
        refs = [ref for handle in self._handles for ref in handle.refs]
        if not refs:
            time.sleep(0.05)
            return set()
        some, _ = self._ray.wait(refs, num_returns=1, timeout=OFTEN)
        return set(self._ray.wait(refs, num_returns=len(refs), timeout=0)[0]) if some else set()

    # --- workers -----------------------------------------------------------------------------------

    def _add(self) -> None:
        actor = self._start()
        self._handles.append(_Handle(actor, actor.greet.remote()))

    def _drop(self, handle: _Handle) -> None:
        if handle in self._handles:
            self._handles.remove(handle)
        handle.greeting = handle.telling = handle.doing = handle.task = None
        with suppress(Exception):
            self._ray.kill(handle.actor, no_restart=True)

    def _greeted(self, handle: _Handle) -> None:
        ref, handle.greeting = handle.greeting, None
        try:
            told = self._ray.get(ref, timeout=GET)
        except self._ray.exceptions.RayError as error:
            self._why = _line(error)
            self._failed += not handle.host  # one that was there may come back
            self._drop(handle)
            if self._failed < TRIES:
                self._add()
            return
        handle.host, handle.node = told["host"], told["node"]
        if told["unfit"] is not None:
            self._reject(handle, told["unfit"])
        else:
            handle.ready = self._ever = True
            self._failed = 0

    def _reject(self, handle: _Handle, why: str) -> None:
        """It cannot be used, nor could another one there."""
        self._drop(handle)
        if handle.host not in self._unfit:
            self._unfit[handle.host] = why
            if any(one.ready for one in self._handles):
                notice(f"workers on {handle.host} are not used: {why}")

    def _without_workers(self) -> None:
        """Where there are none: wait, or say so.

        Raises:
            ReplayError: there has never been one.
        """
        now = time.monotonic()
        if any(handle.ready for handle in self._handles):
            self._there = now
            return
        if self._handles and now - self._there < START:
            if now - self._there > SLOW and not self._said:
                self._said = True
                notice(f"no worker is there yet; the cluster has {self._resources()} free")
            return
        if self._unfit:
            why = "; ".join(f"on {host}, {why}" for host, why in self._unfit.items())
        elif self._why:
            why = self._why
        else:
            why = f"none has started for {START:.0f} s, with {self._resources()} free"
        if not self._ever:
            raise ReplayError(f"no worker of the cluster can be used: {why}")
        for task in self._waiting.drain():
            self._ended.append(Result(task=task, error=f"no worker is left: {why}"))

    def _resources(self) -> str:
        there, free = self._ray.cluster_resources(), self._ray.available_resources()
        return ", ".join(f"{free.get(k, 0):g} of {there.get(k, 0):g} {k}s" for k in ("CPU", "GPU"))

    # --- tasks -------------------------------------------------------------------------------------

    def _give(self, handle: _Handle) -> None:
        if handle.ready and handle.task is None and self._waiting:
            others = [one.place for one in self._handles if one is not handle]
            task, then = self._waiting.next(handle.place, others)
            handle.task, handle.place = task, task.place
            do = handle.actor.do.options(max_task_retries=0)
            handle.doing = do.remote(task.as_json(), then)

    def _done(self, handle: _Handle, progress: Progress) -> None:
        ref, handle.doing = handle.doing, None
        task, handle.task = handle.task, None
        assert task is not None
        lost = self._ray.exceptions
        try:
            told = self._ray.get(ref, timeout=GET)
        except lost.ActorDiedError as error:  # for good
            self._drop(handle)
            self._add()
            self._again(task, f"its worker was lost: {_line(error)}")
        except lost.RayActorError as error:  # it is being started again
            handle.ready, handle.place = False, None
            handle.greeting = handle.actor.greet.remote()
            self._again(task, f"its worker was lost: {_line(error)}")
        except lost.RayError as error:
            self._again(task, _line(error))
        else:
            self._count(handle, told, progress)
            if "unfit" in told:  # begun anew where there is no such run; no model or samples there
                self._reject(handle, told["unfit"])
                self._waiting.again(task)
                return
            result = Result.from_json(told["result"])
            if result.error is not None and not result.lasting:
                self._again(task, result.error)
            else:
                number = self._tries[task] = self._tries.get(task, 0) + 1
                self._ended.append(replace(result, tries=number))

    def _again(self, task: Task, why: str) -> None:
        """It has failed: it is tried again, unless it has been often enough."""
        number = self._tries[task] = self._tries.get(task, 0) + 1
        if number < TRIES:
            self._waiting.again(task)
        else:
            self._ended.append(Result(task=task, error=why, lasting=False, tries=number))

    # --- how far they are --------------------------------------------------------------------------

    def _watch(self, handle: _Handle) -> None:
        """Ask how far it is; give it up where it does not answer."""
        if not handle.ready or handle not in self._handles:
            return
        now = time.monotonic()
        quiet = now - handle.asked
        if handle.telling is None:
            if handle.task is not None and quiet > max(OFTEN, len(self._handles) / 200):
                handle.asked = now
                handle.telling = handle.actor.told.remote()
        elif quiet > SILENT:
            self._give_up(handle, f"its worker was lost: no answer for {SILENT:.0f} s")
        elif quiet > AWAY and self._is_gone(handle.node):
            self._give_up(handle, "its worker was lost: its machine has left the cluster")

    def _is_gone(self, node: str) -> bool:
        now = time.monotonic()
        if now - self._looked > LOOK:
            self._looked = now
            self._nodes = {one["NodeID"] for one in self._ray.nodes() if one["Alive"]}
        return node not in self._nodes

    def _give_up(self, handle: _Handle, why: str) -> None:
        """End a worker that hangs or is away, and start another."""
        task = handle.task
        self._drop(handle)
        self._add()
        if task is not None:
            self._again(task, why)

    def _heard(self, handle: _Handle, progress: Progress) -> None:
        ref, handle.telling = handle.telling, None
        try:
            told = self._ray.get(ref, timeout=GET)
        except self._ray.exceptions.RayError:  # it is being lost: its task tells
            return
        self._count(handle, told, progress)
        if self._timeout is not None and told["seconds"] > self._timeout:
            self._give_up(handle, f"its worker was lost: {OVERDUE}")

    def _count(self, handle: _Handle, told: dict[str, Any], progress: Progress) -> None:
        before = handle.samples if told["life"] == handle.life else 0
        handle.life, handle.samples, handle.node = told["life"], told["samples"], told["node"]
        if handle.samples > before:
            progress(handle.samples - before)


@contextmanager
def _marked(run: str) -> Generator[Mark]:
    """The run's directory, told from others of the same path."""
    try:
        mark = Mark(Path(run))
    except OSError as error:
        raise ReplayError(f"{run} cannot be written: {error.strerror}") from error
    try:
        yield mark
    finally:
        mark.remove()


@contextmanager
def _connected(ray: Any, address: str | None, workers: int | None) -> Generator[None]:
    """With a cluster: the one this process is connected to, one at an address, or one of its own, which
    ends with it.

    Raises:
        ReplayError: none can be reached or started.
    """
    if ray.is_initialized():
        yield  # the user's own, as in a notebook: it stays
        return
    options: dict[str, Any] = {"address": address}
    if address is not None:
        _check_answers(address)
    else:
        cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
        options = {
            "address": "local",
            "num_cpus": workers or cpus,
            "include_dashboard": False,
            "object_store_memory": STORE,
        }
    main = threading.current_thread() is threading.main_thread()
    terminated = signal.getsignal(signal.SIGTERM) if main else None
    with _quiet():
        try:
            ray.init(**options, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            ray.shutdown()
            where = f"no Ray cluster at {address}" if address else "no Ray cluster can be started"
            raise ReplayError(f"{where}: {_line(error)}") from error
        except BaseException:  # Ctrl-C
            ray.shutdown()
            raise
    try:
        yield
    finally:
        ray.shutdown()
        if main:
            signal.signal(signal.SIGTERM, terminated)


def _check_answers(address: str) -> None:
    """Ray itself would try for minutes.

    Raises:
        ReplayError: nobody listens there.
    """
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if address == "auto":
        return
    if not colon or not port.isdigit():
        raise ReplayError(
            f"the Ray cluster's address is {address!r}, expected auto, host:port or ray://host:port"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT).close()
    except (OSError, OverflowError) as error:
        raise ReplayError(
            f"no Ray cluster at {address}: {error}. `ray start --head` starts one, and says its "
            f"address; without an address one is started here, for this replay"
        ) from error


@contextmanager
def _quiet() -> Generator[None]:
    """Ray sends no usage statistics, and says nothing as it starts."""
    name = "RAY_USAGE_STATS_ENABLED"
    before = os.environ.get(name)
    os.environ[name] = "0"
    logging.getLogger("ray").setLevel(logging.ERROR)
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _line(error: Exception) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
