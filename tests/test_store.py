"""The run on disk: atomic, durable in order, read by others unchanged."""

import json
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import huelapse
from huelapse.errors import (
    FormatError,
    NotARunError,
    RunExistsError,
    RunLockedError,
    SelectionError,
)
from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreReader, StoreWriter, layout, root

CLASSES = ("a", "b", "c")
UNITS = 700  # more than one tile wide


def make_writer(path: Path) -> StoreWriter:
    layers = [
        Layer(path="relu", kind="ReLU", shape=(690, 4, 4), unit_axis=1, units=690, offset=0,
              signed=False),
        Layer(path="output", kind="probability", shape=(10,), unit_axis=1, units=10, offset=690,
              signed=False, output=True),
    ]  # fmt: skip
    store = StoreWriter(path, name="test", layers=layers, facts={"seed": 1})
    groupings = (
        Grouping(name="true", classes=CLASSES),
        Grouping(name="predicted", classes=CLASSES),
    )
    store.add_split(Split(name="val", kind="probe", groupings=groupings, facts={"samples": 60}))
    return store


def make_snapshot(step: int, *, loss: float | None = None) -> Snapshot:
    rng = np.random.default_rng(step)
    labels = rng.integers(0, 2, 60)  # the third class is empty
    responses = np.maximum(rng.standard_normal((60, UNITS)), 0)
    moments = Moments.from_samples(responses, labels, 3)
    return Snapshot(
        split="val",
        step=step,
        epoch=step / 10,
        wall_time=1e9 + step,
        seconds=0.1,
        moments={"true": moments, "predicted": moments},
        confusion=np.diag(moments.count),
        metrics={} if loss is None else {"loss": loss},
    )


def test_what_was_written_is_read_back(run_path: Path) -> None:
    store = make_writer(run_path)
    for step in range(3):
        store.commit(make_snapshot(step, loss=0.5 if step == 2 else None))
    store.close()
    run = huelapse.open(run_path)
    for step in range(3):
        expected, found = make_snapshot(step).moments["true"], run.moments(step)
        np.testing.assert_array_equal(found.count, expected.count)
        np.testing.assert_array_equal(found.mean, expected.mean.astype(np.float32))
        np.testing.assert_array_equal(found.m2, expected.m2.astype(np.float32))
        np.testing.assert_array_equal(found.active, expected.active)
    assert np.isnan(run.tuning()[2]).all()
    assert run.metrics() == ["loss"]
    np.testing.assert_array_equal(run.coordinate("metric.loss"), [np.nan, np.nan, 0.5])
    history = run.history(5)
    assert [h.mean[0, 0] for h in history] == [run.moments(t).mean[0, 5] for t in range(3)]


def test_xarray_and_zarr_open_a_run_unchanged(run_path: Path) -> None:
    xr = pytest.importorskip("xarray")  # a development dependency: always there in make test
    import zarr

    store = make_writer(run_path)
    for step in range(3):
        store.commit(make_snapshot(step))
    store.close()
    run = huelapse.open(run_path)
    tree = xr.open_datatree(run_path / "run.zarr", engine="zarr")
    mean = tree["val/true/mean"]
    assert mean.dims == ("snapshot", "class", "unit")
    expected = StoreReader(run_path).read("val/true/mean")
    np.testing.assert_array_equal(mean.values, expected)
    assert tree["val"].coords["step"].values.tolist() == run.steps.tolist()
    assert set(tree["val"].coords) >= {"step", "epoch", "wall_time", "segment", "superseded"}
    assert tree.attrs["layers"][0]["path"] == "relu"
    group = zarr.open_group(run_path / "run.zarr", mode="r")
    np.testing.assert_array_equal(
        group["val/true/active"][:], StoreReader(run_path).read("val/true/active")
    )
    part = xr.open_zarr(run_path / "run.zarr/val")
    assert part["step"].values.tolist() == [0, 1, 2]


@pytest.mark.parametrize("stop_at", ["split", "root"])
def test_a_snapshot_is_invisible_until_its_commit(
    run_path: Path, monkeypatch: pytest.MonkeyPatch, stop_at: str
) -> None:
    """Stop the commit before the split's group file or before the root: the run is as it was."""
    store = make_writer(run_path)
    store.commit(make_snapshot(0))
    before = StoreReader(run_path).read("val/true/mean")
    real = root.replace_file

    def stop(path: Path, content: bytes) -> None:
        if (path.parent.name == "run.zarr") == (stop_at == "root"):
            raise OSError(5, "Input/output error")
        real(path, content)

    monkeypatch.setattr(root, "replace_file", stop)
    with pytest.raises(OSError, match="Input/output"):
        store.commit(make_snapshot(1))
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0]
    np.testing.assert_array_equal(StoreReader(run_path).read("val/true/mean"), before)
    monkeypatch.undo()
    store.commit(make_snapshot(2))  # and the writer goes on where it was
    store.close()
    run = huelapse.open(run_path)
    assert run.steps.tolist() == [0, 2]
    np.testing.assert_array_equal(
        run.moments(1).mean, make_snapshot(2).moments["true"].mean.astype(np.float32)
    )


