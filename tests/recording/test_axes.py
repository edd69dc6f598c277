"""Which axis holds the samples, which the units, which the tokens."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from recorded import record
from torch import nn
from torch.nn import functional as F  # noqa: N812
from torch.utils.data import (
    DataLoader,
    Dataset,
    TensorDataset,
)

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning
from huelapse.errors import (
    LayerError,
)


class Tail(nn.Module):
    """Any middle, then a head of two classes over the mean of what is left."""

    def __init__(self, *middle: nn.Module, width: int) -> None:
        super().__init__()
        self.middle, self.head = nn.Sequential(*middle), nn.Linear(width, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.middle(x)
        return self.head(x.mean(1) if x.ndim == 3 else x)


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

    model = SequenceFirst()
    x, y = torch.randn(128, 64, 3), torch.arange(128) % 2
    loader = DataLoader(TensorDataset(x, y), 64)
    record(run_path, model, probe=loader, classes=2).close()
    run = huelapse.open(run_path)
    layer = run.layers[0]
    assert (layer.path, layer.sample_axis, layer.shape, layer.unit_axis) == ("relu", 1, (64, 4), 2)
    truth = model.relu(model.a(x)).detach().mean(1)
    for k in range(2):
        np.testing.assert_allclose(run.tuning(layer="relu")[k], truth[y == k].mean(0), rtol=1e-5)


def test_a_layer_that_sees_a_part_of_the_batch_is_refused(run_path: Path) -> None:
    class Part(SmallNet):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if len(x) == 72:
                self.relu2(self.fc(torch.zeros(3, 80)))
                return self.head(torch.zeros(len(x), 7))
            return super().forward(x)

    with pytest.raises(LayerError, match=r"gave 3 rows for 72 samples"):
        record(run_path, Part(), probe=batches(200), layers=["relu2"])


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
