"""A long training: memory, file handles and threads stay where they are."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from matrix import in_memory  # noqa: F401
from torch import nn
from torch.nn import functional as F  # noqa: N812

import huelapse
from huelapse import Recorder

CLASSES = 3
LOOKS = 40
"""How often the process is looked at."""


def train_long(place: Path, steps: int, **options: Any) -> dict[str, np.ndarray]:
    """RSS [bytes], file handles and threads of this process, looked at `LOOKS` times; and seconds."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, CLASSES))
    optimizer = torch.optim.SGD(model.parameters(), 0.01)
    x, y = torch.randn(64, 4), torch.arange(64) % CLASSES
    recorder = Recorder(
        model, place, classes=CLASSES, probe=(x, y), total_steps=steps, strict=True, **options
    )
    process = psutil.Process()
    seen: dict[str, list[float]] = {"rss": [], "handles": [], "threads": [], "seconds": []}
    started = time.perf_counter()
    for step in range(1, steps + 1):
        size = 1 + step % 8  # batches of every size
        at = step % 50
        with recorder.window(y[at : at + size], ids=range(step, step + size)):
            logits = model(x[at : at + size])
        loss = F.cross_entropy(logits, y[at : at + size])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        recorder.step(loss=loss, rate=0.01, epoch=step / 1000)
        if step % max(1, steps // LOOKS) == 0:
            seen["rss"].append(process.memory_info().rss)
            seen["handles"].append(process.num_fds())
            seen["threads"].append(process.num_threads())
            seen["seconds"].append(time.perf_counter() - started)
    recorder.close()
    run = huelapse.open(place)
    assert run.facts["gaps"] == []
    assert {split.name for split in run.splits} == {"val", "train"}
    return {name: np.array(values) for name, values in seen.items()}


def grown(values: np.ndarray) -> float:
    """How much more there is at the end than after a quarter, by a straight line."""
    later = values[len(values) // 4 :]
    slope = np.polyfit(np.arange(len(later)), later, 1)[0]
    return float(slope * len(later))


def flat(seen: dict[str, np.ndarray], *, megabytes: float) -> None:
    print(
        f"RSS {seen['rss'][0] / 1e6:.1f} → {seen['rss'][-1] / 1e6:.1f} MB "
        f"(after a quarter {grown(seen['rss']) / 1e6:+.2f} MB), handles "
        f"{seen['handles'].min():.0f} … {seen['handles'].max():.0f}, threads "
        f"{seen['threads'].min():.0f} … {seen['threads'].max():.0f}, {seen['seconds'][-1]:.0f} s"
    )
    assert grown(seen["rss"]) < megabytes * 1e6
    for what in ("handles", "threads"):
        # files that the writer has open at the moment come and go; none stays
        assert grown(seen[what]) < 1.5, seen[what]
        assert seen[what][-1] <= np.median(seen[what][: len(seen[what]) // 2]) + 3, seen[what]


def test_20000_steps_leave_memory_handles_and_threads_flat(place: Path) -> None:
    flat(train_long(place, 20_000, window=True, probe_budget=None), megabytes=3)


def test_windows_one_after_another_leave_memory_handles_and_threads_flat(place: Path) -> None:
    options = {"window": 450, "window_schedule": 1, "schedule": 1000, "probe_budget": None}
    flat(train_long(place, 10_000, **options), megabytes=6)


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_1000000_steps_leave_memory_handles_and_threads_flat(place: Path) -> None:
    options = {"window": 45_000, "window_schedule": 1, "probe_budget": None}
    flat(train_long(place, 1_000_000, **options), megabytes=10)
