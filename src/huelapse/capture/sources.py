"""Which place of a model each tensor of a forward comes from, without keeping any tensor."""

# pyright: reportPrivateUsage=false
# a tensor's version has no public name

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.weak import TensorWeakRef, WeakTensorKeyDictionary

INPUT = -1
"""The source of what the model was given."""

Source = int | None
"""Index of a node, or INPUT; None for what does not depend on the input: weights, constants."""

_MISSING: Any = object()
_HOLDERS = (Tensor, dict, list, tuple)


@dataclass(slots=True)
class _Storage:
    """The memory that several tensors may share."""

    latest: Source = None
    tensors: list[TensorWeakRef] = field(default_factory=list[TensorWeakRef])


class Sources:
    """Tensor → its source, by identity; views of one memory may have different ones."""

    def __init__(self, model: nn.Module) -> None:
        self._of = WeakTensorKeyDictionary()
        # a weak reference keeps a storage's address from being taken by another, not its memory
        self._storages: dict[StorageWeakRef, _Storage] = {}
        self._batches: set[int] | None = None
        self.lost: str | None = None
        """Says what was met that came from an operation nobody has seen."""
        for module in model.modules():
            # a module may keep constants in attributes and plain containers too
            held = [value for value in module.__dict__.values() if type(value) in _HOLDERS]
            for tensor in tensors_in([module._parameters, module._buffers, *held]):
                self.give(tensor, None)

    def begin(self, inputs: Any) -> None:
        """The model was given these: whatever else comes unseen is a constant, or a mistake."""
        found = tensors_in(inputs)
        for tensor in found:
            self.give(tensor, INPUT)
        if found:
            self._batches = {len(tensor) for tensor in found if tensor.ndim}

    def knows(self, tensor: Tensor) -> bool:
        return tensor in self._of or self._storage(tensor) is not None

    def given(self, tensor: Tensor) -> Source:
        """What `give` said of this very tensor; None if nothing."""
        return self._of.get(tensor)

    def of(self, tensor: Tensor) -> Source:
        source = self._of.get(tensor, _MISSING)
        if source is not _MISSING:
            return source
        storage = self._storage(tensor)
        return self._unseen(tensor) if storage is None else storage.latest

    def _unseen(self, tensor: Tensor) -> Source:
        if isinstance(tensor, nn.Parameter):
            return None
        if self._batches is None:
            return INPUT
        if tensor.is_floating_point() and tensor.ndim and len(tensor) in self._batches:
            self.lost = f"a tensor {list(tensor.shape)} comes from an operation that is not seen"
        return None

    def give(self, tensor: Tensor, source: Source) -> None:
        """`tensor` is new, or has another source from now on."""
        self._of[tensor] = source
        storage = self._storage(tensor, _Storage())
        if storage is not None:
            storage.latest = source
            storage.tensors.append(TensorWeakRef(tensor))

    def rewrite(
        self, tensor: Tensor, source: Source, merge: Callable[[Source, Source], Source]
    ) -> None:
        """`tensor` was changed in place, and with it all that share its memory.

        Args:
            merge: gives the source of what was changed in part, from its old one and `source`.
        """
        storage = self._storage(tensor)
        self.give(tensor, source)
        if storage is None:
            return
        start, end = _extent(tensor)
        shared = [other for ref in storage.tensors if (other := ref()) is not None]
        for other in {id(other): other for other in shared if other is not tensor}.values():
            first, last = _extent(other)
            if start <= first and last <= end:
                self._of[other] = source
            elif first <= start and end <= last:
                self._of[other] = merge(self.of(other), source)

    def _storage(self, tensor: Tensor, new: _Storage | None = None) -> _Storage | None:
        try:
            key = StorageWeakRef(tensor.untyped_storage())
        except (NotImplementedError, RuntimeError):  # sparse and wrapped tensors have none
            return None
        return self._storages.get(key) if new is None else self._storages.setdefault(key, new)


def _extent(tensor: Tensor) -> tuple[int, int]:
    """First and last element of the storage that a tensor reaches."""
    start = int(tensor.storage_offset())
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    return start, start + sum((size - 1) * stride for size, stride in steps)


def version(tensor: Tensor) -> int | None:
    """Goes up with every change in place; None for inference tensors, which do not count."""
    return None if tensor.is_inference() else tensor._version


def tensors_in(value: Any) -> list[Tensor]:
    """All tensors in nested tuples, lists, dicts and dataclasses, in order."""
    found: list[Tensor] = []
    _gather(value, found)
    return found


def _gather(value: Any, found: list[Tensor]) -> None:
    if isinstance(value, Tensor):
        found.append(value)
        return
    members: Iterable[Any] = ()
    if isinstance(value, Mapping):
        named: Any = value
        members = named.values()
    elif isinstance(value, tuple | list | set):
        members = value
    elif is_dataclass(value) and not isinstance(value, type):
        members = [getattr(value, part.name, None) for part in fields(value)]
    for member in members:
        _gather(member, found)
