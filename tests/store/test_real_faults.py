"""Faults from below: the system's own calls of a recording training fail, and a real disk fills up.

`strace` lets a call of a process return an error that it did not make. Whichever write, sync, rename or
open it is: what is committed stays whole, the training is bit for bit what it would have been, there is
one warning at most, and what is missing is marked.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import huelapse
from huelapse.care import verify

STEPS = 6

CHILD = """
import hashlib, json, os, sys, threading, warnings
import torch
from torch import nn
import huelapse, huelapse.recording, tensorstore, scipy.special

run, done = sys.argv[1:3]
torch.manual_seed(0)
torch.set_num_threads(1)
model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 5))
inputs, labels = torch.randn(200, 8), torch.arange(200) % 5
optimizer = torch.optim.SGD(model.parameters(), 0.1)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    # a place where no run can be made is an error, before any training
    recorder = huelapse.Recorder(model, run, probe=(inputs, labels), classes=5, schedule=1,
                                 probe_budget=None)
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(STEPS):
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        recorder.step(loss=loss)
        if PAUSE:
            sys.stdin.readline()
    recorder.close()
os.mkdir(done)
sys.stdin.readline()
weights = b"".join(p.detach().numpy().tobytes() for p in model.parameters())
print(json.dumps({
    "weights": hashlib.sha256(weights).hexdigest(),
    "warnings": [str(one.message)[:300] for one in told if "huelapse" in str(one.category).lower()],
    "threads": threading.active_count(),
}), flush=True)
"""


class Child:
    """A training in a process of its own, that has imported everything and waits to begin."""

    def __init__(self, run: Path, *, steps: int = STEPS, pause: bool = False) -> None:
        self.run, self._done = run, run.with_suffix(".done")
        program = CHILD.replace("STEPS", str(steps)).replace("PAUSE", str(pause))
        self._process = subprocess.Popen(
            [sys.executable, "-c", program, str(run), str(self._done)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "HUELAPSE_TEST": "1"},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.pid = self._process.pid

    def say(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def wait(self, seconds: float = 60) -> None:
        """Until the recorder is closed."""
        deadline = time.monotonic() + seconds
        while not self._done.exists():
            assert self._process.poll() is None, "the training died"
            assert time.monotonic() < deadline, "the training hangs"
            time.sleep(0.01)

    def result(self) -> dict[str, Any]:
        output, _ = self._process.communicate("\n", timeout=60)
        assert self._process.returncode == 0
        return json.loads(output.splitlines()[-1])


@contextmanager
def injected(pid: int, rule: str, log: Path) -> Iterator[None]:
    """Let a process's calls fail by a rule of strace's, in all its threads."""
    strace = subprocess.Popen(
        [
            *("strace", "-f", "-p", str(pid), "-o", str(log)),
            *("-e", f"trace={rule.partition(':')[0]}", "-e", f"inject={rule}"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert strace.stderr is not None
    attached = strace.stderr.readline()
    assert "attached" in attached, attached
    try:
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(30)
        strace.stderr.close()


def committed(run: Path) -> dict[int, dict[str, np.ndarray]]:
    """Step → everything of a snapshot that a reader gets."""
    opened = huelapse.open(run)
    if not opened.splits:
        return {}
    found: dict[int, dict[str, np.ndarray]] = {}
    for index, step in enumerate(opened.steps.tolist()):
        found[step] = {"loss": opened.coordinate("metric.loss")[index]} if step else {}
        for grouping in ("true", "predicted"):
            moments = opened.moments(index, grouping)
            for name in ("count", "mean", "m2", "active"):
                found[step][f"{grouping}/{name}"] = getattr(moments, name)
    return found


@dataclass
class Undisturbed:
    result: dict[str, Any]
    snapshots: dict[int, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    run = tmp_path_factory.mktemp("whole") / "run"
    child = Child(run)
    child.say()
    child.wait()
    result = child.result()
    assert result["warnings"] == []
    return Undisturbed(result, committed(run))


def check(run: Path, result: dict[str, Any], undisturbed: Undisturbed) -> int:
    """Snapshots that are missing; everything else is as it should be."""
    assert result["weights"] == undisturbed.result["weights"]
    assert len(result["warnings"]) <= 1
    found = committed(run)
    for step, values in found.items():
        for name, value in values.items():
            whole = undisturbed.snapshots[step][name]
            assert np.array_equal(value, whole, equal_nan=True), (step, name)
    missing = undisturbed.snapshots.keys() - found.keys()
    opened = huelapse.open(run)
    gaps = opened.facts["gaps"]
    for step in missing:
        assert any(gap["step"] <= step <= gap.get("until", step) for gap in gaps) or any(
            "until" not in gap and gap["step"] <= step for gap in gaps
        ), (step, gaps)
    assert bool(missing) == bool(gaps)
    if missing:
        assert len(result["warnings"]) == 1
    assert verify(run).whole
    return len(missing)


def rules(calls: int, every: int) -> list[str]:
    """Which call of each thread fails, and how."""
    made: list[str] = []
    for call, error in (
        ("write,pwrite64,pwritev", "ENOSPC"),
        ("fsync,fdatasync", "EIO"),
        ("rename,renameat,renameat2", "EROFS"),
        ("rename,renameat,renameat2", "EIO"),
        ("openat", "ENOSPC"),
        ("openat", "EMFILE"),
    ):
        made += [f"{call}:error={error}:when={n}" for n in range(1, calls, every)]
    made += [f"fsync,fdatasync:delay_enter=150000:when={n}+5" for n in (1, 3)]
    made += ["write,pwrite64,pwritev:error=EIO:when=2+3", "fsync,fdatasync:error=ENOSPC:when=4..9"]
    return made


strace = pytest.mark.skipif(
    not shutil.which("strace"), reason="needs strace: apt-get install strace"
)


def torture(tmp_path: Path, undisturbed: Undisturbed, chosen: list[str]) -> None:
    missing: dict[str, int] = {}
    faults = 0
    for i, rule in enumerate(chosen):
        place = tmp_path / f"fault{i}"
        place.mkdir()
        child = Child(place / "run")
        with injected(child.pid, rule, place / "log"):
            child.say()
            child.wait()
        result = child.result()
        faults += (place / "log").read_text().count("(INJECTED)")
        missing[rule] = check(place / "run", result, undisturbed)
        shutil.rmtree(place)
    print(
        f"{len(chosen)} trainings, {faults} calls failed or were late; snapshots missing: {missing}"
    )
    assert faults >= len(chosen)
    assert any(missing.values())


@strace
@pytest.mark.timeout(600)
def test_calls_that_fail_leave_what_is_committed_whole(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    torture(tmp_path, undisturbed, rules(2, 1))


@pytest.mark.slow
@strace
@pytest.mark.timeout(3600)
def test_each_call_that_fails_leaves_what_is_committed_whole(
    tmp_path: Path, undisturbed: Undisturbed
) -> None:
    torture(tmp_path, undisturbed, rules(40, 2))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("needs the right to mount a file system")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="tmpfs")
@pytest.mark.timeout(300)
def test_a_disk_that_is_full_for_a_while_leaves_a_gap_and_recording_goes_on(
    small_disk: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    child = Child(small_disk / "run", pause=True)
    child.say()  # step 1
    until(lambda: 1 in committed(small_disk / "run"))
    ballast = os.open(small_disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with pytest.raises(OSError, match="No space"):  # to the last page
        while True:
            os.write(ballast, bytes(4096))
    os.close(ballast)
    before = committed(small_disk / "run")
    for _ in range(2):  # steps 2 and 3 find no room
        child.say()
        time.sleep(1)
        assert committed(small_disk / "run").keys() == before.keys()
    (small_disk / "ballast").unlink()
    for step in (4, 5, 6):
        child.say()
        until(lambda step=step: step in committed(small_disk / "run"))
    child.say()
    child.wait()
    result = child.result()
    assert check(small_disk / "run", result, undisturbed) == 2
    (gap,) = huelapse.open(small_disk / "run").facts["gaps"]
    assert (gap["step"], gap["until"], gap["snapshots"]) == (2, 3, 2)
    assert "No space left" in gap["reason"]


def until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)
