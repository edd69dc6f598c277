"""How recording fails: one warning, a gap, and never the training."""

import errno
import os
import queue
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
from recorded import Pairs, record
from torch.utils.data import (
    DataLoader,
)
from typer.testing import CliRunner

import huelapse
from conftest import SmallNet, batches
from huelapse import HuelapseWarning, Recorder
from huelapse.cli import app
from huelapse.errors import (
    ConfigError,
    ScalarError,
    SplitNameError,
)
from huelapse.recording import taking
from huelapse.store import StoreWriter, thread


def test_a_fault_is_one_warning_a_gap_and_silence(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = record(run_path, schedule=2)
    for _ in range(4):
        recorder.step()

    def broken(*_: Any) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr(taking, "run_probe", broken)
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
    monkeypatch.setattr(taking, "run_probe", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        recorder.step()


def test_a_disk_that_was_full_for_a_while_costs_those_snapshots_and_one_warning(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed: queue.Queue[int] = queue.Queue()
    recorder = record(run_path, schedule=1, on_commit=lambda _, step: committed.put(step))
    assert committed.get(timeout=20) == 0
    tried = threading.Semaphore(0)

    def full(*_: Any) -> None:
        tried.release()
        raise OSError(28, "No space left on device")

    with pytest.warns(HuelapseWarning) as warned, monkeypatch.context() as patched:
        patched.setattr(StoreWriter, "commit", full)
        for _ in range(3):
            recorder.step()
            assert tried.acquire(timeout=20)
        recorder.step()  # by now it is known
        assert tried.acquire(timeout=20)
    assert ["No space left" in str(one.message) for one in warned] == [True]
    recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.status == "complete"
    assert run.steps.tolist() == [0, 5]
    (gap,) = run.facts["gaps"]
    assert (gap["step"], gap["until"], gap["snapshots"]) == (1, 4, 4)
    assert "No space left" in gap["reason"]
    said = CliRunner().invoke(app, ["info", str(run_path)]).output
    assert "No space left" in " ".join(said.split())


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_disk_that_may_not_be_written_any_more_ends_the_recording(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    committed = threading.Event()
    recorder = record(run_path, schedule=1, on_commit=lambda *_: committed.set())
    assert committed.wait(20)

    def refused(*_: Any) -> None:
        raise OSError(number, os.strerror(number))

    with (
        pytest.warns(HuelapseWarning, match=os.strerror(number)) as warned,
        monkeypatch.context() as patched,
    ):
        patched.setattr(StoreWriter, "commit", refused)
        for _ in range(2000):
            recorder.step()
            if recorder._faults.failed:
                break
            time.sleep(0.01)
    assert recorder._faults.failed
    assert len(warned) == 1
    for _ in range(5):
        recorder.step()
    recorder.close()
    run = huelapse.open(run_path)
    assert run.status == "interrupted"
    assert run.steps.tolist() == [0]
    assert os.strerror(number) in run.facts["gaps"][0]["reason"]


def test_a_disk_that_is_full_from_the_start_does_not_reach_the_loop(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(StoreWriter, "commit", full)
    recorder = record(run_path, schedule=1)
    with pytest.warns(HuelapseWarning, match="No space left"):
        for _ in range(2000):
            recorder.step()
            if recorder._filing.trouble is not None:
                break
            time.sleep(0.01)
        recorder.step()
    recorder.close()


def test_warnings_turned_into_errors_do_not_reach_the_loop(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    recorder = record(run_path, schedule=1)
    monkeypatch.setattr(taking, "run_probe", lambda *_: 1 / 0)
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


class Freed:
    """A logger's number whose value is not there."""

    def item(self) -> float:
        raise RuntimeError("it was freed")


@pytest.mark.parametrize(
    "bad",
    [
        {"loss": 10**400},
        {"loss": Freed()},
        {"loss": torch.ones((), device="meta")},
        {"epoch": "third"},
        {"epoch": 10**400},
        {"epoch": float("inf")},
        {"epoch": Freed()},
    ],
)
def test_whatever_a_later_scalar_or_epoch_raises_does_not_reach_the_loop(
    run_path: Path, bad: dict[str, Any]
) -> None:
    recorder = record(run_path, schedule=huelapse.every(epochs=1))
    recorder.step(loss=1.0, epoch=1)
    with pytest.warns(HuelapseWarning, match=f"scalar.* of step 2 .*{next(iter(bad))}") as warned:
        recorder.step(**{"loss": 2.0, "epoch": 2, **bad})
        recorder.step(**{"loss": 4.0, "epoch": 2, **bad})
    assert len(warned) == 1
    recorder.step(loss=3.0, epoch=3)
    recorder.close()
    run = huelapse.open(run_path)
    assert run.facts["gaps"] == []
    # the good half of a step is kept: a bad loss leaves the epoch, a bad epoch the loss
    kept = [0, 1, 2, 4] if "loss" in bad else [0, 1, 4]
    assert run.steps.tolist() == kept
    mean = 3.0  # of [2, 4, 3], or of [3] alone
    assert run.coordinate("metric.loss").tolist()[-1] == mean
    assert run.coordinate("epoch").tolist()[-1] == 3


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


def test_a_new_split_in_the_middle_disturbs_nothing(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.recording.begun.SECONDS", 60.0)  # a busy machine's disk
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
for _ in range(10):
    recorder.step()
{ending}
"""
    subprocess.run(
        [sys.executable, "-c", script, str(run_path)], check=False, stderr=subprocess.DEVNULL
    )
    run = huelapse.open(run_path)
    assert run.steps.tolist() == list(range(11))
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
