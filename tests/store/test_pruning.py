"""Snapshots can be given away; those that stay are not touched, and no reader takes one for another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray
from extra_run import begin, snapshot, split, static
from typer.testing import CliRunner

import huelapse
from huelapse.care import verify
from huelapse.care.pruning import plan_pruning, prune
from huelapse.cli import app
from huelapse.errors import FormatError, OptionError, RunLockedError
from huelapse.run import Run
from huelapse.store.pack import pack_run

SNAPSHOTS = 12


def recorded(path: Path) -> Path:
    store = begin(path)
    store.add_split(split(), static())
    for step in range(SNAPSHOTS):
        store.commit(snapshot(step))
    store.close()
    return path


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return recorded(tmp_path / "run")


def everything(run: Run) -> dict[int, list[np.ndarray]]:
    """All that stands at each step."""
    found: dict[int, list[np.ndarray]] = {}
    histories = [run.history(unit) for unit in (0, 9)]
    for i, step in enumerate(run.steps.tolist()):
        moments = [run.moments(i), *(history[i] for history in histories)]
        found[step] = [
            *(getattr(m, name) for m in moments for name in ("mean", "m2", "active", "count")),
            run.confusion()[i],
            run.responses(step),
            run.strength(step),
        ]
    return found


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return all(np.array_equal(a, b, equal_nan=True) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize(
    ("how", "steps"),
    [
        ({"every": 3}, [0, 3, 6, 9, 11]),
        ({"keep": 4}, [0, 4, 7, 11]),
        ({"keep": 99}, list(range(SNAPSHOTS))),
    ],
)
def test_what_stays_is_as_it_was(run: Path, how: dict[str, int], steps: list[int]) -> None:
    before = everything(huelapse.open(run))
    size = huelapse.open(run).bytes
    freed = prune(run, plan_pruning(run, **how))
    after = huelapse.open(run)
    assert after.steps.tolist() == steps
    assert all(same(here, before[step]) for step, here in everything(after).items())
    assert verify(run).whole
    assert size is not None and after.bytes is not None
    assert freed == 0 or after.bytes < size * 0.7


def test_a_run_can_be_thinned_out_again_and_gone_on_with(run: Path) -> None:
    before = everything(huelapse.open(run))
    prune(run, plan_pruning(run, every=2))
    store = begin(run, resume=True, first_step=8)
    store.add_split(split(), static())
    for step in (9, 10, 13):
        store.commit(snapshot(step))
    store.close()
    assert huelapse.open(run).steps.tolist() == [0, 2, 4, 6, 8, 9, 10, 13]
    assert verify(run).whole
    with_replaced = huelapse.open(run, superseded=True).steps.tolist()
    assert with_replaced == [0, 2, 4, 6, 8, 10, 11, 9, 10, 13]
    prune(run, plan_pruning(run, replaced=True))
    prune(run, plan_pruning(run, every=3))
    again = huelapse.open(run)
    assert again.steps.tolist() == [0, 6, 10, 13]
    assert same(everything(again)[6], before[6])
    assert huelapse.open(run, superseded=True).steps.tolist() == [0, 6, 10, 13]
    assert verify(run).whole


def test_a_reader_from_before_is_told_and_never_misled(run: Path) -> None:
    reader = huelapse.open(run)
    before = everything(huelapse.open(run))
    prune(run, plan_pruning(run, every=5))
    for step in reader.steps.tolist():
        if step in (0, 5, 10, 11):
            assert np.array_equal(reader.strength(step), before[step][-1], equal_nan=True)
        else:
            with pytest.raises(FormatError, match="missing or damaged"):
                reader.strength(step)
    assert reader.refreshed().steps.tolist() == [0, 5, 10, 11]


@pytest.mark.parametrize("removed", [0, 1, 7, 40])
def test_a_prune_that_was_cut_off_is_finished_by_the_next(
    run: Path, removed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = everything(huelapse.open(run))
    unlink, left = Path.unlink, removed

    def cut_off(self: Path, **how: Any) -> None:
        nonlocal left
        if self.name.startswith("c."):
            if not left:
                raise KeyboardInterrupt
            left -= 1
        unlink(self, **how)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", cut_off)
        with pytest.raises(KeyboardInterrupt):
            prune(run, plan_pruning(run, every=4))
    shown = everything(huelapse.open(run))
    assert list(shown) == [0, 4, 8, 11]
    assert all(same(here, before[step]) for step, here in shown.items())
    assert verify(run).whole
    assert prune(run, plan_pruning(run, every=1 + SNAPSHOTS)) > 0
    assert {int(f.name.split(".")[1]) for f in (run / "run.zarr/val/true/m2").glob("c.*")} == {
        0,
        11,
    }


def test_before_the_root_says_so_nothing_is_gone(
    run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = everything(huelapse.open(run))
    with monkeypatch.context() as patched:
        patched.setattr("huelapse.store.pruning.replace_file", full)
        with pytest.raises(OSError, match="No space"):
            prune(run, plan_pruning(run, every=4))
    after = everything(huelapse.open(run))
    assert list(after) == list(before)
    assert all(same(after[step], before[step]) for step in before)


def test_others_see_which_rows_are_gone(run: Path, tmp_path: Path) -> None:
    prune(run, plan_pruning(run, every=4))
    for place in (run / "run.zarr", None):
        if place is None:
            pack_run(run, tmp_path / "a.hue.zip")
            assert huelapse.open(tmp_path / "a.hue.zip").steps.tolist() == [0, 4, 8, 11]
            continue
        val = xarray.open_datatree(place, engine="zarr")["val"]
        stays = val["superseded"].values == 0
        assert val["step"].values[stays].tolist() == [0, 4, 8, 11]
        assert np.isnan(val["true/mean"].values[~stays]).all()
    table = huelapse.open(run).to_dataframe()
    assert sorted(table["step"].unique().tolist()) == [0, 4, 8, 11]


def test_a_run_that_is_being_written_is_not_pruned(tmp_path: Path) -> None:
    store = begin(tmp_path / "run")
    store.add_split(split(), static())
    for step in range(5):
        store.commit(snapshot(step))
    plan = plan_pruning(tmp_path / "run", every=2)
    with pytest.raises(RunLockedError):
        prune(tmp_path / "run", plan)
    store.commit(snapshot(5))
    store.close()
    with pytest.raises(FormatError, match="grown"):
        prune(tmp_path / "run", plan)
    assert huelapse.open(tmp_path / "run").steps.tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    "how", [{}, {"every": 2, "keep": 3}, {"every": 1}, {"keep": 1}, {"keep": 0}, {"every": -3}]
)
def test_what_is_to_stay_must_be_said(run: Path, how: dict[str, int]) -> None:
    with pytest.raises(OptionError, match=r"--every|--keep"):
        plan_pruning(run, **how)


def test_the_command_says_what_goes_and_asks(run: Path) -> None:
    runner = CliRunner()
    dry = runner.invoke(app, ["prune", str(run), "--every", "4", "--dry-run"])
    assert dry.exit_code == 0
    assert "8 snapshots go, 4 stay" in dry.output
    assert "Nothing was changed" in dry.output
    unasked = runner.invoke(app, ["prune", str(run), "--every", "4"])
    assert unasked.exit_code == 1
    assert len(huelapse.open(run).steps) == SNAPSHOTS
    done = runner.invoke(app, ["prune", str(run), "--every", "4", "--yes"])
    assert done.exit_code == 0
    assert "8 snapshots given away" in done.output
    assert huelapse.open(run).steps.tolist() == [0, 4, 8, 11]
