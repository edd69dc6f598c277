"""What is to be recorded is fitted into what it may take, before the first step."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace

from huelapse.capture import Capture, ProbeSet
from huelapse.recording.faults import Faults
from huelapse.recording.forecast import Forecast, Plan, size
from huelapse.schema import PREDICTED, TRUE, Layer

logger = logging.getLogger(__name__)

LARGE = 2 * 10**9
"""Bytes of memory from which the user is warned, and not only told."""

MOST_KEPT = 2 * 10**9
"""Bytes of kept responses of a whole run, up to which they are kept without being asked for."""


class Planning:
    """Knows, once the model has been traced, what recording will take; leaves out what has no room."""

    def __init__(
        self,
        capture: Capture,
        *,
        probe: ProbeSet | None,
        snapshots: Mapping[str, int | None],
        time_share: float | None,
        max_bytes: int | None,
        faults: Faults,
    ) -> None:
        """
        Args:
            capture: what is recorded; must be traced before `plan`.
            probe: the samples held in memory.
            snapshots: split → how many are expected, None where nobody can tell.
            time_share: of the training that probes may take.
            max_bytes: the most that the run on disk, and memory, may take.
            faults: where warnings go.
        """
        self.forecast: Forecast | None = None
        self._capture = capture
        self._probe = probe
        self._snapshots = dict(snapshots)
        self._time_share = time_share
        self._windows = len(self._snapshots) - (probe is not None)
        self._max_bytes = max_bytes
        self._faults = faults

    def plan(self) -> None:
        """Makes the forecast. What has no room in `max_bytes` is left out, as `leave_out_one` says."""
        left_out: list[str] = []
        forecast = self._plan().forecast()
        if self._keeps_too_much(forecast):
            drop_responses(self._capture)
            forecast = self._plan().forecast()
        while self._max_bytes is not None and _most(forecast) > self._max_bytes:
            dropped = leave_out_one(self._capture)
            if dropped is None:
                break
            left_out.append(dropped)
            forecast = self._plan().forecast()
        self.forecast = replace(forecast, left_out=tuple(left_out))
        if left_out:
            self._faults.warn(
                f"max_bytes={size(self._max_bytes)} leaves no room for {', '.join(left_out)}; "
                f"what is recorded: {self.forecast}"
            )
        elif forecast.memory_bytes > LARGE:
            self._faults.warn(
                f"recording will hold {size(forecast.memory_bytes)} of memory: {forecast}. "
                f"Record fewer layers (layers=[…]), or set a limit (max_bytes=…)"
            )

    def _plan(self) -> Plan:
        capture = self._capture
        counts = list(self._snapshots.values())
        groupings = {TRUE: capture.classes, PREDICTED: capture.classes} | {
            name: len(grouping.classes) for name, grouping in capture.groupings.items()
        }
        return Plan(
            layers=capture.layers,
            groupings=groupings,
            responses=len(capture.responses),
            snapshots=None if None in counts else sum(n or 0 for n in counts),
            batch=capture.batch,
            # a probe's sums are handed over whole; the next window is summed up meanwhile
            sums=len(counts) + self._windows,
            kept_bytes=self._kept_bytes(),
            probe_bytes=self._probe.nbytes if self._probe is not None else 0,
            time_share=self._time_share,
        )

    def _kept_bytes(self) -> int:
        optional = self._capture.optional
        return optional.kept_bytes(self._capture.found) if optional is not None else 0

    def _keeps_too_much(self, forecast: Forecast) -> bool:
        """Whether responses, kept because each snapshot's fit, would be too many together."""
        optional = self._capture.optional
        automatic = optional is not None and optional.wanted.responses == "auto"
        return automatic and self._kept_bytes() * (forecast.snapshots or 0) > MOST_KEPT


def leave_out_one(capture: Capture) -> str | None:
    """Record one thing less: kept responses first, then the user's groupings, the widest first, then
    layers, the widest first; the output stays. What it was; None where there is no more."""
    return drop_responses(capture) or _drop_grouping(capture) or _drop_layer(capture)


def drop_responses(capture: Capture) -> str | None:
    optional = capture.optional
    if optional is None or not optional.kept_bytes(capture.found):
        return None
    optional.leave_responses_out()
    return "kept responses"


def _drop_grouping(capture: Capture) -> str | None:
    own = capture.groupings
    if not own:
        return None
    widest = max(own, key=lambda name: len(own[name].classes))
    capture.leave_out_groupings([widest])
    return f"grouping {widest!r}"


def _drop_layer(capture: Capture) -> str | None:
    layers: Sequence[Layer] = [layer for layer in capture.layers if not layer.output]
    if not layers:
        return None
    widest = max(layers, key=lambda layer: layer.units)
    capture.leave_out_layer(widest.path)
    return f"layer {widest.path!r}"


def _most(forecast: Forecast) -> int:
    return max(forecast.memory_bytes, forecast.disk_bytes or forecast.snapshot_bytes)
