"""Optional arrays of a split: declared, committed with their snapshot, and read back by anyone."""

import threading
from dataclasses import replace
from pathlib import Path

import extra_run
import numpy as np
import pytest
from extra_run import MAPS, WATCHED, begin, record, snapshot, split, static

import huelapse
from huelapse import kept
from huelapse.errors import FormatError, GroupingError, LabelError, SelectionError
from huelapse.grouping import check_grouping_name
from huelapse.moments import Moments
from huelapse.schema import RESERVED, Split
from huelapse.snapshot import PendingSnapshot
from huelapse.store import StoreReader, WriterThread, layout
from huelapse.store import root as committed_root

LAYER = "a/b.relu#1"


def test_every_kind_of_array_is_read_back_as_it_was_written(run_path: Path) -> None:
    run = huelapse.open(record(run_path))
    for step in range(3):
        wrote = extra_run.extras(step)
        x = extra_run.responses(step)
        expected = kept.decode(*(wrote[n] for n in ("responses", "response_ref", "response_scale")))
        np.testing.assert_array_equal(run.responses(step), expected)
        np.testing.assert_array_equal(np.isnan(run.responses(step)), np.isnan(x))
        finite = np.isfinite(x)
        np.testing.assert_allclose(run.responses(step)[finite], x[finite], atol=5 * 2.0**-11)
        np.testing.assert_array_equal(run.responses(step, LAYER), expected[:, :20])
        np.testing.assert_array_equal(run.responses(step, "output"), expected[:, 20:])
        np.testing.assert_array_equal(run.probabilities(step), wrote["probabilities"])
        np.testing.assert_array_equal(run.predictions(step), wrote["predictions"])
        np.testing.assert_array_equal(run.maps(LAYER, step), wrote[MAPS])
        np.testing.assert_array_equal(run.watched(LAYER, step), wrote[WATCHED])
        np.testing.assert_array_equal(run.first_weights(step), wrote["first_weights"])
    np.testing.assert_array_equal(run.labels(), extra_run.labels())
    np.testing.assert_array_equal(run.thumbnails(), extra_run.thumbnails())
    assert run.watched_samples().tolist() == [1, 8]
    assert run.attributes_of("first_weights") == {"module": "conv1"}
    assert run.attributes_of("thumbnails") == {"source": "dataset"}
    assert run.split().extras == split().extras


