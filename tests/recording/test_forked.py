"""Forked processes: what they may not do is told, what they inherit is left alone."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import huelapse

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

BEFORE = """
import os, sys, warnings
import torch
from torch import nn
import huelapse

warnings.simplefilter("ignore", DeprecationWarning)  # fork beside threads, on purpose
torch.set_num_threads(1)
place = sys.argv[1]
probe = torch.randn(30, 4), torch.arange(30) % 3

def recorder(run, **options):
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    return huelapse.Recorder(model, run, classes=3, probe_budget=None,
                             **{"probe": probe, "schedule": 1, **options})

def in_child(work):
    sys.stdout.flush()
    pid = os.fork()
    if not pid:
        try:
            work()
        except huelapse.HuelapseError as error:
            print(type(error).__name__, str(error)[:80])
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)
    print("child ended with", os.waitpid(pid, 0)[1])
"""


def run_script(script: str, place: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", BEFORE + textwrap.dedent(script), str(place)],
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )


@pytest.mark.parametrize("before", ["recorded", "read"])
def test_after_the_store_was_used_a_forked_child_is_told_and_not_killed(
    run_path: Path, before: str
) -> None:
    """TensorStore ends such a process by SIGABRT: not a word, and nothing to catch."""
    recorder = "recorder(place).close()"
    if before == "read":
        run_script(recorder, run_path)
    done = run_script(
        f"""
        {recorder if before == "recorded" else ""}
        run = huelapse.open(place)
        run.accuracy()
        uses = [
            lambda: huelapse.open(place).accuracy(),
            lambda: run.accuracy(),
            lambda: recorder(place + "2"),
            lambda: recorder(place + "2", probe=None),  # would write nothing before its first window
        ]
        for use in uses:
            in_child(use)
        in_child(lambda: in_child(uses[0]))  # a child of the child has no threads either
        run.accuracy()
        print("parent ended")
        """,
        run_path,
    )
    told = "ForkedError this process was forked from one that had used the store already"
    lines = [line if not line.startswith(told) else "told" for line in done.stdout.splitlines()]
    assert lines == [*(["told", "child ended with 0"] * 5), "child ended with 0", "parent ended"]


def test_a_child_forked_before_may_record_and_read(run_path: Path) -> None:
    done = run_script(
        """
        def work():
            recorder(place + "2").close()
            print(huelapse.open(place + "2").steps)

        in_child(work)
        recorder(place).close()
        """,
        run_path,
    )
    assert done.stdout.splitlines() == ["[0]", "child ended with 0"]
    assert huelapse.open(run_path).steps.tolist() == [0]
    assert huelapse.open(f"{run_path}2").steps.tolist() == [0]


CALLS = {
    "step": "lambda: one.step(loss='bad')",
    "window": "lambda: one.window([0]).__enter__()",
    "probing": "lambda: one.probing('own').__enter__().labels([0])",
    "snapshot": "lambda: one.snapshot()",
}


def test_calls_in_a_forked_child_record_nothing_and_say_so_once(run_path: Path) -> None:
    """And an exception of the child's does not end the parent's run."""
    done = run_script(
        f"""
        one = recorder(place, window=30)

        def work(call):
            with one:
                call()
                call()
                one.step(loss=1.0)
                raise huelapse.HuelapseError("of the child")

        for call in [{", ".join(CALLS.values())}]:
            in_child(lambda: work(call))
        in_child(one.close)
        one.step()
        one.close()
        """,
        run_path,
    )
    of_each = ["HuelapseError of the child", "child ended with 0"]
    assert done.stdout.splitlines() == of_each * len(CALLS) + of_each[1:]
    said = [line for line in done.stderr.splitlines() if "HuelapseWarning" in line]
    assert len(said) == len(CALLS)
    for name, line in zip(CALLS, said, strict=True):
        assert f"{name}() was called in a process forked from the one that records" in line
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 1]
    assert run.status == "complete"
