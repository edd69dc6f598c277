"""The recorder in a loop: what it takes, what it refuses, and how it fails."""

import os
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.capture.budget import ProbeBudget
from huelapse.errors import (
    ClassCountError,
    ConfigError,
    LabelError,
    LayerError,
    OutputError,
    ProbeError,
    RecorderClosedError,
    RunExistsError,
    ScalarError,
    ScheduleError,
    SplitNameError,
)
from huelapse.store import StoreWriter, thread


def record(run: Path, model: nn.Module | None = None, **options: Any) -> Recorder:
    defaults: dict[str, Any] = {"probe": batches(), "classes": 3, "probe_budget": None}
    return Recorder(SmallNet() if model is None else model, run, **{**defaults, **options})


def test_step_zero_is_there_before_the_first_step(run_path: Path) -> None:
    recorder = record(run_path)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0]
    assert run.status == "complete"
    assert np.isnan(run.coordinate("epoch")[0])


def test_the_price_is_told_before_the_first_step(
    run_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "huelapse"):
        recorder = record(run_path, probe_budget=0.05)
    for text in (caplog.text, repr(recorder)):
        assert "15 units in 3 layers" in text
        assert "a probe of 90 samples takes" in text
        assert "at most 5% of training" in text
    recorder.close()


def test_the_schedule_the_epochs_and_the_scalars_are_kept(run_path: Path) -> None:
    with record(run_path, schedule=4, classes=["a", "b", "c"]) as recorder:
        for step in range(1, 11):
            recorder.step(epoch=step / 5, loss=torch.tensor(float(step)), lr=0.1)
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 4, 8, 10]  # and the last one, at close
    assert run.classes == ("a", "b", "c")
    assert run.metrics() == ["loss", "lr"]
    assert run.coordinate("metric.loss").tolist()[1:] == [2.5, 6.5, 9.5]  # means in between
    assert run.coordinate("epoch").tolist()[1:] == [0.8, 1.6, 2.0]


@pytest.mark.parametrize(
    ("schedule", "total", "expected"),
    [
        (3, None, [3, 6, 9]),
        ([1, 5], None, [1, 5]),
        (lambda step: step == 7, None, [7]),
        (None, None, [1, 2, 3, 4, 5, 7, 9]),
    ],
)
def test_schedules(run_path: Path, schedule: Any, total: int | None, expected: list[int]) -> None:
    recorder = record(run_path, schedule=schedule, total_steps=total)
    for _ in range(9):
        recorder.step()
    recorder.close()
    assert [s for s in huelapse.open(run_path).steps.tolist() if s] == sorted({*expected, 9})


@pytest.mark.parametrize("total", [60, 1000, 10**6])
def test_the_default_schedule_of_a_known_length_has_about_fifty_snapshots(total: int) -> None:
    from huelapse.capture.schedule import due, spread

    steps = spread(total)
    assert steps[0] == 0
    assert steps[-1] == total
    assert 35 <= len(steps) <= 50
    is_due = due(None, total)
    assert all(is_due(s) for s in steps[1:])


@pytest.mark.parametrize("schedule", [0, -1, True, [], [-3]])
def test_impossible_schedules_are_refused(run_path: Path, schedule: Any) -> None:
    with pytest.raises(ScheduleError):
        record(run_path, schedule=schedule)
    assert not run_path.exists()


def test_the_budget_takes_fewer_snapshots_not_fewer_samples(run_path: Path) -> None:
    recorder = record(run_path, schedule=1, probe_budget=1e-6)
    for _ in range(20):
        recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 20]
    assert set(run.moments(1).count) == {30}


