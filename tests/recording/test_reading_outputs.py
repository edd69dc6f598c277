"""How a module's output is read: parts, recurrent and attention modules, axes, peaks, tokens."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import record
from torch import Tensor, nn

import huelapse
from huelapse.errors import LayerError

Y = torch.arange(60) % 3


def tuning(run: huelapse.Run, layer: str, truth: Tensor, **options: Any) -> None:
    found = run.tuning(layer=layer, **options)
    for k in range(3):
        np.testing.assert_allclose(found[k], truth[Y.eq(k)].mean(0), rtol=1e-5, atol=1e-6)


class Reads(nn.Module):
    """Tokens [B, T, 4] → recurrent layer → last token."""

    def __init__(self, kind: type[nn.RNNBase], *, batch_first: bool) -> None:
        super().__init__()
        self.rnn, self.head = kind(4, 5, batch_first=batch_first), nn.Linear(5, 3)
        self.batch_first = batch_first

    def states(self, x: Tensor) -> Tensor:
        out, _ = self.rnn(x if self.batch_first else x.transpose(0, 1))
        return out if self.batch_first else out.transpose(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.states(x)[:, -1])


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_layers_are_recorded_by_their_states(
    kind: type[nn.RNNBase], batch_first: bool, run_path: Path
) -> None:
    torch.manual_seed(0)
    model, x = Reads(kind, batch_first=batch_first), torch.randn(60, 7, 4)
    record(run_path, model, probe=(x, Y)).close()
    run = huelapse.open(run_path)
    assert [(layer.path, layer.units) for layer in run.layers] == [("rnn", 5), ("output", 3)]
    tuning(run, "rnn", model.states(x).detach().mean(1))


class Pair(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.weight, self.form = nn.Parameter(torch.randn(4, 4)), form

    def forward(self, x: Tensor) -> Any:
        a, b = x @ self.weight, (x @ self.weight).relu()
        return {"tuple": (a, b), "dict": {"low": a, "deep": {"high": b}}}[self.form]


class Holds(nn.Module):
    def __init__(self, form: str) -> None:
        super().__init__()
        self.pair, self.relu, self.head = Pair(form), nn.ReLU(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        given = self.pair(x)
        return self.head(self.relu(given[1] if isinstance(given, tuple) else given["low"]))


@pytest.mark.parametrize(
    ("form", "names"),
    [("tuple", ["pair[0]", "pair[1]"]), ("dict", ["pair[low]", "pair[deep][high]"])],
)
def test_parts_of_an_output_have_names(form: str, names: list[str], run_path: Path) -> None:
    torch.manual_seed(0)
    model, x = Holds(form), torch.randn(60, 4)
    record(run_path, model, probe=(x, Y), layers="all").close()
    run = huelapse.open(run_path)
    assert [layer.path for layer in run.layers] == [*names, "relu", "output"]
    tuning(run, names[0], (x @ model.pair.weight).detach())
    tuning(run, names[1], (x @ model.pair.weight).relu().detach())


def test_attention_is_recorded_by_its_output_and_not_its_weights(run_path: Path) -> None:
    class Attends(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
            self.head = nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.attention(x, x, x)[0].mean(1))

    torch.manual_seed(0)
    model, x = Attends(), torch.randn(60, 5, 4)
    record(run_path, model, probe=(x, Y), layers="all").close()
    run = huelapse.open(run_path)
    assert [layer.path for layer in run.layers] == ["attention", "output"]
    model.eval()
    tuning(run, "attention", model.attention(x, x, x)[0].detach().mean(1))


@pytest.mark.parametrize("shape", [(6,), (6, 9), (6, 5, 5), (6, 3, 4, 4)])
def test_units_of_one_to_three_dimensional_features_are_their_channels(
    shape: tuple[int, ...], run_path: Path
) -> None:
    class Gates(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            kinds = {0: nn.Linear, 1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
            extra = () if len(shape) == 1 else (1,)
            self.mix = kinds[len(shape) - 1](6, 8, *extra)
            self.relu, self.head = nn.ReLU(), nn.Linear(8, 3)

        def features(self, x: Tensor) -> Tensor:
            return self.relu(self.mix(x))

        def forward(self, x: Tensor) -> Tensor:
            return self.head(
                self.features(x).flatten(2).mean(2) if x.ndim > 2 else self.features(x)
            )

    torch.manual_seed(0)
    model, x = Gates(), torch.randn(60, *shape)
    record(run_path, model, probe=(x, Y), response=("mean", "peak")).close()
    run = huelapse.open(run_path)
    assert (run.layers[0].units, run.layers[0].unit_axis) == (8, 1)
    flat = model.features(x).detach().reshape(60, 8, -1)
    tuning(run, "relu", flat.mean(2))
    tuning(run, "relu", flat.amax(2), response="peak")


def test_a_peak_alone_takes_the_place_of_the_mean(run_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(36, 3))
    x = torch.randn(60, 1, 5, 5)
    record(run_path, model, probe=(x, Y), response="peak").close()
    run = huelapse.open(run_path)
    tuning(run, "1", model[:2](x).detach().amax((2, 3)))
    assert run.moments(0).active.sum() > 0
    with pytest.raises(LayerError, match="expected"):
        record(run_path, model, probe=(x, Y), response="median", exist="new")


class Tokens(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up, self.relu, self.head = nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)

    def features(self, x: Tensor) -> Tensor:
        return self.relu(self.up(x))

    def forward(self, x: Tensor, attention_mask: Tensor) -> Tensor:
        return self.head((self.features(x) * attention_mask[:, :, None]).mean(1))


@pytest.mark.parametrize("side", ["right", "left"])
@pytest.mark.parametrize("response", ["mean", "peak"])
@pytest.mark.parametrize("tokens", ["mean", "class", "last"])
def test_tokens_count_as_they_are_asked_for(
    tokens: Any, response: Any, side: str, run_path: Path
) -> None:
    torch.manual_seed(0)
    model, x = Tokens(), torch.randn(60, 5, 4)
    mask = (torch.arange(5) < torch.randint(1, 6, (60, 1))).long()
    mask = mask.flip(1) if side == "left" else mask
    data = [{"x": x[i], "attention_mask": mask[i], "labels": int(Y[i])} for i in range(60)]
    record(run_path, model, probe=torch.utils.data.DataLoader(data, 20), tokens=tokens,
           response=response).close()  # fmt: skip
    features = model.features(x).detach()
    truth = []
    for f, m in zip(features, mask, strict=True):
        own = f[m.bool()]
        value = {"mean": own.amax(0) if response == "peak" else own.mean(0), "class": f[0],
                 "last": own[-1]}  # fmt: skip
        truth.append(value[tokens])
    tuning(huelapse.open(run_path), "relu", torch.stack(truth))


def test_the_axis_of_the_units_is_shown_and_can_be_set(run_path: Path) -> None:
    class Mixer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.mix, self.relu, self.head = nn.Linear(5, 7), nn.ReLU(), nn.Linear(4, 3)

        def features(self, x: Tensor) -> Tensor:
            return self.relu(self.mix(x))  # [B, 4, 7]: are the units the 7 or the 4?

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.features(x).mean(2))

    torch.manual_seed(0)
    model, x = Mixer(), torch.randn(60, 4, 5)
    recorder = record(run_path, model, probe=(x, Y))
    assert (recorder.layers[0].unit_axis, recorder.layers[0].units) == (2, 7)
    recorder.close()
    recorder = record(run_path, model, probe=(x, Y), unit_axis={"relu": 1}, exist="new")
    recorder.close()
    assert (recorder.layers[0].unit_axis, recorder.layers[0].units) == (1, 4)
    tuning(huelapse.open(recorder.run), "relu", model.features(x).detach().mean(2))
    for wrong in ({"relu": 0}, {"relu": 3}, {"nothing": 1}):
        with pytest.raises(LayerError, match="unit_axis"):
            record(run_path, model, probe=(x, Y), unit_axis=wrong, exist="new")


def test_a_function_may_choose_layers(run_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 3))
    x = torch.randn(60, 4)
    recorder = record(run_path, model, probe=(x, Y), layers=lambda layer: layer.units == 6)
    recorder.close()
    assert [layer.path for layer in recorder.layers] == ["2", "3", "output"]
    with pytest.raises(LayerError, match="chose none"):
        record(run_path, model, probe=(x, Y), layers=lambda _: False, exist="new")
