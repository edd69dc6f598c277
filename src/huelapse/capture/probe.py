"""The probe: the same samples at every snapshot, so that color changes only when the model does."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from huelapse.capture.guard import same_generators, same_randomness
from huelapse.errors import LabelError, ProbeError
from huelapse.grouping import check_labels

SEED = 0
"""Which samples are drawn, and what a random transform in the data set does to them."""

LEAST_SAMPLES = 2000
SAMPLES_PER_CLASS = 20
BATCH = 128
LABEL_NAMES = ("labels", "label")
"""Where labels stand in samples that are dicts; everything else in them goes to the model."""

MEMORY = 512 * 2**20
"""Bytes of samples kept in memory; of more, the data set's items are loaded at each snapshot."""


class ProbeSet:
    """A class-balanced subset of max(2,000, 20·K) samples, or of what there is, drawn once."""

    def __init__(self, source: Any, *, classes: int, samples: int | None = None) -> None:
        """
        Args:
            source: a DataLoader or Dataset of (inputs, label) pairs, a pair of tensors
                (inputs, labels), or an iterable of such batches.
            classes: K.
            samples: how many at most; None for the default.

        Raises:
            ProbeError: nothing can be drawn from it.
            LabelError: labels that are not class indices.
        """
        wanted = max(LEAST_SAMPLES, SAMPLES_PER_CLASS * classes) if samples is None else samples
        if wanted < 1:
            raise ProbeError(f"probe_samples is {wanted}, expected at least 1")
        self.classes = classes
        self._quota = _Quota(classes, wanted)
        self._collate: Any = data.default_collate
        self._batch = BATCH
        self._dataset: Any = None
        self._indices: list[int] = []
        self._batches: list[tuple[Any, Tensor]] = []
        with same_randomness(SEED), torch.no_grad():
            self._draw(source)
        if not self.samples:
            raise ProbeError(
                "the probe gave no samples; pass a DataLoader or Dataset with (inputs, label) "
                "pairs, or a pair of tensors (inputs, labels)"
            )
        self.labels = np.concatenate([labels.numpy() for labels in self._labels])
        self.hash = self._hash()

    @property
    def samples(self) -> int:
        return sum(len(labels) for labels in self._labels)

    @property
    def count(self) -> np.ndarray:
        """Samples per class."""
        return np.bincount(self.labels, minlength=self.classes)

    def batches(self) -> Iterator[tuple[Any, Tensor]]:
        """(inputs, labels), the same each time; call inside `guard.same_randomness(SEED)`."""
        if self._batches:
            yield from self._batches
            return
        for start in range(0, len(self._indices), self._batch):
            items = [self._dataset[i] for i in self._indices[start : start + self._batch]]
            yield self._labelled(self._collate(items))

    # --- drawing ---------------------------------------------------------------------------------

    def _draw(self, source: Any) -> None:
        self._labels: list[Tensor] = []
        given: Any = source  # isinstance narrows to types whose parameters nobody knows
        if isinstance(source, DataLoader):
            dataset: Any = given.dataset
            if given.batch_size is None and given.batch_sampler is None:
                self._batch = BATCH  # the loader does not batch, so its collate_fn does not either
            else:
                self._batch = given.batch_size or BATCH
                self._collate = given.collate_fn
            with same_generators(given):
                if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
                    self._draw_batches(given)
                else:
                    self._draw_items(dataset, _indices(given))
        elif _is_tensor_pair(source):
            inputs, labels = (torch.as_tensor(part) for part in given)
            if len(inputs) != len(labels):
                raise LabelError(
                    f"the probe has {len(inputs)} inputs and {len(labels)} labels; "
                    f"expected one label for each input"
                )
            self._draw_items(TensorDataset(inputs, labels), range(len(inputs)))
        elif isinstance(source, Dataset) and hasattr(source, "__len__"):
            self._draw_items(given, range(len(given)))
        elif isinstance(source, Iterable):
            self._draw_batches(given)
        else:
            raise ProbeError(
                f"probe is {type(source).__name__}; expected a DataLoader, a Dataset, a pair of "
                f"tensors (inputs, labels) or an iterable of such batches"
            )

    def _draw_items(self, dataset: Any, among: Sequence[int]) -> None:
        """Items among those the loader would give, in random order, until every class is full."""
        self._dataset = dataset
        generator = torch.Generator().manual_seed(SEED)
        order: list[int] = torch.randperm(len(among), generator=generator, device="cpu").tolist()
        kept: list[tuple[int, Any, int]] = []
        held = 0
        for place in order:
            index = among[place]
            item = dataset[index]
            label = _label(_pair(item)[1], self.classes)
            if self._quota.take(label):
                held += _size(item)
                kept.append((index, item if held <= MEMORY else None, label))
            if self._quota.full:
                break
        self._indices = [index for index, _, _ in kept]
        for start in range(0, len(kept), self._batch):
            part = kept[start : start + self._batch]
            if held > MEMORY:
                own = [label for _, _, label in part]
                self._labels.append(torch.tensor(own, dtype=torch.int64, device="cpu"))
            else:
                # tensors of our own: the data set may hand out views of what it changes later
                batch = self._collate([item for _, item, _ in part])
                inputs, labels = self._labelled(batch)
                self._labels.append(labels)
                self._batches.append((moved(inputs, torch.device("cpu"), copy=True), labels))

    def _labelled(self, batch: Any) -> tuple[Any, Tensor]:
        """Inputs and labels of a collated batch: its own labels, as collating may change the order."""
        inputs, given = _pair(batch)
        given = torch.as_tensor(given).detach().cpu()
        labels = check_labels(given.numpy(), classes=self.classes, samples=len(given))
        return inputs, torch.from_numpy(labels)

    def _draw_batches(self, source: Iterable[Any]) -> None:
        held = 0
        for batch in source:
            inputs, checked = self._labelled(batch)
            labels = checked.numpy()
            own = [i for i, label in enumerate(labels.tolist()) if self._quota.take(label)]
            if own:
                if not isinstance(inputs, Tensor):
                    raise ProbeError(
                        f"batches of an iterable probe hold {type(inputs).__name__} inputs, "
                        f"expected a tensor; pass a Dataset, or use recorder.probing()"
                    )
                chosen = inputs[own].detach().cpu().clone()
                held += chosen.numel() * chosen.element_size()
                if held > MEMORY:
                    raise ProbeError(
                        f"the probe's samples take more than {MEMORY >> 20} MB; pass a Dataset, "
                        f"whose items are loaded again at each snapshot, or fewer probe_samples"
                    )
                self._labels.append(torch.from_numpy(labels[own]))
                self._batches.append((chosen, self._labels[-1]))
            if self._quota.full:
                break

    def _hash(self) -> str:
        """SHA-256 of the labels, and of the inputs where they are kept: equal only if they are."""
        digest = hashlib.sha256(self.labels.tobytes())
        digest.update(np.asarray(self._indices, np.int64).tobytes())
        for inputs, _ in self._batches:
            for tensor in _tensors(inputs):
                digest.update(
                    tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
                )
        return digest.hexdigest()


