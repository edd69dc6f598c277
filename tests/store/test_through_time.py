"""What is derived and kept gives the numbers of the run itself, bit for bit, or is not used."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from extra_run import CLASSES, LAYERS, UNITS

import huelapse
from huelapse import measures
from huelapse.compacting import compact, remove_stale
from huelapse.errors import FormatError
from huelapse.moments import Moments
from huelapse.painting import CHUNK, PICTURE, Painter
from huelapse.run import Run
from huelapse.schema import Grouping, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter
from huelapse.store.history import BLOCK
from huelapse.store.through_time import ThroughTime
from huelapse.viewer.keeping import Keeper

SNAPSHOTS = 2 * BLOCK + 5
K = len(CLASSES)


def snapshot(step: int, *, samples: int = 30) -> Snapshot:
    rng = np.random.default_rng(step)
    count = np.array([samples, 2, 0])  # one class has too few, and one no samples
    nonfinite = (rng.random((K, UNITS)) < 0.05).astype(np.int64)
    nonfinite = np.minimum(nonfinite, count[:, None])
    some = count[:, None] - nonfinite > 0
    moments = Moments(
        count=count,
        mean=np.where(some, rng.standard_normal((K, UNITS)), 0.0),
        m2=np.where(some, rng.random((K, UNITS)), 0.0),
        active=np.minimum(rng.integers(0, 30, (K, UNITS)), count[:, None] - nonfinite),
        nonfinite=nonfinite,
    )
    return Snapshot(
        split="val",
        step=step,
        epoch=step / 10,
        wall_time=1.7e9 + step,
        seconds=0.0,
        moments={"true": moments, "predicted": moments},
        confusion=np.diag(count),
    )


def begin(path: Path, **how: Any) -> StoreWriter:
    store = StoreWriter(path, name="long", layers=LAYERS, facts={}, **how)
    classes = tuple(Grouping(name=name, classes=CLASSES) for name in ("true", "predicted"))
    store.add_split(Split(name="val", kind="probe", groupings=classes, facts={}))
    return store


@pytest.fixture(scope="module")
def long_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "run"
    store = begin(path)
    for step in range(SNAPSHOTS):
        store.commit(snapshot(step, samples=30 + step % 2))
    store.close()
    return path


@pytest.fixture
def run_copy(long_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(long_run, tmp_path / "run"))


def everything(run: Run) -> list[np.ndarray]:
    """All that is read of several snapshots at once, and every picture."""
    painter = Painter(run)
    chunks = [painter.chunk("val", "true", "margin", c) for c in range(painter.chunks("val"))]
    histories = [
        getattr(moments, name)
        for unit in (0, 7, UNITS - 1)
        for moments in run.history(unit)
        for name in ("count", "mean", "m2", "active", "nonfinite")
    ]
    pictures = [chunk[name] for chunk in chunks for name in chunk]
    return [run.confusion(), run.accuracy(), *histories, *pictures]


def compacted(path: Path) -> Run:
    run = huelapse.open(path)
    for _ in compact(run):
        pass
    return huelapse.open(path)


def same(ours: list[np.ndarray], theirs: list[np.ndarray]) -> bool:
    return len(ours) == len(theirs) and all(map(_equal, ours, theirs))


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def test_a_history_is_the_moments_of_each_snapshot(long_run: Path) -> None:
    run = huelapse.open(long_run)
    for t, moments in enumerate(run.history(5)):
        expected = run.moments(t).of(slice(5, 6))
        for name in ("count", "mean", "m2", "active", "nonfinite"):
            assert np.array_equal(getattr(moments, name), getattr(expected, name))


def test_a_compacted_run_says_the_same(run_copy: Path) -> None:
    before = everything(huelapse.open(run_copy))
    shutil.rmtree(run_copy / "cache", ignore_errors=True)
    assert same(everything(compacted(run_copy)), before)


def test_a_compacted_run_is_read_from_what_is_kept(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = compacted(run_copy)
    monkeypatch.setattr(measures, "read", None)
    for array in ("mean", "m2", "active", "nonfinite", "count", "confusion"):
        for t in range(BLOCK * 2 // CHUNK * CHUNK):
            (
                run_copy / f"run.zarr/val/true/{array}/c.{t}.0{'' if array == 'count' else '.0'}"
            ).unlink()
    assert len(run.history(3)) == SNAPSHOTS
    assert run.confusion().shape == (SNAPSHOTS, K, K)
    picture = Painter(run).chunk("val", "true", "margin", 3)
    assert all(picture[name].shape == (CHUNK, UNITS) for name in PICTURE)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "flipped": lambda file: file.write_bytes(_flipped(file.read_bytes())),
    "cut short": lambda file: os.truncate(file, file.stat().st_size // 2),
    "emptied": lambda file: os.truncate(file, 0),
    "gone": lambda file: file.unlink(),
}


def _flipped(content: bytes) -> bytes:
    at = len(content) // 3
    return content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :]


@pytest.mark.parametrize("damage", DAMAGES)
def test_what_is_damaged_in_a_cache_is_derived_anew(run_copy: Path, damage: str) -> None:
    before = everything(compacted(run_copy))
    files = [file for file in sorted((run_copy / "cache").rglob("*")) if file.is_file()]
    assert {file.parent.name for file in files} >= {"paint", "series"}
    for file in files:
        DAMAGES[damage](file)
    assert same(everything(huelapse.open(run_copy)), before)
    assert same(everything(compacted(run_copy)), before)


def test_every_bit_of_a_kept_picture_counts(run_copy: Path) -> None:
    before = everything(compacted(run_copy))[-9 * 9 :]
    file = sorted((run_copy / "cache/paint").iterdir())[0]
    whole = file.read_bytes()
    for at in range(0, len(whole), 97):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ (1 << at % 8)]) + whole[at + 1 :])
        assert same(everything(huelapse.open(run_copy))[-9 * 9 :], before)


def test_a_missing_part_of_the_run_is_not_hidden_for_ever(run_copy: Path, tmp_path: Path) -> None:
    lost = run_copy / "run.zarr/val/true/mean/c.3.0.0"
    lost.rename(tmp_path / "shard")
    with pytest.raises(FormatError, match="missing or damaged"):
        compacted(run_copy)
    (tmp_path / "shard").rename(lost)
    assert same(everything(compacted(run_copy)), everything(huelapse.open(run_copy)))


def test_what_was_kept_of_a_run_that_went_another_way_is_not_used(run_copy: Path) -> None:
    """Two copies go on differently: same id, same steps, other numbers."""
    compacted(run_copy)
    store = begin(run_copy, first_step=40, resume=True)
    for step in range(41, SNAPSHOTS):
        store.commit(snapshot(step, samples=99))
    store.close()
    run = huelapse.open(run_copy)
    kept = everything(run)
    stale = sorted((run_copy / "cache").rglob("*.npz"))
    assert remove_stale(run) > 0
    assert len(sorted((run_copy / "cache").rglob("*.npz"))) < len(stale)
    assert same(everything(huelapse.open(run_copy)), kept)
    shutil.rmtree(run_copy / "cache")
    assert same(everything(huelapse.open(run_copy)), kept)
    assert same(everything(compacted(run_copy)), kept)


def test_a_run_that_grew_gets_what_is_new_and_keeps_the_rest(tmp_path: Path) -> None:
    store = begin(tmp_path / "run")
    for step in range(BLOCK):
        store.commit(snapshot(step))
    compacted(tmp_path / "run")
    first = {file: file.stat().st_mtime_ns for file in (tmp_path / "run/cache").rglob("*.npz")}
    for step in range(BLOCK, 2 * BLOCK):
        store.commit(snapshot(step))
    run = compacted(tmp_path / "run")
    remove_stale(run)
    assert all(file.stat().st_mtime_ns == time for file, time in first.items())
    assert len(sorted((tmp_path / "run/cache").rglob("*.npz"))) == 2 * len(first)
    store.close()


def test_where_the_run_cannot_be_written_the_users_cache_is_used(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.store.cache.user_directory", lambda: tmp_path / "users")
    monkeypatch.setattr("huelapse.store.cache.os.access", lambda *_: False)
    run = compacted(run_copy)
    assert not (run_copy / "cache").exists()
    assert sorted((tmp_path / "users" / run.id).rglob("*.npz"))
    assert len(run.history(0)) == SNAPSHOTS


def test_the_users_cache_has_an_end(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.store.cache.user_directory", lambda: tmp_path / "users")
    monkeypatch.setattr("huelapse.store.cache.os.access", lambda *_: False)
    monkeypatch.setattr("huelapse.store.cache.USER_BYTES", 40_000)
    run = compacted(run_copy)
    files = [file for file in (tmp_path / "users").rglob("*") if file.is_file()]
    assert 0 < sum(file.stat().st_size for file in files) <= 40_000
    assert same(everything(run), everything(huelapse.open(run_copy)))


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    before = everything(huelapse.open(run_copy))
    shutil.rmtree(run_copy / "cache")
    monkeypatch.setattr("huelapse.store.cache.replace_file", full)
    assert same(everything(huelapse.open(run_copy)), before)


def test_two_that_compact_at_once_do_not_hinder_each_other(run_copy: Path) -> None:
    one, two = (compact(huelapse.open(run_copy)) for _ in range(2))
    for _ in zip(one, two, strict=False):  # in turns
        pass
    for rest in (one, two):
        for _ in rest:
            pass
    assert not [f for f in (run_copy / "cache").rglob("*") if f.name.endswith(".tmp")]
    assert same(everything(huelapse.open(run_copy)), everything(compacted(run_copy)))


def test_a_stopped_compaction_goes_on_where_it_stopped(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = compact(huelapse.open(run_copy))
    for _ in range(12):
        next(stopped)
    stopped.close()
    made = sorted((run_copy / "cache").rglob("*.npz"))
    times = [file.stat().st_mtime_ns for file in made]
    compacted(run_copy)
    assert [file.stat().st_mtime_ns for file in made] == times
    monkeypatch.setattr(ThroughTime, "_read", None)  # all is there: nothing is read of the run
    run = huelapse.open(run_copy)
    for _ in compact(run):
        pass


def test_nothing_is_kept_where_a_link_leads(
    run_copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.store.cache.user_directory", lambda: tmp_path / "users")
    (tmp_path / "elsewhere").mkdir()
    (run_copy / "cache").symlink_to(tmp_path / "elsewhere")
    compacted(run_copy)
    assert not list((tmp_path / "elsewhere").iterdir())
    (run_copy / "cache").unlink()
    (run_copy / "cache").mkdir()
    (run_copy / "cache/paint").symlink_to(tmp_path / "elsewhere")
    compacted(run_copy)
    assert not list((tmp_path / "elsewhere").iterdir())


def test_a_growing_run_is_painted_once_and_leaves_nothing_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    painted: list[int] = []
    blocks = Run.blocks

    def counting(self: Run, index: int, *more: Any) -> Iterator[tuple[slice, Moments]]:
        painted.append(index)
        return blocks(self, index, *more)

    monkeypatch.setattr(Run, "blocks", counting)
    store = begin(tmp_path / "run")
    painter: Painter | None = None
    for step in range(2 * CHUNK + 3):
        store.commit(snapshot(step))
        painter = Painter(huelapse.open(tmp_path / "run"), painter)
        for chunk in range(painter.chunks("val")):
            painter.curves("val", "true", "margin", chunk)
    assert painter is not None
    assert painted == list(range(2 * CHUNK + 3))
    assert len(painter._curves) == 2
    assert sum(map(len, painter._tails.values())) == 3
    store.close()


def test_the_viewers_keeper_keeps_what_has_come_since_it_was_asked(tmp_path: Path) -> None:
    keeper = Keeper()
    store = begin(tmp_path / "run")
    for blocks in (1, 2):
        for step in range((blocks - 1) * BLOCK, blocks * BLOCK):
            store.commit(snapshot(step))
        run = huelapse.open(tmp_path / "run")
        assert run.units_to_keep("val", "true") > 0
        keeper.unit_was_asked(run, "val", "true")
        keeper.join()
        assert run.units_to_keep("val", "true") == 0
    store.close()
