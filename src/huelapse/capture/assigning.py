"""From what is known of samples to the class of each in every grouping. Waits for no device."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from huelapse.capture.forward import Doubt, Forward
from huelapse.errors import GroupingError, LabelError
from huelapse.grouping import (
    UNASSIGNED,
    check_classes,
    check_grouping_name,
    check_kind,
    check_labels,
)
from huelapse.schema import PREDICTED, TRUE, Grouping

Rule = None | Sequence[int] | Callable[[Any, Any, Any], Any]
"""How samples come to classes of a grouping: by their label, by a function of (labels, output,
metadata) that gives [sample] indices, or (None) by indices given with each batch."""


Rows = Mapping[str, Tensor]
"""Grouping → class of each sample: int64 [sample], -1 for none, or bool [sample, class]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Samples:
    """What the user says of the samples of one batch."""

    labels: Any
    """[sample] integers; with multi-label [sample, class] of 0 and 1; None where there are none."""
    ids: Any = None
    """[sample] integers or strings on the host that tell samples apart; None where nobody knows."""
    metadata: Any = None
    """Handed to the rules of groupings."""
    groups: Mapping[str, Any] | None = None
    """[sample] class indices of groupings that have no rule of their own."""


class Assigning:
    """Which class each sample belongs to, in every grouping."""

    def __init__(
        self,
        classes: int,
        groupings: Mapping[str, tuple[Sequence[str] | int, Rule]] | None = None,
        *,
        multilabel: bool = False,
        ignore_index: int = -100,
    ) -> None:
        """
        Args:
            classes: K of the model.
            groupings: the user's own: name → (class names or their number, rule).
            multilabel: a sample counts in each of its classes.
            ignore_index: the label of samples that are to count as predicted alone.

        Raises:
            GroupingError, ClassCountError: a grouping that cannot be.
        """
        self._k = classes
        self._multilabel = multilabel
        self._ignore = ignore_index
        self._beyond: Tensor | None = None
        self._first = True
        self.own: dict[str, Grouping] = {}
        self._rules: dict[str, Rule] = {}
        self._tables: dict[tuple[str, torch.device], Tensor] = {}
        for name, entry in (groupings or {}).items():
            self._declare(name, entry)

    def _declare(self, name: str, entry: Any) -> None:
        if name in (TRUE, PREDICTED):
            raise GroupingError(f"grouping {name!r} is always recorded; give yours another name")
        check_grouping_name(name)
        if not isinstance(entry, tuple) or len(entry) != 2:  # pyright: ignore
            raise GroupingError(
                f"grouping {name!r} is {type(entry).__name__}, expected (class names, rule), where "
                f"rule is one index per label, a function of (labels, output, metadata), or None"
            )
        names, rule = entry
        self.own[name] = Grouping(name=name, classes=check_classes(names))
        if rule is not None and not callable(rule):
            table = np.asarray(rule)
            k = len(self.own[name].classes)
            if table.dtype.kind not in "iu" or table.shape != (self._k,):
                raise GroupingError(
                    f"grouping {name!r} has a rule of {table.dtype} {table.shape}, expected "
                    f"{self._k} integers: for each label the index of its class, or -1 for none"
                )
            if table.min() < UNASSIGNED or table.max() >= k:
                raise GroupingError(
                    f"grouping {name!r} sends labels to {table.min()} … {table.max()}, expected "
                    f"indices of its {k} classes, or -1 for none"
                )
            if self._multilabel:
                raise GroupingError(
                    f"grouping {name!r}: with multi-label a sample has several labels; "
                    f"give a function of (labels, output, metadata) that returns one index"
                )
            rule = table.astype(np.int64).tolist()
        self._rules[name] = rule

    def check(self, samples: Samples, n: int) -> Tensor | None:
        """Labels as int64 [sample] (-1: none), or bool [sample, class] with multi-label.

        Those on the host are checked at once. Of those on a device only the shape is, until
        `doubts` are resolved, but for the first batch: bad input is to be told before the training.

        Raises:
            LabelError: not one label per sample, soft labels, or labels out of range.
        """
        labels = samples.labels
        if labels is None:
            return None
        if not isinstance(labels, Tensor):
            labels = torch.from_numpy(np.ascontiguousarray(np.asarray(labels)))
        labels = labels.detach()
        if self._multilabel:
            return self._check_many(labels, n)
        integral = not (labels.is_floating_point() or labels.is_complex())
        check_kind(integral and labels.dtype != torch.bool, str(labels.dtype), tuple(labels.shape))
        if labels.device.type == "cpu":
            ignored = labels.reshape(-1) == self._ignore if labels.ndim < 3 else None
            plain = labels.numpy()
            if ignored is not None and bool(ignored.any()):
                plain = np.where(plain == self._ignore, 0, plain)
            checked = torch.from_numpy(check_labels(plain, classes=self._k, samples=n))
            return checked if ignored is None else torch.where(ignored, UNASSIGNED, checked)
        if labels.ndim == 2 and labels.shape[1] == 1:
            labels = labels[:, 0]
        if labels.shape != (n,):
            raise LabelError(
                f"labels have shape {tuple(labels.shape)}, expected ({n},): "
                f"one class index for each sample of the batch"
            )
        labels = labels.long()
        ignored = labels == self._ignore
        beyond = ((labels < 0) | (labels >= self._k)) & ~ignored
        self._count_beyond(beyond)
        return torch.where(ignored | beyond, UNASSIGNED, labels)

    def _check_many(self, labels: Tensor, n: int) -> Tensor:
        if labels.shape != (n, self._k):
            raise LabelError(
                f"labels have shape {tuple(labels.shape)}, expected ({n}, {self._k}): with "
                f"multilabel=True a 0 or 1 for each sample and class"
            )
        member = labels != 0
        self._count_beyond((labels != 0) & (labels != 1))
        return member

    def _count_beyond(self, beyond: Tensor) -> None:
        count = beyond.sum()
        self._beyond = count if self._beyond is None else self._beyond + count
        if self._first or beyond.device.type == "cpu":
            self._first = False
            for doubt in self.doubts():
                doubt.resolve()

    def doubts(self) -> list[Doubt]:
        """What came since the last time and nobody has waited to look at."""
        if self._beyond is None:
            return []
        what = "0 or 1" if self._multilabel else f"0 … {self._k - 1}, or those of a grouping"
        beyond, self._beyond = self._beyond, None
        return [
            Doubt(
                beyond,
                lambda n: LabelError(
                    f"{n} labels were outside {what}; pass all classes to Recorder(classes=…), or "
                    f"name the label of samples to leave out: Recorder(ignore_index=…)"
                ),
            )
        ]

    def rows(self, forward: Forward, true: Tensor | None, samples: Samples) -> Rows:
        """The class of each sample in every grouping.

        Raises:
            GroupingError: a rule gave something else than one index per sample.
        """
        device = forward.probabilities.device
        n = forward.samples
        nobody = torch.full((n,), UNASSIGNED, dtype=torch.int64, device=device)
        rows = {
            TRUE: nobody if true is None else true.to(device, non_blocking=True),
            PREDICTED: forward.predicted,
        }
        given = samples.groups or {}
        for name in given.keys() - self.own.keys():
            raise GroupingError(
                f"the recorder has no grouping {name!r}; declare it: "
                f"Recorder(groupings={{{name!r}: (class names, None)}})"
            )
        for name, rule in self._rules.items():
            if name in given:
                rows[name] = self._indices(name, given[name], n, device)
            elif rule is None:
                raise GroupingError(
                    f"grouping {name!r} has no rule, so give each batch's indices: "
                    f"labels(…, {name}=indices) or window(labels, {name}=indices)"
                )
            elif callable(rule):
                found = rule(samples.labels, forward.output, samples.metadata)
                rows[name] = self._indices(name, found, n, device)
            else:
                rows[name] = self._through(name, rule, rows[TRUE])
        return rows

    def _through(self, name: str, rule: Sequence[int], true: Tensor) -> Tensor:
        key = name, true.device
        if key not in self._tables:  # one place more, for samples without a label
            whole = [*rule, UNASSIGNED]
            self._tables[key] = torch.tensor(whole, dtype=torch.int64, device=true.device)
        return self._tables[key][torch.where(true < 0, self._k, true)]

    def _indices(self, name: str, found: Any, n: int, device: torch.device) -> Tensor:
        tensor = found if isinstance(found, Tensor) else torch.from_numpy(np.asarray(found))
        if tensor.shape != (n,) or tensor.is_floating_point() or tensor.is_complex():
            raise GroupingError(
                f"grouping {name!r} was given {tensor.dtype} of shape {tuple(tensor.shape)}, "
                f"expected ({n},) integers: the class of each sample, or -1 for none"
            )
        k = len(self.own[name].classes)
        tensor = tensor.detach().to(device, torch.int64, non_blocking=True)
        outside = (tensor < UNASSIGNED) | (tensor >= k)
        if device.type == "cpu" and bool(outside.any()):
            raise GroupingError(
                f"grouping {name!r} was given indices {int(tensor.min())} … {int(tensor.max())}, "
                f"expected those of its {k} classes, or -1 for none"
            )
        # on a device nobody waits to look: what is outside counts nowhere, and is told later
        self._count_beyond(outside)
        return torch.where(outside, UNASSIGNED, tensor)


def host_ids(ids: Any, n: int) -> list[Any] | None:
    """One id for each sample, as plain values.

    Raises:
        LabelError: not one id per sample, or ids on a device, which would have to be waited for.
    """
    if ids is None:
        return None
    if isinstance(ids, Tensor):
        if ids.device.type != "cpu":
            raise LabelError(
                f"ids are on {ids.device}, and reading them would make the training wait; "
                f"keep them on the CPU, as they come from the loader"
            )
        ids = ids.tolist()
    own: list[Any] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
    if len(own) != n:
        raise LabelError(f"found {len(own)} ids, expected {n}: one for each sample")
    return own


class EachOnce:
    """Remembers the samples of a snapshot by their ids, so that each counts once."""

    def __init__(self) -> None:
        self._seen: set[Any] = set()
        self.repeated = 0

    def first(self, ids: Sequence[Any]) -> np.ndarray | None:
        """[sample] bool, whether a sample is seen for the first time; None where all are."""
        first = np.empty(len(ids), bool)
        for i, one in enumerate(ids):
            first[i] = one not in self._seen
            self._seen.add(one)
        self.repeated += int(len(ids) - first.sum())
        return None if first.all() else first
