"""What came of a replay."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from huelapse.replaying.forecast import ReplayForecast


@dataclass(frozen=True, kw_only=True, slots=True)
class Failed:
    """A checkpoint without a snapshot, and why."""

    checkpoint: str
    step: int | None
    why: str
    tries: int = 1


@dataclass(kw_only=True, slots=True)
class Report:
    """What a replay has done so far; `finished` once nothing is left to do."""

    run: str
    split: str
    checkpoints: int = 0
    """How many were named."""
    committed: list[int] = field(default_factory=list[int])
    """Steps of the snapshots that were added, in the order in which they were."""
    already: int = 0
    """Checkpoints whose snapshot was there before."""
    recorded: int = 0
    """Tasks that have left their file, to be committed later."""
    waiting: list[int] = field(default_factory=list[int])
    """Steps of checkpoints of which parts are missing."""
    lacking: list[str] = field(default_factory=list[str])
    """What is known of jobs of an array that have not done all of theirs."""
    left: list[str] = field(default_factory=list[str])
    """What is in the bucket and was left there, as it is no part of this: which, and why."""
    failed: list[Failed] = field(default_factory=list[Failed])
    parts_at: str | None = None
    """Address of the bucket in which parts wait; None for the run's own directory."""
    samples: int = 0
    """Forwarded, all checkpoints together."""
    seconds: float = 0.0
    finished: bool = False

    @property
    def rate(self) -> float:
        """Samples a second, start-up and all."""
        return self.samples / self.seconds if self.seconds > 0 else 0.0

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "rate": self.rate}


@dataclass(frozen=True, kw_only=True, slots=True)
class Happening:
    """How far a replay is."""

    samples: int
    """Forwarded so far."""
    done: int
    """Tasks that have ended, of `tasks`."""
    tasks: int
    report: Report
    expected: int | None = None
    """Samples that all of it will forward, once the first task tells."""
    forecast: "ReplayForecast | None" = None
    """What it will take, once that is known."""


Watch = Callable[[Happening], None]
