"""Models, loaders and loops that are out of the ordinary: right numbers or a clear word."""

import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.errors import LayerError, OutputError, ProbeError
from test_recording import record


class Tail(nn.Module):
    """Any middle, then a head of two classes over the mean of what is left."""

    def __init__(self, *middle: nn.Module, width: int) -> None:
        super().__init__()
        self.middle, self.head = nn.Sequential(*middle), nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.middle(x)
        return self.head(x.mean(1) if x.ndim == 3 else x)


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


class Answers(nn.Module):
    """Says the class that is written in its input."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(self.relu(x[:, 0]).long(), 3).float() * 9


def test_a_collate_function_may_change_the_order(run_path: Path) -> None:
    def largest_first(items: list[Any]) -> Any:
        items = sorted(items, key=lambda item: -float(item[0][0]))
        return torch.utils.data.default_collate(items)

    y = torch.arange(90) % 3
    loader = DataLoader(TensorDataset(y[:, None].float(), y), 50, collate_fn=largest_first)
    model = nn.Sequential(Answers())
    record(run_path, model, probe=loader).close()
    assert huelapse.open(run_path).accuracy()[0] == 1.0


@pytest.mark.parametrize(
    "options",
    [
        {"sampler": SubsetRandomSampler(range(60, 90))},
        {"sampler": list(range(60, 90))},
        {"sampler": WeightedRandomSampler([0.0] * 60 + [1.0] * 30, 600)},
        {"batch_sampler": [list(range(60, 75)), list(range(75, 90))]},
    ],
)
def test_a_sampler_that_leaves_samples_out_is_followed(
    run_path: Path, options: dict[str, Any]
) -> None:
    x = torch.cat([torch.zeros(60, 1), torch.ones(30, 1)])
    y = torch.arange(90) % 3
    model = nn.Sequential(nn.ReLU(), nn.Linear(1, 3))
    if "batch_sampler" not in options:
        options = {**options, "batch_size": 8}
    record(run_path, model, probe=DataLoader(TensorDataset(x, y), **options)).close()
    run = huelapse.open(run_path)
    assert run.moments(0).count.sum() == 30
    assert (run.tuning(layer="0") == 1).all()


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


@pytest.mark.parametrize(
    ("middle", "units"),
    [
        ((nn.Linear(5, 6), nn.ReLU()), 6),
        ((nn.Linear(5, 6), nn.RMSNorm(6), nn.GELU()), 6),
        ((nn.Linear(5, 6), nn.PReLU()), 6),
        ((torch.nn.utils.parametrizations.weight_norm(nn.Linear(5, 6)), nn.ReLU()), 6),
        ((nn.Linear(5, 6), nn.Dropout(), nn.ReLU()), 6),
    ],
)
def test_tokens_units_are_found_behind_any_layer(
    run_path: Path, middle: tuple[nn.Module, ...], units: int
) -> None:
    x, y = torch.randn(40, 7, 5), torch.arange(40) % 2
    record(run_path, Tail(*middle, width=6), probe=(x, y), classes=2).close()
    layer = huelapse.open(run_path).layers[0]
    assert (layer.units, layer.unit_axis) == (units, 2)


def test_units_behind_a_recurrent_layer_and_a_convolution(run_path: Path) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.relu = nn.LSTM(5, 6, batch_first=True), nn.ReLU()
            self.head = nn.Linear(6, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.relu(self.lstm(x)[0]).mean(1))

    x, y = torch.randn(40, 7, 5), torch.arange(40) % 2
    record(run_path, Recurrent(), probe=(x, y), classes=2).close()
    assert huelapse.open(run_path).layers[0].units == 6
    conv = nn.Sequential(
        nn.Conv1d(7, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Flatten(), nn.Linear(12, 2)
    )
    record(run_path.with_name("conv"), conv, probe=(x, y), classes=2).close()
    layer = huelapse.open(run_path.with_name("conv")).layers[0]
    assert (layer.units, layer.unit_axis) == (4, 1)


def test_an_axis_as_long_as_the_batch_is_not_taken_for_the_samples(run_path: Path) -> None:
    class SequenceFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.relu, self.head = nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.relu(self.a(x.transpose(0, 1))).mean(0))

    x, y = torch.randn(128, 64, 3), torch.arange(128) % 2
    loader = DataLoader(TensorDataset(x, y), 64)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            record(run_path, SequenceFirst(), probe=loader, classes=2).close()
        except LayerError as error:
            assert "first axis" in str(error)
        else:
            assert [layer.path for layer in huelapse.open(run_path).layers] == ["output"]
            assert "first axis is not the batch" in str(said[0].message)


def test_a_layer_that_sees_a_part_of_the_batch_is_refused(run_path: Path) -> None:
    class Part(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 72:
                self.relu2(self.fc(torch.zeros(3, 80)))
                return self.head(torch.zeros(len(x), 7))
            return super().forward(x)

    with pytest.raises(LayerError, match=r"gave 3 rows for 72 samples"):
        record(run_path, Part(), probe=batches(200), layers=["relu2"])


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


# --- leaving no trace ----------------------------------------------------------------------------


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


def test_activations_whose_first_axis_is_no_batch_are_mentioned(run_path: Path) -> None:
    class Mixed(SmallNet):
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Sigmoid()
            self.weights = nn.Parameter(torch.zeros(7))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.relu1(self.norm(self.conv(x))).flatten(1)
            return self.head(self.relu2(self.fc(x)) * self.gate(self.weights))

    with pytest.warns(HuelapseWarning, match=r"not recorded.*gate \[7\]"):
        record(run_path, Mixed()).close()


class Pictures(Dataset):
    """Items that are arrays, not tensors."""

    def __len__(self) -> int:
        return 12

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.int64]:
        return np.full((2, 6, 6), i, np.float32), np.int64(i % 3)


def test_items_may_be_arrays_and_are_loaded_again_where_they_are_too_large(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    model = SmallNet()
    record(run_path, model, probe=Pictures()).close()
    monkeypatch.setattr("huelapse.capture.probe.MEMORY", 100)
    recorder = record(run_path.with_name("lazy"), model, probe=Pictures())
    assert recorder._probe._batches == []
    recorder.close()
    a, b = (huelapse.open(p).moments(0) for p in (run_path, run_path.with_name("lazy")))
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.count, b.count)


# --- what forwards take and return ---------------------------------------------------------------


class Text(Dataset):
    """Token ids of different lengths, as tokenisers give them."""

    def __init__(self, n: int = 60) -> None:
        generator = torch.Generator().manual_seed(0)
        self.items = [
            {
                "input_ids": torch.randint(1, 20, (3 + i % 5,), generator=generator),
                "labels": i % 2,
            }
            for i in range(n)
        ]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> dict[str, Any]:
        return self.items[i]


def padded(items: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
    ids = nn.utils.rnn.pad_sequence([item["input_ids"] for item in items], batch_first=True)
    return {
        "input_ids": ids,
        "attention_mask": (ids > 0).long(),
        "labels": torch.tensor([item["labels"] for item in items]),
    }


class TextModel(nn.Module):
    """Takes keywords and returns an object with logits, as transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mlp, self.act = nn.Embedding(20, 6), nn.Linear(6, 8), nn.GELU()
        self.head = nn.Linear(8, 2)

    def tokens(self, input_ids: torch.Tensor) -> torch.Tensor:
        return self.act(self.mlp(self.embed(input_ids)))

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> Any:
        weights = attention_mask / attention_mask.sum(1, keepdim=True)
        pooled = (self.tokens(input_ids) * weights[..., None]).sum(1)
        return SimpleNamespace(loss=None, logits=self.head(pooled))


def test_texts_of_different_lengths_are_averaged_over_their_own_tokens(run_path: Path) -> None:
    torch.manual_seed(0)
    model, data = TextModel(), Text()
    record(run_path, model, probe=DataLoader(data, 16, collate_fn=padded), classes=2).close()
    model.eval()
    with torch.no_grad():  # one text at a time: no padding at all
        alone = torch.stack([model.tokens(item["input_ids"][None])[0].mean(0) for item in data])
    labels = torch.tensor([item["labels"] for item in data])
    run = huelapse.open(run_path)
    assert run.moments(0).count.tolist() == [30, 30]
    for k in range(2):
        expected = alone[labels == k].double()
        found = run.moments(0)
        np.testing.assert_allclose(found.mean[k, :8], expected.mean(0), rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(found.variance[k, :8], expected.var(0), rtol=1e-4, atol=1e-10)


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