def test_xarray_and_zarr_open_a_run_with_all_of_them_unchanged(run_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    import zarr

    store = begin(record(run_path).with_name("two"))
    for name in ("val", "test"):
        store.add_split(split(name), static())
        store.commit(snapshot(4, name=name))
    store.close()
    for path, snapshots in ((run_path, 3), (run_path.with_name("two"), 1)):
        tree = xr.open_datatree(path / "run.zarr", engine="zarr")
        reader = StoreReader(path)
        group = zarr.open_group(path / "run.zarr", mode="r")
        assert len(reader.arrays()) > 25
        for name in reader.arrays():
            expected = reader.read(name)
            np.testing.assert_array_equal(tree[name].values, expected)
            np.testing.assert_array_equal(group[name][...], expected)
        assert tree["val/responses"].dims == ("snapshot", "sample", "unit")
        assert tree["val/responses"].shape == (snapshots, 60, 23)
        assert tree[f"val/{MAPS}"].attrs["layer"] == LAYER
        assert tree["val/true/peak/mean"].dims == ("snapshot", "class", "unit")
        # as coordinates, labels let xarray group by them
        means = tree["val/probabilities"].groupby("labels").mean()
        assert means.sizes["labels"] == 4
        one = tree["val/responses"] * tree["val/response_scale"] + tree["val/response_ref"]
        np.testing.assert_array_equal(
            one[0].transpose("sample", "unit").values,
            huelapse.open(path).responses(int(one.step[0])),
        )
        for group_name in ("val", "val/true", "val/true/maps", "val/watched", "val/size/peak"):
            alone = xr.open_zarr(path / "run.zarr" / group_name, consolidated=False)
            assert alone.data_vars


def test_static_arrays_are_there_before_the_first_snapshot(run_path: Path) -> None:
    store = begin(run_path)
    store.add_split(split(), static())
    run = huelapse.open(run_path)
    np.testing.assert_array_equal(run.labels(), extra_run.labels())
    with pytest.raises(SelectionError, match="no snapshot yet"):
        run.responses()
    store.close()


@pytest.mark.parametrize("stop_at", ["split", "root"])
def test_what_a_failed_commit_left_behind_never_shows(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    """The next snapshot keeps no responses: those of the failed one must not stand in its place."""
    store = begin(run_path)
    store.add_split(split(), static())
    store.commit(snapshot(0))
    real = committed_root.replace_file

    def stop(path: Path, content: bytes) -> None:
        if (path.parent.name == "run.zarr") == (stop_at == "root"):
            raise OSError(5, "Input/output error")
        real(path, content)

    monkeypatch.setattr(committed_root, "replace_file", stop)
    with pytest.raises(OSError, match="Input/output"):
        store.commit(snapshot(1))
    monkeypatch.undo()
    reader = StoreReader(run_path)
    assert len(reader.read("val/responses")) == 1
    store.commit(snapshot(2, kept_too=False))
    store.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 2]
    with pytest.raises(SelectionError, match="kept no responses at step 2 of split 'val'"):
        run.responses(2)
    assert np.isnan(run.maps(LAYER, 2)).all()
    assert np.isnan(run.probabilities(2)).all()
    with pytest.raises(FormatError, match="not kept at this snapshot"):
        run.predictions(2)
    np.testing.assert_array_equal(run.maps(LAYER, 0), extra_run.extras(0)[MAPS])


@pytest.mark.parametrize("lost", ["responses/c.1.0.0", "response_scale/c.1.0"])
def test_kept_responses_that_are_gone_are_noticed(run_path: Path, lost: str) -> None:
    record(run_path)
    (run_path / "run.zarr/val" / lost).unlink()
    run = huelapse.open(run_path)
    with pytest.raises(FormatError, match="missing or damaged"):
        run.responses(1)
    assert np.isfinite(run.responses(2)[:, 0]).all()


def test_labels_that_are_gone_are_noticed(run_path: Path) -> None:
    record(run_path)
    (run_path / "run.zarr/val/labels/c.0").unlink()
    with pytest.raises(FormatError, match="missing or damaged"):
        huelapse.open(run_path).labels()


def test_values_of_another_shape_than_declared_are_refused(run_path: Path) -> None:
    store = begin(run_path)
    with pytest.raises(
        ValueError, match=r"declares the static arrays .*labels.*but was given \[\]"
    ):
        store.add_split(split())
    with pytest.raises(ValueError, match=r"val/labels was declared with shape \(60,\)"):
        store.add_split(split(), {**static(), "labels": np.zeros(1, np.int64)})
    store.add_split(split(), static())
    good = snapshot(0)
    # one sample's, which would be repeated for all
    bad = {**good.extras, "probabilities": good.extras["probabilities"][0]}
    with pytest.raises(ValueError, match=r"val/probabilities was declared with shape \(60, 3\)"):
        store.commit(replace(good, extras=bad))
    with pytest.raises(KeyError):
        store.commit(replace(good, extras={"unknown": np.zeros(3)}))
    store.commit(good)
    store.close()
    assert huelapse.open(run_path).steps.tolist() == [0]


def test_a_run_without_them_says_what_it_lacks(run_path: Path) -> None:
    store = begin(run_path, both=False)
    store.add_split(replace(split(), extras=()))
    store.commit(replace(snapshot(0), peaks={}, extras={}))
    store.close()
    run = huelapse.open(run_path)
    assert run.extras() == ()
    for call, what in (
        (run.responses, "kept responses"),
        (run.probabilities, "kept probabilities"),
        (run.labels, "kept responses"),
        (run.first_weights, "first weights"),
        (run.thumbnails, "thumbnails"),
        (run.watched_samples, "watched samples"),
        (lambda: run.maps(LAYER), "maps of this layer"),
        (lambda: run.regroup(np.zeros(60, np.int64)), "kept responses"),
        (lambda: run.cell(0, 1), "kept responses"),
    ):
        with pytest.raises(SelectionError, match=f"no {what} in split 'val'|no watched"):
            call()
    with pytest.raises(SelectionError, match="no layer 'x'"):
        run.maps("x")


def test_tiles_stay_below_a_megabyte_and_a_snapshot_is_one_file(run_path: Path) -> None:
    for extra in (
        *kept.arrays(2000, 16_000, 1000),
        replace(split().extras[-1], shape=(2000, 64, 64, 3)),
        replace(split().extras[6], shape=(1000, 2048, 14, 14)),
    ):
        spec = layout.optional("val", extra)
        size = np.dtype(extra.dtype).itemsize
        assert np.prod(spec.tile) * size <= 2**20
        assert all(s % t == 0 for s, t in zip(spec.shard, spec.tile, strict=True))
        assert np.prod(spec.shard) <= 1.2 * np.prod(spec.shape)
    record(run_path)
    files = sorted(p.name for p in (run_path / "run.zarr/val/responses").iterdir())
    assert files == ["c.0.0.0", "c.1.0.0", "c.2.0.0", "zarr.json"]


def test_splits_and_arrays_come_back_from_json_unchanged() -> None:
    assert Split.from_json(split().as_json()) == split()
    old = {name: value for name, value in split().as_json().items() if name != "extras"}
    assert Split.from_json(old).extras == ()


def test_a_grouping_cannot_have_the_name_of_something_else_in_its_split(run_path: Path) -> None:
    record(run_path)
    names = {path.name for path in (run_path / "run.zarr/val").iterdir()}
    names -= {grouping.name for grouping in split().groupings}
    assert names <= RESERVED
    for name in (*names, "metric.loss", "a/b", ".hidden", "", "x" * 101, "zarr.json"):
        with pytest.raises(GroupingError, match="name it with letters"):
            check_grouping_name(name)
    for name in ("superclass", "hospital-2", "true", "a.b"):
        assert check_grouping_name(name) == name


# --- what follows from kept responses ------------------------------------------------------------


def test_any_new_grouping_follows_from_kept_responses(run_path: Path) -> None:
    run = huelapse.open(record(run_path))
    x = run.responses(1).astype(np.float64)
    own = np.random.default_rng(9).integers(-1, 5, 60)
    expected = Moments.from_samples(x, own, 5)
    for found in (
        run.regroup(own, step=1),
        run.regroup(lambda labels, p: np.where(labels == labels, own, -1), step=1, number=5),
    ):
        for name in ("count", "mean", "m2", "active", "nonfinite"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    stored, again = run.moments(1), run.regroup(run.labels(), step=1)
    np.testing.assert_array_equal(again.count, stored.count)
    np.testing.assert_array_equal(again.active, stored.active)
    np.testing.assert_array_equal(again.nonfinite, stored.nonfinite)
    np.testing.assert_allclose(again.mean, stored.mean, atol=1e-3)
    assert run.regroup(own, step=1, layer="output").mean.shape == (5, 3)
    sure = run.regroup(lambda labels, p: (p.max(1) > 0.6).astype(int), step=1, number=2)
    assert sure.count.tolist() == np.bincount(run.probabilities(1).max(1) > 0.6).tolist()


def test_groupings_that_do_not_fit_are_refused(run_path: Path) -> None:
    run = huelapse.open(record(run_path))
    with pytest.raises(LabelError, match=r"gave float64 of shape \(60,\), expected \(60,\) int"):
        run.regroup(np.zeros(60))  # type: ignore[arg-type]
    with pytest.raises(LabelError, match=r"shape \(3,\)"):
        run.regroup(np.zeros(3, np.int64))
    with pytest.raises(LabelError, match=r"indices 0 … 2, expected -1 … 1"):
        run.regroup(np.arange(60) % 3, number=2)
    with pytest.raises(LabelError, match=r"indices -2 … 0"):
        run.regroup(-2 * (np.arange(60) % 2))
    assert run.regroup(np.full(60, -1), step=1).count.tolist() == [0]


def test_a_confusion_cell_is_its_samples_against_the_rest_of_their_class(run_path: Path) -> None:
    run = huelapse.open(record(run_path))
    labels, predicted = run.labels(), run.predictions(2)
    x = run.responses(2).astype(np.float64)
    inside, rest = (labels == 1) & (predicted == 2), (labels == 1) & (predicted != 2)
    assert inside.sum() > 1
    cell = run.cell("dog", "owl", step=2)
    assert cell.count.tolist() == [inside.sum(), rest.sum()]
    np.testing.assert_allclose(cell.mean[0, :3], x[inside].mean(0)[:3], rtol=1e-12)
    np.testing.assert_allclose(cell.mean[1, :3], x[rest].mean(0)[:3], rtol=1e-12)
    same = run.cell(1, 2, step=2, layer="output")
    np.testing.assert_array_equal(same.mean, cell.mean[:, 20:])
    with pytest.raises(SelectionError, match="no class 'cow'; it has cat, dog, owl"):
        run.cell("cow", 0)
    with pytest.raises(SelectionError, match="no class 3"):
        run.cell(3, 0)


# --- finished in the writer's thread -------------------------------------------------------------


def test_a_pending_snapshot_is_finished_by_the_writer(run_path: Path) -> None:
    thread = WriterThread(begin(run_path))
    thread.add_split(split(), static())
    where: list[int] = []

    def finish(step: int):
        def make():
            where.append(threading.get_ident())
            return snapshot(step)

        return make

    for step in range(3):
        size = snapshot(step).nbytes
        pending = PendingSnapshot(split="val", step=step, nbytes=size, finish=finish(step))
        assert thread.put(pending, {})
    assert thread.finish(30, "complete", {})
    assert thread.error is None
    assert len(where) == 3
    assert threading.get_ident() not in where
    run = huelapse.open(run_path)
    np.testing.assert_array_equal(run.probabilities(2), extra_run.probabilities(2))


def test_a_snapshot_that_cannot_be_finished_is_a_gap(run_path: Path) -> None:
    thread = WriterThread(begin(run_path))
    thread.add_split(split(), static())

    def fail():
        raise RuntimeError("the device is gone")

    thread.put(snapshot(0), {})
    thread.put(PendingSnapshot(split="val", step=7, nbytes=1, finish=fail), {})
    thread.finish(30, "complete", {})
    assert isinstance(thread.error, RuntimeError)
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0]
    assert run.facts["gaps"] == [{"step": 7, "reason": "RuntimeError: the device is gone"}]


def test_the_size_of_what_waits_counts_all_that_a_snapshot_holds() -> None:
    whole, less = snapshot(0), replace(snapshot(0), extras={})
    held = sum(value.nbytes for value in extra_run.extras(0).values())
    assert whole.nbytes - less.nbytes == held
    assert less.nbytes == 2 * replace(less, peaks={}).nbytes
