"""What the model returns: logits, probabilities, and where they stand."""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recorded import probed, record
from torch import nn
from torch.utils.data import (
    DataLoader,
    TensorDataset,
)

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import (
    LayerError,
    OutputError,
)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("classes", [10, 100])
def test_a_softmax_is_not_taken_twice(run_path: Path, dtype: torch.dtype, classes: int) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2 * classes, 4), torch.arange(2 * classes) % classes

    class Soft(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.relu, self.b = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, classes)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.b(self.relu(self.a(x.to(dtype)))).softmax(1)

    model = Soft().to(dtype)
    record(run_path, model, probe=(x, y), classes=classes).close()
    with torch.no_grad():
        expected = model(x).float()[y == 3].mean(0)
    np.testing.assert_allclose(
        huelapse.open(run_path).tuning(layer="output")[3], expected, rtol=2e-2
    )


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("ends_with", ["logit", "sigmoid", "nn.Sigmoid", "zero logit"])
def test_a_single_column_is_told_by_the_operation_that_made_it(
    run_path: Path, ends_with: str, seed: int
) -> None:
    torch.manual_seed(seed)

    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.relu, self.b = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)
            self.last = nn.Sigmoid()
            if ends_with == "zero logit":
                nn.init.zeros_(self.b.weight), nn.init.constant_(self.b.bias, 0.5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.b(self.relu(self.a(x))).squeeze(1)
            return {"sigmoid": torch.sigmoid, "nn.Sigmoid": self.last}.get(ends_with, lambda v: v)(
                z
            )

    model = One()
    x, y = torch.randn(60, 4), torch.arange(60) % 2
    record(run_path, model, probe=(x, y), classes=2).close()
    with torch.no_grad():
        out = model(x)
    p = out if "igmoid" in ends_with else out.sigmoid()
    run = huelapse.open(run_path)
    assert run.tuning(layer="output")[1, 0] == pytest.approx(p[y == 1].mean().item(), rel=1e-5)
    assert run.moments(0, "predicted").count[1] == int((p > 0.5).sum())


def test_a_probability_that_leaves_its_range_is_refused(run_path: Path) -> None:
    with pytest.raises(OutputError, match="outside 0 … 1"):
        record(run_path, output="probability")


def test_a_script_model_and_a_squeezed_last_sample(run_path: Path) -> None:
    with pytest.raises(LayerError, match="TorchScript"), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        record(run_path, torch.jit.trace(SmallNet().eval(), batches(2)[0]))

    class Squeezed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.head = nn.ReLU(), nn.Linear(3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.relu(x)).squeeze()

    x, y = torch.randn(41, 3), torch.arange(41) % 2
    record(run_path, Squeezed(), probe=DataLoader(TensorDataset(x, y), 20), classes=2).close()
    assert huelapse.open(run_path).moments(0).count.sum() == 41


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: {"logits": z, "hidden": None},
        lambda z: SimpleNamespace(logits=z),
        lambda z: (z, None),
        lambda z: [z],
    ],
)
def test_logits_are_found_in_what_a_model_returns(run_path: Path, wrap: Callable[..., Any]) -> None:
    class Wrapped(SmallNet):
        def forward(self, x: torch.Tensor) -> Any:
            return wrap(super().forward(x))

    torch.manual_seed(0)
    plain = SmallNet()
    model = Wrapped()
    model.load_state_dict(plain.state_dict())
    record(run_path, plain).close()
    record(run_path.with_name("wrapped"), model).close()
    a, b = huelapse.open(run_path), huelapse.open(run_path.with_name("wrapped"))
    assert [layer.path for layer in a.layers] == [layer.path for layer in b.layers]
    np.testing.assert_array_equal(a.moments(0).mean, b.moments(0).mean)


def test_a_single_column_nobody_knows_is_asked_about(run_path: Path) -> None:
    class Clamped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.relu, self.b = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.sigmoid(self.b(self.relu(self.a(x)))).clamp(1e-6, 1 - 1e-6)

    x, y = torch.randn(60, 4), torch.arange(60) % 2
    with pytest.raises(OutputError, match='output="probability"'):
        record(run_path, Clamped(), probe=(x, y), classes=2)
    record(run_path, Clamped(), probe=(x, y), classes=2, output="probability").close()


@pytest.mark.parametrize("functional", [True, False])
@pytest.mark.parametrize("mode", [torch.inference_mode, torch.no_grad, torch.enable_grad])
@pytest.mark.parametrize("frozen", [True, False])
def test_a_sigmoid_is_known_in_any_autograd_mode(
    run_path: Path, functional: bool, mode: Any, frozen: bool
) -> None:
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.relu, self.b = nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)
            self.last = nn.Sigmoid()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = self.b(self.relu(self.a(x)))
            return torch.sigmoid(z) if functional else self.last(z)

    torch.manual_seed(0)
    model = One().requires_grad_(not frozen)
    x, y = torch.randn(100, 4), torch.arange(100) % 2
    with mode():
        run = probed(run_path, model, x, y, classes=2)
        expected = model(x)[:, 0]
    assert run.tuning(layer="output")[1, 0] == pytest.approx(
        expected[y == 1].mean().item(), rel=1e-5
    )
    assert run.moments(0, "predicted").count[1] == int((expected > 0.5).sum())
