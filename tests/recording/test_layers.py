"""Which places of a model are recorded, and under which names."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import record
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import (
    LayerError,
)


def test_what_follows_an_activation_is_recorded_and_the_output_as_probability(
    run_path: Path,
) -> None:
    record(run_path).close()
    run = huelapse.open(run_path)
    assert [(x.path, x.kind, x.units) for x in run.layers] == [
        ("relu1", "ReLU", 5),
        ("relu2", "ReLU", 7),
        ("output", "probability", 3),
    ]
    assert run.tuning(layer="output").sum(1) == pytest.approx(1)
    assert not run.signed.any()


def test_a_model_without_activation_modules_is_recorded_at_all_leaves_and_says_so(
    run_path: Path,
) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3))
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    with pytest.warns(HuelapseWarning, match="no activation "):
        record(run_path, model, probe=(x, y)).close()
    run = huelapse.open(run_path)
    assert [layer.path for layer in run.layers] == ["0", "1", "output"]
    assert run.signed[:12].all()


def test_layers_can_be_chosen_by_pattern(run_path: Path) -> None:
    record(run_path, layers=["relu*", "fc"]).close()
    assert [x.path for x in huelapse.open(run_path).layers] == ["relu1", "fc", "relu2", "output"]
    with pytest.raises(LayerError, match="no layer matches 'nope'; layers that ran: conv, norm"):
        record(run_path.with_name("b"), layers=["nope"])


def test_a_module_called_twice_is_two_layers(run_path: Path) -> None:
    class Twice(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Linear(7, 4)
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu2(self.fc(self.relu1(self.conv(x)).flatten(1)))
            return self.head(self.relu2(self.wide(x)))

    torch.manual_seed(0)
    model = Twice()
    x, y = batches()
    record(run_path, model).close()
    run = huelapse.open(run_path)
    assert [(layer.path, layer.units) for layer in run.layers] == [
        ("relu1", 5),
        ("relu2#0", 7),
        ("relu2#1", 4),
        ("output", 3),
    ]
    model.eval()
    with torch.no_grad():
        first = model.relu2(model.fc(model.relu1(model.conv(x)).flatten(1)))
        second = model.relu2(model.wide(first))
    for path, expected in (("relu2#0", first), ("relu2#1", second)):
        np.testing.assert_allclose(run.tuning(layer=path)[2], expected[y == 2].mean(0), rtol=1e-5)


def test_a_module_that_runs_more_often_later_is_a_fault(run_path: Path) -> None:
    model = SmallNet()
    recorder = record(run_path, model, schedule=1)
    once = model.forward
    model.forward = lambda x: once(x) + 0 * model.relu2(model.fc(torch.zeros(len(x), 80))).sum()
    with pytest.warns(HuelapseWarning, match="ran more often"):
        recorder.step()
    del model.forward
    recorder.close()


class Functional(nn.Module):
    """Activation functions in every spelling, and an nn.ReLU that must be counted once."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(2, 4, 3), nn.Conv2d(4, 5, 3), nn.Linear(20, 6)
        self.relu = nn.ReLU()
        self.block = nn.Sequential(nn.Linear(6, 7), nn.GELU())
        self.head = nn.Linear(7, 3)

    def steps(self, x: torch.Tensor) -> list[torch.Tensor]:
        a = nn.functional.relu(self.a(x), inplace=True)
        b = torch.tanh(self.b(a))
        c = self.relu(self.c(b.flatten(1)))
        d = self.c(b.flatten(1)).relu_()
        total = c + d
        last = nn.functional.silu(self.block(total))
        return [a.mean((2, 3)), b.mean((2, 3)), c, d, total, last]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.steps(x)[-1])


