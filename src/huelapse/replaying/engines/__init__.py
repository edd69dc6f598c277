"""How tasks are run: descriptions in, results out as they come. One file for each way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

TRIES = 3
"""How often a task is given to a worker before it counts as failed."""
OVERDUE = "it took longer than the time limit"
PATIENCE = 10.0
"""Seconds a worker has to end by itself."""

Progress = Callable[[int], None]
"""Told how many more samples have been forwarded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """A checkpoint and a part of the samples."""

    place: str
    """Of the checkpoint: a path, or an address that the fetching function knows."""
    step: int
    part: int = 0
    parts: int = 1

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """What all tasks of a replay have in common, as plain values: another process, or another machine
    that sees the same paths, can be handed it."""

    run: str
    """The run's directory, absolute."""
    asked: Mapping[str, Any]
    """As `Asked.as_json`."""
    checkpoints: int
    """How many the whole replay has."""
    memory: int
    """Bytes of samples that one worker may keep."""
    fetch: str | None = None
    """Name of the function that makes a local path of an address."""
    delete_fetched: bool = False
    parts_at: str | None = None
    """Address of the bucket that parts are handed over to; None where they stay in the run's
    directory."""
    path: tuple[str, ...] = field(default=())
    """Where Python looks for modules."""

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "path": list(self.path)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What came of a task: a part's file, or why there is none."""

    task: Task
    path: str | None = None
    """Of the file, in the run's `partial/`; where parts are in a bucket, its name alone counts."""
    error: str | None = None
    lasting: bool = True
    """Whether the task would fail so again: it is not tried anew."""
    samples: int = 0
    """Samples forwarded; 0 where the file was there already."""
    seconds: float = 0.0
    tries: int = 1
    forecast: Mapping[str, Any] | None = None
    """What it all takes, as `ReplayForecast.as_json`; told once by each worker."""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "Result":
        known: dict[str, Any] = {**told, "task": Task(**told["task"])}
        return cls(**known)


class Engine(Protocol):
    """Runs the tasks of a job."""

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        """One result for each task, in whatever order they come. What is lost with a worker is tried
        again; what fails is a result, not an exception. Closing the iterator, or an exception in
        it, such as Ctrl-C, ends all workers: files are written whole or not at all.

        Raises:
            ReplayError: no worker can be started at all.
        """
        ...
