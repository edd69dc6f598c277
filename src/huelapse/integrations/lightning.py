"""A callback for PyTorch Lightning, by either of its names.

from huelapse.integrations.lightning import HuelapseCallback

trainer = Trainer(callbacks=[HuelapseCallback("runs/mine", classes=names)])
"""

import math
import os
import sys
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import is_grad_enabled, nn

from huelapse.errors import MissingExtraError, ProbeError
from huelapse.grouping import Classes
from huelapse.integrations.training import Training, scalars_of
from huelapse.recording import Recorder


def _callback() -> Any:
    """The base class, of the Lightning the program uses, or of the one that is installed."""
    names = "lightning.pytorch", "pytorch_lightning"
    for name in sorted(names, key=lambda name: name not in sys.modules):
        try:
            return import_module(name).Callback
        except ModuleNotFoundError as error:
            if error.name != name.partition(".")[0]:  # it is there, but broken
                raise
    raise MissingExtraError(
        "HuelapseCallback needs PyTorch Lightning: pip install 'huelapse[lightning]'",
        name="lightning",
    )


if TYPE_CHECKING:
    from lightning.pytorch import Callback
else:
    Callback = _callback()

CALLED = (
    "Recorded is what training_step calls as self(…); where it calls a part of the LightningModule, "
    "say which: HuelapseCallback(model='net'). In compiled code only probes can be recorded"
)


class HuelapseCallback(Callback):
    """Records a training that Lightning runs; the run is as from a loop of one's own.

    A step is an optimizer step. Single numbers that are logged are kept with the snapshots.
    """

    def __init__(
        self,
        run: str | os.PathLike[str],
        *,
        classes: Classes,
        probe: Any = None,
        record_validation: bool = False,
        model: str | None = None,
        **options: Any,
    ) -> None:
        """
        Args:
            run, classes: as in `Recorder`.
            probe: held-out samples as in `Recorder`, or the number of one of the trainer's
                validation dataloaders; by default the first of them, where neither `window` nor
                `record_validation` is asked for.
            record_validation: make each validation, but not the sanity check, a snapshot of "val"
                ("validation" beside a probe), with several dataloaders of "val.0", "val.1" ….
            model: path in the LightningModule of what to record, such as "net", where
                `training_step` calls that rather than `self(…)`.
            options: all others of `Recorder`. With `window` each forward in a `training_step` that
                computes gradients is recorded. `label_fn` reads batches everywhere.

        Raises:
            TypeError: an option that `Recorder` does not have.
        """
        nothing_else = not (options.get("window") or record_validation)
        self._probe: Any = 0 if probe is None and nothing_else else probe
        self._training = Training(run, classes, options, probed=self._probe is not None)
        self._key, self._path, self._validates = str(run), model, record_validation
        self._batch, self._steps, self._logged = None, 0, dict[str, Any]()

    @property
    def recorder(self) -> Recorder | None:
        """While a fit is recorded."""
        return self._training.recorder

    @property
    def run(self) -> Path | None:
        """Where the last fit was recorded, or that of the checkpoint this one started from."""
        return self._training.run

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The weights are those the training starts from, and the sanity check is over."""
        if trainer.fast_dev_run:  # leaves nothing behind
            return
        probe = _loader_of(trainer, self._probe) if isinstance(self._probe, int) else self._probe
        try:
            self._training.begin(
                pl_module.get_submodule(self._path) if self._path else pl_module,
                probe=probe,
                enter=self._enter if self._training.windows else None,
                defaults={"total_steps": _steps_of(trainer)},
                first_step=trainer.global_step,
            )
        except Exception as error:
            if self._path is None:
                error.add_note(CALLED)
            raise
        self._steps = trainer.global_step
        self._logged = dict(trainer.callback_metrics)

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = batch

    def _enter(self, _module: nn.Module, _kwargs: Any) -> AbstractContextManager[None] | None:
        asked = self._batch is not None and is_grad_enabled()
        return self._training.window(self._batch) if asked else None

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._batch = None
        self._training.check_seen(f"training_step did not run what is to be recorded. {CALLED}")
        done = trainer.global_step - self._steps
        if self.recorder is None or done <= 0:  # gradients are being accumulated
            return
        self._steps = trainer.global_step
        epoch = trainer.current_epoch + (batch_idx + 1) / trainer.num_training_batches
        for _ in range(done - 1):  # optimized by hand, several steps for a batch
            self.recorder.step(epoch=epoch)
        before, self._logged = self._logged, dict(trainer.callback_metrics)
        # Lightning goes on showing a validation's values until the next one
        new = {k: v for k, v in self._logged.items() if v is not before.get(k)}
        self.recorder.step(epoch=epoch, **scalars_of(new))

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """Not `on_fit_end`: by then the model has been taken off its device."""
        self._training.close()

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._batch = None
        self._training.leave()

    def teardown(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Lightning's tuner ends fits in a way of its own."""
        self._training.leave()

    def on_validation_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: Any = None
    ) -> None:
        if self._validates and self.recorder is not None and not trainer.sanity_checking:
            self._training.evaluate(dataloader_idx)  # None where there is but one

    def on_validation_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, *_: Any, **__: Any
    ) -> None:
        self._training.labels(batch)

    def on_validation_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        self._training.evaluated()

    @property
    def state_key(self) -> str:
        return self._generate_state_key(run=self._key)

    def state_dict(self) -> dict[str, Any]:
        """Which run this is: a training resumed from the checkpoint goes on in it."""
        run, recorder = self._training.run, self.recorder
        known = recorder.id if recorder is not None else self._training.id
        return {"run": str(run), "id": known} if run is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._training.run = Path(state_dict["run"])
        self._training.id = state_dict.get("id") or ""


def _steps_of(trainer: Any) -> int | None:
    """How many optimizer steps the training will have taken, where Lightning knows."""
    steps = trainer.estimated_stepping_batches
    known = trainer.lightning_module.automatic_optimization and 0 < steps < math.inf
    return int(steps) if known else None


def _loader_of(trainer: Any, number: int) -> Any:
    """One of the trainer's validation dataloaders."""
    given = trainer.val_dataloaders
    loaders = list(given.values()) if isinstance(given, dict) else given
    if not isinstance(loaders, list | tuple):
        loaders = [] if loaders is None else [loaders]
    if not 0 <= number < len(loaders):
        raise ProbeError(
            f"probe is {number}, but the trainer has {len(loaders)} validation dataloaders; pass "
            f"held-out samples: HuelapseCallback(probe=…), or say window=True"
        )
    return loaders[number]
