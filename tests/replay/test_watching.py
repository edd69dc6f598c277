"""A replay can be watched: its snapshots come in any order, and each stands at its step at once."""

import json
from pathlib import Path

import numpy as np
import pytest
from replayed import STEPS, moments, replay, same, train
from safetensors.numpy import load

import huelapse
from huelapse.replaying.gathering import commit
from huelapse.viewer.server import Page
from huelapse.viewer.shelf import Shelf


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("saved"), live=False)


def test_snapshots_are_committed_in_any_order_and_stand_by_step(
    saved: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    known = huelapse.open
    for number, step in enumerate((6, 2, 0, 4), 1):
        replay([saved / f"step={s}.pt" for s in (6, 2, 0, 4)[:number]], run)
        assert sorted((6, 2, 0, 4)[:number]) == known(run).steps.tolist(), step
    replay(saved, tmp_path / "ordered")
    same(run, tmp_path / "ordered")
    a, b = (known(path) for path in (run, tmp_path / "ordered"))
    np.testing.assert_array_equal(a.strength(step=2), b.strength(step=2))
    assert [len(one.events()) for one in (a, b)] == [0, 0] or a.events() == b.events()
    assert a.status == "complete"


def test_a_page_keeps_the_state_it_began_with(saved: Path, run_path: Path) -> None:
    """Its snapshot 1 is that of step 6, also after step 2 has come between."""
    replay([saved / "step=0.pt", saved / "step=6.pt"], run_path)
    shelf = Shelf([huelapse.open(run_path)])
    page = Page(shelf)
    (run,) = json.loads(content(page, "runs.json"))["runs"]

    def manifest() -> dict[str, object]:
        return json.loads(content(page, f"{run['id']}/manifest.json"))

    def steps(state: str) -> list[float]:
        return load(content(page, f"{state}/val/scalars.st"))["step"].tolist()

    def painted(state: str) -> np.ndarray:
        return load(content(page, f"{state}/val/true/margin/paint/0.st"))["preferred"]

    began = manifest()
    assert began["addressed"]
    state = f"{run['id']}@{began['version']}"
    before = painted(state)
    replay([saved / "step=2.pt"], run_path)
    assert steps(run["id"]) == [0, 2, 6]
    assert steps(state) == [0, 6]
    np.testing.assert_array_equal(painted(state), before)
    now = f"{run['id']}@{manifest()['version']}"
    assert steps(now) == [0, 2, 6]
    np.testing.assert_array_equal(painted(now)[[0, 2]], before)
    assert page.answer(f"{run['id']}@{'0' * 64}/val/scalars.st") is None
    for _ in range(9):  # many look whether there is something new; who shows it, is not forgotten
        replay([saved / "step=4.pt"], run_path, split=f"s{_}")
        manifest()
        assert steps(state) == [0, 6]


def content(page: Page, path: str) -> bytes:
    answer = page.answer(path)
    assert answer is not None, path
    return answer.content


def test_parts_of_several_replays_of_one_run_are_committed_at_once(
    saved: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    for split, options in (("val", {}), ("small", {"samples": 90})):
        for i in range(2):
            replay(saved, run, split=split, shard=(i, 2), **options)
    report = commit(run)
    assert sorted(report.committed) == sorted([*STEPS, *STEPS])
    opened = huelapse.open(run)
    assert {split.name for split in opened.splits} == {"val", "small"}
    assert moments(run, "small")[0, "true"].count.sum() == 90
    assert opened.status == "complete"
