"""Everything a probe could leave behind, and does not."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import Uses, X, Y, record
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.nn.utils import parametrizations, parametrize
from torch.utils.data import (
    DataLoader,
    IterableDataset,
    TensorDataset,
    WeightedRandomSampler,
)

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import (
    LayerError,
    ProbeError,
)


def test_a_forward_that_changes_its_input_sees_the_same_probe_each_time(run_path: Path) -> None:
    class Shifts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu, self.head = nn.ReLU(inplace=True), nn.Linear(1, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x -= 1.0
            return self.head(self.relu(x))

    with record(
        run_path, Shifts(), probe=(torch.full((40, 1), 10.0), torch.arange(40) % 2), classes=2,
        schedule=1,
    ) as recorder:  # fmt: skip
        for _ in range(4):
            recorder.step()
    run = huelapse.open(run_path)
    assert [run.tuning(int(s), "relu")[0, 0] for s in run.steps] == [9.0] * 5


def test_a_step_inside_autocast_probes_the_new_weights_in_full_precision(run_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    x, y = torch.randn(80, 4), torch.arange(80) % 2
    optimizer = torch.optim.SGD(model.parameters(), 1.0)
    recorder = record(run_path, model, probe=(x, y), classes=2, schedule=1)
    with torch.autocast("cpu", torch.bfloat16):
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        recorder.step()
    recorder.close()
    with torch.no_grad():
        expected = model[:2](x)[y == 1].mean(0)
    np.testing.assert_allclose(huelapse.open(run_path).tuning(layer="1")[1], expected, rtol=1e-5)


def test_what_a_forward_adds_to_a_module_is_taken_away_again(run_path: Path) -> None:
    class Keeps(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("filled", None)
            self.state: torch.Tensor | None = None

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.filled = torch.ones(2)
            self.register_buffer("added", torch.ones(2))
            self.register_buffer("fleeting", torch.ones(2), persistent=False)
            self.state = x
            self.new_attribute = 1
            with torch.enable_grad():
                self.fc.weight.sum().backward()
            return super().forward(x)

    model = Keeps()
    keys = list(model.state_dict())
    recorder = record(run_path, model)
    assert list(model.state_dict()) == keys
    assert model.state is None
    assert not hasattr(model, "new_attribute")
    assert not hasattr(model, "fleeting")
    assert all(p.grad is None for p in model.parameters())
    recorder.close()


def test_a_buffer_with_a_nan_in_a_live_graph_is_not_written(run_path: Path) -> None:
    class Scaled(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("scale", torch.tensor([1.0, float("nan")]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * torch.nan_to_num(self.scale, nan=1.0).mean() ** 2)

    model = Scaled()
    x, y = batches(12)
    recorder = record(run_path, model, schedule=1)
    loss = nn.functional.cross_entropy(model(x) * model.scale[0], y)
    recorder.step()
    loss.backward()
    recorder.close()


def test_a_shared_generator_is_where_it_was(run_path: Path) -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            return iter([(x, int(y)) for x, y in zip(*batches(), strict=True)])

    for dataset, options in (
        (Stream(), {}),
        (TensorDataset(*batches()), {"shuffle": True}),
        (TensorDataset(*batches()), {"sampler": WeightedRandomSampler([1.0] * 90, 90)}),
    ):
        generator = torch.Generator().manual_seed(7)
        before = generator.get_state()
        record(
            run_path.with_name(f"{type(dataset).__name__}{len(options)}{'sampler' in options}"),
            probe=DataLoader(dataset, 30, generator=generator, **options),
        ).close()
        assert torch.equal(generator.get_state(), before)


def test_a_model_without_shapes_yet_is_refused(run_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.LazyLinear(4), nn.ReLU(), nn.Linear(4, 3))
    with pytest.raises(LayerError, match="run one batch"):
        record(run_path, model)
    model(batches(4)[0])
    record(run_path, model).close()


def test_a_model_compiled_in_place_is_probed_eagerly(run_path: Path) -> None:
    graphs = 0

    def backend(graph: Any, _inputs: Any) -> Callable[..., Any]:
        nonlocal graphs
        graphs += 1
        return graph.forward

    model = SmallNet()
    model.compile(backend=backend)
    record(run_path, model).close()
    assert graphs == 0
    assert len(huelapse.open(run_path).layers) == 3
    recorder = Recorder(
        torch.compile(SmallNet(), backend=backend), run_path.with_name("b"), classes=3
    )
    with pytest.raises(ProbeError, match="inside a compiled model"), recorder.probing():
        pass


def test_another_default_dtype_changes_nothing(run_path: Path) -> None:
    torch.manual_seed(0)
    model, probe = SmallNet(), batches()
    record(run_path, model, probe=probe).close()
    torch.set_default_dtype(torch.float64)
    try:
        record(run_path.with_name("wide"), model, probe=probe).close()
    finally:
        torch.set_default_dtype(torch.float32)
    a, b = (huelapse.open(p).moments(0) for p in (run_path, run_path.with_name("wide")))
    np.testing.assert_array_equal(a.mean, b.mean)


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
    inside = ["add#0", "relu", "add#1"]
    within = [f"encoder.layers.{i}.{name}" for i in range(2) for name in inside]
    assert paths == [*within, "act", "output"]


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
