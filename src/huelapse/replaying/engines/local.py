"""On this machine: in this process, or in a pool of others."""

import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from huelapse.errors import ReplayError
from huelapse.replaying.engines import OVERDUE, PATIENCE, TRIES, Job, Progress, Result, Task
from huelapse.replaying.engines.order import Order
from huelapse.replaying.working import Worker
from huelapse.store.partial import PARTIAL
from huelapse.store.unfinished import remove_unfinished


class InProcess:
    """One worker, here. Functions and samples may be any that this process has."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        """As `Engine.run`."""
        try:
            for i, task in enumerate(tasks):
                then = next((t.place for t in tasks[i + 1 :] if t.place != task.place), None)
                result = self._worker.do(task, then, progress)
                if result.error is not None and not result.lasting:
                    result = replace(self._worker.do(task, then, progress), tries=2)
                yield result
        finally:
            self._worker.close()


class Pool:
    """Several processes of one torch thread each. One that is lost is replaced, and its task tried
    again."""

    def __init__(
        self, job: Job, workers: int, *, timeout: float | None = None, devices: Sequence[str] = ()
    ) -> None:
        """
        Args:
            job: what all tasks have in common.
            workers: how many.
            timeout: seconds after which a task is given up, and its worker ended.
            devices: of the workers, in turns; empty for that of the job.
        """
        self._job, self._workers, self._timeout = job, workers, timeout
        self._devices = tuple(devices)

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        """As `Engine.run`."""
        said: queue.Queue[tuple[_Process, dict[str, Any] | None]] = queue.Queue()
        waiting = Order(tasks)
        tries: dict[Task, int] = {}
        everyone: list[_Process] = []
        try:
            numbers = range(min(self._workers, len(tasks)))
            everyone.extend(self._start(number, said) for number in numbers)
            yield from self._serve(waiting, tries, everyone, said, progress)
        finally:
            for process in everyone:
                process.end()

    def _start(self, number: int, said: "queue.Queue[Any]") -> "_Process":
        device = self._devices[number % len(self._devices)] if self._devices else None
        return _Process(self._job, number, device, said)

    def _serve(
        self,
        waiting: Order,
        tries: dict[Task, int],
        everyone: "list[_Process]",
        said: "queue.Queue[tuple[_Process, dict[str, Any] | None]]",
        progress: Progress,
    ) -> Iterator[Result]:
        left = len(waiting)
        for process in everyone:
            self._give(process, waiting, everyone)
        while left:
            self._end_overdue(everyone)
            try:
                process, told = said.get(timeout=0.5)
            except queue.Empty:
                continue
            if told is not None and "task" not in told:
                process.is_ready()
                progress(int(told["samples"]))
                continue
            task, process.task = process.task, None
            result: Result | None = None
            if told is None:  # it is gone
                why = process.why()
                process.end()
                everyone.remove(process)
                remove_unfinished(Path(self._job.run) / PARTIAL)
                if task is not None:
                    result = Result(task=task, error=f"its worker was lost: {why}", lasting=False)
            elif task is not None:
                result = Result.from_json(told)
            if result is not None and task is not None:
                number = tries[task] = tries.get(task, 0) + 1
                if result.error is not None and not result.lasting and number < TRIES:
                    waiting.again(task)
                else:
                    left -= 1
                    yield replace(result, tries=number)
            if told is None and waiting:
                process = self._start(process.number, said)
                everyone.append(process)
            if process in everyone and process.task is None:
                self._give(process, waiting, everyone)

    def _give(self, process: "_Process", waiting: Order, everyone: "Sequence[_Process]") -> None:
        if waiting:
            others = [one.place for one in everyone if one is not process]
            process.give(*waiting.next(process.place, others))

    def _end_overdue(self, everyone: "Sequence[_Process]") -> None:
        if self._timeout is None:
            return
        for process in everyone:
            took = process.seconds
            if took is not None and took > self._timeout:
                process.overdue = True
                process.kill()


class _Process:
    """One worker process, spoken with in lines of JSON."""

    def __init__(self, job: Job, number: int, device: str | None, said: "queue.Queue[Any]") -> None:
        self.number = number
        self.task: Task | None = None
        self.place: str | None = None
        self.overdue = False
        self._since = 0.0
        self._ready = False
        self._said = said
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "huelapse.replaying.engines.process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env=environment | {"PYTHONPATH": os.pathsep.join(p for p in job.path if p)},
                start_new_session=True,  # Ctrl-C is for the one that commits
            )
        except OSError as error:
            raise ReplayError(f"no worker process can be started: {error}") from error
        self._say({"job": job.as_json(), "device": device})
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def seconds(self) -> float | None:
        """Since it was given its task; None where it has none, or is starting still."""
        counts = self.task is not None and self._ready
        return time.monotonic() - self._since if counts else None

    def is_ready(self) -> None:
        """It has spoken: what came before was its start."""
        if not self._ready:
            self._ready, self._since = True, time.monotonic()

    def give(self, task: Task, then: str | None) -> None:
        self.task, self.place, self._since = task, task.place, time.monotonic()
        self._say({"task": task.as_json(), "then": then})

    def _say(self, told: dict[str, Any]) -> None:
        stream: IO[str] | None = self._process.stdin
        assert stream is not None
        with suppress(OSError, ValueError):  # it is gone: the listener says so
            stream.write(json.dumps(told) + "\n")
            stream.flush()

    def _listen(self) -> None:
        stream: IO[str] | None = self._process.stdout
        assert stream is not None
        with suppress(OSError, ValueError):
            for line in stream:
                try:
                    told: Any = json.loads(line)
                except ValueError:  # cut short as it died
                    break
                self._said.put((self, told))
        self._said.put((self, None))

    def why(self) -> str:
        """What ended it."""
        if self.overdue:
            return OVERDUE
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            return "it closed its output"
        if code >= 0:
            return f"it ended with code {code}"
        name = signal.Signals(-code).name
        memory = "; out of memory?" if -code == signal.SIGKILL else ""
        return f"killed by {name}{memory}"

    def kill(self) -> None:
        with suppress(OSError):
            self._process.kill()

    def end(self) -> None:
        """Close its input, by which it ends; a task under way is given up."""
        with suppress(OSError, ValueError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        if self.task is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(PATIENCE)
        self.kill()
        self._process.wait()
        if threading.current_thread() is not self._listener:
            self._listener.join(PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()