def test_activation_functions_are_recorded_like_modules(run_path: Path) -> None:
    torch.manual_seed(0)
    model = Functional()
    x, y = batches()
    record(run_path, model).close()
    run = huelapse.open(run_path)
    assert [(layer.path, layer.kind, layer.units, layer.signed) for layer in run.layers] == [
        ("relu()#0", "F.relu", 4, False),
        ("tanh", "F.tanh", 5, True),
        ("relu", "ReLU", 6, False),
        ("relu()#1", "F.relu", 6, False),
        ("add", "add", 6, True),
        ("block.1", "GELU", 7, True),
        ("silu", "F.silu", 7, True),
        ("output", "probability", 3, False),
    ]
    model.eval()
    with torch.no_grad():
        steps = model.steps(x)
    paths = ["relu()#0", "tanh", "relu", "relu()#1", "add", "silu"]
    for path, expected in zip(paths, steps, strict=True):
        found = run.tuning(layer=path)[1]
        np.testing.assert_allclose(found, expected[y == 1].mean(0), rtol=1e-4, atol=1e-6)


def test_activation_functions_in_the_users_own_evaluation(run_path: Path) -> None:
    torch.manual_seed(0)
    model = Functional().eval()
    x, y = batches()
    record(run_path, model).close()
    own = run_path.with_name("own")
    recorder = Recorder(model, own, classes=3)
    for _ in range(2):
        with recorder.probing() as probing, torch.no_grad():
            for i in (0, 45):
                torch.relu(x)  # the loop's own calls are not the model's
                model(x[i : i + 45])
                probing.labels(y[i : i + 45])
    recorder.close()
    a, b = huelapse.open(run_path), huelapse.open(own)
    assert [layer.path for layer in a.layers] == [layer.path for layer in b.layers]
    np.testing.assert_allclose(a.moments(0).mean, b.moments(1).mean, rtol=1e-5, atol=1e-6)
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())


def test_tokens_have_their_units_on_the_last_axis(run_path: Path) -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.act, self.head = nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.act(self.embed(x)).mean(1))

    model = Tokens()
    x, y = torch.randn(60, 9, 4), torch.arange(60) % 3
    record(run_path, model, probe=(x, y)).close()
    run = huelapse.open(run_path)
    layer = run.layers[0]
    assert (layer.units, layer.unit_axis, layer.shape) == (6, 2, (9, 6))
    model.eval()
    with torch.no_grad():
        expected = model.act(model.embed(x)).mean(1)[y == 1].mean(0)
    np.testing.assert_allclose(run.tuning(layer="act")[1], expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("last", [nn.Softmax(1), nn.LogSoftmax(1), nn.Identity()])
def test_probabilities_are_recognised(run_path: Path, last: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3), last)
    x, y = torch.randn(60, 4), torch.arange(60) % 3
    record(run_path, model, probe=(x, y)).close()
    with torch.no_grad():
        expected = model[:3](x).softmax(1)[y == 0].mean(0)
    found = huelapse.open(run_path).tuning(layer="output")[0]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_single_logit_is_two_classes(run_path: Path) -> None:
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 1))
    x = torch.randn(80, 2)
    y = (x[:, 0] > 0).long()
    record(run_path, model, probe=(x, y), classes=["low", "high"]).close()
    run = huelapse.open(run_path)
    with torch.no_grad():
        z = model(x)[:, 0]
    assert run.layer("output").units == 1
    assert run.moments(0, "predicted").count.tolist() == [int((z <= 0).sum()), int((z > 0).sum())]
    assert run.tuning(layer="output")[1, 0] == pytest.approx(z.sigmoid()[y == 1].mean().item())


def test_compiled_and_parallel_wrappers(run_path: Path) -> None:
    with pytest.raises(LayerError, match="DataParallel"):
        record(run_path, nn.DataParallel(SmallNet()))
    compiled = torch.compile(SmallNet(), backend="eager")
    record(run_path, compiled).close()
    assert len(huelapse.open(run_path).layers) == 3


def test_the_run_knows_which_layer_feeds_which(run_path: Path) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = (nn.Sequential(nn.Linear(4, 4), nn.ReLU()) for _ in "abc")
            self.head = nn.Linear(4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.a(x)
            return self.head(self.c(x + self.b(x)))

    x, y = torch.randn(90, 4), torch.arange(90) % 3
    record(run_path, Branches(), probe=(x, y)).close()
    run = huelapse.open(run_path)
    assert run.graph is not None
    assert run.graph.nodes == ("a.1", "b.1", "add", "c.1", "output")
    assert run.graph.nodes == tuple(layer.path for layer in run.layers)
    assert run.graph.edges == ((0, 1), (0, 2), (1, 2), (2, 3), (3, 4))