def test_the_budget_keeps_probes_to_their_share(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("huelapse.capture.budget.time.monotonic", lambda: now)
    budget = ProbeBudget(0.05)
    budget.add(1.0, first=True)
    budget.start()
    taken = []
    for step in range(10_000):
        now += 0.1
        if budget.affordable():
            now += 0.8
            budget.add(0.8, first=False)
            taken.append(step)
            assert budget.share <= 0.05
    assert taken[0] == 189  # (1 + 0) / 0.05 - 1 seconds of training pay for the first
    assert len(taken) == pytest.approx(10_000 * 0.1 / 0.95 * 0.05 / 0.8, abs=2)


# --- layers ------------------------------------------------------------------------------------


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
        return [a.mean((2, 3)), b.mean((2, 3)), c, d, nn.functional.silu(self.block(c + d))]

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
        ("block.1", "GELU", 7, True),
        ("silu", "F.silu", 7, True),
        ("output", "probability", 3, False),
    ]
    model.eval()
    with torch.no_grad():
        a, b, c, d, e = model.steps(x)
    for path, expected in (("relu()#0", a), ("tanh", b), ("relu", c), ("relu()#1", d), ("silu", e)):
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


# --- probes ------------------------------------------------------------------------------------


class Pairs(Dataset):
    def __init__(self, n: int) -> None:
        self.x, self.y = batches(n)

    def __len__(self) -> int:
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[torch.Tensor, int]:
        return self.x[i], int(self.y[i])


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


# --- bad input ---------------------------------------------------------------------------------

X, Y = batches()


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


# --- faults ------------------------------------------------------------------------------------


