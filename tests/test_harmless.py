"""Training with a recorder is, bit for bit, training without one; and the test can tell."""

import copy
import io
import pickle
import random
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

import huelapse
from conftest import SmallNet, batches
from huelapse.capture import capturing, guard

STEPS = 100


class Restless(SmallNet):
    """A net with everything a probe could disturb: BatchNorm, Dropout, a buffer of its own,
    a module frozen in eval mode, and random numbers of three kinds in its forward."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(1))
        self.frozen = nn.BatchNorm2d(2)
        self.frozen.eval()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen += 1
        noise = torch.rand(()) + random.random() + np.random.rand()
        return super().forward(self.frozen(x) + 0.01 * noise)

    def train(self, mode: bool = True) -> "Restless":
        super().train(mode)
        self.frozen.eval()
        return self


class Augmented(Dataset):
    """Items that draw from all three generators."""

    def __init__(self, n: int, seed: int) -> None:
        self.inputs, self.labels = batches(n, seed=seed)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        jitter = torch.rand(()) * 0.1 + random.random() * 0.1 + np.random.rand() * 0.1
        return self.inputs[i] + jitter, int(self.labels[i])


def everything(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    stream = io.BytesIO()
    torch.save(model.state_dict(), stream)
    return {
        "weights": [p.detach().clone() for p in model.parameters()],
        "gradients": [p.grad.clone() for p in model.parameters() if p.grad is not None],
        "buffers": [b.clone() for b in model.buffers()],
        "state_dict": stream.getvalue(),
        "optimizer": copy.deepcopy(optimizer.state_dict()),
        "modes": [m.training for m in model.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks)) for m in model.modules()],
        "torch": torch.get_rng_state(),
        "numpy": pickle.dumps(np.random.get_state()),
        "random": random.getstate(),
    }


def same(a: Any, b: Any) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return a == b


def train(run: Path | None) -> dict[str, Any]:
    """100 steps over a shuffled loader; with `run`, a probe at every tenth."""
    torch.manual_seed(3)
    np.random.seed(3)
    random.seed(3)
    model = Restless()
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    loader = DataLoader(Augmented(160, 1), 16, shuffle=True)
    held_out = DataLoader(Augmented(90, 2), 30, shuffle=True)
    recorder = None
    model.train()
    if run is not None:
        recorder = huelapse.Recorder(
            model, run, probe=held_out, classes=3, schedule=10, probe_budget=None, strict=True
        )
    step = 0
    while step < STEPS:
        for inputs, labels in loader:
            loss = nn.functional.cross_entropy(model(inputs), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            step += 1
            if recorder is not None:
                recorder.step(loss=loss)
            if step == STEPS:
                break
    if recorder is not None:
        recorder.close()
        assert len(huelapse.open(run).steps) == 11
    return everything(model, optimizer)


def different(tmp_path: Path) -> list[str]:
    without, with_recorder = train(None), train(tmp_path / "run")
    return [name for name in without if not same(without[name], with_recorder[name])]


def test_training_with_a_recorder_is_bit_for_bit_training_without(tmp_path: Path) -> None:
    assert different(tmp_path) == []


@contextmanager
def _careless(*_: Any, **__: Any) -> Any:
    yield


@contextmanager
def _stays_in_eval(model: nn.Module) -> Any:
    model.eval()
    with torch.no_grad():
        yield


@contextmanager
def _forgets_buffers(model: nn.Module) -> Any:
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    with torch.no_grad():
        yield
    for module, mode in modes:
        module.training = mode


@contextmanager
def _forgets_frozen(model: nn.Module) -> Any:
    buffers = [(b, b.clone()) for b in model.buffers()]
    model.eval()
    with torch.no_grad():
        yield
        for buffer, before in buffers:
            buffer.copy_(before)
    for module in model.modules():
        module.training = True


@contextmanager
def _touches_weights(model: nn.Module) -> Any:
    with guard.same_model(model):
        yield
    with torch.no_grad():
        next(model.parameters()).mul_(1.0000001)


@contextmanager
def _touches_gradients(model: nn.Module) -> Any:
    with guard.same_model(model):
        yield
    for p in model.parameters():
        p.grad = torch.zeros_like(p)


BREAKAGES: dict[str, tuple[str, Callable[..., Any], str]] = {
    "random states are not put back": ("same_randomness", _careless, "torch"),
    "the model stays in eval mode": ("same_model", _stays_in_eval, "modes"),
    "buffers are not put back": ("same_model", _forgets_buffers, "buffers"),
    "every module is put in train mode": ("same_model", _forgets_frozen, "modes"),
    "weights are touched": ("same_model", _touches_weights, "weights"),
    "gradients are touched": ("same_model", _touches_gradients, "gradients"),
}


@pytest.mark.parametrize("breakage", BREAKAGES)
def test_a_recorder_broken_in_this_way_is_noticed(
    breakage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, broken, seen_in = BREAKAGES[breakage]
    monkeypatch.setattr(capturing, name, broken)
    assert seen_in in different(tmp_path)


def test_hooks_are_on_the_model_only_while_a_probe_runs(tmp_path: Path) -> None:
    model = SmallNet()
    recorder = huelapse.Recorder(model, tmp_path / "run", probe=batches(), classes=3)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    copied = copy.deepcopy(model)
    stream = io.BytesIO()
    torch.save(model, stream)  # the whole module: would pickle hooks, had it any
    stream.seek(0)
    loaded = torch.load(stream, weights_only=False)  # our own bytes, written a line above
    x = batches(4)[0]
    model.eval(), copied.eval(), loaded.eval()
    assert torch.equal(copied(x), model(x))
    assert torch.equal(loaded(x), model(x))
    recorder.close()


def test_an_error_in_the_users_forward_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = SmallNet()
    model.train()
    recorder = huelapse.Recorder(
        model, tmp_path / "run", probe=batches(), classes=3, schedule=1, probe_budget=None
    )

    def explode(*_: Any) -> None:
        raise KeyboardInterrupt

    handle = model.fc.register_forward_hook(explode)
    before = torch.get_rng_state()
    with pytest.raises(KeyboardInterrupt):
        recorder.step()
    handle.remove()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(m.training for m in model.modules())
    assert all(not m._forward_hooks for m in model.modules())
    recorder.close()
