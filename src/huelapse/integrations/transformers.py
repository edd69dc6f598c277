"""A callback for the Trainer of Transformers.

from huelapse.integrations.transformers import HuelapseTrainerCallback

callback = HuelapseTrainerCallback("runs/mine", classes=names, probe=eval_dataset)
Trainer(model, …, callbacks=[callback]).train()
"""

import inspect
import os
import warnings
from collections.abc import Callable, Generator, Mapping, Sequence, Set
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import is_grad_enabled, nn
from torch.utils.data import DataLoader, Dataset

from huelapse.capture.batches import LABEL_NAMES
from huelapse.errors import HuelapseWarning, MissingExtraError, ProbeError
from huelapse.grouping import Classes
from huelapse.integrations.training import Training, scalars_of
from huelapse.recording import Recorder

try:
    from transformers import TrainerCallback
except ModuleNotFoundError as error:
    if error.name != "transformers":  # it is there, but broken
        raise
    raise MissingExtraError(
        "HuelapseTrainerCallback needs Transformers: pip install 'huelapse[transformers]'",
        name="transformers",
    ) from error


class HuelapseTrainerCallback(TrainerCallback):
    """Records a training that a Trainer runs; the run is as from a loop of one's own.

    A step is an optimizer step. Labels are those the model is called with. Single numbers that the
    Trainer logs are kept with the snapshots.
    """

    def __init__(
        self,
        run: str | os.PathLike[str],
        *,
        classes: Classes,
        probe: Any = None,
        record_validation: bool = False,
        **options: Any,
    ) -> None:
        """
        Args:
            run, classes: as in `Recorder`.
            probe: held-out samples as in `Recorder`. A Dataset's are put together as the Trainer
                does it: by its data collator, without what the model does not take.
            record_validation: make each evaluation a snapshot of "val" ("validation" beside a
                probe); of several at one step, the others of "val.1", "val.2" ….
            options: all others of `Recorder`. With `window` each forward that computes gradients
                is recorded. `label_fn` reads the model's keyword arguments, and the probe's batches.

        Raises:
            TypeError: an option that `Recorder` does not have.
            ProbeError: nothing is to be recorded.
        """
        self._training = Training(run, classes, options, probed=probe is not None)
        if probe is None and not (self._training.windows or record_validation):
            raise ProbeError(
                "nothing is to be recorded; say what: HuelapseTrainerCallback(probe=eval_dataset), "
                "window=True, or record_validation=True"
            )
        self._probe: Any = probe
        self._validates = record_validation
        self._groupings = tuple(options.get("groupings") or ())
        self._own_labels = bool(options.get("label_fn"))
        self._warned = False
        self._logged: dict[str, Any] = {}
        self._evaluations = 0

    @property
    def recorder(self) -> Recorder | None:
        """While a training is recorded."""
        return self._training.recorder

    @property
    def run(self) -> Path | None:
        """Where the last training was recorded."""
        return self._training.run

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """The model is prepared, and its weights are those the training starts from."""
        probe, model = self._probe, others["model"]
        if isinstance(probe, Dataset) or hasattr(probe, "column_names"):
            loader = others["train_dataloader"]
            keeps = None if not args.remove_unused_columns else _taken_by(model)
            collate = _collating(loader.collate_fn, keeps, self._groupings)
            probe = DataLoader(probe, args.per_device_eval_batch_size, collate_fn=collate)
        self._evaluations, self._logged = 0, {}
        self._training.begin(
            model,
            probe=probe,
            enter=self._enter if self._training.windows or self._validates else None,
            defaults={"total_steps": max(0, state.max_steps) or None},
            first_step=state.global_step,
        )

    def _enter(
        self, module: nn.Module, given: Mapping[str, Any]
    ) -> AbstractContextManager[None] | None:
        if is_grad_enabled():
            return self._training.window(self._batch(given)) if self._training.windows else None
        if self._validates and not module.training:
            return self._evaluating(self._batch(given))
        return None

    def _batch(self, given: Mapping[str, Any]) -> Mapping[str, Any]:
        """What the model was called with, as a batch that says it where there are no labels."""
        if self._own_labels or any(name in given for name in LABEL_NAMES):
            return given
        if not self._warned:
            self._warned = True
            warnings.warn(
                "the model is called without labels, so its samples are recorded by predicted class "
                "alone: label_smoothing_factor and compute_loss_func keep them from it. A probe "
                "has its labels all the same",
                HuelapseWarning,
                stacklevel=2,
            )
        return {"labels": None, **given}

    @contextmanager
    def _evaluating(self, batch: Mapping[str, Any]) -> Generator[None]:
        """No event tells that an evaluation begins: its first forward does."""
        self._training.evaluate(self._evaluations or None)
        yield
        self._training.labels(batch)

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._training.evaluated()
        self._evaluations += 1

    def on_predict(self, args: Any, state: Any, control: Any, metrics: Any, **_: Any) -> None:
        self._training.evaluated(RuntimeError("what ran was a prediction, not an evaluation"))

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self._logged |= scalars_of(logs or {})

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._training.check_seen(
            "the Trainer did not run the model where hooks can see it: in compiled code, and in "
            "DataParallel, only probes can be recorded"
        )
        self._evaluations = 0
        logged, self._logged = self._logged, {}  # of the steps before: this one's comes later
        if self.recorder is not None:
            self.recorder.step(epoch=state.epoch, **logged)

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # the best model, where it was loaded, is not that of the last step
        self._training.close(moved=bool(args.load_best_model_at_end))


def _taken_by(model: Any) -> set[str]:
    """Names of a sample's parts that the Trainer would give to the model."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    return {*inspect.signature(type(inner).forward).parameters, *LABEL_NAMES, "label_ids"}


def _collating(
    collate: Callable[[Any], Any], keeps: Set[str] | None, groupings: Sequence[str]
) -> Callable[[Any], Any]:
    """The Trainer's way from samples to a batch, with the indices of groupings kept beside."""

    def together(samples: Sequence[Mapping[str, Any]]) -> Any:
        kept = [{k: v for k, v in one.items() if keeps is None or k in keeps} for one in samples]
        batch = dict(collate(kept))
        for name in groupings:
            if name in samples[0]:
                batch[name] = torch.tensor([int(one[name]) for one in samples])
        return batch

    return together
