"""The probe: the same samples at every snapshot, so that color changes only when the model does."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils import data
from torch.utils.data import (
    DataLoader,
    Dataset,
    DistributedSampler,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    SubsetRandomSampler,
    TensorDataset,
)

from huelapse.capture.batches import Unpacking, chosen, members_of, moved, size_of, tensors_of
from huelapse.capture.guard import same_generators, same_randomness
from huelapse.errors import LabelError, ProbeError
from huelapse.grouping import check_labels

SEED = 0
"""Which samples are drawn, and what a random transform in the data set does to them."""

LEAST_SAMPLES = 2000
SAMPLES_PER_CLASS = 20
BATCH = 128
MEMORY = 512 * 2**20
"""Bytes of samples kept in memory; of more, the data set's items are loaded at each snapshot."""


def default_samples(classes: int) -> int:
    """Samples of a probe, or of a window, where nobody says how many: max(2,000, 20·K)."""
    return max(LEAST_SAMPLES, SAMPLES_PER_CLASS * classes)


@dataclass(frozen=True, slots=True)
class ProbeBatch:
    """Some of the probe's samples, on the host."""

    inputs: Any
    labels: Tensor
    """[sample] int64; with multi-label [sample, class] bool."""
    metadata: Any = None


class SameSamples(Protocol):
    """Samples that are the same, in the same batches, each time they are asked for."""

    classes: int
    dataset: Any
    """Where samples come from, if from items of a data set; None else."""
    indices: list[int]
    """Which items of it they are."""

    @property
    def samples(self) -> int:
        """How many."""
        ...

    @property
    def labels(self) -> np.ndarray:
        """[sample] int64; with multi-label [sample, class] bool."""
        ...

    def batches(self) -> Iterator[ProbeBatch]:
        """Call inside `guard.same_randomness(SEED)`."""
        ...


class ProbeSet:
    """A class-balanced subset of max(2,000, 20·K) samples, or of what there is, drawn once."""

    def __init__(
        self,
        source: Any,
        *,
        classes: int,
        samples: int | None = None,
        unpack: Unpacking | None = None,
        multilabel: bool = False,
        ignore_index: int = -100,
    ) -> None:
        """
        Args:
            source: a DataLoader or Dataset of (inputs, label) pairs, a pair of tensors
                (inputs, labels), or an iterable of such batches.
            classes: K.
            samples: how many at most; None for the default.
            unpack: how batches are taken apart.
            multilabel: labels are [class] of 0 and 1.
            ignore_index: samples with this label have no class, and no place in a probe.

        Raises:
            ProbeError: nothing can be drawn from it.
            LabelError: labels that are not class indices.
        """
        wanted = default_samples(classes) if samples is None else samples
        if wanted < 1:
            raise ProbeError(f"probe_samples is {wanted}, expected at least 1")
        self.classes = classes
        self._unpack = unpack or Unpacking()
        self._multilabel = multilabel
        self._ignore = ignore_index
        self._quota = _Quota(classes, wanted)
        self._collate: Any = data.default_collate
        self._batch = BATCH
        self.dataset: Any = None
        """Where samples come from, if from items of a data set; and which items they are."""
        self.indices: list[int] = []
        self._batches: list[ProbeBatch] = []
        # said aloud, since the user may have another default device
        with same_randomness(SEED), torch.no_grad(), torch.device("cpu"):
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
    def sizes(self) -> list[int]:
        """Samples of each batch."""
        return [len(labels) for labels in self._labels]

    @property
    def count(self) -> np.ndarray:
        """Samples per class."""
        if self._multilabel:
            return self.labels.sum(0)
        return np.bincount(self.labels, minlength=self.classes)

    @property
    def nbytes(self) -> int:
        """Bytes of the samples that are kept in memory."""
        return sum(size_of(batch.inputs) + batch.labels.nbytes for batch in self._batches)

    def batches(self) -> Iterator[ProbeBatch]:
        """The same each time; call inside `guard.same_randomness(SEED)`."""
        if self._batches:
            yield from self._batches
            return
        for start in range(0, len(self.indices), self._batch):
            with torch.device("cpu"):
                items = [self.dataset[i] for i in self.indices[start : start + self._batch]]
                batch = self._labelled(self._collate(items))
            yield batch

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
                    self._draw_items(dataset, indices_of(given))
        elif is_tensor_pair(source):
            inputs, labels = (p if isinstance(p, Tensor) else torch.from_numpy(p) for p in given)
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

    def _check_whole(self, dataset: Any, among: Sequence[int]) -> None:
        """All labels at once where they are at hand, so that a message can count them."""
        if not isinstance(dataset, TensorDataset) or self._unpack.own or self._multilabel:
            return
        *_, labels = dataset.tensors
        if len(dataset.tensors) == 2 and labels.ndim == 1:
            own = labels[list(among)].detach().cpu()
            known = own[own != self._ignore]
            check_labels(known.numpy(), classes=self.classes, samples=len(known))

    def _draw_items(self, dataset: Any, among: Sequence[int]) -> None:
        """Items among those the loader would give, in random order, until every class is full."""
        self._check_whole(dataset, among)
        self.dataset = dataset
        generator = torch.Generator().manual_seed(SEED)
        order: list[int] = torch.randperm(len(among), generator=generator, device="cpu").tolist()
        kept: list[tuple[int, Any, Tensor]] = []
        held = 0
        for place in order:
            index = among[place]
            item = dataset[index]
            label = self._label(item)
            if label is not None and self._quota.take(label):
                held += size_of(item)
                kept.append((index, item if held <= MEMORY else None, label))
            if self._quota.full:
                break
        self.indices = [index for index, _, _ in kept]
        for start in range(0, len(kept), self._batch):
            part = kept[start : start + self._batch]
            if held > MEMORY:
                self._labels.append(torch.stack([label for _, _, label in part]))
            else:
                # tensors of our own: the data set may hand out views of what it changes later
                batch = self._labelled(self._collate([item for _, item, _ in part]))
                self._labels.append(batch.labels)
                inputs = moved(batch.inputs, torch.device("cpu"), copy=True)
                self._batches.append(replace(batch, inputs=inputs))

    def _label(self, item: Any) -> Tensor | None:
        """One sample's label: a class index, or [class] bool; None where it is to be ignored."""
        if self._unpack.own:
            item = self._collate([item])
        label = _on_host(np.asarray(self._unpack(item)[1]))
        if self._multilabel:
            return self._many(label.reshape(1, -1), 1)[0]
        if label.numel() != 1:
            raise LabelError(
                f"a sample of the probe has a label of shape {tuple(label.shape)}, expected one "
                f"class index; for one-hot or soft labels give their argmax, for several classes "
                f"per sample say Recorder(multilabel=True)"
            )
        if not label.is_floating_point() and int(label) == self._ignore:
            return None
        checked = check_labels(label.reshape(1).numpy(), classes=self.classes, samples=1)
        return torch.from_numpy(checked)[0]

    def _many(self, labels: Tensor, samples: int) -> Tensor:
        if labels.shape != (samples, self.classes) or bool(((labels != 0) & (labels != 1)).any()):
            raise LabelError(
                f"labels of the probe have shape {tuple(labels.shape)}, expected "
                f"({samples}, {self.classes}) of 0 and 1, as multilabel=True says"
            )
        return labels != 0

    def _labelled(self, collated: Any) -> ProbeBatch:
        """A collated batch with its own labels, as collating may change the order."""
        inputs, given, metadata = self._unpack(collated)
        labels = self._checked(_on_host(given))
        return ProbeBatch(inputs, labels, metadata)

    def _checked(self, labels: Tensor) -> Tensor:
        if self._multilabel:
            return self._many(labels, len(labels))
        plain = check_labels(labels.numpy(), classes=self.classes, samples=len(labels))
        return torch.from_numpy(plain)

    def _draw_batches(self, source: Iterable[Any]) -> None:
        held = 0
        for collated in source:
            inputs, given, metadata = self._unpack(collated)
            labels = _on_host(given)
            if labels.ndim == 0:
                raise ProbeError(
                    "the probe gives single samples, expected batches (inputs, labels); pass them "
                    "through a DataLoader, or as a Dataset"
                )
            n = len(labels)
            # labels are checked sample by sample, so that those to be ignored may be left out
            known = range(n) if self._multilabel else torch.nonzero(labels != self._ignore).view(-1)
            labels = chosen(labels, [int(i) for i in known], n)
            own = [
                (int(i), label)
                for i, label in zip(known, self._checked(labels), strict=True)
                if self._quota.take(label)
            ]
            if own:
                taken = chosen((inputs, metadata), [i for i, _ in own], n)
                held += size_of(taken[0])
                if held > MEMORY:
                    raise ProbeError(
                        f"the probe's samples take more than {MEMORY >> 20} MB; pass a Dataset, "
                        f"whose items are loaded again at each snapshot, or fewer probe_samples"
                    )
                self._labels.append(torch.stack([label for _, label in own]))
                self._batches.append(ProbeBatch(taken[0], self._labels[-1], taken[1]))
            if self._quota.full:
                break

    def _hash(self) -> str:
        """SHA-256 of the labels, and of the inputs where they are kept: equal only if they are."""
        digest = hashlib.sha256(self.labels.tobytes())
        digest.update(np.asarray(self.indices, np.int64).tobytes())
        for batch in self._batches:
            for tensor in tensors_of(batch.inputs):
                digest.update(
                    tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes()
                )
        return digest.hexdigest()


