"""All samples, or a part of them, the same at every checkpoint: decoded once where memory allows."""

import hashlib
import queue
import threading
from collections.abc import Generator, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import data
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from huelapse.capture.batches import Unpacking, moved, size_of, tensors_of
from huelapse.capture.guard import same_randomness
from huelapse.capture.probe import BATCH, SEED, ProbeBatch, ProbeSet, indices_of, is_tensor_pair
from huelapse.errors import FactoryError

AHEAD = 2
"""Batches that are decoded while another runs."""
HASHED = 4096
"""Values of a batch's inputs that its hash is of, evenly spread."""


def part_of(whole: int, part: int, parts: int) -> range:
    """Which batches belong to a part: as many to each, as far as that goes."""
    return range(whole * part // parts, whole * (part + 1) // parts)


class AllSamples:
    """Every sample of a part, in the order of the data, in the batches that the whole has.

    Batches are kept in memory up to a budget; the rest is decoded again for each checkpoint, in a
    thread of its own, or by the workers of the user's DataLoader.
    """

    def __init__(
        self,
        source: Any,
        *,
        classes: int,
        unpack: Unpacking,
        batch: int | None = None,
        part: int = 0,
        parts: int = 1,
        memory: int = 2**31,
        channels_last: bool = False,
    ) -> None:
        """
        Args:
            source: a DataLoader or Dataset of (inputs, label) pairs, a pair of tensors, or an
                iterable of batches.
            classes: K.
            unpack: how batches are taken apart.
            batch: samples of one; None for the loader's own, or 128.
            part: which of the `parts`.
            parts: into how many the batches are divided.
            memory: bytes of inputs that may be kept.
            channels_last: pictures are laid out so.

        Raises:
            FactoryError: it gives no samples.
        """
        self.classes = classes
        self.dataset: Any = None
        self.indices: list[int] = []
        self._unpack = unpack
        self._memory, self._held = memory, 0
        self._channels_last = channels_last
        self._kept: list[ProbeBatch] = []
        self._labels: list[Tensor] = []
        self._digests: list[bytes] = []
        self._sizes: list[int] = []
        self._workers = 0
        self._collate: Any = data.default_collate
        self._source: Any = source
        self._groups: list[list[int]] | None = None
        self._own = range(0)
        if not self._by_items(source, batch, part, parts):
            self._by_batches(source, part, parts)
        if not self.samples:
            raise FactoryError(
                f"data: part {part + 1} of {parts} has no samples"
                if parts > 1
                else "data: there are no samples"
            )

    @property
    def samples(self) -> int:
        return sum(self._sizes)

    @property
    def first(self) -> int:
        """How many samples the parts before this one have."""
        return self._before

    @property
    def labels(self) -> np.ndarray:
        self._see_all()
        return torch.cat(self._labels).numpy()

    @property
    def hash(self) -> str:
        """SHA-256 of the labels and of some values of each batch's inputs."""
        self._see_all()
        return hashlib.sha256(b"".join(self._digests)).hexdigest()

    @property
    def nbytes(self) -> int:
        """Bytes of the inputs that are kept."""
        return self._held

    @property
    def bytes_to_keep(self) -> int:
        """The same once all batches have been seen, as far as those that have been tell."""
        seen = sum(self._sizes[: len(self._kept)])
        return self._held * self.samples // seen if seen else 0

    def batches(self) -> Iterator[ProbeBatch]:
        """The same each time; call inside `guard.same_randomness(SEED)`."""
        yield from self._kept
        place = len(self._kept)
        if not self._digests:  # alone: who looks at the first batch may want no other
            for batch in self._decoded(0, 1):
                self._note(0, batch)
                place = 1
                yield batch
        if place == len(self._own):
            return
        for batch in ahead(self._decoded(place, len(self._own))):
            self._note(place, batch)
            place += 1
            yield batch
        if place < len(self._own):
            raise FactoryError(
                f"data: gave {place} batches, and {len(self._own)} the first time: it must give the "
                f"same samples each time it is iterated"
            )

    def _see_all(self) -> None:
        if len(self._digests) < len(self._own):
            with same_randomness(SEED):
                for _ in self.batches():
                    pass

    def _note(self, place: int, batch: ProbeBatch) -> None:
        """Keep what there is room for, and know what it was."""
        if place == len(self._digests):
            self._labels.append(batch.labels)
            self._digests.append(_digest(batch))
        if place == len(self._kept):
            size = size_of(batch.inputs)
            if self._held + size <= self._memory:
                self._held += size
                self._kept.append(batch)

    # --- where they come from --------------------------------------------------------------------

    def _by_items(self, source: Any, batch: int | None, part: int, parts: int) -> bool:
        """Whether single samples can be asked for; then it is known how many there are."""
        among: Sequence[int] | None = None
        dataset: Any = source
        size = batch or BATCH
        if isinstance(source, DataLoader):
            loader: Any = source
            dataset = loader.dataset
            if isinstance(dataset, IterableDataset) or not hasattr(dataset, "__len__"):
                return False
            if loader.batch_size is not None or loader.batch_sampler is not None:
                self._collate = loader.collate_fn
                size = batch or loader.batch_size or BATCH
            self._workers = loader.num_workers
            with same_randomness(SEED):
                among = indices_of(loader)
        elif is_tensor_pair(source):
            pair = [p if isinstance(p, Tensor) else torch.from_numpy(p) for p in source]
            if len(pair[0]) != len(pair[1]):
                raise FactoryError(f"data: {len(pair[0])} inputs and {len(pair[1])} labels")
            dataset = TensorDataset(*pair)
        elif not (hasattr(source, "__getitem__") and hasattr(source, "__len__")) or isinstance(
            source, list | tuple | dict
        ):
            return False
        whole = list(range(len(dataset)) if among is None else among)
        groups = [whole[i : i + size] for i in range(0, len(whole), size)]
        self._own = part_of(len(groups), part, parts)
        self._before = sum(len(group) for group in groups[: self._own.start])
        self._groups = groups[self._own.start : self._own.stop]
        self._sizes = [len(group) for group in self._groups]
        self.dataset = dataset
        self.indices = [i for group in self._groups for i in group]
        return True

    def _by_batches(self, source: Any, part: int, parts: int) -> None:
        """It must be read once to know how many there are."""
        if not isinstance(source, Iterable):
            raise FactoryError(
                f"data: {type(source).__name__}, expected a DataLoader, a Dataset, a pair of tensors "
                f"(inputs, labels) or an iterable of such batches"
            )
        again = not isinstance(source, Iterator)
        sizes: list[int] = []
        held: list[ProbeBatch] = []
        total = 0
        with same_randomness(SEED):
            for collated in source:
                batch = self._labelled(collated)
                sizes.append(len(batch.labels))
                total += size_of(batch.inputs)
                if total <= self._memory:
                    held.append(batch)
                elif not again:
                    raise FactoryError(
                        f"data: an iterator that can be read once alone, and its samples take more "
                        f"than {self._memory >> 20} MB: give something that can be iterated anew, or "
                        f"allow more (--memory)"
                    )
        self._own = part_of(len(sizes), part, parts)
        self._sizes = sizes[self._own.start : self._own.stop]
        self._before = sum(sizes[: self._own.start])
        for place, batch in enumerate(held[self._own.start : self._own.stop]):
            self._note(place, batch)

    def _decoded(self, start: int, stop: int) -> Iterator[ProbeBatch]:
        """Some batches, read anew."""
        if self._groups is None:
            wanted = self._own[start:stop]
            for i, collated in enumerate(self._source):
                if i in wanted:
                    yield self._labelled(collated)
                if i + 1 >= wanted.stop:
                    return
            return
        loader: Any = DataLoader(
            self.dataset,
            batch_sampler=self._groups[start:stop],  # pyright: ignore[reportArgumentType]
            collate_fn=self._collate,
            num_workers=self._workers if stop - start > 1 else 0,
            generator=torch.Generator().manual_seed(SEED),
        )
        for collated in loader:
            yield self._labelled(collated)

    def _labelled(self, collated: Any) -> ProbeBatch:
        inputs, given, metadata = self._unpack(collated)
        labels = torch.as_tensor(given, device="cpu").detach()
        # tensors of our own: a loader may write into the same ones again
        own = moved(inputs, torch.device("cpu"), copy=self._groups is None)
        return ProbeBatch(self._laid_out(own), labels.clone(), metadata)

    def _laid_out(self, inputs: Any) -> Any:
        if self._channels_last and isinstance(inputs, Tensor) and inputs.ndim == 4:
            return inputs.contiguous(memory_format=torch.channels_last)
        return inputs


class PartOfProbe:
    """Some batches of a probe."""

    def __init__(self, probe: ProbeSet, part: int, parts: int) -> None:
        own = part_of(len(probe.sizes), part, parts)
        self.classes, self.dataset = probe.classes, probe.dataset
        self.first = sum(probe.sizes[: own.start])
        self.samples = sum(probe.sizes[own.start : own.stop])
        self.labels = probe.labels[self.first : self.first + self.samples]
        self.indices = probe.indices[self.first : self.first + self.samples]
        self.hash = probe.hash
        self.nbytes = probe.nbytes
        self._probe, self._own = probe, own
        if not self.samples:
            raise FactoryError(f"data: part {part + 1} of {parts} has no samples")

    def batches(self) -> Iterator[ProbeBatch]:
        for i, batch in enumerate(self._probe.batches()):
            if i in self._own:
                yield batch


def _digest(batch: ProbeBatch) -> bytes:
    digest = hashlib.sha256(batch.labels.contiguous().numpy().tobytes())
    for tensor in tensors_of(batch.inputs):
        flat = tensor.detach().contiguous().reshape(-1)
        some = flat[:: max(1, len(flat) // HASHED)]
        digest.update(some.contiguous().view(torch.uint8).numpy().tobytes())
    return digest.digest()


def ahead(batches: Iterator[ProbeBatch]) -> Generator[ProbeBatch]:
    """The same, some of them made in another thread before they are asked for."""
    ready: queue.Queue[ProbeBatch | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def put(one: ProbeBatch | BaseException | None) -> bool:
        while not stop.is_set():
            try:
                ready.put(one, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def decode() -> None:
        try:
            for batch in batches:
                if not put(batch):
                    return
            put(None)
        except BaseException as error:
            put(error)

    thread = threading.Thread(target=decode, name="huelapse-decode", daemon=True)
    thread.start()
    try:
        while True:
            one = ready.get()
            if one is None:
                return
            if isinstance(one, BaseException):
                raise one
            yield one
    finally:
        stop.set()
        thread.join()
