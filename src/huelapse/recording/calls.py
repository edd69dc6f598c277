"""What a training loop calls: a step, a window around a forward, an evaluation, a snapshot."""

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any

from huelapse.capture import Capture, Pass, Samples, one_epoch
from huelapse.errors import HuelapseError, ProbeError, ScalarError, ScheduleError
from huelapse.recording.begun import Begun
from huelapse.recording.blocks import NOTHING, Probing, WindowBlock
from huelapse.recording.ending import SECONDS
from huelapse.store import check_split_name


class Calls(Begun):
    """Each of them may be called anywhere in the loop; a fault in one of them is never the loop's."""

    _window_every = 1
    """Of the batches of windows each so many-th is recorded."""
    _batches = 0
    _warned_of_scalars = False

    def step(self, *, epoch: float | None = None, **scalars: Any) -> None:
        """Say that the optimizer has made a step; takes a snapshot when the schedule says so.

        Args:
            epoch: passes over the training data so far, may be fractional.
            scalars: numbers or one-element tensors (detached here); each snapshot keeps their mean
                since the one before.
        """
        self._refuse_closed("step()")
        self._taking.step += 1
        try:
            if self._idle("step()"):
                return
            self._add_scalars(epoch, scalars)
            self._filing.check()
            if self._filing.trouble is not None:
                self._faults.missed(*self._filing.trouble)
            notice = self._filing.notice()
            if notice is not None:
                self._faults.warn(f"{self.run}: {notice}")
            # two threads may share a recorder, but one probe at a time shares the model
            if self._taking.stepped() and self._alone.acquire(blocking=False):
                try:
                    self._taking.probe_now()
                finally:
                    self._alone.release()
        except Exception as error:
            if isinstance(error, ScalarError):
                raise
            self._fail(error)

    def _add_scalars(self, epoch: Any, scalars: dict[str, Any]) -> None:
        """Bad ones raise at the first step; later they are left out, with one warning."""

        def take_epoch() -> None:
            if epoch is not None:
                self._taking.epoch = one_epoch(epoch)

        for take in (take_epoch, lambda: self._filing.scalars.add(scalars)):
            try:
                take()
            except ScalarError as error:
                if self._taking.step == self._taking.first_step + 1 or self._faults.strict:
                    raise
                if not self._warned_of_scalars:
                    self._warned_of_scalars = True
                    self._faults.warn(
                        f"scalars of step {self._taking.step} and the like are not kept: {error}"
                    )

    def window(
        self, labels: Any, *, ids: Any = None, metadata: Any = None, **groups: Any
    ) -> "WindowBlock":
        """Record the training forward of one batch: put it around the forward alone.

            with recorder.window(labels):
                logits = model(images)
            loss = …

        Windows say what the training saw: weights move, the model is in train mode, and the inputs
        are augmented. Each is closed when it holds exactly `window` samples.

        Args:
            labels: [sample] class indices, on any device; None for samples without labels.
            ids: [sample] integers or strings on the host: a sample counts once in a window.
            metadata: for the rules of groupings.
            groups: [sample] class indices of groupings without a rule.

        Raises:
            LabelError, LayerError, GroupingError …: at the first batch; later ones end recording.
        """
        self._refuse_closed("window()")
        if self._taking.window is None:
            raise ScheduleError(
                "this recorder has no windows; say how many samples each shall hold: "
                "Recorder(window=2000), or window=True"
            )
        self._batches += 1
        try:
            if (
                self._idle("window()")
                or (self._batches - 1) % self._window_every
                or not self._taking.window.wanted()
            ):
                return NOTHING
            samples = Samples(labels=labels, ids=ids, metadata=metadata, groups=groups)
            return WindowBlock(self._taking.window, samples, self._fail)
        except Exception as error:
            self._fail(error)
            return NOTHING

    @contextmanager
    def probing(self, split: str | None = None, *, alone: bool = False) -> Generator[Probing]:
        """Record an evaluation of your own: a snapshot of `split` at the current step.

            with recorder.probing("val") as probing:
                for images, labels in val_loader:
                    logits = model(images)
                    probing.labels(labels)

        Call `labels` once after each forward. Use `model.eval()` and `torch.no_grad()` as you
        would anyway; huelapse changes neither.

        Args:
            split: what it is filed under.
            alone: in a distributed training each rank evaluates its share, and what they give is one
                snapshot; with `alone` rank 0's evaluation is the snapshot, and others' do not count.
        """
        self._refuse_closed("probing()")
        name = check_split_name(split) if split else self._taking.split
        started = time.monotonic()
        one: Pass | None = None
        probing = Probing(None, self._fail)
        with ExitStack() as around:
            try:
                if not self._idle("probing()") and not (alone and self._rank):
                    self._take_turn(name)
                    around.callback(self._alone.release)
                    one = Pass(self._capture, shared=self._filing.ranks > 1 and not alone)
                    around.enter_context(one.attached())
                    probing = Probing(one, lambda error: self._failed_inside(error, name))
            except HuelapseError:
                raise
            except Exception as error:
                one = None
                self._fail(error)
            yield probing
        if one is None or self._faults.failed:
            return
        try:
            captured = one.result()
            seconds = time.monotonic() - started
            self._taking.hand_over(captured, name, "evaluation", seconds, alone=alone)
        except Exception as error:
            if isinstance(error, HuelapseError) and not self._filing.taken.get(name):
                raise
            self._fail(error)

    def _take_turn(self, split: str) -> None:
        """One evaluation is recorded at a time."""
        if self._taking.probe is not None and split == self._taking.split:
            raise ProbeError(
                f"split {split!r} is filled by the built-in probe; give your own evaluation "
                f'another name: recorder.probing("…")'
            )
        self._wait_for_turn(0.0)

    def _wait_for_turn(self, seconds: float) -> None:
        """Not for ever: the evaluation that is being recorded may be the one this stands in."""
        if not self._alone.acquire(timeout=seconds):
            raise ProbeError("another evaluation is being recorded; end its `with` block first")

    def snapshot(self, model: Any = None, *, split: str | None = None) -> None:
        """Probe now, whatever the schedule says.

        Args:
            model: another copy of the model, such as an average of its weights (EMA, SWA), whose
                snapshots are marked as of averaged weights.
            split: what it is filed under; another than the probe's own for another model.

        Raises:
            ProbeError: there is no probe, or the copy has no split of its own.
            LayerError: the copy has other layers than the model.
        """
        self._refuse_closed("snapshot()")
        try:
            if self._idle("snapshot()") or self._rank:
                return
            capture, name = self._whose(model, split)
            self._wait_for_turn(SECONDS)
        except HuelapseError:
            raise
        except Exception as error:
            self._fail(error)
            return
        facts = {} if model is None else {"weights": "averaged"}
        try:
            self._taking.probe_now(capture, name, facts)
        except Exception as error:
            if isinstance(error, HuelapseError) and not self._filing.taken.get(name):
                raise
            self._fail(error)
        finally:
            self._alone.release()

    def _whose(self, model: Any, split: str | None) -> tuple[Capture, str]:
        """What `snapshot` is to record, and the split it is filed under."""
        if self._taking.probe is None:
            raise ProbeError("snapshot() needs a probe: Recorder(probe=…), or use probing()")
        own = self._taking.split
        name = check_split_name(split) if split else own
        if (model is None) != (name == own):
            raise ProbeError(
                f"snapshot(split={name!r}) {'without' if model is None else 'with'} a model of its "
                f"own: {own!r} is for the trained weights alone, other splits for copies"
            )
        return self._capture if model is None else self._capture.of_copy(model), name
