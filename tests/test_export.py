"""A run in the forms other programs read: the same numbers, and files that are whole or not there."""

import csv
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pytest
import xarray as xr

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import (
    ExportError,
    ExportExistsError,
    FormatError,
    SelectionError,
)
from huelapse.export import rows as rows_module
from huelapse.export import writing
from huelapse.export.rows import COLUMNS, select
from huelapse.measures import State
from huelapse.moments import Moments
from huelapse.run import Run
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

CLASSES = (
    'a, "quoted" one',
    "two\nlines",
    "crlf\r\nhere",
    "🦉 owl",
    "=cmd()",
    "semi;colon\t",
    "nothing of it",
    "NULL",
    "nan",
    " spaced ",
    "\\N",
    "ünïcode",
)
UNITS = {"conv.relu": 1, "a/b.fc": 690, "output": 12}
TEXTS = ("split", "grouping", "layer", "class", "preferred", "runner_up", "state")


def layers() -> list[Layer]:
    made: list[Layer] = []
    for path, units in UNITS.items():
        offset = sum(layer.units for layer in made)
        made.append(
            Layer(
                path=path,
                kind="Kind",
                shape=(units,),
                unit_axis=1,
                units=units,
                offset=offset,
                signed=path == "a/b.fc",
                output=path == "output",
            )
        )
    return made


