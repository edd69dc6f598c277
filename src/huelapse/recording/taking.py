"""Taking snapshots: when one is due, what it is made of, what that has cost."""

import math
import time
from collections.abc import Mapping
from typing import Any

from huelapse.capture import Capture, Captured, ProbeSet, Window, run_probe
from huelapse.capture.budget import ProbeBudget
from huelapse.capture.schedule import Every, ScheduleLike, due, expected, lasting
from huelapse.errors import ScheduleError
from huelapse.recording.faults import Faults
from huelapse.recording.filing import Filing
from huelapse.recording.planning import Planning
from huelapse.schema import SplitKind


class Taking:
    """Probes and windows of one model, filed as snapshots at the current step."""

    def __init__(
        self,
        capture: Capture,
        filing: Filing,
        faults: Faults,
        budget: ProbeBudget,
        *,
        probe: ProbeSet | None,
        window_samples: int | None,
        window_grows: bool = False,
        schedule: ScheduleLike,
        window_schedule: ScheduleLike,
        total_steps: int | None,
        split: str,
        window_split: str,
        max_bytes: int | None,
        first_step: int = 0,
    ) -> None:
        """Options are those of `Recorder`, `window_samples` those of this rank, and at least one
        batch where `window_grows`. Raises as `schedule.due`."""
        if filing.ranks > 1 and isinstance(window_schedule, Every) and window_schedule.seconds:
            raise ScheduleError(
                "window_schedule is every so many seconds, and ranks have no clock in common; "
                "let windows open by steps or epochs: huelapse.every(steps=…)"
            )
        self.step = self.first_step = first_step
        self.epoch = math.nan
        self.last_probed = first_step
        self.split = split
        self.probe = probe
        self._capture = capture
        self._filing = filing
        self._faults = faults
        self._budget = budget
        self._window_split = window_split
        schedule, window_schedule = lasting(schedule), lasting(window_schedule)
        self._is_due, self._window_is_due = (
            due(s, total_steps) for s in (schedule, window_schedule)
        )
        self._owed, self._window_owed = False, True
        self._contiguous = window_schedule == 1
        self._waiting_seconds = 0.0
        self.window = (
            Window(
                capture,
                window_samples,
                opens=self._opens,
                closed=self._full,
                ranks=filing.ranks,
                grows=window_grows,
            )
            if window_samples
            else None
        )
        self.planning = Planning(
            capture,
            probe=probe,
            snapshots=self._expected(schedule, window_schedule, total_steps),
            time_share=budget.share_allowed if probe is not None else None,
            max_bytes=max_bytes,
            faults=faults,
        )
        capture.when_traced = self.planning.plan

    def _expected(
        self, schedule: ScheduleLike, window_schedule: ScheduleLike, total_steps: int | None
    ) -> dict[str, int | None]:
        """Split → how many snapshots it will have."""
        found: dict[str, int | None] = {}
        if self.probe is not None:
            n = expected(schedule, total_steps)
            found[self.split] = None if n is None else n + 1  # step 0
        if self.window is not None:
            # one after another: how many there are follows from the batch, which nobody knows yet
            found[self._window_split] = (
                None if self._contiguous else expected(window_schedule, total_steps)
            )
        return found

    # --- when --------------------------------------------------------------------------------------

    def stepped(self) -> bool:
        """The optimizer has made a step: whether a probe is due, and can be paid for."""
        self._window_owed = self._window_is_due(self.step, self.epoch) or self._window_owed
        if self.probe is None:
            return False
        self._owed = self._is_due(self.step, self.epoch) or self._owed
        return self._owed and self._budget.affordable()

    def _opens(self) -> bool:
        """Whether a window may begin now."""
        owed, self._window_owed = self._window_owed, self._contiguous
        return owed

    # --- what ----------------------------------------------------------------------------------------

    def probe_now(
        self,
        capture: Capture | None = None,
        split: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Run the probe and hand what it gave to the writer.

        Args:
            capture: of a copy of the model; by default of the model itself.
            split: what it is filed under.
            facts: more about the split.
        """
        assert self.probe is not None
        self._owed = False
        started = time.monotonic()
        captured = run_probe(capture or self._capture, self.probe)
        self.hand_over(
            captured,
            split or self.split,
            "probe",
            time.monotonic() - started,
            capture=capture,
            facts={"hash": self.probe.hash, **(facts or {})},
        )
        self.last_probed = self.step
        self._budget.add(time.monotonic() - started, first=self.step == self.first_step)

    def last_window(self) -> None:
        """A window that is not full at the end is left out, unless it would be the only one."""
        rest = self.window.rest() if self.window is not None else None
        if rest is not None and not self._filing.taken.get(self._window_split):
            self._full(rest)

    def _full(self, captured: Captured) -> None:
        """A window is closed."""
        self.hand_over(captured, self._window_split, "window", 0.0)

    def hand_over(
        self,
        captured: Captured,
        split: str,
        kind: SplitKind,
        seconds: float,
        *,
        capture: Capture | None = None,
        facts: Mapping[str, Any] | None = None,
        alone: bool = False,
    ) -> None:
        """One snapshot to the writer; of windows and evaluations every rank gives its share, but where
        this one is `alone` with it."""
        started = time.perf_counter()
        several = self._filing.ranks > 1 and kind != "probe" and not alone
        self._filing.hand_over(
            captured,
            capture=capture or self._capture,
            split=split,
            kind=kind,
            step=self.step,
            epoch=self.epoch,
            seconds=seconds,
            facts=facts or {},
            attributes=self.attributes(),
            shared=several,
        )
        self._waiting_seconds += time.perf_counter() - started

    # --- what it cost --------------------------------------------------------------------------------

    def attributes(self) -> dict[str, Any]:
        """What the run's root says of the recording so far."""
        return {"gaps": list(self._faults.gaps), "cost": self.cost()}

    def cost(self) -> dict[str, float]:
        """As `Recorder.cost`."""
        elapsed = self._budget.elapsed
        hooks = self.window.hook_seconds if self.window is not None else 0.0
        folds = self.window.fold_seconds if self.window is not None else 0.0
        return {
            "probe_seconds": self._budget.first + self._budget.spent,
            "first_probe_seconds": self._budget.first,
            "hook_seconds": hooks,
            "fold_seconds": folds,
            "waiting_seconds": self._waiting_seconds,
            "training_seconds": elapsed,
            "probe_share": self._budget.share,
            "window_share": (hooks + folds) / elapsed if elapsed > 0 else 0.0,
            "bytes_held": float(self._held()),
            "bytes_written": float(self._filing.bytes_written),
            "snapshots": float(sum(self._filing.taken.values())),
            "dropped": float(self._filing.dropped),
        }

    def _held(self) -> int:
        """Bytes of sums, of the probe's samples, and of what waits to be written."""
        window = self.window.nbytes if self.window is not None else 0
        probe = self.probe.nbytes if self.probe is not None else 0
        return window + probe + self._filing.waiting_bytes
