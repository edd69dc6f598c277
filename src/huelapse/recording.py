"""Two lines in a training loop: the recorder joins capture to store, and never harms the loop."""

import atexit
import logging
import math
import os
import sys
import threading
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from huelapse.capture import Capture, Captured, Pass, ProbeSet, ScalarMeans
from huelapse.capture.budget import ProbeBudget
from huelapse.capture.schedule import ScheduleLike, due
from huelapse.config import plain
from huelapse.errors import (
    HuelapseError,
    HuelapseWarning,
    ProbeError,
    RecorderClosedError,
    ScalarError,
)
from huelapse.filing import begin_run, describe_split, take_directory
from huelapse.grouping import check_classes
from huelapse.schema import Layer, SplitKind
from huelapse.snapshot import Snapshot
from huelapse.store import WriterThread, check_split_name

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 5.0
"""Longest that closing may take."""


class Recorder:
    """Records how strongly every unit responds to each class while a model trains.

        recorder = huelapse.Recorder(model, "runs/fashion", probe=val_loader, classes=names)
        for images, labels in loader:
            …forward, backward, optimizer.step()…
            recorder.step(loss=loss)
        recorder.close()

    At each snapshot the probe (the same samples every time) runs through the model in eval mode
    without gradients, and per class and unit count, mean, m2 and active are kept, by the samples'
    true and predicted classes. Weights, gradients, buffers, modes and random states are afterwards
    what they were. Hooks are on the model only while a probe runs.

    Construction and the first pass raise on bad input. Afterwards a fault of huelapse is one
    `HuelapseWarning` and a marked gap in the run, and the recorder does nothing more
    (`strict=True` raises instead).
    """

    def __init__(
        self,
        model: Any,
        run: str | os.PathLike[str],
        *,
        classes: Sequence[str] | int,
        probe: Any = None,
        schedule: ScheduleLike = None,
        total_steps: int | None = None,
        probe_budget: float | None = 0.05,
        probe_samples: int | None = None,
        layers: Literal["all"] | Sequence[str] | None = None,
        output: Literal["logits", "log-probability", "probability"] | None = None,
        split: str = "val",
        name: str | None = None,
        exist: Literal["error", "new"] = "error",
        config: dict[str, Any] | None = None,
        on_commit: Callable[[str, int], None] | None = None,
        strict: bool = False,
    ) -> None:
        """Takes the snapshot of step 0 at once, so construct it with the weights training starts from.

        Args:
            model: any `torch.nn.Module` whose forward gives [sample, class] logits or probabilities.
            run: directory of the run; must not hold one yet.
            classes: their names in order of index, or how many there are.
            probe: DataLoader, Dataset or (inputs, labels) tensors of held-out samples; a balanced
                subset of them is drawn once. None: use `probing()` around your own evaluation.
            schedule: None (dense at first, then sparser), every n steps, steps, or a function of
                the step.
            total_steps: how many steps the training will take, if known.
            probe_budget: share of training time that probes may take (step 0's apart); snapshots
                wait when it is used up. None for no limit.
            probe_samples: at most so many; default max(2,000, 20 per class).
            layers: None for what follows an activation module; "all" for every leaf module;
                or patterns of module paths.
            output: what the model returns; by default told from a first forward.
            split: what the probe's snapshots are filed under.
            name: shown by the viewer; default the directory's name.
            exist: "error", or "new" to record into a numbered sibling where there is a run.
            config: values to keep with the run; what JSON does not know is kept as its text.
            on_commit: called with (split, step) in the writer's thread once a snapshot is safe.
            strict: raise faults instead of warning.

        Raises:
            RunExistsError, ClassCountError, LabelError, LayerError, OutputError, ProbeError,
            ScheduleError: what was found, expected, and to do.
        """
        self._class_names = check_classes(classes)
        self._split = check_split_name(split)
        self._config = plain(config or {})
        self._due = due(schedule, total_steps)
        self.budget = ProbeBudget(probe_budget)
        self.run = take_directory(Path(run), exist)
        self._name = name or self.run.name
        self._capture = Capture(
            model, classes=len(self._class_names), layers=layers, output_kind=output
        )
        self._on_commit = on_commit
        self._strict = strict
        self._step = 0
        self._epoch = math.nan
        self._owed = False
        self._taken: dict[str, int] = {}
        self._last_probed = 0
        self._scalars = ScalarMeans()
        self._gaps: list[dict[str, Any]] = []
        self._writer: WriterThread | None = None
        self._failed = False
        self._alone = threading.Lock()
        self._warned_of_scalars = False
        self._closed = False
        self._ended = False
        self._pid = os.getpid()
        self._probe: ProbeSet | None = None
        if probe is not None:
            self._probe = ProbeSet(probe, classes=len(self._class_names), samples=probe_samples)
            try:
                self._snapshot()
            except BaseException:
                self._abandon()
                raise
        atexit.register(self._at_exit)
        self.budget.start()
        logger.info("%s", self)

    # --- the loop --------------------------------------------------------------------------------

    def step(self, *, epoch: float | None = None, **scalars: Any) -> None:
        """Say that the optimizer has made a step; takes a snapshot when the schedule says so.

        Args:
            epoch: passes over the training data so far, may be fractional.
            scalars: numbers or one-element tensors (detached here); each snapshot keeps their mean
                since the one before.
        """
        if self._closed:
            raise RecorderClosedError("the recorder is closed; step() has nothing to write to")
        self._step += 1
        if self._failed:
            return
        self._add_scalars(scalars)
        try:
            if epoch is not None:
                self._epoch = float(epoch)
            self._check_writer()
            if self._probe is None:
                return
            self._owed = self._due(self._step) or self._owed
            # two threads may share a recorder, but one probe at a time shares the model
            if self._owed and self.budget.affordable() and self._alone.acquire(blocking=False):
                try:
                    self._owed = False
                    self._snapshot()
                finally:
                    self._alone.release()
        except Exception as error:
            self._fail(error)

    def _add_scalars(self, scalars: dict[str, Any]) -> None:
        """Bad ones raise at the first step; later they are left out, with one warning."""
        try:
            self._scalars.add(scalars)
        except ScalarError as error:
            if self._step == 1 or self._strict:
                raise
            if not self._warned_of_scalars:
                self._warned_of_scalars = True
                self._warn(f"scalars of step {self._step} and the like are not kept: {error}")

    @contextmanager
    def probing(self, split: str | None = None) -> Generator["Probing"]:
        """Record an evaluation of your own: a snapshot of `split` at the current step.

            with recorder.probing("val") as probing:
                for images, labels in val_loader:
                    logits = model(images)
                    probing.labels(labels)

        Call `labels` once after each forward. Use `model.eval()` and `torch.no_grad()` as you
        would anyway; huelapse changes neither.
        """
        if self._closed:
            raise RecorderClosedError("the recorder is closed; probing() has nothing to write to")
        name = check_split_name(split) if split else self._split
        if self._failed:
            yield Probing(None, self)
            return
        if self._probe is not None and name == self._split:
            raise ProbeError(
                f"split {name!r} is filled by the built-in probe; give your own evaluation another "
                f'name: recorder.probing("…")'
            )
        if not self._alone.acquire(blocking=False):
            raise ProbeError("another evaluation is being recorded; end its `with` block first")
        started = time.monotonic()
        one = Pass(self._capture)
        try:
            with one.attached():
                yield Probing(one, self)
        finally:
            self._alone.release()
        if self._failed:
            return
        try:
            captured = one.result()
            self._hand_over(captured, name, "evaluation", time.monotonic() - started)
        except Exception as error:
            if isinstance(error, HuelapseError) and not self._taken.get(name):
                raise
            self._fail(error)

    # --- taking ----------------------------------------------------------------------------------

    def _snapshot(self) -> None:
        """Run the built-in probe and hand the result to the writer."""
        assert self._probe is not None
        started = time.monotonic()
        captured = self._capture.run(self._probe)
        self._hand_over(captured, self._split, "probe", time.monotonic() - started)
        self._last_probed = self._step
        self.budget.add(time.monotonic() - started, first=self._step == 0)

    def _fold(self, one: Pass, labels: Any) -> None:
        """Labels of the user's own evaluation: bad ones raise in the first, else end recording."""
        if self._failed:
            return
        try:
            one.labels(labels)
        except Exception as error:
            if isinstance(error, HuelapseError) and not self._taken:
                raise
            self._fail(error)

    def _hand_over(self, captured: Captured, split: str, kind: SplitKind, seconds: float) -> None:
        if self._writer is None:
            self._writer = begin_run(
                self.run,
                name=self._name,
                capture=self._capture,
                config=self._config,
                on_commit=self._on_commit,
            )
        writer = self._writer
        if split not in self._taken:
            probe_hash = self._probe.hash if self._probe and kind == "probe" else None
            writer.add_split(describe_split(split, kind, captured, self._class_names, probe_hash))
            self._taken[split] = 0
        counts = self._scalars.counts(split)
        means = self._scalars.take(split)
        snapshot = Snapshot(
            split=split,
            step=self._step,
            epoch=self._epoch,
            wall_time=time.time(),
            seconds=seconds,
            moments=captured.moments,
            confusion=captured.confusion,
            metrics=means,
        )
        if writer.put(snapshot, {"gaps": list(self._gaps), "cost": self.cost()}):
            self._taken[split] += 1
        else:
            self._scalars.give_back(split, means, counts)

    # --- what the user may ask -------------------------------------------------------------------

    def __repr__(self) -> str:
        if not self.layers:
            return f"<Recorder of {self.run}: nothing recorded yet>"
        units = sum(layer.units for layer in self.layers)
        text = f"<Recorder of {self.run}: {units:,} units in {len(self.layers)} layers"
        if self._probe is not None:
            allowed = self.budget.share_allowed
            text += (
                f"; a probe of {self._probe.samples:,} samples takes {self.budget.expected:.2g} s"
            )
            text += f", at most {allowed:.0%} of training" if allowed else ""
        return text + ">"

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layer table; empty until the model has run."""
        return self._capture.layers if self._capture.traced else ()

    def cost(self) -> dict[str, float]:
        """What recording has cost so far: seconds in probes and their share of training time."""
        return {
            "probe_seconds": self.budget.first + self.budget.spent,
            "training_seconds": self.budget.elapsed,
            "probe_share": self.budget.share,
            "snapshots": float(sum(self._taken.values())),
            "dropped": float(self._writer.dropped if self._writer else 0),
        }

    # --- ends and faults ---------------------------------------------------------------------------

    def close(self) -> None:
        """Take a last snapshot if the model has moved on since the one before, and finish the run.

        The last probe is left out if it would take longer than 5 s; what waits to be written gets
        at most as long.
        """
        if self._closed or os.getpid() != self._pid:
            return
        if (
            self._probe is not None
            and not self._failed
            and self._step > self._last_probed
            and self.budget.expected <= CLOSE_SECONDS
        ):
            try:
                self._snapshot()
            except Exception as error:
                self._fail(error)
        self._finish("complete")

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            self._finish("interrupted")

    def _finish(self, state: Literal["complete", "interrupted"]) -> None:
        self._closed = True
        if self._writer is None:
            atexit.unregister(self._at_exit)
            return
        if self._failed:
            state = "interrupted"
        attributes = {"gaps": list(self._gaps), "cost": self.cost()}
        done = self._writer.finish(CLOSE_SECONDS, state, attributes)
        self._ended = done  # a Ctrl-C before this line leaves the rest to the program's end
        if done:
            atexit.unregister(self._at_exit)
        if self._writer.error is not None and not self._failed:
            self._fail(self._writer.error)
        elif not done:
            self._warn(
                f"{self.run}: the last snapshots were not written within {CLOSE_SECONDS:.0f} s and "
                f"are being written still; everything committed before is safe"
            )

    def _at_exit(self) -> None:
        """The program ends without close(): what waits is written, and the run is complete unless
        an exception ended it."""
        if not self._ended and os.getpid() == self._pid:
            crashed = getattr(sys, "last_value", None) is not None
            self._finish("interrupted" if crashed else "complete")

    def _check_writer(self) -> None:
        if self._writer is not None and self._writer.error is not None:
            raise self._writer.error

    def _fail(self, error: Exception) -> None:
        """One warning, a marked gap, and nothing more; or the error itself where strict."""
        self._failed = True
        self._gaps.append({"step": self._step, "reason": f"{type(error).__name__}: {error}"})
        if self._writer is not None and not self._closed:
            self._writer.note({"gaps": list(self._gaps)})
        if self._strict:
            raise error
        logger.debug("recording failed", exc_info=error)
        self._warn(
            f"huelapse stopped recording {self.run} at step {self._step}; the training goes on, "
            f"and what was recorded before is safe. Reason: {type(error).__name__}: {error}"
        )

    def _warn(self, text: str) -> None:
        """A warning that never becomes an exception in the user's loop."""
        try:
            warnings.warn(text, HuelapseWarning, stacklevel=5)
        except HuelapseWarning:  # the user turns warnings into errors, but not this loop's
            logger.warning(text)

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.finish(CLOSE_SECONDS, "interrupted", {})


class Probing:
    """Handed out by `Recorder.probing`."""

    def __init__(self, one: Pass | None, recorder: Recorder) -> None:
        self._pass = one
        self._recorder = recorder

    def labels(self, labels: Any) -> None:
        """The class index of each sample of the batch that was forwarded last.

        Raises:
            LabelError: in the first evaluation; later ones end the recording with a warning.
        """
        if self._pass is not None:
            self._recorder._fold(self._pass, labels)  # pyright: ignore[reportPrivateUsage]