def moments(seed: int, classes: int = 12) -> Moments:
    """Of 300 samples, without any of class 6; unit 3 is never finite, unit 4 once not, unit 5 flat."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, 300)
    labels[labels == 6] = 0
    units = sum(UNITS.values())
    x = rng.standard_normal((300, units)) + (labels[:, None] == np.arange(units) % classes)
    x[:, 600:] *= -1  # least for one class: suppressed where signed
    x[:, 3], x[7, 4], x[:, 5] = np.nan, np.inf, 0.25
    return Moments.from_samples(x, labels.astype(np.int64), classes)


def write(path: Path, steps: int = 3, names: tuple[str, ...] = CLASSES) -> Run:
    store = StoreWriter(path, name="=run()", layers=layers(), facts={}, responses=("mean", "peak"))
    groupings = (
        Grouping(name="true", classes=names),
        Grouping(name="predicted", classes=names),
        Grouping(name="size", classes=("small", "large")),
    )
    for split in ("val", "test"):
        store.add_split(Split(name=split, kind="probe", groupings=groupings, facts={}))
    for step in range(steps):
        for number, split in enumerate(("val", "test")):
            commit(store, split, step, number)
    store.close()
    return huelapse.open(path)


def commit(store: StoreWriter, split: str, step: int, number: int = 0) -> None:
    made = {
        name: moments(100 * number + 10 * step + i, classes)
        for i, (name, classes) in enumerate((("true", 12), ("predicted", 12), ("size", 2)))
    }
    store.commit(
        Snapshot(
            split=split,
            step=10 * step,
            epoch=math.nan if step == 1 else step / 3,
            wall_time=1e9 + step,
            seconds=0.1,
            moments=made,
            peaks=made,
            confusion=np.diag(made["true"].count),
            metrics={"loss": 1 / (step + 1)},
        )
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return write(tmp_path_factory.mktemp("export") / "run")


def export(run: Run, path: Path, *, force: bool = False, **selection: Any) -> Path:
    writing.export(run, path, select(run, **selection), force=force)
    return path


def mean_of(found: Moments) -> np.ndarray:
    return np.where(found.n > 0, found.mean, np.nan)


def same(found: Any, expected: Any) -> None:
    np.testing.assert_array_equal(np.asarray(found), np.asarray(expected))


# --- xarray ---------------------------------------------------------------------------------------


def test_labelled_arrays_equal_the_moments_bit_for_bit(run: Run) -> None:
    tree = run.to_xarray()
    for split in ("val", "test"):
        for grouping in ("true", "predicted", "size"):
            for below in ("", "/peak"):
                found = tree[f"units/{split}/{grouping}{below}"]
                for index in range(3):
                    expected = run.moments(index, grouping, split, response=below[1:] or "mean")
                    same(found["count"][index], expected.count)
                    same(found["mean"][index].astype(float), mean_of(expected))
                    m2 = np.where(expected.n > 0, expected.m2, np.nan)
                    same(found["m2"][index].astype(float), m2)
                    same(found["active"][index], expected.active)
                    same(found["nonfinite"][index], expected.nonfinite)
    same(tree["units/val/true/confusion"], run.confusion("val"))
    same(tree["units/val/metric.loss"], run.coordinate("metric.loss"))


def test_a_layer_is_a_node_and_its_units_count_from_0(run: Run) -> None:
    tree = run.to_xarray()
    for layer, name in (("conv.relu", "conv.relu"), ("a/b.fc", "a%2Fb.fc"), ("output", "output")):
        node = tree[f"layers/val/true/{name}"]
        assert node["unit"].values.tolist() == list(range(UNITS[layer]))
        assert node["layer"].item() == layer
        same(node["mean"][-1].astype(float), run.tuning(layer=layer))
        part = run.to_xarray(layer=layer)
        assert isinstance(part, xr.Dataset)
        xr.testing.assert_identical(part, node.to_dataset())


def test_coordinates_name_classes_steps_and_layers(run: Run) -> None:
    whole = run.to_xarray(split="test", grouping="true")
    assert isinstance(whole, xr.Dataset)
    one = whole["mean"].sel(step=20, **{"class": "=cmd()"})
    same(one.astype(float), run.tuning(20, split="test")[CLASSES.index("=cmd()")])
    assert whole["class"].values.tolist() == list(CLASSES)
    assert whole["step"].values.tolist() == [0, 10, 20]
    same(whole["epoch"], run.coordinate("epoch", "test"))
    fc = whole["mean"].isel(unit=(whole["layer"] == "a/b.fc").values)
    same(fc[-1].astype(float), run.tuning(layer="a/b.fc", split="test"))
    assert whole["index_in_layer"].values[[0, 1, 690, 691]].tolist() == [0, 0, 689, 0]


@pytest.mark.parametrize(
    "key",
    [
        (0,),
        (-1, 3),
        (slice(None), 3, 600),
        (slice(None, None, -1), slice(1, 9, 3), slice(700, 5, -7)),
        (slice(0, 0), slice(None), slice(2, 900)),
        ([2, 0], [5, 5, 1], [700, 3]),
        (1, slice(None), np.arange(703) % 2 == 0),
    ],
)
def test_any_part_of_a_lazy_array_is_that_part(run: Run, key: tuple[Any, ...]) -> None:
    whole = run.to_xarray(split="val")
    assert isinstance(whole, xr.Dataset)
    lazy, loaded = whole["mean"], whole["mean"].load().copy()
    whole = run.to_xarray(split="val")
    assert isinstance(whole, xr.Dataset)
    lazy = whole["mean"]
    same(lazy[key], loaded[key])
    same(whole["active"][key], whole["active"].load()[key])


def test_nothing_is_read_before_it_is_used(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    fresh = huelapse.open(run.path)
    read: list[str] = []
    real = fresh._reader.read
    monkeypatch.setattr(
        fresh._reader, "read", lambda path, *rest: (read.append(path), real(path, *rest))[1]
    )
    node = fresh.to_xarray()["layers/val/true/output"]
    str(node)
    assert all(path.count("/") == 1 for path in read)  # coordinates alone
    assert node["active"][0, 0].values.shape == (12,)
    assert [path for path in read if path.count("/") > 1] == ["val/true/active"]


def test_a_damaged_mean_is_an_error_not_nan(tmp_path: Path) -> None:
    run = write(tmp_path / "run", 2)
    (tmp_path / "run/run.zarr/val/true/mean/c.1.0.0").unlink()
    whole = run.to_xarray(split="val")
    assert isinstance(whole, xr.Dataset)
    same(whole["mean"][0].astype(float), mean_of(run.moments(0)))
    with pytest.raises(FormatError, match="missing or damaged"):
        whole["mean"].load()
    with pytest.raises(FormatError, match="missing or damaged"):
        export(run, tmp_path / "x.csv")
    assert not list(tmp_path.glob("*x.csv*"))


def test_xarray_opens_a_run_without_huelapse(run: Run) -> None:
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "import xarray\n"
        "tree = xarray.open_datatree(sys.argv[1], engine='zarr')\n"
        "assert 'huelapse' not in sys.modules\n"
        "print(float(tree['val/true/mean'][1, 2, 600]))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, run.path / "run.zarr"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) == run.moments(1).mean[2, 600]


# --- data frames ----------------------------------------------------------------------------------


def expected_per_class(run: Run, index: int, split: str, grouping: str, units: slice) -> Any:
    found = run.moments(index, grouping, split, units)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(found.n > 0, found.active / found.n, np.nan)
    columns = {
        "count": np.broadcast_to(found.count[:, None], found.mean.shape),
        "nonfinite": found.nonfinite,
        "mean": mean_of(found),
        "sd": np.sqrt(found.variance),
        "active_share": share,
    }
    return {name: values.T for name, values in columns.items()}  # [unit, class]


@pytest.mark.parametrize("width", [1, 2**18])
def test_a_row_per_class_equals_the_moments(
    run: Run, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setattr(rows_module, "ROWS", width)  # parts of 512 units, or all of them
    frame = run.to_dataframe(split="test")
    assert list(frame) == list(COLUMNS["class"])
    assert len(frame) == 3 * 703 * 12
    for index, step in enumerate((0, 10, 20)):
        for layer in run.layers:
            part = frame[(frame["step"] == step) & (frame["layer"] == layer.path)]
            for name, values in expected_per_class(run, index, "test", "true", layer.slice).items():
                same(part[name], values.ravel())
            assert part["class"].tolist() == list(CLASSES) * layer.units
            assert part["unit"].tolist() == np.repeat(np.arange(layer.units), 12).tolist()
    assert set(frame["split"]) == {"test"}
    assert frame["class"].cat.categories.tolist() == list(CLASSES)
    assert frame.groupby("step")["epoch"].first().isna().tolist() == [False, True, False]


def test_a_row_per_unit_equals_what_the_run_derives(run: Run) -> None:
    frame = run.to_dataframe("a/b.fc", "test", "predicted", 20, "peak", per="unit")
    assert list(frame) == list(COLUMNS["unit"])
    assert len(frame) == 690
    asked: Any = {
        "step": 20, "layer": "a/b.fc", "grouping": "predicted", "split": "test", "response": "peak",
    }  # fmt: skip
    same(frame["strength"], run.strength(**asked))
    same(frame["sure"], run.sure(**asked))
    preferred = [CLASSES[k] if k >= 0 else None for k in run.preferred(**asked)]
    assert [None if pd.isna(name) else name for name in frame["preferred"]] == preferred
    assert None in preferred
    assert frame["state"].tolist() == [State(s).name.lower() for s in run.state(**asked)]
    reading = run.reading(2, "predicted", "test", response="peak")
    same(frame["margin"], reading.selectivity.value[1:691])
    same(frame["suppressed"], reading.preference.suppressed[1:691])
    assert frame["suppressed"].any()
    assert {"tuned", "not_finite", "silent", "tied"} <= set(frame["state"])


def test_a_frame_of_one_layer_and_step_is_that_part_of_all(run: Run) -> None:
    whole = run.to_dataframe(grouping="size")
    part = run.to_dataframe("output", grouping="size", step=10)
    own = whole[(whole["layer"] == "output") & (whole["step"] == 10)].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, part)


def test_what_is_not_there_is_named(run: Run) -> None:
    for wrong in (
        {"layer": "x"},
        {"split": "x"},
        {"grouping": "x"},
        {"step": 5},
        {"response": "x"},
    ):
        with pytest.raises(SelectionError, match=r"has no|no snapshot"):
            run.to_dataframe(**wrong)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ExportError, match="'sample', expected 'class' or 'unit'"):
        run.to_dataframe(per="sample")
    with pytest.raises(SelectionError, match="has no layer 'x'"):
        run.to_xarray(layer="x")


# --- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("per", ["class", "unit"])
@pytest.mark.parametrize("rows", [1000, 2**18])
def test_parquet_read_by_pandas_is_the_frame(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per: str, rows: int
) -> None:
    monkeypatch.setattr("huelapse.export.parquet.ROWS", rows)
    expected = run.to_dataframe(per=per)
    found = pd.read_parquet(export(run, tmp_path / "x.parquet", per=per))
    assert list(found) == list(expected)
    for name in expected:
        if name in TEXTS:
            assert found[name].fillna("?").tolist() == texts(expected[name])
        else:
            same(found[name], expected[name])


def texts(column: Any) -> list[str]:
    return ["?" if pd.isna(text) else text for text in column]


def test_duckdb_and_polars_compute_the_same_from_parquet(run: Run, tmp_path: Path) -> None:
    path = export(run, tmp_path / "x.parquet")
    frame = run.to_dataframe()
    expected = frame.groupby(["layer", "class"])["mean"].max()
    active = frame.groupby(["layer", "class"])["active_share"].count()
    by_duckdb = duckdb.sql(
        f"select layer, class, max(mean), count(active_share) from '{path}' group by all"
    ).fetchall()
    lazily = pl.scan_parquet(path).group_by("layer", "class")
    by_polars = lazily.agg(pl.col("mean").max(), pl.col("active_share").count()).collect().rows()
    for found in (by_duckdb, by_polars):
        assert len(found) == 3 * 12
        for layer, name, greatest, number in found:
            if name == "nothing of it":
                assert greatest is None
                assert number == 0
            else:
                assert greatest == expected[layer, name]
                assert number == active[layer, name]


def test_duckdb_and_polars_find_the_tuned_units(run: Run, tmp_path: Path) -> None:
    path = export(run, tmp_path / "x.parquet", per="unit", layer="a/b.fc")
    expected = [int((run.state(step, "a/b.fc") == State.TUNED).sum()) for step in (0, 10, 20)]
    found = duckdb.sql(
        f"select count(*) filter (state = 'tuned') from '{path}' group by step order by step"
    ).fetchall()
    assert [n for (n,) in found] == expected
    by_polars = (
        pl.read_parquet(path).group_by("step").agg((pl.col("state") == "tuned").sum()).sort("step")
    )
    assert by_polars["state"].to_list() == expected
    assert sum(expected) > 20


@pytest.mark.parametrize("per", ["class", "unit"])
def test_csv_parsed_back_is_the_frame(run: Run, tmp_path: Path, per: str) -> None:
    path = export(run, tmp_path / "x.csv", per=per, split="test")
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    expected = run.to_dataframe(per=per, split="test")
    assert list(lines[0]) == list(expected)
    for name, kind in COLUMNS["class" if per == "class" else "unit"].items():
        found = [line[name] for line in lines]
        if kind == "text":
            assert found == ["" if pd.isna(text) else text for text in expected[name]]
        elif kind == "flag":
            assert found == ["true" if flag else "false" for flag in expected[name]]
        elif kind == "integer":
            assert [int(cell) for cell in found] == expected[name].tolist()
        else:
            same([float(cell) if cell else math.nan for cell in found], expected[name])
    if per == "class":
        query = f"select distinct class from read_csv('{path}', header=true, nullstr='?')"
        assert {name for (name,) in duckdb.sql(query).fetchall()} == set(CLASSES)


@pytest.mark.parametrize("layer", [None, "a/b.fc"])
@pytest.mark.parametrize("step", [None, 10])
def test_netcdf_opens_in_xarray_as_the_labelled_arrays(
    run: Run, tmp_path: Path, layer: str | None, step: int | None
) -> None:
    path = export(run, tmp_path / "x.nc", layer=layer, step=step, split="test")
    expected = run.to_xarray(split="test")
    assert isinstance(expected, xr.Dataset)
    expected = expected.drop_vars(["confusion", "predicted_class"])
    if layer is not None:
        expected = expected.isel(unit=run.layer(layer).slice)
    if step is not None:
        expected = expected.sel(step=[step])
    with xr.open_dataset(path) as found:
        assert set(found.coords) == set(expected.coords)
        for name in expected.variables:
            kinds = (found[name].dtype.kind, expected[name].dtype.kind)
            assert kinds[0] == kinds[1] or set(kinds) <= set("UOT"), name
            assert found[name].dims == expected[name].dims
            same(found[name], expected[name])
            assert found[name].attrs == expected[name].attrs
        assert found.attrs["grouping"] == "true"
        assert found.attrs["name"] == "=run()"


def test_netcdf_per_unit_holds_what_the_run_derives(run: Run, tmp_path: Path) -> None:
    path = export(run, tmp_path / "x.nc", per="unit")
    with xr.open_dataset(path) as found:
        for index, step in enumerate((0, 10, 20)):
            same(found["strength"][index], run.strength(step))
            same(found["preferred"][index], run.preferred(step))
            same(found["sure"][index], run.sure(step))
            same(found["state"][index], run.state(step))
        meanings = found["state"].attrs["flag_meanings"].split()
        assert meanings[State.NOT_FINITE] == "not_finite"
        assert found["class"].values.tolist() == list(CLASSES)


@pytest.mark.parametrize("suffix", list(writing.FORMS))
def test_names_that_no_file_can_hold_are_written_out(tmp_path: Path, suffix: str) -> None:
    names = ("half \udc80", "zero \0 byte", *CLASSES[2:])
    run = write(tmp_path / "run", 1, names)
    path = export(run, tmp_path / f"x{suffix}")
    if suffix == ".nc":
        with xr.open_dataset(path) as found:
            own = found["class"].values.tolist()
            assert own[1] == r"zero \x00 byte"
    else:
        frame = pd.read_parquet(path) if suffix == ".parquet" else None
        with path.open("rb") as file:
            head = csv.DictReader(file.read().decode().split("\r\n")) if frame is None else None
        own = list(frame["class"][:2]) if frame is not None else [next(head)["class"]]  # pyright: ignore[reportArgumentType]
    assert own[0] == r"half \udc80"


@pytest.mark.parametrize("suffix", list(writing.FORMS))
def test_an_interrupted_export_leaves_nothing(run: Run, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"x{suffix}"

    def stop(snapshots: int) -> None:
        assert list(tmp_path.iterdir())  # something was being written
        if snapshots == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writing.export(run, path, select(run), done=stop)
    assert not list(tmp_path.iterdir())
    path.write_text("what was there")
    with pytest.raises(KeyboardInterrupt):
        writing.export(run, path, select(run), force=True, done=stop)
    assert path.read_text() == "what was there"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_that_is_there_is_kept_unless_forced(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("precious")
    with pytest.raises(ExportExistsError, match=r"already there.*--force"):
        export(run, path)
    assert path.read_text() == "precious"
    export(run, path, force=True, layer="output", step=0)
    assert path.read_text().startswith("split,grouping,step")
    late = tmp_path / "late.csv"
    with pytest.raises(ExportExistsError, match="made by another program"):
        writing.export(run, late, select(run), done=lambda _: late.touch())
    assert late.read_text() == ""


@pytest.mark.parametrize("name", ["x.xlsx", "x", "x.parquet.gz", ".csv"])
def test_an_unknown_suffix_lists_the_known(run: Run, tmp_path: Path, name: str) -> None:
    with pytest.raises(ExportError, match=r"name the file .parquet, .csv, .nc"):
        export(run, tmp_path / name)


def test_a_place_that_cannot_be_is_said(run: Run, tmp_path: Path) -> None:
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(ExportError, match="is a directory"):
        export(run, tmp_path / "d.csv", force=True)
    with pytest.raises(ExportError, match="does not exist"):
        export(run, tmp_path / "none/x.csv")


@pytest.mark.parametrize(
    ("library", "call", "extra"),
    [
        ("xarray", "run.to_xarray()", "xarray"),
        ("pandas", "run.to_dataframe()", "export"),
        ("pyarrow", "check(Path('x.parquet'))", "export"),
        ("h5netcdf", "check(Path('x.nc'))", "export"),
    ],
)
def test_a_missing_library_names_its_extra(run: Run, library: str, call: str, extra: str) -> None:
    code = f"""
