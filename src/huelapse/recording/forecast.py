"""What recording will take, told before the first step: memory, disk, time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from huelapse.schema import Layer, total_units

SUM_BYTES = 8 + 8 + 4
"""Of each class and unit while it is added up: two float64 sums, a count of active samples."""

FINISH_BYTES = 8
"""More for each in the writer's thread, where sums become moments in their place: whole counts."""

STORED_BYTES = 4 + 4 + 4 + 4
"""Of each class and unit on disk before compression: mean, m2, active, nonfinite."""

COMPRESSED = 0.85
"""What is left on disk of float statistics; measured 0.82-0.85 over several networks."""

RUN_OVERHEAD = 200_000
"""Bytes of a run besides its big arrays: metadata, coordinates."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecast:
    """What a recording is expected to take.

    Bytes are for the whole recording, not for one snapshot; `snapshots` is None where the schedule
    does not say how many there will be, and bytes on disk are then those of `snapshot_bytes` each.
    """

    layers: int
    units: int
    groupings: Mapping[str, int]
    """Grouping → its number of classes."""
    snapshots: int | None
    device_bytes: int
    """Held where the model is: sums, and one batch's responses."""
    host_bytes: int
    """Held in the host's memory: the probe's samples, what waits to be written."""
    snapshot_bytes: int
    """Of one snapshot on disk."""
    time_share: float | None
    """Share of the training time probes may take; None where there is no limit."""
    left_out: Sequence[str] = ()
    """What `max_bytes` left no room for."""

    @property
    def memory_bytes(self) -> int:
        return self.device_bytes + self.host_bytes

    @property
    def disk_bytes(self) -> int | None:
        """Of the whole run; None where nobody knows how many snapshots there will be."""
        if self.snapshots is None:
            return None
        return RUN_OVERHEAD + self.snapshots * self.snapshot_bytes

    def __str__(self) -> str:
        disk = self.disk_bytes
        often = (
            f"{self.snapshots} snapshots, {size(disk)} on disk"
            if disk is not None
            else f"{size(self.snapshot_bytes)} on disk per snapshot"
        )
        text = (
            f"{self.units:,} units in {self.layers} layers, "
            f"by {', '.join(f'{name} ({k:,} classes)' for name, k in self.groupings.items())}; "
            f"{often}; {size(self.memory_bytes)} of memory"
        )
        if self.time_share is not None:
            text += f"; at most {self.time_share:.0%} of training time in probes"
        if self.left_out:
            text += f"; max_bytes leaves no room for {', '.join(self.left_out)}"
        return text


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is to be recorded, as far as its size depends on it."""

    layers: Sequence[Layer]
    groupings: Mapping[str, int]
    responses: int = 1
    """How many responses of each unit: mean, peak."""
    snapshots: int | None = None
    """Of all splits together."""
    batch: int = 0
    """Samples of one forward."""
    sums: int = 1
    """Sets of sums that are held at once: those being added up, and those being written."""
    kept_bytes: int = 0
    """Of one snapshot's kept responses, as float16."""
    probe_bytes: int = 0
    time_share: float | None = None

    def forecast(self, left_out: Sequence[str] = ()) -> Forecast:
        units = total_units(self.layers) * self.responses
        cells = sum(k + 1 for k in self.groupings.values()) * units
        stored = sum(self.groupings.values()) * units * STORED_BYTES
        kept = self.kept_bytes
        sums = cells * SUM_BYTES
        return Forecast(
            layers=len(self.layers),
            units=total_units(self.layers),
            groupings=dict(self.groupings),
            snapshots=self.snapshots,
            device_bytes=self.sums * sums + 2 * self.batch * units * 4 + 2 * kept,
            # as they are stored, and compressed: all arrays of a snapshot are written at once
            host_bytes=self.probe_bytes
            + cells * FINISH_BYTES
            + stored
            + round(COMPRESSED * stored)
            + 2 * kept,
            snapshot_bytes=round(COMPRESSED * stored) + kept,
            time_share=self.time_share,
            left_out=tuple(left_out),
        )


def size(n: int | None) -> str:
    """Bytes as people read them."""
    value = float(n or 0)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
