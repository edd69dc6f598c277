"""Where the samples of a snapshot come from: probes of many kinds, and the own evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import Pairs, record
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
from huelapse import Recorder
from huelapse.errors import (
    LabelError,
    ProbeError,
)


class Stream(IterableDataset):
    def __iter__(self) -> Any:
        return iter(Pairs(90))


@pytest.mark.parametrize(
    "source",
    [
        lambda: DataLoader(Pairs(90), 32, shuffle=True),
        lambda: DataLoader(TensorDataset(*batches()), 7),
        lambda: DataLoader(Stream(), 16),
        lambda: Pairs(90),
        lambda: [tuple(t[i : i + 45] for t in batches()) for i in (0, 45)],
        lambda: tuple(t.numpy() for t in batches()),
    ],
)
def test_probes_of_many_kinds_hold_the_same_samples(run_path: Path, source: Any) -> None:
    torch.manual_seed(0)
    model = SmallNet()
    record(run_path, model, probe=source()).close()
    record(run_path.with_name("plain"), model).close()
    a, b = huelapse.open(run_path).moments(0), huelapse.open(run_path.with_name("plain")).moments(0)
    assert a.count.tolist() == [30, 30, 30]
    np.testing.assert_allclose(a.mean, b.mean, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(a.active, b.active)


def test_a_probe_is_balanced_and_drawn_once(run_path: Path) -> None:
    x, y = batches(900)
    skewed = torch.cat([y[:600] * 0, y[600:]])
    recorder = record(run_path, probe=(x, skewed), probe_samples=150, schedule=1)
    recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.moments(0).count.tolist() == [50, 50, 50]
    a, b = run.moments(0), run.moments(1)
    np.testing.assert_array_equal(a.mean, b.mean)  # the model has not moved, nor have the samples
    assert len(run.splits[0].facts["hash"]) == 64


def test_the_predicted_grouping_follows_the_models_answers(run_path: Path) -> None:
    model = SmallNet()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.copy_(torch.tensor([0.0, 5.0, 0.0]))
    record(run_path, model).close()
    run = huelapse.open(run_path)
    assert run.moments(0, "predicted").count.tolist() == [0, 90, 0]
    assert set(run.state(grouping="predicted")) <= {huelapse.State.NO_DATA}
    assert np.isnan(run.tuning(grouping="predicted")[0]).all()


def test_probing_needs_labels_after_each_forward(run_path: Path) -> None:
    model = SmallNet()
    x, y = batches()
    recorder = Recorder(model, run_path, classes=3)
    with pytest.raises(LabelError, match="without its labels"), recorder.probing():
        model(x)
    with pytest.raises(LabelError, match="ran again before"), recorder.probing() as probing:
        model(x)
        model(x)
        probing.labels(y)
    with pytest.raises(ProbeError, match="did not run"), recorder.probing() as probing:
        probing.labels(y)
    with pytest.raises(LabelError, match="has not run since"), recorder.probing() as probing:
        model(x)
        probing.labels(y)
        probing.labels(y)
    with pytest.raises(ProbeError, match="did not run"), recorder.probing():
        pass
    with recorder.probing() as probing:
        model(x)
        probing.labels(y)
    recorder.close()
    assert len(huelapse.open(run_path).steps) == 1


def test_an_error_in_the_users_own_evaluation_is_theirs(run_path: Path) -> None:
    model = SmallNet()
    recorder = Recorder(model, run_path, classes=3)
    with pytest.raises(ZeroDivisionError), recorder.probing():
        model(batches()[0])
        raise ZeroDivisionError
    assert all(not m._forward_hooks for m in model.modules())


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
    assert recorder._taking.probe._batches == []
    recorder.close()
    a, b = (huelapse.open(p).moments(0) for p in (run_path, run_path.with_name("lazy")))
    np.testing.assert_array_equal(a.mean, b.mean)
    np.testing.assert_array_equal(a.count, b.count)
