"""Two lines in a training loop."""

import logging
import os
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

from huelapse.capture import (
    Capture,
    Pass,
    ProbeSet,
    Samples,
    Selection,
    Unpacking,
    Wanted,
    default_samples,
    one_epoch,
    process_rank,
)
from huelapse.capture.budget import ProbeBudget
from huelapse.capture.schedule import ScheduleLike
from huelapse.config import plain
from huelapse.errors import (
    HuelapseError,
    ProbeError,
    RecorderClosedError,
    ScalarError,
    ScheduleError,
)
from huelapse.grouping import Classes, check_classes
from huelapse.recording.blocks import NOTHING, Probing, WindowBlock
from huelapse.recording.ending import SECONDS, end_with_program, ended
from huelapse.recording.faults import Faults
from huelapse.recording.filing import Filing, leave_directory, take_directory
from huelapse.recording.forecast import Forecast
from huelapse.recording.options import check_options, made_before, whole
from huelapse.recording.taking import Taking
from huelapse.schema import Layer, RunState
from huelapse.store import check_split_name
from huelapse.store.meeting import Meeting

logger = logging.getLogger(__name__)


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
    what they were. Hooks are on the model only while a probe runs, or inside a `window`.

    Construction and the first pass raise on bad input. Afterwards a fault of huelapse is one
    `HuelapseWarning` and a marked gap in the run, and the recorder does nothing more
    (`strict=True` raises instead).
    """

    def __init__(
        self,
        model: Any,
        run: str | os.PathLike[str],
        *,
        classes: Classes,
        probe: Any = None,
        window: bool | int | None = None,
        schedule: ScheduleLike = None,
        window_schedule: ScheduleLike = None,
        window_every: int = 1,
        total_steps: int | None = None,
        probe_budget: float | None = 0.05,
        probe_samples: int | None = None,
        label_fn: Callable[[Any], Any] | None = None,
        layers: Literal["all"] | Sequence[str] | Callable[[Layer], bool] | None = None,
        unit_axis: Mapping[str, int] | None = None,
        response: Literal["mean", "peak"] | Sequence[Literal["mean", "peak"]] = "mean",
        tokens: Literal["mean", "class", "last"] = "mean",
        output: Literal["logits", "log-probability", "probability"] | None = None,
        groupings: Mapping[str, tuple[Sequence[str] | int, Any]] | None = None,
        multilabel: bool = False,
        ignore_index: int = -100,
        keep_responses: Literal["auto"] | bool | int = "auto",
        maps: bool | Sequence[str] = False,
        watch: int | Sequence[int] = 0,
        first_weights: bool = False,
        thumbnails: bool | tuple[Any, Any] = False,
        split: str = "val",
        window_split: str = "train",
        name: str | None = None,
        exist: Literal["error", "resume", "new"] = "error",
        first_step: int | None = None,
        config: dict[str, Any] | None = None,
        max_bytes: int | None = None,
        on_commit: Callable[[str, int], None] | None = None,
        ranks: tuple[int, int] | None = None,
        strict: bool = False,
    ) -> None:
        """Takes the snapshot of step 0 at once, so construct it with the weights training starts from.

        Args:
            model: any `torch.nn.Module` whose forward gives [sample, class] logits or probabilities.
            run: directory of the run; must not hold one yet.
            classes: their names in order of index, name → index (a data set's `class_to_idx`), or
                how many there are.
            probe: DataLoader, Dataset or (inputs, labels) tensors of held-out samples; a balanced
                subset of them is drawn once. None: use `probing()` around your own evaluation.
            window: samples of a window of training samples (True: as many as a probe has by
                default); then put `with recorder.window(labels):` around the training forward.
            schedule: when to probe: None (dense at first, then sparser), every n steps, steps,
                `huelapse.every(…)`, "manual" (call `snapshot()`), or a function of the step.
            window_schedule: when a window opens; by default as often as `schedule` would by
                default; 1 for one window after another.
            window_every: record every n-th batch only, at a fraction of the price.
            total_steps: how many steps the training will take, if known.
            probe_budget: share of training time that probes may take (step 0's apart); snapshots
                wait when it is used up. None for no limit.
            probe_samples: at most so many; default max(2,000, 20 per class).
            label_fn: how the probe's batches are read, as (inputs, labels) or
                (inputs, labels, metadata), where they are neither pairs nor dicts with "labels".
            layers: None for what follows a nonlinearity and for residual joins; "all" for every
                leaf module; patterns of layer paths; or a function that is asked of each `Layer`.
            unit_axis: pattern of layer paths → axis of their output that holds the units, where it
                is not the one inferred (`recorder.layers` shows it).
            response: "mean" over a unit's positions, "peak", or both.
            tokens: which tokens of [sample, token, unit] count: all, the first ("class"), or the
                last that is not padding.
            output: what the model returns; by default told from a first forward.
            groupings: the user's own: name → (class names, rule), where rule is one class index
                for each label, a function of (labels, output, metadata) that gives one for each
                sample, or None where they are given with each batch.
            multilabel: labels are [sample, class] of 0 and 1, and a sample counts in each of its
                classes; the output is then a sigmoid of each logit.
            ignore_index: label of samples without a class; they count as predicted alone.
            keep_responses: keep the probe's responses themselves, in half precision: "auto" where
                they are at most 64 MB a snapshot and 2 GB in all; True, False, or bytes a snapshot.
            maps: keep, per class, the mean map of where units respond, of layers that match these
                patterns (True: of all that have positions), at most 14 × 14.
            watch: keep the feature maps of so many of the probe's samples, or of these.
            first_weights: keep the weights that work on the input itself.
            thumbnails: keep small pictures of the probe's samples, with the run; (mean, std) says
                which normalization to undo.
            split: what the probe's snapshots are filed under.
            window_split: what windows are filed under.
            name: shown by the viewer; default the directory's name.
            exist: where there is a run: "error"; "resume" to go on with it (and begin it where
                there is none); or "new" to record into a numbered sibling.
            first_step: optimizer steps made before, of a training that goes on from a checkpoint;
                with "resume", what was recorded beyond is superseded: kept, and hidden.
            config: values to keep with the run; what JSON does not know is kept as its text.
            max_bytes: the most the run on disk, and what is held in memory, may take; see
                `forecast` for what is then left out.
            on_commit: called with (split, step) in the writer's thread once a snapshot is safe.
            ranks: (rank of this process, number of ranks) of a distributed training; by default as
                torch.distributed or the launcher tells. (0, 1) records this process by itself.
            strict: raise faults instead of warning.

        In a distributed training each rank makes the same recorder, of the wrapped model or its inside.
        Windows and evaluations are those of all ranks together (`window` samples in all, as many on
        each), merged through files: no rank waits for another. Rank 0 alone runs the probe.

        Raises:
            RunExistsError, RunPathError, ForkedError, ClassCountError, GroupingError, LabelError,
            LayerError, OutputError, ProbeError, ScheduleError, SplitNameError, OptionError,
            ConfigError: what was found, expected, and to do.
        """
        check_options(
            name=name,
            ignore_index=ignore_index,
            groupings=groupings,
            functions={"label_fn": label_fn, "on_commit": on_commit},
        )
        total_steps = whole("total_steps", total_steps, ScheduleError)
        probe_samples = whole("probe_samples", probe_samples, ProbeError)
        max_bytes = whole("max_bytes", max_bytes)
        first_step = made_before(first_step, exist)
        names = check_classes(classes)
        split, window_split = check_split_name(split), check_split_name(window_split)
        self._window_every = whole("window_every", window_every, ScheduleError) or 1
        n = default_samples(len(names)) if window is True else None
        if n is None and window:
            n = whole("window", window, ScheduleError)
        rank, several = process_rank(ranks)
        if n is not None:
            n = -(-n // several)  # as many on each rank, so that all close at one step
        self.budget = ProbeBudget(probe_budget)
        self._capture = Capture(
            model,
            classes=len(names),
            selection=Selection(layers=layers, unit_axis=unit_axis or {}, output=output),
            response=response,
            tokens=tokens,
            groupings=groupings,
            multilabel=multilabel,
            ignore_index=ignore_index,
        )
        self._rank = rank
        given, self.run = take_directory(run, exist, rank)
        self._filing = Filing(
            self.run,
            name=name or self.run.name,
            classes=names,
            config=plain(config or {}),
            facts={"ranks": several} if several > 1 else {},
            on_commit=on_commit,
            first_step=first_step,
            resume=exist == "resume",
            meeting=Meeting(given, rank, several) if several > 1 else None,
        )
        self._faults = Faults(self.run, strict=strict)
        self._batches = 0
        self._alone = threading.Lock()
        self._warned_of_scalars = self._warned_in_child = False
        self._closed = self._ended = False
        self._pid = os.getpid()
        try:
            samples: ProbeSet | None = None
            if probe is not None and rank == 0:
                samples = ProbeSet(
                    probe,
                    classes=len(names),
                    samples=probe_samples,
                    unpack=Unpacking(label_fn, list(self._capture.groupings)),
                    multilabel=multilabel,
                    ignore_index=ignore_index,
                )
                wanted = Wanted(
                    responses=keep_responses,
                    maps=maps,
                    watch=watch,
                    first_weights=first_weights,
                    thumbnails=thumbnails,
                )
                self._capture.keep(wanted, samples)
            self._taking = Taking(
                self._capture,
                self._filing,
                self._faults,
                self.budget,
                probe=samples,
                window_samples=n,
                window_grows=window is True,
                schedule=schedule,
                window_schedule=window_schedule,
                total_steps=total_steps,
                split=split,
                window_split=window_split,
                max_bytes=max_bytes,
                first_step=first_step,
            )
        except BaseException:
            if exist == "new" and not rank:
                leave_directory(self.run)
            raise
        if samples is not None:
            try:
                self._taking.probe_now()
            except BaseException:
                self._filing.finish(SECONDS, "interrupted", {})
                raise
        end_with_program(self)
        self._filing.meet()
        self.budget.start()
        logger.info("%s", self)

    @property
    def id(self) -> str | None:
        """What tells this run from others, wherever it is; None before its first snapshot."""
        return self._filing.id

    # --- the loop --------------------------------------------------------------------------------

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

    def __enter__(self) -> "Recorder":
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