class _Quota:
    """How many samples of each class are still wanted."""

    def __init__(self, classes: int, samples: int) -> None:
        self._left = [-(-samples // classes)] * classes
        self._total = samples

    def take(self, label: Tensor) -> bool:
        """Whether a sample is wanted: of a class index, or [class] bool of all its classes."""
        many = label.ndim > 0
        own = [k for k, member in enumerate(label.tolist()) if member] if many else [int(label)]
        wanted = self._total and (not own or any(self._left[k] for k in own))
        if not wanted:
            return False
        for k in own:
            self._left[k] = max(0, self._left[k] - 1)
        self._total -= 1
        return True

    @property
    def full(self) -> bool:
        return self._total == 0 or not any(self._left)


def indices_of(loader: Any) -> Sequence[int]:
    """Which items of its data set a loader would give: its sampler may leave some out."""
    own_batches = loader.batch_size is None and loader.batch_sampler is not None
    sampler: Any = loader.batch_sampler if own_batches else loader.sampler
    if isinstance(sampler, SequentialSampler | RandomSampler):
        return range(len(loader.dataset))
    if isinstance(sampler, SubsetRandomSampler):
        return [int(i) for i in sampler.indices]
    if isinstance(sampler, DistributedSampler) and sampler.dataset is loader.dataset:
        return range(len(loader.dataset))  # not a rank's share: one rank probes, for all
    drawn: Any = [i for batch in sampler for i in batch] if own_batches else list(sampler)
    return list(dict.fromkeys(int(i) for i in drawn))  # each sample once, however often it is drawn


def _on_host(value: Any) -> Tensor:
    return torch.as_tensor(value, device="cpu").detach()


def is_tensor_pair(source: Any) -> bool:
    """Whether it is inputs and labels, each of all samples."""
    parts = members_of(source) or []
    return len(parts) == 2 and all(isinstance(part, Tensor | np.ndarray) for part in parts)
