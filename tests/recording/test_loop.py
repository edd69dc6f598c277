"""The recorder in a loop: step 0, schedule, budget, scalars."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from recorded import record

import huelapse
from huelapse.capture.budget import ProbeBudget
from huelapse.errors import (
    ScheduleError,
)


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
    assert all(is_due(s, math.nan) for s in steps[1:])


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


def test_every_so_many_epochs_or_seconds(run_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = record(run_path, schedule=huelapse.every(epochs=0.5))
    for step in range(1, 21):
        recorder.step(epoch=step / 8)
    recorder.close()
    assert huelapse.open(run_path).steps.tolist() == [0, 4, 8, 12, 16, 20]
    now = 0.0
    monkeypatch.setattr("huelapse.capture.schedule.time.monotonic", lambda: now)
    recorder = record(run_path, schedule=huelapse.every(seconds=10), exist="new")
    for _ in range(35):
        now += 1.0
        recorder.step()
    recorder.close()
    assert huelapse.open(recorder.run).steps.tolist() == [0, 10, 20, 30, 35]
    recorder = record(run_path, schedule=huelapse.every(steps=3), exist="new")
    for _ in range(6):
        recorder.step()
    recorder.close()
    assert huelapse.open(recorder.run).steps.tolist() == [0, 3, 6]


def test_by_hand_alone(run_path: Path) -> None:
    recorder = record(run_path, schedule="manual")
    for step in range(1, 9):
        recorder.step()
        if step in (2, 5):
            recorder.snapshot()
    recorder.close()
    assert huelapse.open(run_path).steps.tolist() == [0, 2, 5, 8]


@pytest.mark.parametrize("options", [{}, {"steps": 0}, {"steps": 1, "epochs": 1}, {"seconds": -1}])
def test_an_impossible_every_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ScheduleError, match="exactly one"):
        huelapse.every(**options)


def test_a_word_nobody_knows_is_no_schedule(run_path: Path) -> None:
    with pytest.raises(ScheduleError, match="manual"):
        record(run_path, schedule="sometimes")
