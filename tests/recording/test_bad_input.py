"""What is refused at once, with nothing written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import X, Y, record
from torch import nn
from torch.utils.data import (
    TensorDataset,
)

import huelapse
from conftest import SmallNet
from huelapse import Recorder
from huelapse.errors import (
    ClassCountError,
    LabelError,
    LayerError,
    OutputError,
    ProbeError,
    RecorderClosedError,
    RunExistsError,
    ScalarError,
)


@pytest.mark.parametrize(
    ("options", "error", "says"),
    [
        ({"probe": (X, Y + 1)}, LabelError, "outside 0 … 2"),
        ({"probe": (X, Y - 1)}, LabelError, "outside 0 … 2"),
        ({"probe": (X, Y.float())}, LabelError, "expected integer"),
        ({"probe": (X, Y[:50])}, LabelError, "90 inputs and 50 labels"),
        ({"probe": (X, nn.functional.one_hot(Y, 3))}, LabelError, "one class index"),
        ({"probe": (X[:0], Y[:0])}, ProbeError, "no samples"),
        ({"probe": 7}, ProbeError, "expected a DataLoader"),
        ({"probe": [{"x": X}]}, ProbeError, "come as dict"),
        ({"probe": TensorDataset(X, Y, Y)}, ProbeError, "3 parts"),
        ({"classes": 4}, OutputError, "3 outputs, but there are 4 classes"),
        ({"classes": 1}, ClassCountError, "at least 2"),
        ({"classes": ["a", "b", "a"]}, ClassCountError, "twice"),
        ({"probe_samples": 0}, ProbeError, "at least 1"),
        ({"probe_budget": 0}, ValueError, "share of training time"),
        ({"exist": "maybe"}, ValueError, "expected"),
    ],
)
def test_bad_input_is_refused_at_once_and_nothing_is_written(
    run_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        record(run_path, **options)
    assert not (run_path / "run.zarr").exists()


def test_a_model_that_is_no_classifier_is_refused(run_path: Path) -> None:
    class Dict(SmallNet):
        def forward(self, x: torch.Tensor) -> Any:
            return {"scores": super().forward(x)}

    with pytest.raises(OutputError, match="returned dict"):
        record(run_path, Dict())
    with pytest.raises(OutputError, match="shape"):
        record(run_path, nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()))
    with pytest.raises(LayerError, match="expected a torch"):
        Recorder(lambda x: x, run_path, classes=3)


def test_a_directory_that_holds_a_run_is_left_alone(run_path: Path) -> None:
    record(run_path, name="first").close()
    before = sorted((p, p.stat().st_mtime_ns) for p in run_path.rglob("*"))
    with pytest.raises(RunExistsError, match='exist="new"'):
        record(run_path)
    assert sorted((p, p.stat().st_mtime_ns) for p in run_path.rglob("*")) == before
    recorder = record(run_path, exist="new")
    recorder.close()
    assert recorder.run == run_path.with_name("run-2")


@pytest.mark.parametrize("value", [torch.ones(3), "high", None, [1.0]])
def test_scalars_must_be_one_number(run_path: Path, value: Any) -> None:
    recorder = record(run_path)
    with pytest.raises(ScalarError, match="'loss'"):
        recorder.step(loss=value)
    recorder.step(loss=np.float32(1.5))
    recorder.close()
    assert huelapse.open(run_path).coordinate("metric.loss")[-1] == 1.5


def test_a_closed_recorder_says_so(run_path: Path) -> None:
    recorder = record(run_path)
    recorder.close()
    recorder.close()
    with pytest.raises(RecorderClosedError):
        recorder.step()