import sys
class Gone:
    def find_spec(self, name, *rest):
        if name.partition('.')[0] == {library!r}:
            raise ModuleNotFoundError(f'no {{name}}', name=name)
sys.meta_path.insert(0, Gone())
from pathlib import Path
import huelapse
from huelapse.errors import MissingExtraError
from huelapse.export.writing import check
run = huelapse.open({str(run.path)!r})
run.strength(), check(Path('x.csv'))
assert not {{'xarray', 'pandas', 'pyarrow', 'h5netcdf', 'h5py'}} & set(sys.modules)
try:
    {call}
except MissingExtraError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"pip install 'huelapse[{extra}]'" in done.stdout
    assert library in done.stdout


def test_a_run_that_is_being_recorded_exports_what_is_committed(run_path: Path) -> None:
    store = StoreWriter(
        run_path, name="live", layers=layers(), facts={}, responses=("mean", "peak")
    )
    groupings = tuple(
        Grouping(name=name, classes=CLASSES if name != "size" else ("s", "l"))
        for name in ("true", "predicted", "size")
    )
    store.add_split(Split(name="val", kind="probe", groupings=groupings, facts={}))
    commit(store, "val", 0)
    commit(store, "val", 1)
    run = huelapse.open(run_path)
    tree, chosen = run.to_xarray(), select(run)
    seen = 0

    def meanwhile(snapshots: int) -> None:
        nonlocal seen
        seen = snapshots
        if snapshots == 1:
            commit(store, "val", 2)

    path = run_path.with_name("x.csv")
    writing.export(run, path, chosen, done=meanwhile)
    assert seen == 2
    assert pd.read_csv(path)["step"].unique().tolist() == [0, 10]
    assert tree["units/val/true/mean"].shape[0] == 2
    same(tree["units/val/true/mean"][1].astype(float), mean_of(run.moments(1)))
    later = run.refreshed()
    assert later.to_dataframe("output")["step"].unique().tolist() == [0, 10, 20]
    store.close()