def test_a_fault_is_one_warning_a_gap_and_silence(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = record(run_path, schedule=2)
    for _ in range(4):
        recorder.step()

    def broken(*_: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(recorder._capture, "run", broken)
    recorder.step()
    with pytest.warns(HuelapseWarning, match=r"stopped recording .* at step 6.*out of luck"):
        recorder.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(10):
            recorder.step(loss=1.0)
        with recorder.probing("own"):
            pass
        recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 2, 4]
    assert run.facts["gaps"] == [{"step": 6, "reason": "RuntimeError: out of luck"}]
    assert run.status == "interrupted"


def test_strict_raises_instead(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = record(run_path, schedule=2, strict=True)
    recorder.step()
    monkeypatch.setattr(recorder._capture, "run", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recorder.step()


def test_a_disk_that_fails_stops_the_recording_not_the_training(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed = threading.Event()
    recorder = record(run_path, schedule=1, on_commit=lambda *_: committed.set())
    assert committed.wait(20)

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreWriter, "commit", full)
    with pytest.warns(HuelapseWarning, match="No space left"):
        for _ in range(200):
            recorder.step()
            time.sleep(0.01)
            if recorder._failed:
                break
    monkeypatch.undo()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0]
    assert "No space left" in run.facts["gaps"][0]["reason"]


def test_a_disk_that_is_full_from_the_start_does_not_reach_the_loop(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreWriter, "commit", full)
    recorder = record(run_path, schedule=1)
    with pytest.warns(HuelapseWarning, match="No space left"):
        for _ in range(200):
            recorder.step()
            time.sleep(0.01)
            if recorder._failed:
                break
    recorder.close()


def test_warnings_turned_into_errors_do_not_reach_the_loop(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = record(run_path, schedule=1)
    monkeypatch.setattr(recorder._capture, "run", lambda _: 1 / 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        recorder.step()
    assert "division by zero" in caplog.text
    recorder.close()


def test_a_bad_scalar_later_on_is_left_out_with_one_warning(run_path: Path) -> None:
    recorder = record(run_path, schedule=2)
    recorder.step(loss=1.0)
    with pytest.warns(HuelapseWarning, match="not kept") as warned:
        for _ in range(5):
            recorder.step(loss="high")
    assert len(warned) == 1
    recorder.step(**{"loss": 3.0, "val/acc": 0.5})
    recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 2, 4, 6, 8]
    assert run.coordinate("metric.val.acc").tolist()[-1] == 0.5


def test_scalars_are_averaged_for_each_split_apart(run_path: Path) -> None:
    model = SmallNet()
    x, y = batches()
    recorder = record(run_path, model, schedule=5)
    for step in range(1, 11):
        recorder.step(loss=float(step))
        if step in (3, 7):
            with recorder.probing("test") as probing:
                model(x)
                probing.labels(y)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.coordinate("metric.loss", "val").tolist()[1:] == [3.0, 8.0]
    assert run.coordinate("metric.loss", "test").tolist() == [2.0, 5.5]


@pytest.mark.parametrize(
    "split", ["a/b", "../evil", "/tmp/evil", "", ".", "zarr.json", "a\0b", "x" * 200]
)
def test_split_names_stay_inside_the_run(run_path: Path, split: str) -> None:
    with pytest.raises(SplitNameError, match="use letters"):
        record(run_path, split=split)
    assert not run_path.exists()


def test_a_new_split_in_the_middle_disturbs_nothing(run_path: Path) -> None:
    model = SmallNet()
    x, y = batches()
    recorder = record(run_path, model, schedule=1)
    for step in range(12):
        recorder.step()
        with recorder.probing(f"own{step}") as probing:
            model(x)
            probing.labels(y)
    recorder.close()
    run = huelapse.open(run_path)
    assert [s.name for s in run.splits] == ["val", *(f"own{i}" for i in range(12))]
    assert run.steps.tolist() == list(range(13))
    assert run.facts["gaps"] == []


def test_configs_are_kept_as_far_as_json_goes(run_path: Path) -> None:
    config = {"data": Path("x"), "lr": np.float32(0.5), "n": float("nan"), "steps": [1, 2]}
    record(run_path, config=config).close()
    kept = huelapse.open(run_path).facts["facts"]["config"]
    assert kept == {"data": "x", "lr": "0.5", "n": None, "steps": [1, 2]}
    circular: dict[str, Any] = {}
    circular["self"] = circular
    with pytest.raises(ConfigError, match="JSON"):
        record(run_path.with_name("b"), config=circular)
    assert not run_path.with_name("b").exists()


def test_the_loop_may_change_its_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recorder = record(Path("runs/here"), schedule=1)
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    recorder.step()
    recorder.close()
    assert huelapse.open(tmp_path / "runs/here").steps.tolist() == [0, 1]


def test_two_new_recorders_without_a_probe_take_two_directories(run_path: Path) -> None:
    first = Recorder(SmallNet(), run_path, classes=3, exist="new")
    second = Recorder(SmallNet(), run_path, classes=3, exist="new")
    assert first.run != second.run


@pytest.mark.parametrize(("ending", "state"), [("pass", "complete"), ("1 / 0", "interrupted")])
def test_a_program_that_ends_without_close_loses_nothing(
    run_path: Path, ending: str, state: str
) -> None:
    script = f"""
import sys, torch
from torch import nn
import huelapse
model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
recorder = huelapse.Recorder(model, sys.argv[1], probe=(torch.randn(40, 4), torch.arange(40) % 2),
                             classes=2, schedule=1, probe_budget=None)
for _ in range(30):
    recorder.step()
{ending}
"""
    subprocess.run(
        [sys.executable, "-c", script, str(run_path)], check=False, stderr=subprocess.DEVNULL
    )
    run = huelapse.open(run_path)
    assert run.steps.tolist() == list(range(31))
    assert run.status == state


def test_snapshots_that_cannot_wait_are_dropped_and_counted(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = StoreWriter.commit

    def slow(self: StoreWriter, snapshot: Any) -> None:
        time.sleep(0.05)
        whole(self, snapshot)

    monkeypatch.setattr(StoreWriter, "commit", slow)
    monkeypatch.setattr(thread, "WAITING", 3)
    recorder = record(run_path, schedule=1, probe=tuple(t[:30] for t in batches()))
    for _ in range(30):
        recorder.step()
    dropped = recorder.cost()["dropped"]
    recorder.close()
    run = huelapse.open(run_path)
    assert dropped > 0
    assert run.facts["dropped"] >= dropped
    assert len(run.steps) + run.facts["dropped"] == 31


def test_leaving_by_an_exception_keeps_what_was_recorded(run_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), record(run_path, schedule=1) as recorder:
        recorder.step()
        raise KeyboardInterrupt
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1]
    assert run.status == "interrupted"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_worker_does_not_touch_the_recorder(run_path: Path) -> None:
    recorder = record(run_path, schedule=1)
    loader = DataLoader(Pairs(32), 8, num_workers=1, multiprocessing_context="fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, on purpose
        for _ in loader:
            recorder.step()
    recorder.close()
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2, 3, 4]
