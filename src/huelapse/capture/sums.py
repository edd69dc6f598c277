"""Sums over the samples of one snapshot: every response, every grouping, confusion."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from huelapse.capture.accumulator import Accumulator
from huelapse.capture.assigning import EachOnce, Rows
from huelapse.capture.capturing import Capture
from huelapse.capture.forward import Doubt, Forward
from huelapse.capture.keeping import Parts
from huelapse.capture.responses import Response
from huelapse.grouping import UNASSIGNED
from huelapse.moments import Moments
from huelapse.schema import PREDICTED, TRUE
from huelapse.snapshot import Held


@dataclass(frozen=True, slots=True)
class HeldBatch:
    """A batch that is not in the sums. Waits for the device when it is brought to the host."""

    responses: Mapping[Response, Tensor]
    """[sample, unit] float32."""
    rows: Rows
    ids: Sequence[Any]

    def on_host(self) -> "Held":
        return Held(
            ids=tuple(self.ids),
            responses=tuple(r.cpu().numpy() for r in self.responses.values()),
            rows={name: row.cpu().numpy() for name, row in self.rows.items()},
        )

    @property
    def nbytes(self) -> int:
        return sum(r.nbytes for r in self.responses.values())


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
    parts: Parts | None = None
    """What else was kept of the samples."""
    ready: torch.cuda.Event | None = None
    """Reached when the device has added up everything."""
    ids: Sequence[Any] | None = None
    """Of the samples in the sums, each once; None where not all came with one."""
    held: HeldBatch | None = None
    """The last batch, kept apart: another rank may have forwarded some of its samples too."""

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
        parts += self.held.nbytes if self.held is not None else 0
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

    def __init__(self, capture: Capture, *, shared: bool = False) -> None:
        """
        Args:
            capture: what is recorded of which model.
            shared: other ranks forward samples of the same snapshot.
        """
        self._shared = shared
        self.samples = 0
        """Samples added, those without a class among them."""
        self._capture = capture
        self._sums: dict[Response, Accumulator] = {}
        self._counts: Tensor | None = None
        self._once = EachOnce()
        self._named: list[Any] | None = []
        self._held: HeldBatch | None = None
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
            self._named = None
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
        self._fold_held()
        if ids is not None and self._named is not None and self._shared:
            self._held = HeldBatch(found, rows, list(ids))
        else:
            self._fold(found, rows)
        for observer in capture.observers:
            observer.samples(forward, rows)
        self.samples += forward.samples
        self._modes.add(forward.training)

    def _fold(self, found: Mapping[Response, Tensor], rows: Rows) -> None:
        for name, responses in found.items():
            self._sums[name].fold(responses, rows)
        self._count(rows[TRUE], rows[PREDICTED])

    def _fold_held(self) -> None:
        """A sampler pads the end of what it gives: only the last batch is kept apart."""
        held, self._held = self._held, None
        if held is not None:
            self._fold(held.responses, held.rows)
            if self._named is not None:
                self._named += held.ids

    def result(self, doubts: Sequence[Doubt] = ()) -> Captured:
        """What was added, handed over: nothing more may be added."""
        if self._held is not None:
            self._make_counts(self._held.rows)
        return Captured(
            sums=self._sums,
            counts=self._counts,
            classes=self._capture.classes,
            samples=self.samples - self._once.repeated,
            repeated=self._once.repeated,
            training=next(iter(self._modes)) if len(self._modes) == 1 else None,
            doubts=tuple(doubts),
            ready=_now_on(next(iter(self._sums.values())).device) if self._sums else None,
            ids=None if self._named is None else list(dict.fromkeys(self._named)),
            held=self._held,
        )

    def _count(self, true: Tensor, predicted: Tensor) -> None:
        self._make_counts({TRUE: true, PREDICTED: predicted})
        if self._counts is None:
            return
        k = self._capture.classes
        cell = torch.where((true < 0) | (predicted < 0), k * k, true * k + predicted)
        self._counts.index_add_(0, cell, torch.ones_like(cell))

    def _make_counts(self, rows: Rows) -> None:
        true, predicted = rows[TRUE], rows[PREDICTED]
        several = true.ndim > 1 or predicted.ndim > 1  # such a sample has no one error
        if self._counts is None and not several:
            k = self._capture.classes
            self._counts = torch.zeros(k * k + 1, dtype=torch.int64, device=true.device)

    def _leave_out_repeated(self, rows: Rows, ids: Sequence[Any]) -> Rows:
        first = self._once.first(ids)
        if first is None:
            return rows
        result: dict[str, Tensor] = {}
        for name, row in rows.items():
            own = torch.from_numpy(first).to(row.device, non_blocking=True)
            result[name] = row & own[:, None] if row.ndim > 1 else torch.where(own, row, UNASSIGNED)
        return result
