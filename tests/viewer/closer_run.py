"""A small real training with everything kept that the page can look at: shared by several tests."""

from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse import Recorder
from huelapse.demo.training import load_data

SAMPLES, SNAPSHOTS = 300, 12


def trained(path: Path) -> huelapse.Run:
    """An MLP on 1,000 images; 300 others are the probe, with pictures and responses kept."""
    data = load_data()
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 40), nn.ReLU(), nn.Linear(40, 24), nn.ReLU(), nn.Linear(24, 10)
    )
    images, labels = data.train_images[:1000], data.train_labels[:1000]
    chosen = torch.randperm(len(data.test_labels))[:SAMPLES]
    probe = data.test_images[chosen], data.test_labels[chosen]
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    recorder = Recorder(
        model,
        path,
        probe=probe,
        classes=list(data.classes),
        schedule=3,
        probe_budget=None,
        thumbnails=data.normalization,
        keep_responses=True,
        strict=True,
    )
    for step in range(3 * (SNAPSHOTS - 1)):
        rows = slice(60 * (step % 16), 60 * (step % 16) + 60)
        loss = F.cross_entropy(model(images[rows]), labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss)
    recorder.close()
    return huelapse.open(path)
