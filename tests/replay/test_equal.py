"""A replay gives what recording gave; however its tasks are run it gives the same."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from replayed import (
    SAMPLES,
    STEPS,
    Items,
    arrays,
    build,
    data,
    items,
    loader,
    moments,
    replay,
    same,
    train,
)
from torch.utils.data import DataLoader

import huelapse
from conftest import SmallNet, batches
from huelapse.replaying.gathering import commit
from huelapse.store.partial_file import PartialFile


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    torch.set_num_threads(1)
    train(folder)
    return folder


KEPT: dict[str, Any] = {
    "response": ["mean", "peak"],
    "keep_responses": True,
    "maps": True,
    "watch": 2,
    "first_weights": True,
}


def test_replaying_the_checkpoints_of_live_probes_gives_their_arrays_bit_for_bit(
    trained: Path, run_path: Path
) -> None:
    report = replay(trained / "ckpts", run_path, samples="probe", **KEPT)
    assert report.committed == list(STEPS)
    assert report.finished
    assert not report.failed
    live, replayed = arrays(trained / "live"), arrays(run_path)
    assert live.keys() == replayed.keys()
    for group in ("true/m2/", "predicted/mean/", "true/peak/mean/", "responses/", "true/maps/"):
        assert any(path.startswith(group) for path in live), group
    assert [path for path in live if live[path] != replayed[path]] == []
    opened = huelapse.open(run_path)
    assert opened.status == "complete"
    assert opened.layers == huelapse.open(trained / "live").layers
    facts = [huelapse.open(p).split().facts["hash"] for p in (run_path, trained / "live")]
    assert facts[0] == facts[1]


def float64(run: Path, split: str = "val") -> dict[tuple[int, str], list[Any]]:
    """(Step, part) → moments as parts hold them, before they are rounded to float32."""
    found: dict[tuple[int, str], list[Any]] = {}
    for path in (run / "partial").glob(f"{split}-*.npz"):
        with PartialFile(path) as file:
            part = file.about.part.rpartition("-")[2]
            found[file.about.step, part] = [file.moments(g, 0) for g in range(2)]
    return found


@pytest.mark.parametrize("parts", [1, 3])
def test_pool_and_shards_give_what_one_process_gives(
    trained: Path, tmp_path: Path, parts: int
) -> None:
    saved = trained / "ckpts"
    replay(saved, tmp_path / "one", parts=parts)
    report = replay(saved, tmp_path / "pool", parts=parts, workers=2)
    assert sorted(report.committed) == list(STEPS)
    for i in range(3):
        done = replay(saved, tmp_path / "shards", parts=parts, shard=f"{i}/3")
        assert done.recorded == len(range(i, 4 * parts, 3))
        assert not done.committed
    assert not (tmp_path / "shards/run.zarr").exists()
    gathered = commit(tmp_path / "shards")
    assert gathered.committed == list(STEPS)
    assert gathered.finished
    for other in ("pool", "shards"):
        same(tmp_path / "one", tmp_path / other)
        assert not (tmp_path / other / "partial").exists()
        assert huelapse.open(tmp_path / other).status == "complete"


def test_float64_parts_are_the_same_in_every_process(trained: Path, tmp_path: Path) -> None:
    for where, options in (
        ("here", {"shard": "0/1"}),
        ("pool", {"shard": "0/1", "workers": 2}),
    ):
        replay(trained / "ckpts", tmp_path / where, parts=2, **options)
    here, pool = float64(tmp_path / "here"), float64(tmp_path / "pool")
    assert len(here) == 8
    assert here.keys() == pool.keys()
    for key, groupings in here.items():
        for ours, theirs in zip(groupings, pool[key], strict=True):
            for name in ("count", "mean", "m2", "active"):
                a, b = getattr(ours, name), getattr(theirs, name)
                assert np.abs(a - b).max() <= 1e-12 * max(1.0, np.abs(a).max())


def test_partitions_agree_up_to_rounding(trained: Path, tmp_path: Path) -> None:
    for parts in (1, 2, 3):
        replay(trained / "ckpts", tmp_path / str(parts), parts=parts)
    whole = moments(tmp_path / "1")
    for parts in ("2", "3"):
        for key, other in moments(tmp_path / parts).items():
            ours = whole[key]
            np.testing.assert_array_equal(ours.count, other.count)
            np.testing.assert_array_equal(ours.active, other.active)
            rms = np.sqrt((ours.mean**2 + ours.m2 / np.maximum(ours.n, 1)).max(0))
            assert (np.abs(ours.mean - other.mean) <= 1e-6 * rms).all()
            spread = [np.sqrt(m.m2 / np.maximum(m.n, 1)) for m in (ours, other)]
            assert (np.abs(spread[0] - spread[1]) <= 1e-6 * rms).all()


def test_all_samples_count_once_whatever_fits_in_memory(trained: Path, tmp_path: Path) -> None:
    Items.decoded = 0
    replay(trained / "ckpts", tmp_path / "kept", data=items, classes=None)
    assert Items.decoded == SAMPLES  # once for four checkpoints
    Items.decoded = 0
    one = 128 * 2 * 6 * 6 * 4  # bytes of the first batch
    replay(trained / "ckpts", tmp_path / "again", data=items, classes=None, memory=one)
    assert Items.decoded > 2 * SAMPLES
    same(tmp_path / "kept", tmp_path / "again")
    assert huelapse.open(tmp_path / "kept").classes == ("x", "y", "z")
    assert moments(tmp_path / "kept")[0, "true"].count.sum() == SAMPLES


def test_the_users_loader_gives_its_batches_in_order_whatever_it_shuffles(
    trained: Path, tmp_path: Path
) -> None:
    replay(trained / "ckpts", tmp_path / "loader", data=loader)
    replay(trained / "ckpts", tmp_path / "batch", batch=50)
    same(tmp_path / "loader", tmp_path / "batch")


def test_batches_that_are_iterated_are_counted_whole(trained: Path, tmp_path: Path) -> None:
    x, y = data()
    pairs = [(x[i : i + 70], y[i : i + 70]) for i in range(0, SAMPLES, 70)]
    replay(trained / "ckpts", tmp_path / "list", data=pairs)
    replay(trained / "ckpts", tmp_path / "streamed", data=pairs, memory=70 * 2 * 6 * 6 * 4)
    replay(trained / "ckpts", tmp_path / "once", data=iter(pairs))
    replay(trained / "ckpts", tmp_path / "batch", batch=70)
    for other in ("list", "streamed", "once"):
        same(tmp_path / "batch", tmp_path / other)
    refused = replay(trained / "ckpts", tmp_path / "no", data=iter(pairs), memory=100)
    assert len(refused.failed) == 4
    assert "read once alone" in refused.failed[0].why


@pytest.mark.parametrize("options", [{"inference_mode": True}, {"channels_last": True}])
def test_other_ways_to_forward_give_the_same_up_to_rounding(
    trained: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    replay(trained / "ckpts", tmp_path / "plain", **KEPT)
    replay(trained / "ckpts", tmp_path / "other", **KEPT, **options)
    for key, ours in moments(tmp_path / "plain").items():
        other = moments(tmp_path / "other")[key]
        np.testing.assert_array_equal(ours.count, other.count)
        np.testing.assert_allclose(ours.mean, other.mean, atol=1e-5, rtol=1e-5)


def test_autocast_runs_the_forward_in_less_precision(trained: Path, tmp_path: Path) -> None:
    replay(trained / "ckpts", tmp_path / "plain", keep_responses=False)
    replay(trained / "ckpts", tmp_path / "half", autocast="bfloat16", keep_responses=False)
    ours, other = moments(tmp_path / "plain")[6, "true"], moments(tmp_path / "half")[6, "true"]
    difference = np.abs(ours.mean - other.mean).max()
    assert 1e-6 < difference < 0.05


def test_options_of_the_recorder_mean_the_same(trained: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {
        "layers": ["relu*"],
        "groupings": {"odd": (["even", "odd"], [0, 1, 0])},
        "response": "peak",
    }
    model = SmallNet()
    model.load_state_dict(torch.load(trained / "ckpts/step=4.pt", weights_only=True))
    with huelapse.Recorder(
        model, tmp_path / "live", probe=data(), classes=3, keep_responses=False, **options
    ):
        pass
    report = replay(
        trained / "ckpts/step=4.pt",
        tmp_path / "again",
        samples="probe",
        keep_responses=False,
        **options,
    )
    assert not report.failed
    live, again = moments(tmp_path / "live"), moments(tmp_path / "again")
    assert {grouping for _, grouping in again} == {"true", "predicted", "odd"}
    for grouping in ("true", "predicted", "odd"):
        np.testing.assert_array_equal(live[0, grouping].mean, again[4, grouping].mean)


def test_a_replay_beside_a_training_is_another_split_of_its_run(
    trained: Path, tmp_path: Path
) -> None:
    import shutil

    shutil.copytree(trained / "live", tmp_path / "run")
    with pytest.raises(huelapse.HuelapseError, match="a training has recorded"):
        replay(trained / "ckpts", tmp_path / "run", **KEPT)
    before = arrays(tmp_path / "run")
    report = replay(trained / "ckpts", tmp_path / "run", split="more", response=["mean", "peak"])
    assert report.committed == list(STEPS)
    opened = huelapse.open(tmp_path / "run")
    assert [split.name for split in opened.splits] == ["val", "more"]
    assert opened.status == "complete"
    assert list(opened.coordinate("step", "val")) == list(STEPS)
    assert arrays(tmp_path / "run") == before


def test_what_was_replayed_otherwise_is_refused(trained: Path, run_path: Path) -> None:
    replay(trained / "ckpts", run_path)
    with pytest.raises(huelapse.HuelapseError, match="batch was null, and is 10 now"):
        replay(trained / "ckpts", run_path, batch=10)
    other = replay(trained / "ckpts", run_path, batch=10, split="ten")
    assert other.committed == list(STEPS)


def test_other_samples_behind_the_same_name_are_refused(trained: Path, run_path: Path) -> None:
    x, y = batches(SAMPLES)
    current = {"x": x}

    def changing() -> Any:
        return current["x"], y

    replay(trained / "ckpts/step=0.pt", run_path, data=changing)
    current["x"] = x + 1
    report = replay(trained / "ckpts", run_path, data=changing)
    assert report.already == 1
    assert len(report.failed) == 3
    assert "is not the one recorded so far" in report.failed[0].why


def test_replays_leave_the_surroundings_as_they_were(trained: Path, run_path: Path) -> None:
    state = torch.get_rng_state()
    replay(trained / "ckpts", run_path, model=SmallNetOnce().build)
    assert torch.equal(state, torch.get_rng_state())


class SmallNetOnce:
    """A factory that must be called once alone."""

    def __init__(self) -> None:
        self.made = 0
        self.model = build()

    def build(self) -> torch.nn.Module:
        self.made += 1
        assert self.made == 1
        return self.model


def test_a_loader_with_workers_of_its_own(trained: Path, tmp_path: Path) -> None:
    several = DataLoader(Items(), batch_size=128, num_workers=1)
    replay(trained / "ckpts/step=0.pt", tmp_path / "workers", data=several)
    replay(trained / "ckpts/step=0.pt", tmp_path / "plain")
    same(tmp_path / "workers", tmp_path / "plain")
