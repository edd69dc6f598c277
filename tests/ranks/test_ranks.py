"""Several processes record one run: exact, and no rank ever waits for another because of it."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from exact import check_moments
from launching import Seen, hashes, said, start, torchrun, wait, window_of
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.store.merging import merge

SHARE = 12
TOLD: dict[str, Any] = {"batch": 5, "window": 2 * SHARE, "samples": 96}
"""Two ranks, two epochs of 10 steps, a window each 3 steps or 2."""


def check_windows(out: Path, ranks: int, windows: int) -> None:
    """Counts of each window exactly, moments as float32 holds them."""
    run = huelapse.open(out / "run")
    seen = [Seen(out, rank) for rank in range(ranks)]
    truths = [window_of(seen, index, SHARE) for index in range(windows)]
    assert run.coordinate("step", "train").tolist() == [step for step, _ in truths]
    for index, (_, truth) in enumerate(truths):
        check_moments(run.moments(index, "true", "train"), truth)
        assert run.confusion_at(index, "train").sum() == ranks * SHARE


@pytest.mark.parametrize("ranks", [2, 4])
def test_windows_of_all_ranks_are_one_process_over_the_same_samples(
    tmp_path: Path, ranks: int
) -> None:
    """Under torchrun; gradients, weights and buffers are bit for bit those of a training without."""
    told = {"probe": True, "batch": 5, "window": SHARE * ranks, "samples": 48 * ranks, "twin": True}
    ended = torchrun(tmp_path, ranks, told)
    assert ended.returncode == 0, ended.stderr
    check_windows(tmp_path, ranks, windows=8)
    run = huelapse.open(tmp_path / "run")
    assert run.status == "complete"
    assert run.incomplete("train") == ()
    assert [layer.path for layer in run.layers] == ["relu1", "relu2", "output"]
    facts = run.split("train").facts
    assert (facts["ranks"], facts["samples"]) == (ranks, SHARE * ranks)
    assert "counts twice" in facts["padding"]
    assert run.split("val").facts["samples"] == 30
    assert run.moments(0, "true", "val").count.sum() == 30
    assert run.facts["gaps"] == []
    assert not list((tmp_path / "run/partial").iterdir())
    assert not (tmp_path / "run/ranks").exists()
    assert len(hashes(tmp_path, ranks)[0]) == 40
    assert hashes(tmp_path, ranks) == hashes(tmp_path / "twin", ranks)


def test_a_killed_rank_costs_what_it_had_not_given_and_holds_nobody_up(tmp_path: Path) -> None:
    """Its training ends with it, as without us; the run opens, and says what is missing."""
    processes = start(tmp_path, 2, {**TOLD, "faults": {"1:11": "kill"}})
    began = time.monotonic()
    codes = wait(processes)
    assert codes[1] == -signal.SIGKILL
    assert codes[0] == 1, said(tmp_path, 0)
    assert "gloo" in said(tmp_path, 0).lower() or "connection" in said(tmp_path, 0).lower()
    assert time.monotonic() - began < 50
    run = huelapse.open(tmp_path / "run")
    assert run.status == "interrupted"
    steps = run.coordinate("step", "train").tolist()
    assert steps == [2, 4, 7, 9]  # the fifth was not full
    parts = {one.snapshot: one.parts for one in run.incomplete("train")}
    for index in range(4):
        n = run.moments(index, "true", "train").count.sum()
        assert n == parts.get(index, 2) * SHARE
    assert merge(tmp_path / "run").finished


def test_killing_rank_0_leaves_parts_that_merge_into_its_run(tmp_path: Path) -> None:
    told = {**TOLD, "faults": {"0:11": "kill", "1:0": "late"}, "late": 1.0}
    told["awaited"] = "train-2-rank-0-*"
    processes = start(tmp_path, 2, told)
    codes = wait(processes)
    assert codes[0] == -signal.SIGKILL
    assert codes[1] == 1
    run = tmp_path / "run"
    assert huelapse.open(run).status == "interrupted"
    info = CliRunner().invoke(app, ["info", str(run)]).stdout
    assert "parts of ranks or workers are not merged: `huelapse merge`" in info
    merge(run)
    after = huelapse.open(run)
    steps = after.coordinate("step", "train").tolist()
    assert 2 in steps
    assert after.incomplete("train") == ()
    for index in range(len(steps)):
        assert after.moments(index, "true", "train").count.sum() == 2 * SHARE


def test_a_rank_that_hangs_as_the_training_ends_is_not_waited_for(tmp_path: Path) -> None:
    processes = start(tmp_path, 2, {**TOLD, "faults": {"1:last": "stop"}})
    end = time.monotonic() + 60
    try:
        while not (tmp_path / "closed-0.txt").exists():
            assert time.monotonic() < end, said(tmp_path, 0)
            time.sleep(0.05)
        assert float((tmp_path / "closed-0.txt").read_text()) < 9
        run = huelapse.open(tmp_path / "run")
        assert run.status == "complete"
        missing = len(run.incomplete("train"))
    finally:
        os.kill(processes[1].pid or 0, signal.SIGCONT)
    assert wait(processes) == [0, 0], said(tmp_path, 1)
    merge(tmp_path / "run")
    run = huelapse.open(tmp_path / "run")
    assert run.incomplete("train") == (), missing
    check_windows(tmp_path, 2, windows=8)


@pytest.mark.slow
def test_a_rank_that_hangs_in_the_middle_delays_the_training_and_nothing_else(
    tmp_path: Path,
) -> None:
    processes = start(tmp_path, 2, {**TOLD, "epochs": 8, "pace": 0.1, "deadline": 1.0})
    time.sleep(4)
    os.kill(processes[1].pid or 0, signal.SIGSTOP)
    time.sleep(5)
    os.kill(processes[1].pid or 0, signal.SIGCONT)
    assert wait(processes) == [0, 0], said(tmp_path, 1)
    assert huelapse.open(tmp_path / "run").incomplete("train") == ()
    check_windows(tmp_path, 2, windows=32)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_killed_at_any_moment_a_run_opens_and_holds_only_what_was_forwarded(
    tmp_path: Path, seed: int
) -> None:
    import random

    chance = random.Random(seed)
    processes = start(tmp_path, 3, {**TOLD, "epochs": 40, "pace": 0.02, "window": 36})
    time.sleep(2 + 3 * chance.random())
    victims = chance.sample(range(3), chance.choice((1, 2, 3)))
    for one in victims:
        processes[one].kill()
    codes = wait(processes, 60)
    assert None not in codes
    if not (tmp_path / "run/run.zarr/zarr.json").exists():
        return
    merge(tmp_path / "run", incomplete=True)
    run = huelapse.open(tmp_path / "run")
    if not run.splits:
        return
    marked = {one.snapshot: one.parts for one in run.incomplete("train")}
    for index in range(len(run.coordinate("step", "train"))):
        parts = marked.get(index, 3)
        assert run.moments(index, "true", "train").count.sum() == parts * SHARE
