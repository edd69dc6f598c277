"""A training that goes on from a checkpoint goes on in its run: nothing is lost or overwritten."""

import json
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray
from recorded import X, Y, record
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder
from huelapse.care import verify
from huelapse.errors import OptionError, ResumeError, RunLockedError
from huelapse.store import StoreReader, lease
from huelapse.store.lock import WriterLock
from huelapse.store.root import Root
from huelapse.store.segments import superseded


def train(run: Path, first: int, last: int, *, seed: int = 0, **options: Any) -> Recorder:
    """Steps from `first` to `last`, a snapshot at each; weights differ from step to step."""
    torch.manual_seed(seed)
    model = SmallNet()
    options = {"probe": (X, Y), "schedule": 1, "probe_budget": None, "first_step": first} | options
    recorder = Recorder(model, run, classes=3, exist="resume", strict=True, **options)
    for step in range(first + 1, last + 1):
        with torch.no_grad():
            model.fc.weight += 0.01
        recorder.step(loss=step + 1000.0 * seed)
    return recorder


def everything(run: huelapse.Run) -> dict[str, np.ndarray]:
    found = {"step": run.steps, "loss": run.coordinate("metric.loss"), "accuracy": run.accuracy()}
    for index in range(len(run.steps)):
        moments = run.moments(index)
        found |= {f"mean{index}": moments.mean, f"count{index}": moments.count}
    return found


def test_a_run_goes_on_at_its_checkpoint_and_what_was_given_up_is_hidden(run_path: Path) -> None:
    train(run_path, 0, 6).close()
    before = everything(huelapse.open(run_path))
    files = {p: p.read_bytes() for p in run_path.rglob("*") if "/c." in str(p) or p.name == "c"}
    train(run_path, 4, 8, seed=1).close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == list(range(9))
    assert run.status == "complete"
    found = everything(run)
    for index in range(4):
        assert np.array_equal(found[f"mean{index}"], before[f"mean{index}"])
    for index in (4, 5, 6):  # made again, by other weights
        assert not np.array_equal(found[f"mean{index}"], before[f"mean{index}"])
    assert found["loss"][3] == 3
    assert found["loss"][5] == 1005
    assert [run.strength(step).shape for step in (0, 8)] == [(15,), (15,)]
    assert len(run.history(0)) == 9
    assert np.array_equal(run.history(0)[5].mean[:, 0], found["mean5"][:, 0])
    # nothing that was recorded is gone
    every = huelapse.open(run_path, superseded=True)
    assert every.steps.tolist() == [0, 1, 2, 3, 4, 5, 6, 4, 5, 6, 7, 8]
    for index in range(7):
        assert np.array_equal(every.moments(index).mean, before[f"mean{index}"])
    big = [p for p in files if p.parent.name in ("mean", "m2", "active", "count")]
    assert len(big) > 20
    assert all(p.read_bytes() == files[p] for p in big)
    segments = StoreReader(run_path).attributes["segments"]
    assert [one["first_step"] for one in segments] == [0, 4]
    assert segments[0]["state"] == "complete"


def test_others_find_what_is_superseded_by_name(run_path: Path) -> None:
    train(run_path, 0, 3).close()
    train(run_path, 1, 2).close()
    tree = xarray.open_datatree(run_path / "run.zarr", engine="zarr")
    assert tree["val/superseded"].values.tolist() == [0, 1, 1, 1, 0, 0]
    assert tree["val/segment"].values.tolist() == [0, 0, 0, 0, 1, 1]


def test_a_run_is_gone_on_with_again_and_again(run_path: Path) -> None:
    for segment, (first, last) in enumerate([(0, 5), (3, 6), (2, 4), (4, 7)]):
        train(run_path, first, last, seed=segment).close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert run.coordinate("segment").tolist() == [0, 0, 2, 2, 3, 3, 3, 3]


def test_where_there_is_no_run_one_is_begun(run_path: Path) -> None:
    train(run_path, 0, 1).close()
    assert huelapse.open(run_path).steps.tolist() == [0, 1]


def test_windows_of_what_was_given_up_are_hidden_at_once(run_path: Path) -> None:
    options = {"probe": None, "window": 90, "window_schedule": 1}

    def run(first: int, last: int) -> None:
        model, (x, y) = SmallNet(), batches()
        one = Recorder(model, run_path, classes=3, exist="resume", first_step=first, **options)
        for _ in range(first, last):
            with one.window(y[:90]):
                model(x[:90])
            one.step()
        one.close()

    run(0, 6)
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2, 3, 4, 5]
    run(3, 5)
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2, 3, 4]


def test_gaps_drops_and_costs_of_earlier_segments_are_kept(run_path: Path) -> None:
    one = record(run_path, schedule=1, probe_budget=None)
    one.step()
    one._taking.probe_now = lambda: 1 / 0  # type: ignore[method-assign]
    with pytest.warns(huelapse.HuelapseWarning):
        one.step()
    one.close()
    assert len(huelapse.open(run_path).facts["gaps"]) == 1
    record(run_path, exist="resume", first_step=1).close()
    run = huelapse.open(run_path)
    assert [gap["step"] for gap in run.facts["gaps"]] == [2]
    assert StoreReader(run_path).attributes["segments"][0]["cost"]["snapshots"] == 2


