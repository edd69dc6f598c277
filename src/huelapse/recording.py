"""Two lines in a training loop: the recorder joins capture to store, and never harms the loop."""

import atexit
import logging
import math
import os
import time
import warnings
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from huelapse.capture import Capture, Captured, Pass, ProbeSet, ScalarMeans
from huelapse.capture.budget import ProbeBudget
from huelapse.capture.schedule import ScheduleLike, due
from huelapse.errors import HuelapseWarning, ProbeError, RecorderClosedError, RunExistsError
from huelapse.grouping import check_classes
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, Layer, Split, SplitKind
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter, WriterThread, free_directory

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
            split: what the probe's snapshots are filed under.
            name: shown by the viewer; default the directory's name.
            exist: "error", or "new" to record into a numbered sibling where there is a run.
            config: plain JSON values to keep with the run.
            on_commit: called with (split, step) in the writer's thread once a snapshot is safe.
            strict: raise faults instead of warning.

        Raises:
            RunExistsError, ClassCountError, LabelError, LayerError, OutputError, ProbeError,
            ScheduleError: what was found, expected, and to do.
        """
        self._class_names = check_classes(classes)
        self._due = due(schedule, total_steps)
        self.budget = ProbeBudget(probe_budget)
        self.run = self._directory(Path(run), exist)
        self._name = name or self.run.name
        self._capture = Capture(model, classes=len(self._class_names), layers=layers)
        self._split = split
        self._config = config or {}
        self._on_commit = on_commit
        self._strict = strict
        self._step = 0
        self._epoch = math.nan
        self._owed = False
        self._taken: dict[str, int] = {}
        self._last_probed = 0
        self._scalars = ScalarMeans()
        self._gaps: list[dict[str, Any]] = []
        self._store: StoreWriter | None = None
        self._writer: WriterThread | None = None
        self._failed = False
        self._closed = False
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

    @staticmethod
    def _directory(run: Path, exist: str) -> Path:
        if exist not in ("error", "new"):
            raise ValueError(f'exist is {exist!r}, expected "error" or "new"')
        if exist == "new":
            return free_directory(run)
        if (run / "run.zarr").exists():
            raise RunExistsError(
                f"{run} already holds a run; give another directory, or pass "
                f'exist="new" to record into a numbered one beside it. Nothing was changed'
            )
        return run

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
        try:
            self._scalars.add(scalars)
            if epoch is not None:
                self._epoch = float(epoch)
            self._check_writer()
            if self._probe is None:
                return
            self._owed = self._due(self._step) or self._owed
            if self._owed and self.budget.affordable():
                self._owed = False
                self._snapshot()
        except Exception as error:
            if self._step == 1:
                raise
            self._fail(error)

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
        if self._failed:
            yield Probing(None, self)
            return
        name = split or self._split
        if self._probe is not None and name == self._split:
            raise ProbeError(
                f"split {name!r} is filled by the built-in probe; give your own evaluation another "
                f'name: recorder.probing("…")'
            )
        started = time.monotonic()
        one = Pass(self._capture)
        with one.attached():
            yield Probing(one, self)
        if self._failed:
            return
        try:
            captured = one.result()
            self._hand_over(captured, name, "evaluation", time.monotonic() - started)
        except Exception as error:
            if not self._taken.get(name):
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
            if not self._taken:
                raise
            self._fail(error)

    def _hand_over(self, captured: Captured, split: str, kind: SplitKind, seconds: float) -> None:
        writer = self._open_store()
        assert self._store is not None
        if split not in self._taken:
            self._store.add_split(self._describe(split, kind, captured))
            self._taken[split] = 0
        snapshot = Snapshot(
            split=split,
            step=self._step,
            epoch=self._epoch,
            wall_time=time.time(),
            seconds=seconds,
            moments=captured.moments,
            confusion=captured.confusion,
            metrics=self._scalars.take(),
        )
        self._taken[split] += 1
        writer.put(snapshot, {"gaps": list(self._gaps), "cost": self.cost()})

    def _describe(self, split: str, kind: SplitKind, captured: Captured) -> Split:
        facts: dict[str, Any] = {
            "samples": captured.samples,
            "mode": "train" if captured.training else "eval",
            "measures": {"version": 1},
        }
        if kind == "probe" and self._probe is not None:
            facts["hash"] = self._probe.hash
        names = self._class_names
        return Split(
            name=split,
            kind=kind,
            groupings=(
                Grouping(name=TRUE, classes=names),
                Grouping(name=PREDICTED, classes=names),
            ),
            facts=facts,
        )

    def _open_store(self) -> WriterThread:
        if self._writer is None:
            self._store = StoreWriter(
                self.run,
                name=self._name,
                layers=self._capture.layers,
                facts={
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                    "huelapse": VERSION,
                    **self._capture.facts(),
                    "config": self._config,
                },
            )
            self._writer = WriterThread(self._store, self._on_commit)
        return self._writer

    # --- what the user may ask -------------------------------------------------------------------

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
        atexit.unregister(self._at_exit)
        if self._writer is None or self._store is None:
            return
        done = self._writer.finish(CLOSE_SECONDS)
        if self._writer.error is not None and not self._failed:
            self._fail(self._writer.error)
        if not done:
            warnings.warn(
                f"{self.run}: the last snapshots were not written within {CLOSE_SECONDS:.0f} s; "
                f"everything committed before is safe",
                HuelapseWarning,
                stacklevel=3,
            )
            return
        try:
            self._store.note(gaps=list(self._gaps), cost=self.cost(), dropped=self._writer.dropped)
            self._store.close("interrupted" if self._failed else state)
        except OSError as error:
            self._store.abandon()
            if not self._failed:
                self._fail(error)

    def _at_exit(self) -> None:
        if not self._closed and os.getpid() == self._pid:
            self._finish("interrupted")

    def _check_writer(self) -> None:
        if self._writer is not None and self._writer.error is not None:
            raise self._writer.error

    def _fail(self, error: Exception) -> None:
        """One warning, a marked gap, and nothing more; or the error itself where strict."""
        self._failed = True
        self._gaps.append({"step": self._step, "reason": f"{type(error).__name__}: {error}"})
        if self._strict:
            raise error
        warnings.warn(
            f"huelapse stopped recording {self.run} at step {self._step}; the training goes on, and "
            f"what was recorded before is safe. Reason: {type(error).__name__}: {error}",
            HuelapseWarning,
            stacklevel=4,
        )
        logger.debug("recording failed", exc_info=error)

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.finish(CLOSE_SECONDS)
        if self._store is not None:
            self._store.abandon()


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
