"""Batches as loaders give them: tensors nested in tuples, lists and dicts."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from huelapse.errors import ProbeError

LABEL_NAMES = ("labels", "label")
"""Where labels stand in samples that are dicts; everything else in them goes to the model."""

LabelFunction = Callable[[Any], Any]
"""From a batch as the loader gives it to (inputs, labels) or (inputs, labels, metadata)."""


class Unpacking:
    """Takes a batch, or a sample, apart: inputs for the model, labels, metadata for groupings."""

    def __init__(self, label_fn: LabelFunction | None = None, groups: Sequence[str] = ()) -> None:
        """
        Args:
            label_fn: the user's own way; without it, pairs (inputs, labels) and dicts with labels.
            groups: names in a dict that are indices of groupings, and not the model's business.
        """
        self.own = label_fn is not None
        self._label_fn = label_fn
        self._groups = tuple(groups)

    def __call__(self, batch: Any) -> tuple[Any, Any, Any]:
        """
        Raises:
            ProbeError: it is neither a pair nor a dict with labels, and nobody said how to read it.
        """
        if self._label_fn is not None:
            found: Any = self._label_fn(batch)
            given = members_of(found) or []
            if len(given) not in (2, 3):
                raise ProbeError(
                    f"label_fn gave {type(found).__name__}, expected (inputs, labels) or "
                    f"(inputs, labels, metadata)"
                )
            return given[0], given[1], given[2] if len(given) == 3 else None
        parts = members_of(batch)
        if parts is not None and len(parts) == 2:
            return parts[0], parts[1], None
        if isinstance(batch, Mapping):
            named: Any = dict(batch)
            for name in LABEL_NAMES:
                if name in named:
                    label = named.pop(name)
                    metadata = dict(named)
                    for group in self._groups:
                        named.pop(group, None)
                    return named, label, metadata
        what = f"{len(parts)} parts" if parts is not None else type(batch).__name__
        raise ProbeError(
            f"the probe's samples come as {what}, expected pairs (inputs, label) or dicts with "
            f"'labels'; say how to read them: Recorder(label_fn=lambda batch: (inputs, labels)), or "
            f"use `with recorder.probing():` around your own evaluation"
        )


def members_of(value: Any) -> list[Any] | None:
    """The members of a tuple or list."""
    if isinstance(value, tuple | list):
        members: Any = value
        return list(members)
    return None


def tensors_of(value: Any) -> list[Tensor]:
    """All tensors of a nested value, in order."""
    if isinstance(value, Tensor):
        return [value]
    members: Any = value.values() if isinstance(value, Mapping) else members_of(value) or []
    return [tensor for member in members for tensor in tensors_of(member)]


def size_of(item: Any) -> int:
    """Bytes an item holds, as far as they can be told."""
    parts = members_of(item)
    if parts is not None:
        return sum(size_of(part) for part in parts)
    if isinstance(item, Mapping):
        members: Any = item.values()
        return sum(size_of(member) for member in members)
    if isinstance(item, Tensor):
        return item.numel() * item.element_size()
    size = getattr(item, "size", None)  # a picture's width and height, before it is transformed
    if isinstance(size, tuple) and len(size) == 2:
        return 3 * int(size[0]) * int(size[1])
    return int(getattr(item, "nbytes", 8))


def described(value: Any) -> str:
    """Type, shape and device of the tensors in a value, for messages."""
    tensors = tensors_of(value)
    told = [f"{str(t.dtype).removeprefix('torch.')} {list(t.shape)} on {t.device}" for t in tensors]
    return ", ".join(told[:5]) or type(value).__name__


def moved(value: Any, device: torch.device, *, copy: bool = False) -> Any:
    """Inputs on a device, whatever they are nested in."""
    if isinstance(value, Tensor):
        return value.detach().to(device, non_blocking=True, copy=copy)
    if isinstance(value, Mapping):
        items: Any = value.items()
        return {name: moved(member, device, copy=copy) for name, member in items}
    parts = members_of(value)
    if parts is None:
        return value
    members = [moved(member, device, copy=copy) for member in parts]
    return tuple(members) if isinstance(value, tuple) else members


def copied(value: Any) -> Any:
    """The same with its tensors cloned where they are."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if isinstance(value, Mapping):
        items: Any = value.items()
        return {name: copied(member) for name, member in items}
    parts = members_of(value)
    if parts is None or type(value) not in (list, tuple):
        return value
    members = [copied(member) for member in parts]
    return tuple(members) if isinstance(value, tuple) else members


def chosen(value: Any, own: Sequence[int], samples: int) -> Any:
    """Some samples of a batch: of every tensor, array or list in it that has one entry for each."""
    if isinstance(value, Tensor):
        whole = value.ndim and len(value) == samples
        return value[list(own)].detach().cpu().clone() if whole else value
    if isinstance(value, Mapping):
        items: Any = value.items()
        return {name: chosen(member, own, samples) for name, member in items}
    if hasattr(value, "shape") and len(value.shape) and len(value) == samples:
        return value[list(own)]
    parts = members_of(value)
    if parts is None:
        return value
    if len(parts) == samples and not any(isinstance(part, Tensor) for part in parts):
        return [parts[i] for i in own]
    members = [chosen(member, own, samples) for member in parts]
    return tuple(members) if isinstance(value, tuple) else members
