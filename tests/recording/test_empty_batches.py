"""Batches without samples, as a filter or a last rank's share leaves them: passed over."""

from pathlib import Path

import numpy as np
import pytest
import torch
from recorded import X, Y
from torch import nn

import huelapse
from conftest import SmallNet
from huelapse import Recorder
from huelapse.errors import LabelError, ProbeError

NONE = slice(0, 0)
PARTS = {
    "first": [NONE, slice(0, 60), slice(60, 90)],
    "between": [slice(0, 60), NONE, slice(60, 90)],
    "last": [slice(0, 60), slice(60, 90), NONE],
}


@pytest.mark.parametrize("where", PARTS)
def test_an_evaluation_passes_over_empty_batches(run_path: Path, where: str) -> None:
    model = SmallNet().eval()
    for place, parts in ((run_path, PARTS[where]), (f"{run_path}2", PARTS["first"][1:])):
        with (
            Recorder(model, place, classes=3, strict=True) as recorder,
            recorder.probing() as probing,
        ):
            for part in parts:
                model(X[part])
                probing.labels(Y[part].tolist() if part == NONE else Y[part])
    found, expected = (huelapse.open(place) for place in (run_path, f"{run_path}2"))
    assert [layer.path for layer in found.layers] == ["relu1", "relu2", "output"]
    assert found.moments(0).count.tolist() == [30, 30, 30]
    np.testing.assert_array_equal(found.moments(0).mean, expected.moments(0).mean)
    np.testing.assert_array_equal(found.moments(0).m2, expected.moments(0).m2)
    np.testing.assert_array_equal(found.confusion(), expected.confusion())
    assert found.facts["facts"]["output"] == "logits"


@pytest.mark.parametrize("where", PARTS)
def test_a_window_passes_over_empty_batches(run_path: Path, where: str) -> None:
    model = SmallNet()
    with Recorder(
        model, run_path, classes=3, window=90, window_schedule=1, strict=True
    ) as recorder:
        for part in PARTS[where]:
            model.eval()  # batch norm refuses none in train mode
            with recorder.window(Y[part].tolist(), ids=list(range(90))[part]):
                model(X[part])
    run = huelapse.open(run_path)
    assert run.moments(0, split="train").count.tolist() == [30, 30, 30]


def test_labels_of_an_empty_batch_are_still_counted(run_path: Path) -> None:
    model = SmallNet().eval()
    recorder = Recorder(model, run_path, classes=3)
    with (
        pytest.raises(LabelError, match=r"shape \(5,\), expected \(0,\)"),
        recorder.probing() as probing,
    ):
        model(X[:0])
        probing.labels(Y[:5])


def test_an_evaluation_of_nothing_says_so(run_path: Path) -> None:
    model = SmallNet().eval()
    recorder = Recorder(model, run_path, classes=3)
    with pytest.raises(ProbeError, match="empty"), recorder.probing() as probing:
        model(X[:0])
        probing.labels(Y[:0])
    assert not run_path.exists()


def test_a_probe_passes_over_empty_batches(run_path: Path) -> None:
    probe = [(X[:0], Y[:0]), (X[:60], Y[:60]), (X[:0], Y[:0]), (X[60:], Y[60:])]
    Recorder(SmallNet(), run_path, classes=3, probe=probe, strict=True).close()
    assert huelapse.open(run_path).moments(0).count.tolist() == [30, 30, 30]


def test_a_model_without_samples_that_gives_probabilities_is_not_told_from_nothing(
    run_path: Path,
) -> None:
    """The kind of the output is told by the first batch that has samples."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 3), nn.ReLU(), nn.Linear(3, 3))
    with (
        torch.inference_mode(),
        Recorder(model, run_path, classes=3, strict=True) as recorder,
        recorder.probing() as probing,
    ):
        for part in (NONE, slice(0, 90)):
            model(X[part])
            probing.labels(Y[part])
    assert huelapse.open(run_path).facts["facts"]["output"] == "logits"
