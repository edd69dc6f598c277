"""kill -9 of a recording training: what was acknowledged is there, and the run opens.

Each snapshot is acknowledged on a pipe once committed. Kills are spread over the time that one commit
takes, so that they fall before, between and after its renames, and while a run is begun or gone on
with: each run is killed and resumed several times, up to a few steps before where it was.
"""

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import huelapse
from huelapse.errors import NotARunError

NURSERY = """
import os, sys, torch
from torch import nn
import huelapse
import huelapse.recording, tensorstore, scipy.special

def record(run, fifo, first):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 5))
    inputs = torch.randn(200, 8)
    labels = torch.arange(200) % 5
    pipe = os.open(fifo, os.O_WRONLY)
    def acknowledge(split, step):
        os.write(pipe, f"{step}\\n".encode())
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    recorder = huelapse.Recorder(model, run, probe=(inputs, labels), classes=5, schedule=1,
                                 probe_budget=None, on_commit=acknowledge,
                                 exist="resume", first_step=first, strict=True)
    while True:
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        recorder.step(loss=loss)

print("ready", flush=True)
for line in sys.stdin:
    run, fifo, first = line.split()
    pid = os.fork()
    if pid == 0:
        try:
            record(run, fifo, int(first))
        except BaseException:
            import traceback
            traceback.print_exc()
        finally:
            os._exit(1)
    print(pid, flush=True)
    os.waitpid(pid, 0)
    print("dead", flush=True)
"""


class Nursery:
    """A process that has imported everything and forks a recording training on request."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def start(self, run: Path, fifo: Path, first: int) -> int:
        assert self._process.stdin is not None
        print(run, fifo, first, file=self._process.stdin, flush=True)
        return int(self._answer())

    def wait(self) -> None:
        assert self._answer() == "dead"

    def close(self) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@dataclass
class Outcome:
    acknowledged: int
    lost: int
    holes: int
    unreadable: bool


class Killed:
    """One run, recorded by one child after the other."""

    def __init__(self, nursery: Nursery, run: Path) -> None:
        self._nursery, self._run, self._fifo = nursery, run, run.with_suffix(".pipe")
        os.mkfifo(self._fifo)
        self._acknowledged: list[int] = []

    def kill(self, first: int, after: int, delay: float) -> Outcome:
        """Record on from `first`, and kill `delay` seconds after the `after`-th acknowledgement."""
        child = self._nursery.start(self._run, self._fifo, first)
        acknowledged: list[int] = []
        with self._fifo.open() as pipe:
            while len(acknowledged) < after:
                line = pipe.readline()
                if not line:
                    break
                acknowledged.append(int(line))
            time.sleep(delay)
            with suppress(ProcessLookupError):  # it has died of an error by itself
                os.kill(child, signal.SIGKILL)
            self._nursery.wait()
            acknowledged += [int(line) for line in pipe if line.endswith("\n")]
        self._acknowledged += acknowledged
        try:
            lost, holes = self._look()
        except NotARunError:  # killed before there was one
            return Outcome(0, len(self._acknowledged), 0, False)
        except Exception as error:
            print(f"unreadable: {error!r}")
            return Outcome(len(acknowledged), len(acknowledged), 0, True)
        return Outcome(len(acknowledged), lost, holes, len(acknowledged) < after)

    def _look(self) -> tuple[int, int]:
        """Snapshots that are lost, and those that are not whole, over all segments."""
        every = huelapse.open(self._run, superseded=True)
        assert every.status == "interrupted"
        if not every.splits:
            return len(self._acknowledged), 0
        holes = 0
        for index in range(len(every.steps)):
            moments = every.moments(index)
            whole = moments.count.sum() == 200 and np.isfinite(moments.mean).all()
            output = moments.mean[:, -5:].sum(1)
            holes += not (whole and np.allclose(output, 1, atol=1e-4))
        shown = huelapse.open(self._run).steps.tolist()
        assert shown == list(range(len(shown)))
        lost = Counter(self._acknowledged) - Counter(every.steps.tolist())
        return lost.total(), holes

    @property
    def last(self) -> int:
        """The last step that is shown."""
        try:
            run = huelapse.open(self._run)
            return int(run.steps[-1]) if run.splits and len(run.steps) else 0
        except NotARunError:
            return 0


RESUMES = 5
"""Times a run is killed before another is begun."""


def torture(tmp_path: Path, kills: int) -> list[Outcome]:
    dice = random.Random(0)
    outcomes: list[Outcome] = []
    nursery = Nursery()
    while len(outcomes) < kills:
        run = Killed(nursery, tmp_path / f"run{len(outcomes)}")
        for _ in range(RESUMES):
            first = max(0, run.last - dice.choice([0, 0, 1, 2]))
            after = dice.choice([0, 1, 1, 2, 3, 5])
            outcomes.append(run.kill(first, after, dice.uniform(0, 0.06)))
    nursery.close()
    print(
        f"{kills} kills: {sum(o.acknowledged for o in outcomes)} snapshots acknowledged, "
        f"{sum(o.lost for o in outcomes)} lost, {sum(o.unreadable for o in outcomes)} times "
        f"unreadable or not to be gone on with, {sum(o.holes for o in outcomes)} holes"
    )
    return outcomes


def check(outcomes: list[Outcome]) -> None:
    assert sum(o.lost for o in outcomes) == 0
    assert not any(o.unreadable for o in outcomes)
    assert sum(o.holes for o in outcomes) == 0
    assert sum(o.acknowledged > 0 for o in outcomes) >= 0.7 * len(outcomes)


@pytest.mark.timeout(900)
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check(torture(tmp_path, 50))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_thousand_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check(torture(tmp_path, 1000))