class Wider(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(72, 9), nn.ReLU(), nn.Linear(9, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"model": Wider()}, "layers are others.*body"),
        ({"classes": ["a", "b", "z"]}, "groupings of split 'val'"),
        ({"response": "peak"}, "responses mean, not peak"),
        ({"probe": (X + 1, Y)}, "probe of split 'val' is not the one"),
        ({"keep_responses": False}, "extras of split 'val'"),
    ],
)
def test_another_recording_is_refused_and_the_run_left_alone(
    run_path: Path, options: dict[str, Any], said: str
) -> None:
    train(run_path, 0, 2, keep_responses=True).close()
    before = everything(huelapse.open(run_path))
    given = {"model": SmallNet(), "classes": 3, "probe": (X, Y), "keep_responses": True} | options
    model = given.pop("model")
    with pytest.raises(ResumeError, match=said):
        Recorder(model, run_path, exist="resume", first_step=1, strict=True, **given)
    after = everything(huelapse.open(run_path))
    assert all(np.array_equal(after[name], before[name], equal_nan=True) for name in before)


def test_where_to_go_on_must_be_said(run_path: Path) -> None:
    with pytest.raises(OptionError, match="needs first_step"):
        record(run_path, exist="resume")
    with pytest.raises(OptionError, match="first_step is -1"):
        record(run_path, exist="resume", first_step=-1)
    assert not run_path.exists()


def test_a_run_that_is_being_written_is_refused(run_path: Path) -> None:
    one = train(run_path, 0, 1)
    with pytest.raises(RunLockedError, match="being written"):
        train(run_path, 1, 2)
    one.close()
    train(run_path, 1, 2).close()
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2]


def test_a_requeued_job_waits_for_the_lease_of_the_machine_that_died(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    train(run_path, 0, 2).close()
    far = {"host": "far", "machine": "another", "pids": "1", "pid": 7, "token": "theirs",
           "started": 0.0, "held": True}  # fmt: skip
    (run_path / "lock").write_text(json.dumps(far))
    monkeypatch.setattr(lease, "LEASE", 1.0)
    with caplog.at_level(logging.WARNING, "huelapse"):
        train(run_path, 2, 4).close()
    assert sum("waiting up to" in told for told in caplog.messages) == 1
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2, 3, 4]


def test_a_lease_is_waited_for_by_the_clock_of_the_disk(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's own is ahead of it: a lease that is over by the one is not by the other."""
    train(run_path, 0, 2).close()
    far = {"host": "far", "machine": "another", "pids": "1", "pid": 7, "token": "theirs",
           "started": 0.0, "held": True}  # fmt: skip
    (run_path / "lock").write_text(json.dumps(far))
    monkeypatch.setattr(lease, "LEASE", 1.0)
    monkeypatch.setattr(WriterLock, "_clock", property(lambda _: time.time() - 0.7))
    train(run_path, 2, 4).close()
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2, 3, 4]


def test_what_a_cut_off_commit_left_behind_is_written_over(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(run_path, 0, 2).close()
    with monkeypatch.context() as patched:  # all of a commit but its last rename
        patched.setattr(Root, "write", lambda *_: None)
        writing = train(run_path, 2, 3)
        writing.end("interrupted")
    assert huelapse.open(run_path).steps.tolist() == [0, 1, 2]
    train(run_path, 2, 5, seed=3).close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1, 2, 3, 4, 5]
    torch.manual_seed(3)
    assert run.coordinate("metric.loss")[3] == 3003


def test_what_a_killed_writer_had_half_written_does_not_get_into_the_run(run_path: Path) -> None:
    """TensorStore writes over such files without cutting them: their ends stayed behind."""
    train(run_path, 0, 3).close()
    root = run_path / "run.zarr"
    chunks = [path for path in root.rglob("c.*") if path.is_file()]
    for path in [*chunks, *root.rglob("zarr.json")]:
        path.with_name(f"{path.name}.__lock").write_bytes(path.read_bytes() + bytes(range(99)))
    train(run_path, 3, 6).close()
    train(run_path, 6, 7).close()
    assert huelapse.open(run_path).steps.tolist() == list(range(8))
    assert verify(run_path).whole
    assert not list(root.rglob("*.__lock"))


PROGRAM = """
import sys
import time
sys.path[:0] = [{tests!r}, {recording!r}]
from pathlib import Path
from test_resume import train
train(Path(sys.argv[1]), int(sys.argv[2]), 10**6,
      on_commit=lambda split, step: print(step, flush=True))
"""


def test_a_killed_training_goes_on_and_loses_nothing_that_was_acknowledged(run_path: Path) -> None:
    tests = Path(__file__).parents[1]
    program = PROGRAM.format(tests=str(tests), recording=str(tests / "recording"))
    program = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n" + program
    first, acknowledged = 0, [0]
    for kill in range(4):
        process = subprocess.Popen(
            [sys.executable, "-c", program, str(run_path), str(first)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        for _ in range(6 + kill):
            acknowledged.append(int(process.stdout.readline()))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        acknowledged += [int(line) for line in rest.split()]
        run = huelapse.open(run_path)
        last = acknowledged[-1]
        assert run.steps.tolist()[: last + 1] == list(range(last + 1))
        assert run.status == "interrupted"
        first = max(0, last - 2)


def test_the_rule_of_what_is_superseded() -> None:
    step = np.array([0, 5, 9, 5, 7, 6, 8])
    segment = np.array([0, 0, 0, 1, 1, 2, 2])
    hidden = superseded(step, segment, [0, 5, 6])
    assert hidden.tolist() == [False, True, True, False, True, False, False]
    assert not superseded(step, np.zeros(7, int), [0]).any()
