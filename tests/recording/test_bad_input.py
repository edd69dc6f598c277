"""What is refused at once, with nothing written."""

import os
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
    ConfigError,
    GroupingError,
    LabelError,
    LayerError,
    OptionError,
    OutputError,
    ProbeError,
    RecorderClosedError,
    RunExistsError,
    RunPathError,
    ScalarError,
    ScheduleError,
    SplitNameError,
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
        ({"probe": (X, Y + 7)}, LabelError, "90 of 90 labels are outside"),
        ({"probe": TensorDataset(X, Y + 7)}, LabelError, "90 of 90 labels are outside"),
        ({"probe": [(x, int(y)) for x, y in zip(X, Y, strict=True)]}, ProbeError, "single samples"),
        ({"classes": {"a", "b", "c"}}, ClassCountError, "no order"),
        ({"classes": {"a": 0, "b": 1, "c": 3}}, ClassCountError, "not exactly 0 … 2"),
        ({"probe_samples": 0}, ProbeError, "1 or more"),
        ({"probe_samples": "a"}, ProbeError, "1 or more"),
        ({"probe_budget": 0}, ValueError, "share of training time"),
        ({"probe_budget": "a"}, OptionError, "share of training time"),
        ({"exist": "maybe"}, ValueError, "expected"),
        ({"exist": ["new"]}, OptionError, "expected"),
        ({"output": "probabilities"}, OutputError, "'logits', 'log-probability', 'probability'"),
        ({"output": "abc"}, OutputError, "output is 'abc'"),
        ({"output": ["logits"]}, OutputError, "output is"),
        ({"response": "max"}, LayerError, "response is 'max'"),
        ({"response": 5}, LayerError, "response is 5"),
        ({"response": [["mean"]]}, LayerError, "response is"),
        ({"tokens": "first"}, LayerError, "tokens is 'first'"),
        ({"tokens": ["mean"]}, LayerError, "tokens is"),
        ({"layers": 5}, LayerError, "layers is 5"),
        ({"layers": [1]}, LayerError, r"layers is \[1\]"),
        ({"layers": True}, LayerError, "layers is True"),
        ({"unit_axis": {"relu1": "channels"}}, LayerError, "unit_axis is"),
        ({"unit_axis": 1}, LayerError, "unit_axis is 1"),
        ({"schedule": 1.5}, ScheduleError, "schedule is 1.5"),
        ({"schedule": "abc"}, ScheduleError, "schedule is 'abc'"),
        ({"schedule": float("nan")}, ScheduleError, "schedule is nan"),
        ({"schedule": [1, 2.5]}, ScheduleError, "names 2.5"),
        ({"schedule": [1, "b"]}, ScheduleError, "names 'b'"),
        ({"window_schedule": 1.5}, ScheduleError, "schedule is 1.5"),
        ({"total_steps": "a"}, ScheduleError, "total_steps is 'a'"),
        ({"total_steps": 1.5}, ScheduleError, "total_steps is 1.5"),
        ({"window": "a"}, ScheduleError, "window is 'a'"),
        ({"window": 1.5}, ScheduleError, "window is 1.5"),
        ({"window_every": "a"}, ScheduleError, "window_every is 'a'"),
        ({"split": 5}, SplitNameError, "split name 5"),
        ({"on_commit": 5}, OptionError, "on_commit is 5, expected a function"),
        ({"label_fn": 5}, OptionError, "label_fn is 5, expected a function"),
        ({"max_bytes": "a"}, OptionError, "max_bytes is 'a'"),
        ({"name": 5}, OptionError, "name is 5"),
        ({"ignore_index": None}, OptionError, "ignore_index is None"),
        ({"groupings": ["a"]}, GroupingError, "groupings is list"),
        ({"config": 5}, ConfigError, "config is int"),
    ],
)
def test_bad_input_is_refused_at_once_and_nothing_is_written(
    run_path: Path, options: dict[str, Any], error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says) as raised:
        record(run_path, **options)
    assert isinstance(raised.value, huelapse.HuelapseError)
    assert not run_path.exists()


def test_schedules_that_name_no_steps_say_so() -> None:
    for wrong in ({"steps": "a"}, {"steps": 1.5}, {"epochs": float("nan")}, {"seconds": -1}, {}):
        with pytest.raises(ScheduleError, match="exactly one"):
            huelapse.every(**wrong)


