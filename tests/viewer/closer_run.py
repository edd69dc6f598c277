"""A small real training with everything kept that the page can look at: shared by several tests."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse import Recorder
from huelapse.demo.training import load_data

SAMPLES, SNAPSHOTS = 300, 12


def trained(
    path: Path,
    *,
    seed: int = 0,
    hidden: tuple[int, ...] = (40, 24),
    samples: int = SAMPLES,
    keep: bool = True,
    lr: float = 0.1,
    every: int = 3,
    steps: int = 3 * (SNAPSHOTS - 1),
) -> huelapse.Run:
    """An MLP on 1,000 images; 300 others are the probe, with pictures and responses kept."""
    data = load_data()
    torch.manual_seed(0)
    model = _mlp((40, 24))
    images, labels = data.train_images[:1000], data.train_labels[:1000]
    chosen = torch.randperm(len(data.test_labels))[:samples]
    if seed or hidden != (40, 24):
        torch.manual_seed(seed)
        model = _mlp(hidden)
    probe = data.test_images[chosen], data.test_labels[chosen]
    optimizer = torch.optim.SGD(model.parameters(), lr)
    recorder = Recorder(
        model,
        path,
        probe=probe,
        classes=list(data.classes),
        schedule=every,
        probe_budget=None,
        thumbnails=data.normalization if keep else False,
        keep_responses=keep,
        config={"lr": lr, "seed": seed, "optimizer": {"name": "sgd"}},
        strict=True,
    )
    for step in range(steps):
        rows = slice(60 * (step % 16), 60 * (step % 16) + 60)
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    recorder.close()
    return huelapse.open(path)


def _mlp(hidden: tuple[int, ...]) -> nn.Module:
    sizes = (784, *hidden)
    layers = [
        layer
        for one, next_ in zip(sizes, hidden, strict=False)
        for layer in (nn.Linear(one, next_), nn.ReLU())
    ]
    return nn.Sequential(nn.Flatten(), *layers, nn.Linear(sizes[-1], 10))