def test_a_recorder_at_work_can_be_exported(run_path: Path, tmp_path: Path) -> None:
    with huelapse.Recorder(
        SmallNet(), run_path, probe=batches(), classes=["x", "y", "z"], probe_budget=None
    ) as recorder:
        recorder.step(loss=1.0)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                if len(huelapse.open(run_path).steps) == 2:
                    break
            except huelapse.HuelapseError:
                time.sleep(0.05)
        done = command("export", str(run_path), "-o", str(tmp_path / "x.parquet"))
        assert done.returncode == 0, done.stderr
    found = pd.read_parquet(tmp_path / "x.parquet")
    run = huelapse.open(run_path)
    assert found["step"].unique().tolist() == run.steps.tolist() == [0, 1]
    same(found["mean"], run.to_dataframe()["mean"])


def test_rows_without_a_snapshot_are_no_rows(run_path: Path) -> None:
    store = StoreWriter(run_path, name="none", layers=layers(), facts={})
    groupings = (Grouping(name="true", classes=CLASSES),)
    store.add_split(Split(name="val", kind="probe", groupings=groupings, facts={}))
    commit_nothing = huelapse.open(run_path) if (run_path / "run.zarr/zarr.json").exists() else None
    if commit_nothing is None or not commit_nothing.splits:
        store.close()
        pytest.skip("a split appears with its first snapshot")
    assert len(commit_nothing.to_dataframe()) == 0
    for suffix in writing.FORMS:
        assert export(commit_nothing, run_path.with_name(f"x{suffix}")).stat().st_size
    store.close()


