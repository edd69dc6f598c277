"""All actors of a replay: who does which task, and what becomes of it when one is lost. What it needs
of Ray it is given.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from huelapse.errors import ReplayError, notice
from huelapse.replaying.engines import OVERDUE, PATIENCE, TRIES, Progress, Result, Task
from huelapse.replaying.engines.order import Order

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
LOOK = 5.0
"""Seconds between two looks at the cluster's machines."""
GET = 30.0
"""Seconds for an answer that is there already."""


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


class Crew:
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
            self._why = line_of(error)
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
            self._again(task, f"its worker was lost: {line_of(error)}")
        except lost.RayActorError as error:  # it is being started again
            handle.ready, handle.place = False, None
            handle.greeting = handle.actor.greet.remote()
            self._again(task, f"its worker was lost: {line_of(error)}")
        except lost.RayError as error:
            self._again(task, line_of(error))
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


def line_of(error: Exception) -> str:
    """What Ray says, in a line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:300]
