"""Sums over the samples of one snapshot: every response, every grouping, confusion."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from huelapse.capture.accumulator import Accumulator
from huelapse.capture.assigning import EachOnce, Rows
from huelapse.capture.forwards import Doubt, Forward
from huelapse.capture.responses import Response
from huelapse.grouping import UNASSIGNED
from huelapse.moments import Moments
from huelapse.schema import PREDICTED, TRUE

if TYPE_CHECKING:
    from huelapse.capture.capturing import Capture
    from huelapse.capture.keeping import Parts


@dataclass(frozen=True, slots=True)
class Captured:
    """What the samples of one snapshot gave; its statistics are still on the device."""

    sums: Mapping[Response, Accumulator]
    counts: Tensor | None
    """[class · predicted_class + 1] int64, samples by true and predicted class, if one-label."""
    classes: int
    samples: int
    repeated: int
    """Samples that came again under the same id, and were not counted again."""
    training: bool | None
    """Whether the model was in train mode; None where it was now in one, now in the other."""
    doubts: Sequence[Doubt] = ()
    parts: "Parts | None" = None
    """What else was kept of the samples."""
    ready: torch.cuda.Event | None = None
    """Reached when the device has added up everything."""
    ids: Collection[Any] | None = None
    """Of the samples that count, each once; None where not all came with one."""

    def check(self) -> None:
        """Waits for the device.

        Raises:
            LabelError, OutputError: labels or probabilities out of range have come.
        """
        if self.ready is not None:
            self.ready.synchronize()
        for doubt in self.doubts:
            doubt.resolve()

    def moments(self, response: Response) -> dict[str, Moments]:
        """Grouping → moments, in float64 on the host. Waits for the device."""
        return self.sums[response].moments()

    def confusion(self) -> np.ndarray | None:
        """Samples of each true class (rows) predicted as each. Waits for the device."""
        if self.counts is None:
            return None
        return self.counts[:-1].reshape(self.classes, self.classes).cpu().numpy()

    @property
    def nbytes(self) -> int:
        """Bytes held until it is written."""
        parts = self.parts.nbytes if self.parts is not None else 0
        return parts + sum(one.nbytes for one in self.sums.values())


def _now_on(device: torch.device) -> torch.cuda.Event | None:
    """Where the device is now. Who reads in another thread does so on another stream than the
    training, if that is not on the default one, and must wait for it."""
    if device.type != "cuda" or not torch.cuda.is_initialized():
        return None
    event = torch.cuda.Event()
    event.record(torch.cuda.current_stream(device))
    return event


class Sums:
    """Adds up forwards, sample by sample, until a snapshot is made of them."""

    def __init__(self, capture: "Capture") -> None:
        self.samples = 0
        """Samples added, those without a class among them."""
        self._capture = capture
        self._sums: dict[Response, Accumulator] = {}
        self._counts: Tensor | None = None
        self._once = EachOnce()
        self._all_named = True
        self._modes: set[bool] = set()

    @property
    def nbytes(self) -> int:
        return sum(one.nbytes for one in self._sums.values())

    def add(self, forward: Forward, rows: Rows, ids: Sequence[Any] | None = None) -> None:
        """
        Args:
            forward: of one batch.
            rows: grouping → class of each sample, as `Assigning.rows` gives them.
            ids: one for each sample, where samples may come again.
        """
        capture = self._capture
        if ids is not None:
            rows = self._leave_out_repeated(rows, ids)
        elif forward.samples:
            self._all_named = False
        found: dict[Response, Tensor] = dict(forward.responses)
        device = forward.probabilities.device
        if device.type == "mps":  # has no float64
            found = {name: r.cpu() for name, r in found.items()}
            rows = {name: r.cpu() for name, r in rows.items()}
            device = torch.device("cpu")
        if not self._sums:
            classes = {TRUE: capture.classes, PREDICTED: capture.classes} | {
                name: len(grouping.classes) for name, grouping in capture.groupings.items()
            }
            units = next(iter(found.values())).shape[1]
            self._sums = {name: Accumulator(classes, units, device) for name in found}
        for name, responses in found.items():
            self._sums[name].fold(responses, rows)
        self._count(rows[TRUE], rows[PREDICTED])
        for observer in capture.observers:
            observer.samples(forward, rows)
        self.samples += forward.samples
        self._modes.add(forward.training)

    def result(self, doubts: Sequence[Doubt] = ()) -> Captured:
        """What was added, handed over: nothing more may be added."""
        return Captured(
            sums=self._sums,
            counts=self._counts,
            classes=self._capture.classes,
            samples=self.samples - self._once.repeated,
            repeated=self._once.repeated,
            training=next(iter(self._modes)) if len(self._modes) == 1 else None,
            doubts=tuple(doubts),
            ready=_now_on(next(iter(self._sums.values())).device) if self._sums else None,
            ids=self._once.seen if self._all_named else None,
        )

    def _count(self, true: Tensor, predicted: Tensor) -> None:
        if true.ndim > 1 or predicted.ndim > 1:  # a sample of several classes has no one error
            return
        k = self._capture.classes
        if self._counts is None:
            self._counts = torch.zeros(k * k + 1, dtype=torch.int64, device=true.device)
        cell = torch.where((true < 0) | (predicted < 0), k * k, true * k + predicted)
        self._counts.index_add_(0, cell, torch.ones_like(cell))

    def _leave_out_repeated(self, rows: Rows, ids: Sequence[Any]) -> Rows:
        first = self._once.first(ids)
        if first is None:
            return rows
        result: dict[str, Tensor] = {}
        for name, row in rows.items():
            own = torch.from_numpy(first).to(row.device, non_blocking=True)
            result[name] = row & own[:, None] if row.ndim > 1 else torch.where(own, row, UNASSIGNED)
        return result