# --- the command ----------------------------------------------------------------------------------


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "huelapse", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_command_exports_what_is_chosen(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    asked = ("--split", "test", "--grouping", "size", "--layer", "output", "--step", "10")
    done = command(
        "export", str(run.path), "-o", str(path), *asked, "--per", "unit", "--response", "peak"
    )
    assert done.returncode == 0, done.stderr
    assert f"{path}: 1 snapshots of 12 units by 2 classes" in done.stdout
    expected = run.to_dataframe("output", "test", "size", 10, "peak", per="unit")
    assert pd.read_csv(path)["strength"].tolist() == expected["strength"].tolist()
    refused = command("export", str(run.path), "-o", str(path))
    assert refused.returncode == 2
    assert "already there" in refused.stderr
    assert command("export", str(run.path), "-o", str(path), "--force").returncode == 0
    unknown = command("export", str(run.path), "-o", str(tmp_path / "x.xlsx"))
    assert unknown.returncode == 2
    assert ".parquet, .csv, .nc" in unknown.stderr
    assert "Traceback" not in unknown.stderr


def test_ctrl_c_leaves_no_file(tmp_path: Path) -> None:
    run = write(tmp_path / "run", 10)
    into = tmp_path / "out"
    into.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "huelapse", "export", str(run.path), "-o", str(into / "x.csv")],
        stdout=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 60
    while not any(into.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Nothing was written" in told
    assert not list(into.iterdir())


def test_the_guide_says_what_runs(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each Python block of docs/export.md, in order, on a recorded run."""
    guide = (Path(__file__).parents[1] / "docs/export.md").read_text(encoding="utf-8")
    blocks = [part.partition("```")[0] for part in guide.split("```python\n")[1:]]
    assert len(blocks) >= 3
    monkeypatch.chdir(tmp_path)
    with huelapse.Recorder(
        SmallNet(), "runs/fashion", probe=batches(), classes=["cat", "dog", "owl"],
        probe_budget=None,
    ) as recorder:  # fmt: skip
        recorder.step(loss=1.0)
    shell = [part.partition("```")[0] for part in guide.split("```bash\n")[1:]]
    for line in "".join(shell).splitlines():
        if line.startswith("huelapse export"):
            done = command(*line.partition("#")[0].split()[1:])
            assert done.returncode == 0, done.stderr
    space: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, "docs/export.md", "exec"), space)