def test_a_data_sets_class_to_idx_names_the_classes_in_order(run_path: Path) -> None:
    record(run_path, classes={"pear": 2, "fig": np.int64(1), "plum": 0}).close()
    assert huelapse.open(run_path).classes == ("plum", "fig", "pear")


@pytest.mark.parametrize("exist", ["error", "new"])
def test_places_where_no_run_can_be_are_refused_before_any_training(
    tmp_path: Path, exist: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for name, broken in (("run.zarr", "a"), ("lock", "b")):
        (tmp_path / broken).mkdir()
        (tmp_path / broken / name).touch()
    (tmp_path / "b/lock").unlink()
    (tmp_path / "b/lock").mkdir()
    monkeypatch.chdir(tmp_path)
    wrong: list[Any] = ["", None, 5, "nul\0", file / "below" / "it", "x" * 300]
    if exist == "error":  # "new" goes on to another name
        wrong += [file, tmp_path / "a", tmp_path / "b"]
    before = sorted(tmp_path.rglob("*"))
    for place in wrong:
        with pytest.raises(RunPathError, match=r"no run can be made|expected a directory"):
            # without a probe nothing is written before the first window or evaluation
            Recorder(SmallNet(), place, classes=3, exist=exist)  # pyright: ignore[reportArgumentType]
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(RunPathError, match="may not be written"):
        Recorder(SmallNet(), tmp_path / "new/run", classes=3, exist=exist)  # pyright: ignore
    monkeypatch.undo()
    assert sorted(tmp_path.rglob("*")) == before


def test_a_place_that_only_looks_as_if_it_could_be_written_is_a_clear_error(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(RunPathError, match=r"no run can be made at .*Permission denied"):
        record(run_path)


@pytest.mark.parametrize("wrong", [X.double(), X[:, :1]])
def test_what_went_into_a_forward_of_the_probe_stands_beside_its_error(
    run_path: Path, wrong: torch.Tensor
) -> None:
    with pytest.raises(RuntimeError) as raised:
        record(run_path, probe=(wrong, Y))
    (note,) = raised.value.__notes__
    kind = str(wrong.dtype).removeprefix("torch.")
    assert f"the first batch of huelapse's probe ({kind} [" in note
    assert f"{wrong.shape[1]}, 6, 6] on cpu) ran through SmallNet" in note


def test_a_model_without_weights_is_refused(run_path: Path) -> None:
    with pytest.raises(LayerError, match="meta device"):
        record(run_path, SmallNet().to("meta"))
    assert not run_path.exists()


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
    with pytest.raises(ScheduleError):
        record(run_path, exist="new", schedule=-1)
    assert not run_path.with_name("run-3").exists()  # nothing was recorded in it


class Broken:
    """A logger's number whose value is not there."""

    def item(self) -> float:
        raise RuntimeError("it was freed")


NO_NUMBER = [torch.ones(3), torch.ones((), device="meta"), "high", None, [1.0], 10**400, Broken()]


@pytest.mark.parametrize("value", NO_NUMBER)
def test_scalars_must_be_one_number(run_path: Path, value: Any) -> None:
    recorder = record(run_path)
    with pytest.raises(ScalarError, match="'loss'"):
        recorder.step(loss=value)
    recorder.step(loss=np.float32(1.5))
    recorder.close()
    assert huelapse.open(run_path).coordinate("metric.loss")[-1] == 1.5


@pytest.mark.parametrize("value", [*NO_NUMBER[:3], 10**400, Broken(), float("inf")])
def test_an_epoch_must_be_one_number(run_path: Path, value: Any) -> None:
    recorder = record(run_path)
    with pytest.raises(ScalarError, match="epoch"):
        recorder.step(epoch=value)
    recorder.step(epoch=1.5)
    recorder.close()
    assert huelapse.open(run_path).coordinate("epoch")[-1] == 1.5


def test_a_closed_recorder_says_so(run_path: Path) -> None:
    recorder = record(run_path)
    recorder.close()
    recorder.close()
    with pytest.raises(RecorderClosedError):
        recorder.step()