def test_a_live_reader_never_sees_a_hole_or_half_a_snapshot(run_path: Path) -> None:
    store = make_writer(run_path)
    done = threading.Event()
    faults: list[str] = []
    reads = 0

    def look() -> None:
        nonlocal reads
        run = huelapse.open(run_path)
        while not done.is_set():
            run = run.refreshed()
            steps = run.steps
            if steps.tolist() != list(range(len(steps))):
                faults.append(f"steps {steps}")
            if len(steps):
                last = len(steps) - 1
                found = run.moments(last).mean
                expected = make_snapshot(last).moments["true"].mean.astype(np.float32)
                if not np.array_equal(found, expected):
                    faults.append(f"snapshot {last} differs")
            reads += 1

    thread = threading.Thread(target=look)
    thread.start()
    for step in range(40):
        store.commit(make_snapshot(step))
    done.set()
    thread.join()
    store.close()
    assert faults == []
    assert reads > 5


def test_one_writer_only(run_path: Path) -> None:
    store = make_writer(run_path)
    assert huelapse.open(run_path).status == "recording"
    with pytest.raises(RunExistsError):
        make_writer(run_path)
    (run_path / "run.zarr").rename(run_path / "elsewhere")  # the lock alone must do
    with pytest.raises(RunLockedError, match="another process"):
        make_writer(run_path)
    (run_path / "elsewhere").rename(run_path / "run.zarr")
    store.abandon()
    assert huelapse.open(run_path).status == "interrupted"


def test_paths_that_are_no_run(tmp_path: Path) -> None:
    with pytest.raises(NotARunError, match="does not exist"):
        huelapse.open(tmp_path / "nothing")
    make_writer(tmp_path / "runs/one").close()
    with pytest.raises(NotARunError, match=r"runs found below it: .*one"):
        huelapse.open(tmp_path / "runs")
    assert huelapse.open(tmp_path / "runs/one/run.zarr").name == "test"


def rewrite_root(path: Path, **changes: object) -> None:
    file = path / "run.zarr/zarr.json"
    root = json.loads(file.read_text())
    root["attributes"].update(changes)
    root["attributes"]["hash"] = layout.digest(root)
    file.write_text(json.dumps(root))


def test_a_newer_format_and_a_damaged_root_are_refused(run_path: Path) -> None:
    make_writer(run_path).close()
    rewrite_root(run_path, huelapse_format=2)
    with pytest.raises(FormatError, match="format 2; this huelapse reads up to 1: upgrade"):
        huelapse.open(run_path)
    rewrite_root(run_path, huelapse_format=1)
    huelapse.open(run_path)
    file = run_path / "run.zarr/zarr.json"
    file.write_text(file.read_text().replace('"test"', '"best"'))
    with pytest.raises(FormatError, match="its own hash"):
        huelapse.open(run_path)
    for content in (b"{}", b"[]", b"[" * 100_000, b'{"attributes": {"huelapse_format": NaN}}'):
        file.write_bytes(content)
        with pytest.raises(FormatError, match="not the root"):
            huelapse.open(run_path)


@pytest.mark.parametrize("start", [b"\x80\x81", b"\xff\xfe", b'{"', b"\x1b[31m"])
def test_what_a_damaged_root_holds_does_not_reach_the_message(run_path: Path, start: bytes) -> None:
    make_writer(run_path).close()
    (run_path / "run.zarr/zarr.json").write_bytes(start + b"\x1b[31mSECRET" * 1000)
    with pytest.raises(FormatError, match="not the root") as raised:
        huelapse.open(run_path)
    assert "SECRET" not in str(raised.value)
    assert len(str(raised.value)) < 400 + len(str(run_path))


def test_a_damaged_shard_is_noticed_and_the_rest_stays_readable(run_path: Path) -> None:
    store = make_writer(run_path)
    for step in range(2):
        store.commit(make_snapshot(step))
    store.close()
    shard = run_path / "run.zarr/val/true/mean/c.0.0.0"
    content = bytearray(shard.read_bytes())
    content[40] ^= 0xFF
    shard.write_bytes(content)
    run = huelapse.open(run_path)
    with pytest.raises(FormatError, match="val/true/mean"):
        run.moments(0)
    assert run.moments(1).count.sum() == 60


