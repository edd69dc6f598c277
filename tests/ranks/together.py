"""Several ranks in one process: recorders that are told their rank, each of its own copy of a model."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812
from training import CLASSES, LAYERS, Images, Net, Truth

from huelapse import Recorder
from huelapse.moments import Moments

SHARE, BATCH = 12, 4


class Each(tuple[Any, ...]):
    """An option that is another one on each rank."""

    def __new__(cls, *values: Any) -> "Each":
        return super().__new__(cls, values)


class Together:
    """Ranks that make the same steps, one after the other."""

    def __init__(
        self,
        place: Path | list[Path],
        ranks: int = 2,
        *,
        only: Any = None,
        net: Any = Net,
        **options: Any,
    ) -> None:
        """
        Args:
            place: given to all ranks, or one for each.
            ranks: how many there are said to be.
            only: those that are made at all.
            net: what they train.
            options: of the recorders; `Each` is one for each rank.
        """
        torch.manual_seed(0)
        model = net()
        self.ranks = list(range(ranks)) if only is None else list(only)
        self.models = {rank: copy.deepcopy(model) for rank in self.ranks}
        self.truths = {rank: Truth(one) for rank, one in self.models.items()}
        self.data = Images(960)
        self.step = 0
        self.recorders: dict[int, Recorder] = {}
        for rank in self.ranks:
            own = {k: v[rank] if isinstance(v, Each) else v for k, v in options.items()}
            self.recorders[rank] = Recorder(
                self.models[rank],
                place[rank] if isinstance(place, list) else place,
                **{
                    "classes": CLASSES,
                    "window": SHARE * ranks,
                    "window_schedule": 1,
                    "layers": list(LAYERS),
                    "ranks": (rank, ranks),
                    **own,
                },
            )
        self.optimizers = {
            rank: torch.optim.SGD(one.parameters(), 0.1) for rank, one in self.models.items()
        }

    def steps(self, n: int, *, without: Any = ()) -> None:
        """Ranks `without` make the step and record nothing of it."""
        for _ in range(n):
            for rank in self.ranks:
                self.one(rank, recorded=rank not in without)
            self.step += 1

    def one(self, rank: int, *, recorded: bool = True) -> None:
        start = (self.step * 64 + rank * BATCH) % 900
        rows = torch.arange(start, start + BATCH)
        x, y = self.data.images[rows], self.data.labels[rows]
        recorder, model = self.recorders[rank], self.models[rank]
        if recorded:
            with recorder.window(y, ids=rows):
                logits = model(x)
            self.truths[rank].forward(self.step, logits, y, rows)
        else:
            logits = model(x)
        self.optimizers[rank].zero_grad()
        F.cross_entropy(logits, y).backward()
        self.optimizers[rank].step()
        recorder.step()

    def evaluate(self, rows: Callable[[int], list[int]], *, ids: bool, **how: Any) -> None:
        """Each rank forwards these of the samples, in batches."""
        for rank in self.ranks:
            model = self.models[rank].eval()
            with torch.no_grad(), self.recorders[rank].probing("held-out", **how) as probing:
                for own in torch.tensor(rows(rank)).split(BATCH):
                    logits = model(self.data.images[own])
                    probing.labels(self.data.labels[own], **({"ids": own} if ids else {}))
                    self.truths[rank].forward(self.step, logits, self.data.labels[own], own)
            model.train()

    def close(self, *ranks: int) -> None:
        for rank in ranks or self.ranks:
            self.recorders[rank].close()

    def moments(self, index: int, ranks: Any = None) -> Moments:
        """Of one window, as one process over the samples of these ranks has them."""
        part = slice(index * SHARE, (index + 1) * SHARE)
        own = [self.truths[rank] for rank in (self.ranks if ranks is None else ranks)]
        rows = np.concatenate([np.concatenate(one.rows)[part] for one in own])
        labels = np.concatenate([np.array(one.known)[part, 1] for one in own])
        return Moments.from_samples(rows, labels.astype(np.int64), CLASSES)
