"""A small real training in color with all pictures recorded: shared by several tests."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse import Recorder

SAMPLES, SNAPSHOTS, CLASSES, SIDE = 90, 4, ("red", "green", "blue"), 20
WATCHED = [4, 0, 61]
UNITS = 12


def data(samples: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures with a bright square, of the color and in the corner that tell its class; half of them
    are of the first."""
    drawn = torch.Generator().manual_seed(seed)
    labels = torch.arange(samples) % 4 % len(CLASSES)
    images = 0.3 * torch.rand(samples, 3, SIDE, SIDE, generator=drawn)
    for i, k in enumerate(labels.tolist()):
        y, x = ((2, 2), (2, 12), (12, 6))[k]
        images[i, k, y : y + 6, x : x + 6] += 0.6
    return images, labels


class Net(nn.Module):
    """Two convolutions with positions (20 and 10 per side), a hidden layer without, an output."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = (
            nn.Conv2d(3, UNITS, 5, padding=2),
            nn.Conv2d(UNITS, 8, 3, padding=1),
        )
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.fc, self.head = nn.Linear(8, 16), nn.Linear(16, len(CLASSES))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(self.relu1(self.conv1(x)), 2)
        return self.head(self.relu3(self.fc(self.relu2(self.conv2(x)).mean((2, 3)))))


def trained(path: Path, *, first_step: int = 0, steps: int = 8 * (SNAPSHOTS - 1)) -> huelapse.Run:
    """`first_step`: resumed there, with other weights than it had."""
    torch.manual_seed(first_step)
    model = Net()
    images, labels = data(240, 1)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    recorder = Recorder(
        model,
        path,
        probe=data(SAMPLES, 2),
        classes=CLASSES,
        schedule=8,
        probe_budget=None,
        thumbnails=True,
        maps=True,
        watch=WATCHED,
        first_weights=True,
        keep_responses=True,
        strict=True,
        exist="resume" if first_step else "error",
        first_step=first_step,
    )
    for step in range(first_step, steps):
        rows = slice(30 * (step % 8), 30 * (step % 8) + 30)
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    recorder.close()
    return huelapse.open(path)
