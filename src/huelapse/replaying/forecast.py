"""What a replay will take, told once the layers are known: memory of its workers, disk."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from huelapse.recording.forecast import (
    FINISH_BYTES,
    RUN_OVERHEAD,
    STORED_BYTES,
    SUM_BYTES,
    Plan,
    size,
)

MERGED_BYTES = 8 + 8 + 8
"""Of each class and unit while parts are merged: float64 mean and m2, and how many were active."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplayForecast:
    """What a replay is expected to take.

    Memory is what comes on top of the model as it is evaluated: libraries, its own weights and
    activations are not in it.
    """

    layers: int
    units: int
    groupings: Mapping[str, int]
    """Grouping → its number of classes."""
    checkpoints: int
    worker_bytes: int
    """Of memory, for each worker: sums, samples that are kept, checkpoints."""
    commit_bytes: int
    """Of memory, where snapshots are committed: beside the worker's, where there is but one."""
    part_bytes: int
    """Of a part's file, which waits on disk until its checkpoint is committed."""
    snapshot_bytes: int
    """Of one snapshot on disk."""
    recorded_bytes: int = 0
    """Of memory, in one worker and where snapshots are committed together, for what is recorded: what
    `max_bytes` bounds. The same whoever computes it: without samples and checkpoints."""
    left_out: Sequence[str] = ()
    """What `max_bytes` left no room for."""

    @classmethod
    def of(cls, plan: Plan, *, sample_bytes: int, weight_bytes: int) -> "ReplayForecast":
        """
        Args:
            plan: of what is recorded of one checkpoint; `snapshots` is how many there are.
            sample_bytes: of samples that a worker will keep.
            weight_bytes: of the model: a checkpoint is in use while the next one is read.
        """
        whole = plan.forecast()
        units = whole.units * plan.responses
        cells = sum(plan.groupings.values()) * units
        kept = plan.kept_bytes
        in_part = SUM_BYTES + 4  # as sums, and what is not finite
        sums = cells * (SUM_BYTES + FINISH_BYTES) + 2 * plan.batch * units * 4 + 4 * kept
        commit = cells * (MERGED_BYTES + STORED_BYTES) + 2 * kept
        return cls(
            layers=whole.layers,
            units=whole.units,
            groupings=dict(plan.groupings),
            checkpoints=plan.snapshots or 0,
            worker_bytes=sums + sample_bytes + 2 * weight_bytes,
            commit_bytes=commit,
            recorded_bytes=sums + commit,
            part_bytes=cells * in_part + kept,
            snapshot_bytes=whole.snapshot_bytes,
        )

    @classmethod
    def from_json(cls, told: Mapping[str, Any]) -> "ReplayForecast":
        plain: dict[str, Any] = {**told, "left_out": tuple(told["left_out"])}
        return cls(**plain)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def memory_bytes(self, workers: int) -> int:
        """Of all workers, and of the commit, together."""
        return workers * self.worker_bytes + self.commit_bytes

    @property
    def disk_bytes(self) -> int:
        """Of the whole run."""
        return RUN_OVERHEAD + self.checkpoints * self.snapshot_bytes

    def __str__(self) -> str:
        groupings = ", ".join(f"{name} ({k:,} classes)" for name, k in self.groupings.items())
        return (
            f"{self.units:,} units in {self.layers} layers, by {groupings}; {self.checkpoints} "
            f"snapshots, {size(self.disk_bytes)} on disk; beside the model, "
            f"{size(self.worker_bytes)} of memory for each worker, and {size(self.commit_bytes)} "
            f"where snapshots are committed"
            + (
                f"; max_bytes leaves no room for {', '.join(self.left_out)}"
                if self.left_out
                else ""
            )
        )