class _Quota:
    """How many samples of each class are still wanted."""

    def __init__(self, classes: int, samples: int) -> None:
        self._left = [-(-samples // classes)] * classes
        self._total = samples

    def take(self, label: int) -> bool:
        if self._left[label] and self._total:
            self._left[label] -= 1
            self._total -= 1
            return True
        return False

    @property
    def full(self) -> bool:
        return self._total == 0 or not any(self._left)


def _pair(batch: Any) -> tuple[Any, Any]:
    parts = _parts(batch)
    if parts is not None and len(parts) == 2:
        return parts[0], parts[1]
    if isinstance(batch, Mapping):
        named: Any = dict(batch)
        for name in LABEL_NAMES:
            if name in named:
                label = named.pop(name)
                return named, label
    what = f"{len(parts)} parts" if parts is not None else type(batch).__name__
    raise ProbeError(
        f"the probe's samples come as {what}, expected pairs (inputs, label) or dicts with "
        f"'labels'; "
        f"use `with recorder.probing():` around your own evaluation instead"
    )


def _parts(value: Any) -> list[Any] | None:
    """The members of a tuple or list."""
    if isinstance(value, tuple | list):
        members: Any = value
        return list(members)
    return None


def _indices(loader: Any) -> Sequence[int]:
    """Which items of its data set a loader would give: its sampler may leave some out."""
    own_batches = loader.batch_size is None and loader.batch_sampler is not None
    sampler: Any = loader.batch_sampler if own_batches else loader.sampler
    if isinstance(sampler, SequentialSampler | RandomSampler):
        return range(len(loader.dataset))
    if isinstance(sampler, SubsetRandomSampler):
        return [int(i) for i in sampler.indices]
    drawn: Any = [i for batch in sampler for i in batch] if own_batches else list(sampler)
    return list(dict.fromkeys(int(i) for i in drawn))  # each sample once, however often it is drawn


def _is_tensor_pair(source: Any) -> bool:
    parts = _parts(source) or []
    return len(parts) == 2 and all(isinstance(part, Tensor | np.ndarray) for part in parts)


def _label(label: Any, classes: int) -> int:
    array = label.detach().cpu().numpy() if isinstance(label, Tensor) else np.asarray(label)
    if array.size != 1:
        raise LabelError(
            f"a sample of the probe has a label of shape {array.shape}, expected one class index; "
            f"for one-hot or soft labels give their argmax"
        )
    return int(check_labels(array.reshape(1), classes=classes, samples=1)[0])


def _tensors(value: Any) -> list[Tensor]:
    """All tensors of a nested value, in order."""
    if isinstance(value, Tensor):
        return [value]
    members: Any = value.values() if isinstance(value, Mapping) else _parts(value) or []
    return [tensor for member in members for tensor in _tensors(member)]


def _size(item: Any) -> int:
    """Bytes an item holds, as far as they can be told."""
    parts = _parts(item)
    if parts is not None:
        return sum(_size(part) for part in parts)
    if isinstance(item, Mapping):
        members: Any = item.values()
        return sum(_size(member) for member in members)
    if isinstance(item, Tensor):
        return item.numel() * item.element_size()
    size = getattr(item, "size", None)  # a picture's width and height, before it is transformed
    if isinstance(size, tuple) and len(size) == 2:
        return 3 * int(size[0]) * int(size[1])
    return int(getattr(item, "nbytes", 8))


def moved(value: Any, device: torch.device, *, copy: bool = False) -> Any:
    """Inputs on a device, whatever they are nested in."""
    if isinstance(value, Tensor):
        return value.detach().to(device, non_blocking=True, copy=copy)
    if isinstance(value, Mapping):
        items: Any = value.items()
        return {name: moved(member, device, copy=copy) for name, member in items}
    parts = _parts(value)
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
    parts = _parts(value)
    if parts is None or type(value) not in (list, tuple):
        return value
    members = [copied(member) for member in parts]
    return tuple(members) if isinstance(value, tuple) else members
