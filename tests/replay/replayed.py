"""What the tests of replays share: a training that is recorded and saves checkpoints on its way."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import DataLoader, Dataset, TensorDataset

import huelapse
from conftest import SmallNet, batches
from huelapse.replaying.report import Report

SAMPLES = 300
STEPS = (0, 2, 4, 6)
HERE = Path(__file__).resolve()


def build() -> nn.Module:
    """Other weights than any checkpoint's: what is not loaded would show."""
    torch.manual_seed(99)
    return SmallNet()


def slow() -> nn.Module:
    """The same, but slow enough to be killed in the middle."""

    class Slow(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            torch.randn(200, 200) @ torch.randn(200, 200)
            import time

            time.sleep(0.01)
            return super().forward(x)

    return Slow()


def data() -> tuple[torch.Tensor, torch.Tensor]:
    return batches(SAMPLES)


def loader() -> DataLoader[Any]:
    return DataLoader(TensorDataset(*batches(SAMPLES)), batch_size=50, shuffle=True)


class Items(Dataset[Any]):
    """Counts how often samples are decoded."""

    classes = ("x", "y", "z")
    decoded = 0

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        Items.decoded += 1
        return X[i], int(Y[i])


X, Y = batches(SAMPLES)


def items() -> Items:
    return Items()


def train(folder: Path, *, live: bool = True, steps: tuple[int, ...] = STEPS) -> Path:
    """A folder of checkpoints `step=N.pt`; beside it `live`, what a recorder has stored."""
    saved = folder / "ckpts"
    saved.mkdir(parents=True)
    torch.manual_seed(1)
    model = SmallNet()
    model.train()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    recorder = (
        huelapse.Recorder(
            model,
            folder / "live",
            probe=data(),
            classes=3,
            schedule=list(steps[1:]),
            probe_budget=None,
            response=["mean", "peak"],
            keep_responses=True,
            maps=True,
            watch=2,
            first_weights=True,
            thumbnails=False,
        )
        if live
        else None
    )
    torch.save(model.state_dict(), saved / "step=0.pt")
    x, y = data()
    for step in range(1, max(steps) + 1):
        optimizer.zero_grad()
        F.cross_entropy(model(x[:64]), y[:64]).backward()
        optimizer.step()
        if step in steps:
            torch.save(model.state_dict(), saved / f"step={step}.pt")
        if recorder is not None:
            recorder.step()
    if recorder is not None:
        recorder.close()
    return saved


def replay(saved: Any, run: Path, **options: Any) -> Report:
    plain: dict[str, Any] = {"model": build, "data": data, "classes": 3}
    return huelapse.replay(saved, run, **{**plain, **options})


def arrays(run: Path, split: str = "val") -> dict[str, bytes]:
    """Every shard of a split's big arrays, by path."""
    root = run / "run.zarr" / split
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("c.*"))}
    return {path: content for path, content in found.items() if path.count(".") > 1}


def moments(run: Path, split: str = "val") -> dict[tuple[int, str], Any]:
    """(Step, grouping) → moments as stored."""
    opened = huelapse.open(run)
    steps = opened.coordinate("step", split)
    return {
        (int(step), grouping.name): opened.moments(i, grouping.name, split)
        for i, step in enumerate(steps)
        for grouping in opened.split(split).groupings
    }


def same(one: Path, other: Path, *, split: str = "val") -> None:
    """Two runs hold the same, bit for bit."""
    a, b = moments(one, split), moments(other, split)
    assert a.keys() == b.keys()
    for key, ours in a.items():
        for name in ("count", "mean", "m2", "active", "nonfinite"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(b[key], name), str(key))
