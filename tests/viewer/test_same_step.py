"""Snapshots of one step, made twice: each is read by its place, and never in place of the other."""

import shutil

import numpy as np
import pytest
from pictured_run import trained

import huelapse
from huelapse.errors import SelectionError
from huelapse.geometry import collapse
from huelapse.viewer.beside import beside
from huelapse.viewer.filters import film
from huelapse.viewer.resources import Resources

EACH = (
    "val/samples/{t}.st",
    "val/sample/5/{t}.st",
    "val/cell/{t}/2/2/units.st",
    "val/confusion/{t}.st",
    "val/true/margin/floor/{t}.st",
    "val/true/margin/maps/{t}.st",
    "val/true/margin/table/{t}/1.st",
    "val/true/heat/{t}/1.st",
    "val/maps/{t}/0.st",
    "val/maps/{t}/0/1.st",
    "val/watched/1/{t}/0.st",
    "val/first_weights/{t}.st",
)
BOTH = (16, 24)
"""Steps that were made again."""


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[huelapse.Run, ...]:
    """Both makings on one timeline; what was there before the second; what stands after it."""
    folder = tmp_path_factory.mktemp("again")
    trained(folder / "run", steps=24)
    shutil.copytree(folder / "run", folder / "before")
    trained(folder / "run", first_step=16, steps=32)
    return (
        huelapse.open(folder / "run", superseded=True),
        huelapse.open(folder / "before"),
        huelapse.open(folder / "run"),
    )


def places(run: huelapse.Run, step: int) -> list[int]:
    return np.flatnonzero(run.coordinate("step") == step).tolist()


@pytest.mark.parametrize("path", EACH)
def test_what_is_read_of_a_snapshot_is_its_own(path: str, runs: tuple[huelapse.Run, ...]) -> None:
    whole, before, after = runs
    different = 0
    for step in BOTH:
        first, second = places(whole, step)
        answers: list[bytes] = []
        for t, alone in ((first, before), (second, after)):
            (own,) = places(alone, step)
            found = Resources(whole).get(path.format(t=t))
            assert found == Resources(alone).get(path.format(t=own)), (step, t)
            answers.append(found[0])
        different += answers[0] != answers[1]
    assert different > 0  # else the one could stand for the other


def test_what_is_read_of_all_snapshots_is_each_ones_own(runs: tuple[huelapse.Run, ...]) -> None:
    whole, before, after = runs
    steps = whole.coordinate("step").tolist()
    assert len(steps) > len(set(steps))
    told = collapse(whole, "relu1")
    weights = film(whole, "val")["weights"]
    for step in BOTH:
        for t, alone in zip(places(whole, step), (before, after), strict=True):
            (own,) = places(alone, step)
            of_one = collapse(alone, "relu1")
            assert {name: told[name][t] for name in told} == pytest.approx(
                {name: of_one[name][own] for name in told}, nan_ok=True
            )
            assert (weights[t] == film(alone, "val")["weights"][own]).all()
    assert told["within"][places(whole, 24)[0]] != told["within"][places(whole, 24)[1]]


def test_a_snapshot_is_compared_with_itself_by_another_grouping(
    runs: tuple[huelapse.Run, ...],
) -> None:
    whole, _, after = runs
    total = len(whole.coordinate("step"))
    pairs = beside(whole, whole, "val", "true", "val", "predicted")["pairs"]
    for by in ("step", "accuracy"):
        assert pairs[by]["snapshot"] == list(range(total))
        assert pairs[by]["gap"] == [0] * total
    # of two runs the first making goes with the first, and the second with the second
    twice = beside(whole, huelapse.open(whole.path, superseded=True), "val", "true", "val", "true")
    assert twice["pairs"]["step"]["snapshot"] == list(range(total))
    once = beside(whole, after, "val", "true", "val", "true")["pairs"]["step"]["snapshot"]
    steps = whole.coordinate("step")
    assert (after.coordinate("step")[once] == steps).all()


def test_by_its_step_the_last_is_meant_as_before(runs: tuple[huelapse.Run, ...]) -> None:
    whole, _, after = runs
    assert (whole.responses(24, "relu1") == after.responses(24, "relu1")).all()
    assert whole.noise_floor(24, "relu1") == after.noise_floor(24, "relu1")
    with pytest.raises(SelectionError, match="no snapshot at step 25"):
        whole.responses(25)
