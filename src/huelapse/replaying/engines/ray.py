"""Tasks on a cluster, by actors of Ray Core: an existing one, or one on this machine for as long as the
replay takes. Ray is imported in this file alone, when it is used.

A worker is an actor. Where its process is lost, Ray starts it again, here or on another machine; it is
given tasks anew once it has answered, and its task meanwhile goes to the next that is idle. Ray itself
could send the task again, but counts as tries what never reached an actor: while it does not know yet
that a machine is lost, it has used up all of them. Results are paths: the files are on a disk that all
machines share, or in a bucket.
"""

import logging
import os
import signal
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from huelapse.errors import MissingExtraError, OptionError, PlaceError, ReplayError
from huelapse.replaying.engines import TRIES, Job, Progress, Result, Task
from huelapse.replaying.engines.crew import Crew, line_of
from huelapse.replaying.engines.remote import BucketMark, Mark, Remote
from huelapse.schema import VERSION

CONNECT = 10.0
"""Seconds in which somebody must answer at a cluster's address."""
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
        with _connected(self._ray, self._address, self._workers), _marked(self._job) as mark:
            crew = self._crew(len(tasks), mark)
            try:
                yield from crew.serve(tasks, progress)
            finally:
                crew.end()

    def _crew(self, most: int, mark: Mark | BucketMark) -> Crew:
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
        return Crew(self._ray, lambda: actor.remote(*told), workers, self._timeout)


@contextmanager
def _marked(job: Job) -> Generator[Mark | BucketMark]:
    """The run's directory, or the bucket, told from others of the same path."""
    try:
        mark = Mark(Path(job.run)) if job.parts_at is None else BucketMark(job.parts_at)
    except PlaceError:
        raise
    except OSError as error:
        raise ReplayError(f"{job.run} cannot be written: {error.strerror}") from error
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
            raise ReplayError(f"{where}: {line_of(error)}") from error
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
