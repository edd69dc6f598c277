"""What a page reads of a run that grows, was resumed, or is damaged in the middle."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load
from torch import nn

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import FormatError, SelectionError
from huelapse.painting import NO_CLASS, NOT_RECORDED
from huelapse.viewer import growing
from huelapse.viewer.resources import Resources

BASE = "val/true/margin"
BAD = 18


def train(path: Path, steps: int, **options: object) -> huelapse.Run:
    torch.manual_seed(0)
    model, (x, y) = SmallNet(), batches(200)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    given: dict[str, object] = {"schedule": 1, "probe_budget": None, **options}
    with huelapse.Recorder(model, path, probe=(x, y), classes=3, **given) as recorder:
        for _ in range(steps):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            recorder.step()
    return huelapse.open(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return train(tmp_path_factory.mktemp("growing") / "run", 24)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("growing") / "resumed"
    train(path, 6)
    return train(path, 5, exist="resume", first_step=4)


@pytest.fixture
def damaged(run: huelapse.Run, tmp_path: Path) -> huelapse.Run:
    """A run of which one snapshot cannot be read back."""
    shutil.copytree(run.path, tmp_path / "damaged")
    shutil.rmtree(tmp_path / "damaged/cache", ignore_errors=True)
    shard = next((tmp_path / "damaged/run.zarr/val/true/mean").glob(f"c.{BAD}.*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    return huelapse.open(tmp_path / "damaged")


def get(run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    return load(Resources(run).get(path)[0])


@pytest.mark.parametrize("name", ["summary", "classes"])
@pytest.mark.parametrize(("first", "end"), [(0, 25), (7, 9), (16, 25), (24, 25), (3, 20)])
def test_a_piece_of_a_curve_is_that_of_the_whole(
    run: huelapse.Run, name: str, first: int, end: int
) -> None:
    whole, piece = get(run, f"{BASE}/{name}.st"), get(run, f"{BASE}/{name}/{first}-{end}.st")
    assert whole.keys() == piece.keys()
    for array in whole:
        assert len(piece[array]) == end - first
        np.testing.assert_array_equal(piece[array], whole[array][first:end])


@pytest.mark.parametrize("piece", ["5-5", "9-5", "20-26", "x-3", "3", "-", "3-4-5"])
def test_a_piece_that_is_not_there_is_not_found(run: huelapse.Run, piece: str) -> None:
    with pytest.raises(SelectionError):
        Resources(run).get(f"{BASE}/summary/{piece}.st")


def test_a_piece_tells_its_own_damage(damaged: huelapse.Run) -> None:
    assert get(damaged, f"{BASE}/summary/{BAD - 2}-{BAD + 1}.st")["damaged"].tolist() == [0, 0, 1]
    assert not get(damaged, f"{BASE}/summary/{BAD + 1}-{BAD + 4}.st")["damaged"].any()


def test_the_pulse_tells_how_far_a_run_is(run: huelapse.Run, monkeypatch) -> None:
    times = run.coordinate("wall_time")
    monkeypatch.setattr(growing.time, "time", lambda: float(times[-1]) + 90)
    told = json.loads(Resources(run).get("live.json")[0])
    assert told["state"] == "complete"
    assert told["version"] == run.version
    assert told["snapshots"] == {"val": 25}
    assert told["age"] == pytest.approx(90)
    assert told["interval"] == pytest.approx(np.diff(times)[-3:].max())


def test_a_resumed_run_says_where_and_what_it_made_again(resumed: huelapse.Run) -> None:
    manifest = Resources(resumed).manifest()
    assert manifest["segments"] == [0, 4]
    assert manifest["splits"][0]["hidden"] == 3  # 4 (the new one's first), 5 and 6
    scalars = get(resumed, "val/scalars.st")
    assert scalars["step"].tolist() == [*range(4), *range(4, 10)]
    assert scalars["segment"].tolist() == [0] * 4 + [1] * 6
    everything = huelapse.open(resumed.path, superseded=True)
    assert Resources(everything).manifest()["splits"][0]["hidden"] == 0
    found = get(everything, "val/scalars.st")
    assert found["step"].tolist() == [*range(7), *range(4, 10)]
    assert np.flatnonzero(found["superseded"]).tolist() == [4, 5, 6]
    assert "superseded" not in scalars


def test_a_damaged_snapshot_leaves_the_others_as_they_are(
    run: huelapse.Run, damaged: huelapse.Run
) -> None:
    whole, found = get(run, f"{BASE}/summary.st"), get(damaged, f"{BASE}/summary.st")
    assert np.flatnonzero(found["damaged"]).tolist() == [BAD]
    assert not whole["damaged"].any()
    assert np.isnan(found["mean_strength"][BAD]).all()
    assert found["states"][BAD, :, NOT_RECORDED].tolist() == [la.units for la in run.layers]
    others = np.arange(25) != BAD
    for name in ("n", "mean_strength", "bins", "states"):
        np.testing.assert_array_equal(found[name][others], whole[name][others])
    paint = get(damaged, f"{BASE}/paint/1.st")
    assert (paint["state"][BAD - 16] == NOT_RECORDED).all()
    assert (paint["preferred"][BAD - 16] == NO_CLASS).all()
    before = get(run, f"{BASE}/paint/1.st")
    np.testing.assert_array_equal(paint["level"][others[16:]], before["level"][others[16:]])
    assert len(get(damaged, f"{BASE}/events.st")["snapshot"]) > 0


def test_why_a_snapshot_cannot_be_read_is_told_without_its_place(damaged: huelapse.Run) -> None:
    resources = Resources(damaged)
    why = json.loads(resources.get(f"{BASE}/damaged.json")[0])
    assert list(why) == [str(BAD)]
    assert "cannot be read" in why[str(BAD)]
    assert str(damaged.path.parent) not in why[str(BAD)]


def test_what_is_damaged_is_not_kept_as_if_it_were_so_for_good(
    run: huelapse.Run, damaged: huelapse.Run
) -> None:
    get(damaged, f"{BASE}/summary.st")
    shard = next((damaged.path / "run.zarr/val/true/mean").glob(f"c.{BAD}.*"))
    shutil.copy(run.path / shard.relative_to(damaged.path), shard)
    assert not get(huelapse.open(damaged.path), f"{BASE}/summary.st")["damaged"].any()


def test_a_units_history_has_a_gap_where_a_snapshot_is_damaged(
    run: huelapse.Run, damaged: huelapse.Run
) -> None:
    whole, found = get(run, f"{BASE}/unit/3.st"), get(damaged, f"{BASE}/unit/3.st")
    assert found["state"][BAD] == NOT_RECORDED
    assert found["n"][BAD].sum() == 0 and np.isnan(found["mean"][BAD]).all()
    assert found["preferred"][BAD] == NO_CLASS
    others = np.arange(25) != BAD
    assert whole.keys() == found.keys()
    for name in whole:
        np.testing.assert_array_equal(found[name][others], whole[name][others])


def test_python_still_refuses_what_is_damaged(damaged: huelapse.Run) -> None:
    with pytest.raises(FormatError, match="cannot be read"):
        damaged.events()
