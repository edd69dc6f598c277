"""kill -9 of a recording training: what was acknowledged is there, and the run opens.

Each snapshot is acknowledged on a pipe once committed. Kills are spread over the time that one commit
takes, so that they fall before, between and after its renames.
"""

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import huelapse

NURSERY = """
import os, sys, torch
from torch import nn
import huelapse
import huelapse.recording, tensorstore, scipy.special

def record(run, fifo):
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
                                 probe_budget=None, on_commit=acknowledge)
    while True:
        loss = nn.functional.cross_entropy(model(inputs), labels)
        optimizer.zero_grad(); loss.backward(); optimizer.step()
        recorder.step(loss=loss)

print("ready", flush=True)
for line in sys.stdin:
    run, fifo = line.split()
    pid = os.fork()
    if pid == 0:
        record(run, fifo)
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

    def start(self, run: Path, fifo: Path) -> int:
        assert self._process.stdin is not None
        print(run, fifo, file=self._process.stdin, flush=True)
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
    found: int
    holes: int
    unreadable: bool


def kill_once(nursery: Nursery, run: Path, after: int, delay: float) -> Outcome:
    """Record in a child, and kill it `delay` seconds after its `after`-th acknowledgement."""
    fifo = run.with_suffix(".pipe")
    os.mkfifo(fifo)
    child = nursery.start(run, fifo)
    acknowledged: list[int] = []
    with fifo.open() as pipe:
        for line in pipe:
            acknowledged.append(int(line))
            if len(acknowledged) == after:
                break
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
        nursery.wait()
        acknowledged += [int(line) for line in pipe if line.endswith("\n")]
    try:
        opened = huelapse.open(run)
        steps = opened.steps.tolist()
        holes = 0
        for index in range(len(steps)):
            moments = opened.moments(index)
            whole = moments.count.sum() == 200 and np.isfinite(moments.mean).all()
            output = moments.mean[:, -5:].sum(1)
            holes += not (whole and np.allclose(output, 1, atol=1e-4))
        assert opened.status == "interrupted"
    except Exception as error:
        print(f"unreadable: {error!r}")
        return Outcome(len(acknowledged), len(acknowledged), 0, 0, True)
    lost = len(set(acknowledged) - set(steps))
    return Outcome(len(acknowledged), lost, len(steps), holes, False)


def torture(tmp_path: Path, kills: int) -> list[Outcome]:
    dice = random.Random(0)
    outcomes = []
    nursery = Nursery()
    for i in range(kills):
        after = dice.choice([1, 1, 2, 3, 5])
        outcomes.append(
            kill_once(nursery, tmp_path / f"run{i}", after, delay=dice.uniform(0, 0.06))
        )
    nursery.close()
    print(
        f"{kills} kills: {sum(o.acknowledged for o in outcomes)} snapshots acknowledged, "
        f"{sum(o.lost for o in outcomes)} lost, {sum(o.unreadable for o in outcomes)} runs "
        f"unreadable, {sum(o.holes for o in outcomes)} holes"
    )
    return outcomes


def check(outcomes: list[Outcome]) -> None:
    assert sum(o.lost for o in outcomes) == 0
    assert not any(o.unreadable for o in outcomes)
    assert sum(o.holes for o in outcomes) == 0
    assert sum(o.acknowledged > 0 for o in outcomes) >= 0.9 * len(outcomes)


@pytest.mark.timeout(900)
def test_fifty_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check(torture(tmp_path, 50))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_three_hundred_kills_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    check(torture(tmp_path, 300))
