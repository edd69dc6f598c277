"""However a program ends, what was handed over is written within seconds, and the run says how."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from weakref import WeakSet

import pytest
from recorded import record

import huelapse
from huelapse import HuelapseWarning
from huelapse.recording import ending
from huelapse.store import StoreWriter

PROGRAM = """
import signal, sys, time, torch
import huelapse
{before}
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
x, y = torch.randn(90, 4), torch.arange(90) % 2
recorder = huelapse.Recorder(model, sys.argv[1], probe=(x, y), classes=2, window=90,
                             window_schedule=1, schedule=1, probe_budget=None)
for step in range(10**6):
    with recorder.window(y):
        model(x)
    recorder.step()
    if step == 20:
        print("ready", flush=True)
    {during}
"""


def start(run: Path, *, before: str = "", during: str = "time.sleep(0.001)") -> subprocess.Popen:
    program = PROGRAM.format(before=before, during=during)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(run)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def state_after(run: Path) -> tuple[str, int]:
    found = huelapse.open(run)
    steps = found.steps.tolist()
    holes = steps[-1] + 1 - len(steps)  # where a slow disk's queue was full, which is counted
    assert steps == sorted(set(steps))
    assert holes <= found.facts["dropped"]
    return found.status, len(steps)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_program_as_ever_and_the_run_is_whole(
    number: signal.Signals, run_path: Path
) -> None:
    process = start(run_path)
    time.sleep(0.3)
    process.send_signal(number)
    with process:
        code = process.wait(20)
    assert code == (-signal.SIGTERM if number == signal.SIGTERM else -signal.SIGINT)
    status, snapshots = state_after(run_path)
    assert status == "interrupted"
    assert snapshots > 5  # the rest may still have waited


def test_a_handler_of_the_users_own_is_left_alone(run_path: Path) -> None:
    own = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))"
    process = start(run_path, before=own)
    process.send_signal(signal.SIGTERM)
    with process:
        assert process.wait(20) == 7
    assert state_after(run_path)[1] > 5


def test_what_cannot_be_written_in_time_is_dropped_and_counted(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = StoreWriter.commit

    def slow(self: StoreWriter, snapshot: Any) -> None:
        time.sleep(0.2)
        commit(self, snapshot)

    monkeypatch.setattr(StoreWriter, "commit", slow)
    monkeypatch.setattr("huelapse.recording.begun.SECONDS", 1.0)
    recorder = record(run_path, schedule=1)
    for _ in range(30):
        recorder.step()
    started = time.monotonic()
    with pytest.warns(HuelapseWarning, match=r"\d+ snapshots could not be written within 1 s"):
        recorder.end("interrupted", leaving=True)
    assert time.monotonic() - started < 2
    run = huelapse.open(run_path)
    assert run.status == "interrupted"
    steps = run.steps.tolist()
    assert steps == list(range(len(steps)))
    assert run.facts["dropped"] == 31 - len(steps) > 0


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No recorder is open that another test left to the end of the program, nor any handler."""
    monkeypatch.setattr(ending, "_open", WeakSet())
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("alone")
def test_the_signal_is_given_back_though_somebody_had_kept_it_meanwhile(tmp_path: Path) -> None:
    recorder = record(tmp_path / "a")
    ours = signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Lightning does for a fit
    recorder.close()
    signal.signal(signal.SIGTERM, ours)
    record(tmp_path / "b").close()
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.usefixtures("alone")
def test_the_signal_is_given_back_when_the_last_recorder_closes(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert before is signal.SIG_DFL
    first, second = record(tmp_path / "a"), record(tmp_path / "b")
    assert signal.getsignal(signal.SIGTERM) is not before
    first.close()
    assert signal.getsignal(signal.SIGTERM) is not before
    second.close()
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_recorder_nobody_closed_does_not_live_for_ever(tmp_path: Path) -> None:
    import gc
    import weakref

    recorder = record(tmp_path / "a")
    gone = weakref.ref(recorder)
    del recorder
    gc.collect()
    assert gone() is None
