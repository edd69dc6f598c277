"""One pass over held-out samples: forwards, each followed by the labels of its batch."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch

from huelapse.capture.assigning import Samples, host_ids
from huelapse.capture.capturing import Capture
from huelapse.capture.forward import Forward
from huelapse.capture.forwards import Forwards
from huelapse.capture.sums import Captured, Sums
from huelapse.errors import LabelError, ProbeError


class Pass:
    """Samples being captured: after each forward, say what the batch's labels were."""

    def __init__(self, capture: Capture, *, own: bool = True, shared: bool = False) -> None:
        """
        Args:
            capture: what is recorded of which model.
            own: whether the forwards are the user's, whose results must not change.
            shared: other ranks forward samples of the same snapshot.
        """
        self._capture = capture
        self.forwards = Forwards(capture, self._ran, own=own)
        self._assigning = capture.assigning()
        self._sums = Sums(capture, shared=shared)
        self._waiting: Forward | None = None

    @contextmanager
    def attached(self) -> Generator[None]:
        """Hooks are on the model only in here."""
        with self.forwards.attached():
            yield

    def _ran(self, forward: Forward) -> None:
        if self._waiting is not None:
            raise LabelError(
                "the model ran again before the labels of the batch before were given; "
                "call labels(…) once after each forward"
            )
        self._waiting = forward

    def add(self, samples: Samples) -> None:
        """What is known of the batch whose forward ran last.

        Raises:
            LabelError: not one class index per sample, or no forward ran before.
            GroupingError: indices of a grouping that do not fit.
        """
        if self.forwards.error is not None:
            raise self.forwards.error
        if self._waiting is None and not self.forwards.seen:
            raise ProbeError(self._capture.nothing_ran())
        if self._waiting is None:
            raise LabelError(
                "labels were given, but the model has not run since the last ones; "
                "call labels(…) once after each forward"
            )
        forward, self._waiting = self._waiting, None
        if not forward.samples and not _some(samples.labels):
            return  # an empty batch
        with torch.inference_mode(False), torch.no_grad():
            assigning = self._assigning
            true = assigning.check(samples, forward.samples)
            ids = host_ids(samples.ids, forward.samples)
            self._sums.add(forward, assigning.rows(forward, true, samples), ids)

    def result(self) -> Captured:
        """
        Raises:
            LabelError, ProbeError: labels of the last batch are missing, or nothing ran.
        """
        if self.forwards.error is not None:
            raise self.forwards.error
        if self._waiting is not None:
            raise LabelError(
                "the last batch ran without its labels; call labels(…) once after each forward"
            )
        if not self._sums.samples:
            raise ProbeError(
                "every batch of the evaluation was empty"
                if self.forwards.seen
                else self._capture.nothing_ran()
            )
        captured = self._sums.result([*self.forwards.doubts(), *self._assigning.doubts()])
        captured.check()
        return captured


def _some(labels: Any) -> bool:
    """Whether there are labels of any sample."""
    return labels is not None and len(labels) > 0
