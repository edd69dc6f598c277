"""The demo's training loop: plain PyTorch, and two lines of huelapse."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from huelapse.capture.schedule import spread
from huelapse.demo.model import FashionNet
from huelapse.recording import Recorder

STEPS = 800
"""A good six passes over 8,000 images: about a minute on two cores."""

SNAPSHOTS = 41
WATCHED = 3
"""Samples whose feature maps are kept: of each at every snapshot some 0.1 MB."""

BATCH = 64
SEED = 2
"""Untrained nets differ: over seeds 0-9 the output's mean strength at step 0 was 0.04-0.18
(0.08 with this one)."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What `train` did."""

    run: Path
    model: nn.Module
    accuracy: float
    cost: dict[str, float]


@dataclass(frozen=True, slots=True)
class Data:
    """Fashion-MNIST, 8,000 training and 2,000 held-out images, balanced over ten classes."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    classes: tuple[str, ...]
    normalization: tuple[float, float]
    """Mean and spread that were taken out of the images, which had been 0 to 1."""


def load_data() -> Data:
    """Images as [N, 1, 28, 28] float32, standardised with the training set's mean and spread."""
    with (
        files("huelapse.demo.data").joinpath("fashion-10k.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as arrays,
    ):
        train, test = arrays["train_images"], arrays["test_images"]
        mean, spread_ = float(train.mean()), float(train.std())

        def images(raw: np.ndarray) -> Tensor:
            return torch.from_numpy((raw[:, None].astype(np.float32) - mean) / spread_)

        return Data(
            train_images=images(train),
            train_labels=torch.from_numpy(arrays["train_labels"].astype(np.int64)),
            test_images=images(test),
            test_labels=torch.from_numpy(arrays["test_labels"].astype(np.int64)),
            classes=tuple(str(name) for name in arrays["classes"]),
            normalization=(mean / 255, spread_ / 255),
        )


def train(
    out: Path,
    *,
    steps: int = STEPS,
    snapshots: int = SNAPSHOTS,
    seed: int = SEED,
    shuffle_labels: bool = False,
    progress: Callable[[int, float], None] | None = None,
    on_commit: Callable[[str, int], None] | None = None,
) -> Trained:
    """Train the network and record it under `out` (or a numbered sibling where a run is).

    Args:
        out: run directory.
        steps: optimizer steps.
        snapshots: about so many, from step 0, dense at first.
        seed: of weights and of the order of images.
        shuffle_labels: permute the labels of both sets, for a control that must find nothing.
        progress: called with (step, loss) after each step.
        on_commit: called with (split, step) once a snapshot is safe on disk.
    """
    torch.manual_seed(seed)
    data = load_data()
    train_labels, test_labels = data.train_labels, data.test_labels
    if shuffle_labels:
        train_labels = train_labels[torch.randperm(len(train_labels))]
        test_labels = test_labels[torch.randperm(len(test_labels))]
    model = FashionNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    decay = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    loader = DataLoader(
        TensorDataset(data.train_images, train_labels), BATCH, shuffle=True, drop_last=True
    )
    recorder = Recorder(
        model,
        out,
        probe=(data.test_images, test_labels),
        classes=data.classes,
        schedule=spread(steps, snapshots),
        probe_budget=None,
        maps=True,
        watch=WATCHED,
        first_weights=True,
        thumbnails=data.normalization,
        exist="new",
        config={"optimizer": "SGD", "lr": 0.05, "batch": BATCH, "steps": steps, "seed": seed},
        on_commit=on_commit,
    )
    with recorder:
        step = 0
        while step < steps:
            for images, labels in loader:
                loss = nn.functional.cross_entropy(model(images), labels)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                decay.step()
                step += 1
                recorder.step(loss=loss, epoch=step * BATCH / len(train_labels))
                if progress is not None:
                    progress(step, loss.item())
                if step == steps:
                    break
    model.eval()
    with torch.no_grad():
        predicted = torch.cat([model(part).argmax(1) for part in data.test_images.split(500)])
    return Trained(
        run=recorder.run,
        model=model,
        accuracy=float((predicted == test_labels).float().mean()),
        cost=recorder.cost(),
    )
