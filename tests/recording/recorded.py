"""What the tests of recording share."""

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import (
    Dataset,
)

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder

X, Y = batches()


def record(run: Path, model: nn.Module | None = None, **options: Any) -> Recorder:
    defaults: dict[str, Any] = {"probe": batches(), "classes": 3, "probe_budget": None}
    return Recorder(SmallNet() if model is None else model, run, **{**defaults, **options})


def probed(run: Path, model: nn.Module, x: torch.Tensor = X, y: torch.Tensor = Y, **options: Any):
    recorder = Recorder(model, run, **{"classes": 3, **options})
    with recorder.probing() as probing:
        model(x)
        probing.labels(y)
    recorder.close()
    return huelapse.open(run)


class Uses(nn.Module):
    """Conv → F.relu → Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


class Pairs(Dataset):
    def __init__(self, n: int) -> None:
        self.x, self.y = batches(n)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.x[i], int(self.y[i])
