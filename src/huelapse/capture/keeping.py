"""What is kept of one pass beside per-class sums: the responses themselves, and parts like them."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from huelapse import kept
from huelapse.capture.assigning import Rows
from huelapse.capture.forward import Forward
from huelapse.capture.responses import Response
from huelapse.grouping import UNASSIGNED
from huelapse.schema import LABELS, TRUE, ExtraArray

Values = dict[str, np.ndarray]
"""Path below the split → value of an optional array."""


class Part(Protocol):
    """Something optional that is kept of one pass. Made anew for each.

    While the pass runs it is an `Observer` of forwards, and never waits for the device. Afterwards
    it says which arrays hold it, and gives their values.
    """

    def layer(self, index: int, output: Tensor) -> None:
        """A layer has run: its output, samples first. Must keep no reference to it."""
        ...

    def samples(self, forward: Forward, rows: Rows) -> None:
        """The same forward has ended, and the class of each of its samples is known."""
        ...

    def arrays(self) -> Sequence[ExtraArray]:
        """What a split must declare to hold it, as the pass has shown."""
        ...

    def static(self) -> Values:
        """Values of the static ones among the arrays. Waits for the device; asked for once a run."""
        ...

    def result(self) -> Values:
        """Values of the others at this snapshot. Waits for the device; called once, in any thread."""
        ...

    @property
    def nbytes(self) -> int:
        """Bytes held until then."""
        ...


class Parts:
    """Several parts as one."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._parts = tuple(parts)

    def layer(self, index: int, output: Tensor) -> None:
        for part in self._parts:
            part.layer(index, output)

    def samples(self, forward: Forward, rows: Rows) -> None:
        for part in self._parts:
            part.samples(forward, rows)

    def arrays(self) -> tuple[ExtraArray, ...]:
        return tuple(array for part in self._parts for array in part.arrays())

    def static(self) -> Values:
        return {path: value for part in self._parts for path, value in part.static().items()}

    def result(self) -> Values:
        return {path: value for part in self._parts for path, value in part.result().items()}

    @property
    def nbytes(self) -> int:
        return sum(part.nbytes for part in self._parts)


class KeptResponses:
    """Every sample's responses, probabilities and predicted class."""

    def __init__(self, response: Response = "mean") -> None:
        """
        Args:
            response: which of those that are recorded.
        """
        self._response: Response = response
        self._responses: list[Tensor] = []
        self._probabilities: list[Tensor] = []
        self._labels: list[Tensor] = []
        self._predictions: list[Tensor] = []
        self._units = self._outputs = 0

    def layer(self, index: int, output: Tensor) -> None:
        """Nothing: what is kept comes with the whole forward."""

    def samples(self, forward: Forward, rows: Rows) -> None:
        self.add(
            forward.responses[self._response],
            forward.probabilities,
            rows[TRUE],
            forward.predicted,
        )

    def add(
        self, responses: Tensor, probabilities: Tensor, true: Tensor, predicted: Tensor
    ) -> None:
        """A batch. The tensors are kept, not copied: nobody may write into them any more.

        Args:
            responses: [sample, unit] float32.
            probabilities: [sample, output] float32.
            true: [sample] int64, -1 for none; with multi-label [sample, class], of which none is
                *the* label, so -1 is kept.
            predicted: likewise.
        """
        self._units, self._outputs = responses.shape[1], probabilities.shape[1]
        self._responses.append(responses)
        self._probabilities.append(probabilities)
        self._labels.append(_one(true))
        self._predictions.append(_one(predicted))

    @property
    def nbytes(self) -> int:
        held = (*self._responses, *self._probabilities, *self._labels, *self._predictions)
        return sum(tensor.nbytes for tensor in held)

    def arrays(self) -> tuple[ExtraArray, ...]:
        samples = sum(len(labels) for labels in self._labels)
        return kept.arrays(samples, self._units, self._outputs)

    def static(self) -> Values:
        return {LABELS: torch.cat(self._labels).cpu().numpy()}

    def result(self) -> Values:
        codes = kept.encode(*(tensor.cpu().numpy() for tensor in self._responses))
        self._responses.clear()  # the float32 ones are the largest part of all that waits
        return {
            kept.RESPONSES: codes.codes,
            kept.REF: codes.ref,
            kept.SCALE: codes.scale,
            kept.PROBABILITIES: torch.cat(self._probabilities).cpu().numpy(),
            kept.PREDICTIONS: torch.cat(self._predictions).to(torch.int32).cpu().numpy(),
        }


def _one(classes: Tensor) -> Tensor:
    """One class of each sample, -1 where there may be several."""
    if classes.ndim == 1:
        return classes
    return classes.new_full((len(classes),), UNASSIGNED, dtype=torch.int64)
