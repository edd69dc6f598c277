"""More out of the ordinary: nested forwards, gates, fused layers, caches, and faults of callbacks."""

import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, parametrize

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import OutputError, ProbeError, ScalarError
from huelapse.store import StoreWriter, thread
from test_recording import record

X, Y = batches()


def probed(run: Path, model: nn.Module, x: torch.Tensor = X, y: torch.Tensor = Y, **options: Any):
    recorder = Recorder(model, run, **{"classes": 3, **options})
    with recorder.probing() as probing:
        model(x)
        probing.labels(y)
    recorder.close()
    return huelapse.open(run)


def test_a_gate_of_linear_layers_does_not_turn_the_axes_of_a_convolution(run_path: Path) -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(2, 8, 3), nn.BatchNorm2d(8)
            self.down, self.up = nn.Linear(8, 4), nn.Linear(4, 8)
            self.relu, self.head = nn.ReLU(), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.norm(self.conv(x))
            gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
            return self.head(self.relu(x * gate[..., None, None]).mean((2, 3)))

    record(run_path, Gated()).close()
    layers = {
        layer.path: (layer.units, layer.unit_axis) for layer in huelapse.open(run_path).layers
    }
    assert layers["relu"] == (8, 1)


def test_a_function_on_weights_of_its_own_module_has_its_units_last(run_path: Path) -> None:
    class Raw(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = nn.Parameter(torch.randn(4, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.gelu(x @ self.w)

    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch, self.raw, self.head = nn.Conv2d(2, 4, 2, 2), Raw(), nn.Linear(6, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.raw(self.patch(x).flatten(2).transpose(1, 2)).mean(1))

    record(run_path, Patches()).close()
    layer = huelapse.open(run_path).layers[0]
    assert (layer.path, layer.units, layer.unit_axis) == ("raw.gelu", 6, 2)


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


def test_a_parametrization_cache_is_neither_read_nor_filled(run_path: Path) -> None:
    def train(run: Path | None) -> list[torch.Tensor]:
        torch.manual_seed(0)
        model = nn.Sequential(
            parametrizations.weight_norm(nn.Linear(4, 8)), nn.ReLU(), nn.Linear(8, 2)
        )
        x, y = torch.randn(80, 4), torch.arange(80) % 2
        optimizer = torch.optim.SGD(model.parameters(), 1.0)
        recorder = run and record(run, model, probe=(x, y), classes=2, schedule=1)
        with parametrize.cached():
            if recorder:
                recorder.step()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if recorder:
                recorder.step()
        if recorder:
            recorder.close()
            with torch.no_grad():
                expected = model[:2](x)[y == 1].mean(0)
            found = huelapse.open(run).tuning(layer="1")[1]
            np.testing.assert_allclose(found, expected, rtol=1e-5)
        return [p.detach().clone() for p in model.parameters()]

    for a, b in zip(train(None), train(run_path), strict=True):
        assert torch.equal(a, b)


def test_embeddings_that_renormalise_are_left_as_they_were(run_path: Path) -> None:
    model = nn.Sequential(
        nn.Embedding(9, 4, max_norm=0.1), nn.Flatten(), nn.ReLU(), nn.Linear(12, 3)
    )
    x, y = torch.randint(0, 9, (60, 3)), torch.arange(60) % 3
    before = model[0].weight.detach().clone()
    record(run_path, model, probe=(x, y)).close()
    assert torch.equal(model[0].weight, before)


def test_ones_own_batch_is_not_changed_twice(run_path: Path) -> None:
    class InPlace(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x.mul_(3).sub_(1))

    torch.manual_seed(0)
    model = InPlace().eval()
    x = X.clone()
    with torch.no_grad():
        expected = model(X.clone())
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing() as probing, torch.no_grad():
        found = model(x)
        probing.labels(Y)
    assert torch.equal(found, expected)
    recorder.close()


def test_a_forward_that_only_runs_without_gradients_is_traced(run_path: Path) -> None:
    class Clamps(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                self.fc.weight.clamp_(-1, 1)
            return super().forward(x)

    model = Clamps()
    with torch.no_grad():
        model.fc.weight.clamp_(-1, 1)
    record(run_path, model).close()
    assert len(huelapse.open(run_path).layers) == 3


class Uses(nn.Module):
    """Conv → F.relu → Linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(2, 4, 3), nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(F.relu(self.conv(x)).mean((2, 3)))


def test_function_modes_of_the_users_nest(run_path: Path) -> None:
    model = Uses()
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing() as probing:
        for _ in range(2):
            with torch.device("cpu"):
                model(X)
            probing.labels(Y)
            assert torch.overrides._get_current_function_mode_stack() == []
    recorder.close()
    assert huelapse.open(run_path).moments(0).count.sum() == 180


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2)
        self.act, self.head = nn.ReLU(), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        padding = torch.zeros(x.shape[:2], dtype=torch.bool)
        padding[:, -2:] = True
        return self.head(self.act(self.encoder(x, src_key_padding_mask=padding)).mean(1))


@pytest.mark.filterwarnings("ignore:.*nested tensors.*:UserWarning")
def test_a_fused_encoder_gives_the_user_what_it_gave_before(run_path: Path) -> None:
    torch.manual_seed(0)
    model = Encoder().eval()
    x, y = torch.randn(60, 5, 8), torch.arange(60) % 2
    with torch.no_grad():
        expected = model(x)
        recorder = Recorder(model, run_path, classes=2)
        with pytest.warns(HuelapseWarning, match="fused path"), recorder.probing() as probing:
            found = model(x)
            probing.labels(y)
    recorder.close()
    assert torch.equal(found, expected)
    assert [layer.path for layer in huelapse.open(run_path).layers] == ["act", "output"]
    for name, layers in (("probe", None), ("all", "all")):
        record(run_path.with_name(name), model, probe=(x, y), classes=2, layers=layers).close()
    paths = [layer.path for layer in huelapse.open(run_path.with_name("probe")).layers]
    assert paths == ["encoder.layers.0.relu", "encoder.layers.1.relu", "act", "output"]


def test_a_scripted_part_keeps_its_mode(run_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        part = torch.jit.script(nn.Sequential(nn.Linear(80, 7), nn.BatchNorm1d(7)))
    model = SmallNet()
    model.fc = part
    model.train()
    record(run_path, model).close()
    assert all(module.training for module in model.modules())


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_buffers_of_any_kind_are_left_alone(run_path: Path) -> None:
    model = SmallNet()
    model.register_buffer("sparse", torch.eye(3).to_sparse())
    model.register_buffer("meta", torch.empty(3, device="meta"))
    model.register_buffer(
        "quantised", torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.quint8)
    )
    model.register_buffer("complex", torch.ones(3, dtype=torch.complex64).conj())
    model.register_buffer("flag", torch.tensor(True))
    record(run_path, model).close()
    assert model.quantised.int_repr().tolist() == [10] * 3


def test_gradients_are_not_added_to(run_path: Path) -> None:
    class Backs(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if not self.training:
                with torch.enable_grad():
                    self.fc.weight.sum().backward()
            return super().forward(x)

    model = Backs()
    model.fc.weight.grad = torch.full_like(model.fc.weight, 2.0)
    record(run_path, model).close()
    assert (model.fc.weight.grad == 2).all()


def test_a_tensor_a_module_keeps_is_put_back_by_content(run_path: Path) -> None:
    class Runs(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.h = torch.zeros(1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.h.add_(1)
            return super().forward(x)

    model = Runs()
    record(run_path, model).close()
    assert model.h.item() == 0


def test_a_function_whose_last_call_is_the_output_is_recorded_before_it(run_path: Path) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.sigmoid = nn.Linear(4, 8), nn.Linear(8, 1), nn.Sigmoid()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.sigmoid(self.b(self.sigmoid(self.a(x))))

    x, y = torch.randn(60, 4), torch.arange(60) % 2
    record(run_path, Two(), probe=(x, y), classes=2, schedule=1).close()
    assert [layer.path for layer in huelapse.open(run_path).layers] == ["sigmoid#0", "output"]


def test_parts_called_on_their_own_and_models_that_call_themselves(run_path: Path) -> None:
    class Twice(Uses):
        def forward(self, x: torch.Tensor, again: bool = True) -> torch.Tensor:
            return (
                (self(x, again=False) + self(x.flip(-1), again=False)) / 2
                if again
                else super().forward(x)
            )

    model = Twice()
    record(run_path, model).close()
    assert [layer.path for layer in huelapse.open(run_path).layers] == [
        "relu#0",
        "relu#1",
        "output",
    ]
    net = SmallNet()
    recorder = Recorder(net, run_path.with_name("parts"), classes=3)
    for _ in range(2):
        with recorder.probing() as probing:
            net.relu2(torch.randn(4, 7))
            net(X)
            net.relu1(torch.randn(4, 5, 2, 2))
            probing.labels(Y)
    recorder.close()
    assert huelapse.open(run_path.with_name("parts")).moments(1).count.sum() == 90


def test_one_evaluation_at_a_time(run_path: Path) -> None:
    model = SmallNet()
    recorder = Recorder(model, run_path, classes=3)
    with recorder.probing("a") as probing:
        with pytest.raises(ProbeError, match="another evaluation"), recorder.probing("b"):
            pass
        model(X)
        probing.labels(Y)
    recorder.close()
    assert [split.name for split in huelapse.open(run_path).splits] == ["a"]


def test_two_threads_may_step(run_path: Path) -> None:
    model = SmallNet()
    model.train()
    recorder = record(run_path, model, schedule=1)
    workers = [
        threading.Thread(target=lambda: [recorder.step() for _ in range(20)]) for _ in range(3)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert all(module.training for module in model.modules())
    recorder.close()
    assert huelapse.open(run_path).facts["gaps"] == []


def test_a_users_hook_that_raises_blinds_nothing(run_path: Path) -> None:
    class Careful(Uses):
        def __init__(self) -> None:
            super().__init__()
            self.risky = nn.Linear(4, 4)

            def refuse(*_: Any) -> None:
                raise RuntimeError("not today")

            self.risky.register_forward_pre_hook(refuse)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = self.conv(x).mean((2, 3))
            try:
                h = self.risky(h)
            except RuntimeError:
                h = F.gelu(h)
            return self.head(F.relu(h))

    record(run_path, Careful()).close()
    assert [x.path for x in huelapse.open(run_path).layers] == ["gelu", "relu", "output"]


def test_a_module_named_output_is_not_the_output(run_path: Path) -> None:
    model = SmallNet()
    model.output = nn.ReLU()
    once = model.forward
    model.forward = lambda x: once(x) + model.output(x).sum() * 0
    record(run_path, model).close()
    paths = [layer.path for layer in huelapse.open(run_path).layers]
    assert paths == ["relu1", "relu2", "output()", "output"]


def test_a_small_difference_of_a_large_mean_stays_strong_with_many_samples(rng: Any) -> None:
    from huelapse.measures import read
    from huelapse.moments import Moments

    n = np.array([10**6, 10**6])
    mean = np.array([[1.0], [1.0 + 5e-5]])
    zeros = np.zeros((2, 1), np.int64)
    moments = Moments(n, mean, (n[:, None] - 1) * 1e-5**2, zeros, zeros)
    assert read(moments, signed=np.zeros(1, bool)).strength[0] > 0.99


# --- writing -------------------------------------------------------------------------------------


def test_a_dropped_snapshots_scalars_go_into_the_next(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = record(run_path, schedule=1)
    recorder.step(loss=10.0)
    monkeypatch.setattr(thread, "WAITING", 0)
    recorder.step(loss=1000.0)
    monkeypatch.undo()
    recorder.step(loss=20.0)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1, 3]
    assert run.coordinate("metric.loss").tolist()[1:] == [10.0, 510.0]
    with pytest.raises(ScalarError, match="share one name"):
        record(run_path.with_name("b")).step(**{"a/b": 1, "a.b": 2})


@pytest.mark.parametrize("error", [RuntimeError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_raises_stops_nothing(run_path: Path, error: type[BaseException]) -> None:
    def callback(*_: Any) -> None:
        raise error

    recorder = record(run_path, schedule=1, on_commit=callback)
    for _ in range(5):
        recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert run.status == "complete"


def test_a_fault_found_at_the_end_is_in_the_run(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = threading.Event()
    recorder = record(run_path, schedule=1, on_commit=lambda *_: committed.set())
    assert committed.wait(20)
    commit = StoreWriter.commit

    def full(self: StoreWriter, snapshot: Any) -> None:
        time.sleep(0.2)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreWriter, "commit", full)
    recorder.step()
    with pytest.warns(HuelapseWarning, match="No space left"):
        recorder.close()
    monkeypatch.setattr(StoreWriter, "commit", commit)
    gaps = huelapse.open(run_path).facts["gaps"]
    assert gaps[0]["step"] == 1
    assert "No space left" in gaps[0]["reason"]
