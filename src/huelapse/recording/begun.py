"""A recording that has begun: what its user may ask of it, its faults, and its end."""

import os
import threading
from pathlib import Path
from typing import Self

from huelapse.capture import Capture
from huelapse.capture.budget import ProbeBudget
from huelapse.errors import HuelapseError, RecorderClosedError
from huelapse.recording.ending import SECONDS, end_with_program, ended
from huelapse.recording.faults import Faults
from huelapse.recording.filing import Filing
from huelapse.recording.forecast import Forecast
from huelapse.recording.taking import Taking
from huelapse.schema import Layer, RunState


class Begun:
    """What a recorder has made, until it is closed, the program ends, or a fault ends recording."""

    def __init__(
        self,
        capture: Capture,
        filing: Filing,
        faults: Faults,
        taking: Taking,
        budget: ProbeBudget,
        *,
        rank: int,
    ) -> None:
        """Takes the first snapshot, where there is a probe.

        Raises:
            HuelapseError: what is wrong with the model or the samples; the run is ended.
        """
        self.run: Path = filing.run
        self.budget = budget
        self._capture, self._filing, self._faults = capture, filing, faults
        self._taking = taking
        self._rank = rank
        self._alone = threading.Lock()
        self._warned_in_child = False
        self._closed = self._ended = False
        self._pid = os.getpid()
        if taking.probe is not None:
            try:
                taking.probe_now()
            except BaseException:
                filing.finish(SECONDS, "interrupted", {})
                raise
        end_with_program(self)
        filing.meet()
        budget.start()

    @property
    def id(self) -> str | None:
        """What tells this run from others, wherever it is; None before its first snapshot."""
        return self._filing.id

    # --- what the user may ask -------------------------------------------------------------------

    def __repr__(self) -> str:
        if not self.layers:
            return f"<Recorder of {self.run}: nothing recorded yet>"
        text = f"<Recorder of {self.run}: {self.forecast}"
        if self._taking.probe is not None:
            n, seconds = self._taking.probe.samples, self.budget.expected
            text += f"; a probe of {n:,} samples takes {seconds:.2g} s"
        return text + ">"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer table; empty until the model has run."""
        return self._capture.layers if self._capture.traced else ()

    @property
    def forecast(self) -> Forecast | None:
        """What recording will take; None until the model has run, which is before the first step."""
        return self._taking.planning.forecast

    def cost(self) -> dict[str, float]:
        """What recording has cost so far, in seconds of the training's thread, shares, and bytes.

        Shares are of the training's time. The probe of step 0 comes before the training, and is in
        `probe_seconds` but in no share.
        """
        return self._taking.cost()

    # --- ends and faults -------------------------------------------------------------------------

    def close(self) -> None:
        """Take a last snapshot if the model has moved on since the one before, and finish the run.

        The last probe is left out if it would take longer than 5 s; what waits to be written gets
        at most as long. A window that is not full is left out, unless it would be the only one.
        """
        if self._closed or os.getpid() != self._pid:
            return
        try:
            if (
                self._taking.probe is not None
                and not self._faults.failed
                and self._taking.step > self._taking.last_probed
                and self.budget.expected <= SECONDS
            ):
                self._taking.probe_now()
            if not self._faults.failed:
                self._taking.last_window()
        except Exception as error:
            self._fail(error)
        self.end("complete")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self.end("interrupted")

    def end(self, state: RunState, *, leaving: bool = False) -> None:
        """Finish the run as it is, without a last probe: what waits is written, within 5 s.

        Args:
            state: of the run.
            leaving: the program is about to end: what cannot be written by then is dropped.
        """
        if (self._closed and self._ended) or os.getpid() != self._pid:
            return
        self._closed = True
        try:
            self._finish("interrupted" if self._faults.failed else state, leaving)
        except Exception as error:
            self._fail(error)

    def _finish(self, state: RunState, leaving: bool) -> None:
        # a Ctrl-C before the next line ends leaves the rest to the program's end
        dropped = self._filing.dropped
        self._ended = self._filing.finish(
            SECONDS, state, self._taking.attributes(), leaving=leaving
        )
        if self._ended:
            ended(self)
        dropped = self._filing.dropped - dropped
        if self._filing.error is not None and not self._faults.failed:
            self._fail(self._filing.error)
            return
        if self._filing.trouble is not None and not self._faults.failed:
            self._faults.missed(*self._filing.trouble)
        notice = self._filing.notice()
        if notice is not None:
            self._faults.warn(f"{self.run}: {notice}")
        if not self._ended or dropped:
            self._faults.warn(
                f"{self.run}: "
                + (f"{dropped} snapshots" if dropped else "the last snapshots")
                + f" could not be written within {SECONDS:.0f} s"
                + ("" if leaving else " and are being written still")
                + "; everything committed before is safe"
            )

    def _refuse_closed(self, call: str) -> None:
        if self._closed:
            raise RecorderClosedError(f"the recorder is closed; {call} has nothing to write to")

    def _idle(self, call: str) -> bool:
        """Whether nothing is recorded: it has failed before, or this is a forked child's copy."""
        if os.getpid() == self._pid:
            return self._faults.failed
        if not self._warned_in_child:
            self._warned_in_child = True
            self._faults.warn(
                f"{call} was called in a process forked from the one that records {self.run}, so "
                f"it records nothing, now and later; call it where the recorder was made"
            )
        return True

    def _failed_inside(self, error: Exception, split: str) -> None:
        """Inside the user's own evaluation: bad input raises in the first one, else it ends
        recording."""
        if isinstance(error, HuelapseError) and not self._filing.taken.get(split):
            raise error
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        try:
            self._faults.fail(error, self._taking.step, marked=self._filing.has_marked(error))
        finally:
            if not self._closed:
                self._filing.note({"gaps": list(self._faults.gaps)})