@pytest.mark.parametrize(
    "lost",
    [
        "true/mean/c.1.0.0",
        "true/m2/c.1.0.0",
        "true/active/c.1.0.0",
        "true/nonfinite/c.1.0.0",
        "true/count/c.1.0",
        "step/c.0",
    ],
)
def test_files_that_are_gone_are_not_read_as_zeros(run_path: Path, lost: str) -> None:
    store = make_writer(run_path)
    for step in range(3):
        store.commit(make_snapshot(step))
    store.close()
    (run_path / "run.zarr/val" / lost).unlink()
    run = huelapse.open(run_path)
    with pytest.raises(FormatError, match="missing or damaged"):
        run.strength(step=1)


@pytest.mark.parametrize("lost", ["confusion/c.1.0.0", "count/c.1.0"])
def test_an_accuracy_that_is_gone_is_not_read_as_zero(run_path: Path, lost: str) -> None:
    store = make_writer(run_path)
    for step in range(3):
        store.commit(make_snapshot(step))
    store.close()
    assert huelapse.open(run_path).accuracy().tolist() == [1, 1, 1]
    (run_path / "run.zarr/val/true" / lost).unlink()
    with pytest.raises(FormatError, match="missing or damaged"):
        huelapse.open(run_path).accuracy()


def test_counts_of_nothing_are_written_and_read_as_zeros(run_path: Path) -> None:
    """They are told from a chunk that is gone, by us and by any other reader."""
    zarr = pytest.importorskip("zarr")
    xr = pytest.importorskip("xarray")
    nothing = Moments.empty(3, UNITS)
    store = make_writer(run_path)
    store.commit(
        replace(
            make_snapshot(0),
            moments={"true": nothing, "predicted": nothing},
            confusion=np.zeros((3, 3), np.int64),
        )
    )
    store.close()
    run = huelapse.open(run_path)
    assert run.moments(0).count.tolist() == [0, 0, 0]
    assert not run.moments(0).active.any()
    assert not run.confusion().any()
    assert np.isnan(run.accuracy()).all()
    assert np.isnan(run.strength()).all()
    group = zarr.open_group(run_path / "run.zarr", mode="r")
    tree = xr.open_datatree(run_path / "run.zarr", engine="zarr")
    for name in ("count", "active", "nonfinite", "confusion"):
        kind = "int64" if name == "count" else "uint32"
        for found in (group[f"val/true/{name}"], tree[f"val/true/{name}"]):
            assert found.dtype == kind
            assert not np.asarray(found[...]).any()


def test_what_float32_cannot_tell_apart_is_not_a_difference(run_path: Path) -> None:
    """Noise too small for m2, and noise of the size of the mean's last digit: never held."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 300)
    tiny = 1e-24 * rng.random((300, 350))
    digits = 1 + 3e-8 * rng.standard_normal((300, 349))
    huge = np.where(labels == 1, 1e25, 0)[:, None] * rng.random((300, 1))
    moments = Moments.from_samples(np.concatenate([tiny, digits, huge], 1), labels, 3)
    store = make_writer(run_path)
    store.commit(replace(make_snapshot(0), moments={"true": moments, "predicted": moments}))
    store.close()
    run = huelapse.open(run_path)
    assert (run.strength()[:699] == 0).all()
    assert run.state()[699] == huelapse.State.NOT_FINITE  # m2 beyond float32: said, not guessed


def test_selections_that_are_not_there_name_what_is(run_path: Path) -> None:
    store = make_writer(run_path)
    store.commit(make_snapshot(10))
    store.close()
    run = huelapse.open(run_path)
    with pytest.raises(SelectionError, match="no snapshot at step 7; the nearest are at 10"):
        run.strength(step=7)
    with pytest.raises(SelectionError, match="no layer 'fc'; it has relu, output"):
        run.strength(layer="fc")
    with pytest.raises(SelectionError, match="no grouping 'x'; it has true, predicted"):
        run.strength(grouping="x")
    with pytest.raises(SelectionError, match="no split 'test'; it has val"):
        run.strength(split="test")
    with pytest.raises(SelectionError, match="step is 'a', expected a number"):
        run.strength(step="a")  # pyright: ignore[reportArgumentType]
    for index in (99, 1, -1, "a"):
        with pytest.raises(SelectionError, match=r"no snapshot .* counted from 0 to 0"):
            run.moments(index)  # pyright: ignore[reportArgumentType]
    for unit in (999, 700, -1, "a"):
        with pytest.raises(SelectionError, match=r"no unit .* counted from 0 to 699"):
            run.history(unit)  # pyright: ignore[reportArgumentType]
    with pytest.raises(SelectionError, match="no end of a range of units 999"):
        run.moments(0, unit=slice(0, 999))
    assert run.moments(0, unit=slice(690, 700)).mean.shape == (3, 10)
