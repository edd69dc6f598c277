"""Two lines in a training loop."""

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

from huelapse.capture import (
    Capture,
    ProbeSet,
    Selection,
    Unpacking,
    Wanted,
    default_samples,
    process_rank,
)
from huelapse.capture.budget import ProbeBudget
from huelapse.capture.schedule import ScheduleLike
from huelapse.config import plain
from huelapse.errors import ProbeError, ScheduleError
from huelapse.grouping import Classes, check_classes
from huelapse.recording.calls import Calls
from huelapse.recording.faults import Faults
from huelapse.recording.filing import Filing, leave_directory, take_directory
from huelapse.recording.options import check_options, made_before, whole
from huelapse.recording.taking import Taking
from huelapse.schema import Layer
from huelapse.store import check_split_name
from huelapse.store.meeting import Meeting
from huelapse.superclasses import Superclasses, check_superclasses

logger = logging.getLogger(__name__)


class Recorder(Calls):
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
        superclasses: Superclasses | None = None,
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
            superclasses: what classes belong to, for the page and pictures, which then tell them apart
                too: a dict of class → superclass (and superclass → what that belongs to), or a list
                with that of each class, by name or number. A class that stands alone has its own
                name. Nothing that is stored of units depends on it.
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
            LayerError, OutputError, HierarchyError, ProbeError, ScheduleError, SplitNameError,
            OptionError, ConfigError: what was found, expected, and to do.
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
        above = None if superclasses is None else check_superclasses(superclasses, names)
        split, window_split = check_split_name(split), check_split_name(window_split)
        self._window_every = whole("window_every", window_every, ScheduleError) or 1
        n = default_samples(len(names)) if window is True else None
        if n is None and window:
            n = whole("window", window, ScheduleError)
        rank, several = process_rank(ranks)
        if n is not None:
            n = -(-n // several)  # as many on each rank, so that all close at one step
        budget = ProbeBudget(probe_budget)
        capture = Capture(
            model,
            classes=len(names),
            selection=Selection(layers=layers, unit_axis=unit_axis or {}, output=output),
            response=response,
            tokens=tokens,
            groupings=groupings,
            multilabel=multilabel,
            ignore_index=ignore_index,
        )
        given, place = take_directory(run, exist, rank)
        filing = Filing(
            place,
            name=name or place.name,
            classes=names,
            config=plain(config or {}),
            facts={"ranks": several} if several > 1 else {},
            on_commit=on_commit,
            first_step=first_step,
            resume=exist == "resume",
            superclasses=above,
            meeting=Meeting(given, rank, several) if several > 1 else None,
        )
        faults = Faults(place, strict=strict)
        try:
            samples: ProbeSet | None = None
            if probe is not None and rank == 0:
                samples = ProbeSet(
                    probe,
                    classes=len(names),
                    samples=probe_samples,
                    unpack=Unpacking(label_fn, list(capture.groupings)),
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
                capture.keep(wanted, samples)
            taking = Taking(
                capture,
                filing,
                faults,
                budget,
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
                leave_directory(place)
            raise
        super().__init__(capture, filing, faults, taking, budget, rank=rank)
        logger.info("%s", self)
