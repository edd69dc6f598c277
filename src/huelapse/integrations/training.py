"""What callbacks have in common: the recorder of a training that others run."""

import inspect
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from huelapse.capture.batches import LabelFunction, Unpacking
from huelapse.errors import FormatError, NotARunError, ProbeError
from huelapse.grouping import Classes
from huelapse.integrations.around import Around, Enter
from huelapse.recording import Recorder
from huelapse.recording.blocks import Probing
from huelapse.store import StoreReader


class Training:
    """A training that others run, and its recorder while it does."""

    def __init__(
        self,
        run: str | os.PathLike[str],
        classes: Classes,
        options: Mapping[str, Any],
        *,
        probed: bool,
    ) -> None:
        """
        Args:
            run, classes, options: as in `Recorder`.
            probed: whether a probe fills the split of that name.

        Raises:
            TypeError: an option that `Recorder` does not have.
        """
        inspect.signature(Recorder).bind(None, run, classes=classes, **options)
        self.recorder: Recorder | None = None
        self.run: Path | None = None
        self.id: str | None = None
        """Of that run, where a checkpoint says it."""
        self.windows = bool(options.get("window"))
        split = str(options.get("split", "val"))
        self.split = split if not probed else "validation" if split != "validation" else "val"
        """What evaluations are filed under."""
        self._place, self._classes, self._options = run, classes, dict(options)
        self._reading = Reading(options.get("label_fn"), options.get("groupings") or ())
        self._around: Around | None = None
        self._evaluation: tuple[str, Probing, ExitStack] | None = None

    def begin(
        self,
        module: nn.Module,
        *,
        probe: Any,
        enter: Enter | None,
        defaults: Mapping[str, Any],
        first_step: int,
    ) -> None:
        """The weights are those the training starts from.

        A training that goes on from a checkpoint goes on in its run, where that is still there.

        Args:
            module: what is recorded.
            probe: as in `Recorder`.
            enter: asked before each forward of the module.
            defaults: options that were found out.
            first_step: optimizer steps made before.
        """
        options: dict[str, Any] = {"first_step": first_step, **defaults, **self._options}
        place = self._place
        if first_step and self.recorder is None and self._goes_on():
            options["exist"] = "resume"
            place = self.run or place
        if self.recorder is not None:  # begun anew, as with smaller batches for want of memory
            options["exist"] = "new"
            self.leave()
        self.recorder = Recorder(module, place, classes=self._classes, probe=probe, **options)
        self.run = self.recorder.run
        if enter is not None:
            self._around = Around(module, enter)

    def _goes_on(self) -> bool:
        """Whether the run of the checkpoint is there; or any, where no checkpoint says which.

        Whoever has said what shall happen to a run that exists gets that.
        """
        if "exist" in self._options:
            return False
        try:
            found = StoreReader(Path(self.run or self._place))
        except (NotARunError, FormatError):
            return False
        return self.id in (None, found.id)

    def window(self, batch: Any) -> AbstractContextManager[None]:
        """Around a training forward of this batch."""
        assert self.recorder is not None
        return self.recorder.window(**self._reading(batch))

    def check_seen(self, otherwise: str) -> None:
        """
        Raises:
            ProbeError: `otherwise`; no forward of the first batch was seen.
        """
        if self.windows and self._around is not None and not self._around.seen:
            raise ProbeError(otherwise)

    def evaluate(self, number: int | None = None) -> None:
        """A batch of an evaluation is about to be forwarded.

        Args:
            number: which of several evaluations; each has a split of its own.
        """
        assert self.recorder is not None
        name = self.split if number is None else f"{self.split}.{number}"
        if self._evaluation is not None and self._evaluation[0] != name:
            self.evaluated()
        if self._evaluation is None:
            inside = ExitStack()
            self._evaluation = name, inside.enter_context(self.recorder.probing(name)), inside

    def labels(self, batch: Any) -> None:
        """That batch has been forwarded."""
        if self._evaluation is not None:
            self._evaluation[1].labels(**self._reading(batch))

    def evaluated(self, error: BaseException | None = None) -> None:
        """An evaluation has ended; one that ended in an error is not recorded."""
        evaluation, self._evaluation = self._evaluation, None
        if evaluation is not None:
            evaluation[2].__exit__(type(error) if error else None, error, None)

    def close(self, *, moved: bool = False) -> None:
        """The training has ended as it should.

        Args:
            moved: the model has other weights by now than after the last step.
        """
        try:
            if self.recorder is not None and moved:
                self.recorder.end("complete")
            elif self.recorder is not None:
                self.recorder.close()
        finally:
            self.leave(ended=True)

    def leave(self, *, ended: bool = False) -> None:
        """Take everything off the model; unless it has ended, the recorder was interrupted."""
        around, self._around = self._around, None
        recorder, self.recorder = self.recorder, None
        if recorder is not None:
            self.id = recorder.id
        if around is not None:
            around.remove()
        self.evaluated(RuntimeError("the evaluation did not end"))
        if recorder is not None and not ended:
            recorder.end("interrupted")

    def __getstate__(self) -> dict[str, Any]:
        """Copies and other processes get what was asked for, not what is under way."""
        return {**self.__dict__, "recorder": None, "_around": None, "_evaluation": None}


class Reading:
    """What a training's batches say of their samples, as `window` and `labels` take it."""

    def __init__(self, label_fn: LabelFunction | None, groupings: Iterable[str]) -> None:
        """
        Args:
            label_fn: from a batch to (inputs, labels) or (inputs, labels, metadata); None for
                pairs, and for dicts with "labels".
            groupings: names under which metadata may hold indices of the user's own groupings.
        """
        self._groupings = tuple(groupings)
        self._unpack = Unpacking(label_fn, self._groupings)

    def __call__(self, batch: Any) -> dict[str, Any]:
        """
        Raises:
            ProbeError: the batch is neither a pair nor a dict with labels.
        """
        _, labels, metadata = self._unpack(batch)
        given: Any = metadata if isinstance(metadata, Mapping) else {}
        groups = {name: given[name] for name in self._groupings if name in given}
        return {"labels": labels, "metadata": metadata, **groups}


def scalars_of(logged: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values others have logged that `Recorder.step` takes: single numbers."""
    found: dict[str, Any] = {}
    for name, value in logged.items():
        plain = re.sub(r"[^A-Za-z0-9_.\-]", ".", name)[:100]
        if isinstance(value, Tensor):
            single = value.numel() == 1 and not value.is_complex()
        else:
            single = isinstance(value, int | float)
        if single and plain not in ("", "self", "epoch"):  # the epoch is told apart
            found[plain] = value
    return found
