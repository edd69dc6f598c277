"""Parts of ranks and workers: whole or refused, merged exactly, once, and in any order."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from extra_run import LAYERS, UNITS, begin, extras, snapshot, split, static
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from typer.testing import CliRunner

import huelapse
from huelapse.care import verify
from huelapse.care.pruning import plan_pruning, prune
from huelapse.cli import app
from huelapse.errors import NotARunError, PartialError, RunLockedError
from huelapse.moments import Moments
from huelapse.schema import Grouping, Incomplete
from huelapse.store import StoreReader, StoreWriter
from huelapse.store.joining import Part, merge_parts
from huelapse.store.ledger import missing_of
from huelapse.store.merging import merge
from huelapse.store.partial import Partial, write_partial
from huelapse.store.partial_file import PartialFile

PARTS = 4
SAMPLES = 40
GROUPINGS = split().groupings
MEMBERS = ("count", "mean", "m2", "active", "nonfinite")


def responses(step: int) -> np.ndarray:
    x = np.random.default_rng(step).standard_normal((SAMPLES, UNITS)) + 3
    x[:, 3] = 0.25
    x[4, 5], x[21, 5] = np.nan, np.inf
    x[:, 6] = np.nan
    return x


def labels(name: str) -> np.ndarray:
    own = np.arange(SAMPLES) % {"true": 2, "predicted": 3, "size": 2}[name]  # no true owl
    return np.where(np.arange(SAMPLES) == 9, -1, own)


def moments_of(x: np.ndarray, rows: slice) -> dict[str, Moments]:
    return {
        one.name: Moments.from_samples(x[rows], labels(one.name)[rows], len(one.classes))
        for one in GROUPINGS
    }


def confusion(rows: slice) -> np.ndarray:
    true, predicted = labels("true")[rows], labels("predicted")[rows]
    counted = np.zeros((3, 3), np.int64)
    np.add.at(counted, (true[true >= 0], predicted[true >= 0]), 1)
    return counted


def part(moment: int, index: int, *, of: int | None = PARTS, name: str = "val", **other) -> Partial:
    """Every fourth of the samples of a step, as rank `index` would have recorded them."""
    rows = slice(index * SAMPLES // PARTS, (index + 1) * SAMPLES // PARTS)
    x = responses(moment)
    plain = {
        "split": name,
        "step": moment,
        "part": f"rank-{index}",
        "expected": of,
        "layers": tuple((layer.path, layer.units) for layer in LAYERS),
        "groupings": GROUPINGS,
        "samples": SAMPLES // PARTS,
        "epoch": moment / 10,
        "wall_time": 1e9 + moment + index / 8,
        "seconds": 0.1 * index,
        "metrics": {"loss": float(index), "only": 2.0} if index else {"loss": 0.0},
        "moments": moments_of(x, rows),
        "peaks": moments_of(2 * x + 1, rows),
        "confusion": confusion(rows),
        "ids": np.arange(SAMPLES, dtype=np.int64)[rows],
    }
    return Partial(**{**plain, **other})


def run_with(path: Path, steps: tuple[int, ...] = ()) -> Path:
    store = begin(path)
    store.add_split(split(), static())
    store.add_split(split("train"), static())
    for step in steps:
        store.commit(snapshot(step))
    store.close()
    return path


def shards(path: Path) -> dict[str, bytes]:
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("c.*")}


def root(path: Path) -> bytes:
    return (path / "run.zarr/zarr.json").read_bytes()


def files(path: Path) -> list[str]:
    return sorted(p.name for p in (path / "partial").iterdir())


def stored(run: Path, step: int, name: str = "val") -> list[Moments]:
    opened = huelapse.open(run)
    index = opened.index(step, name)
    return [
        opened.moments(index, one.name, name, response=response)
        for response in ("mean", "peak")
        for one in GROUPINGS
    ]


def expected(step: int) -> list[Moments]:
    x = responses(step)
    return [*moments_of(x, slice(None)).values(), *moments_of(2 * x + 1, slice(None)).values()]


def assert_merged(run: Path, step: int, name: str = "val") -> None:
    """What is stored equals the statistics of all samples in one pass."""
    for got, whole in zip(stored(run, step, name), expected(step), strict=True):
        for member in ("count", "active", "nonfinite"):
            np.testing.assert_array_equal(getattr(got, member), getattr(whole, member))
        np.testing.assert_allclose(got.mean, whole.mean, rtol=2e-7)
        np.testing.assert_allclose(got.m2, whole.m2, rtol=2e-7)


def same(a: Partial, b: Partial) -> bool:
    def arrays(p: Partial) -> list[np.ndarray]:
        sets = (*p.moments.values(), *p.peaks.values())
        return [getattr(m, name) for m in sets for name in MEMBERS] + [p.confusion, p.ids]

    equal = all(
        x.dtype == y.dtype and np.array_equal(x, y)
        for x, y in zip(arrays(a), arrays(b), strict=True)
    )
    return equal and json.dumps(a.as_json()) == json.dumps(b.as_json())


# --- a file -----------------------------------------------------------------------------------


def test_a_part_is_read_back_as_it_was_written_also_by_numpy_alone(tmp_path: Path) -> None:
    written = part(3, 1)
    path = write_partial(tmp_path, written)
    with PartialFile(path) as file:
        assert same(file.load(), written)
    with np.load(path, allow_pickle=False) as arrays:
        assert json.loads(arrays["header"].tobytes())["part"] == "rank-1"
        np.testing.assert_array_equal(arrays["0.0.mean"], written.moments["true"].mean)


def test_writing_a_part_again_replaces_it_and_other_parts_have_other_files(tmp_path: Path) -> None:
    first = write_partial(tmp_path, part(3, 1))
    assert write_partial(tmp_path, part(3, 1, seconds=9.0)) == first
    with PartialFile(first) as file:
        assert file.about.seconds == 9.0
    names = {part(s, 1, part=p, name=n).file_name for s in (3, 31) for p in ("a", "a/../b", "A-1")
             for n in ("val", "val-3")}  # fmt: skip
    assert len(names) == 12
    assert not any("/" in name or name.startswith(".") for name in names)
    assert files(tmp_path) == [first.name]


def test_every_flipped_bit_and_every_cut_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    """All bits of the file of a small part, but for numbers, of which a sample is taken."""
    small = replace(
        part(0, 0),
        layers=(("a", 1),),
        groupings=GROUPINGS[:1],
        moments={"true": Moments.from_samples(np.ones((2, 1)), np.zeros(2, np.int64), 3)},
        peaks={},
        confusion=np.diag([2, 0, 0]),
        ids=np.arange(2),
        samples=2,
    )
    path = write_partial(tmp_path, small)
    whole = path.read_bytes()
    noticed = 0
    flips = range(8 * len(whole)) if os.environ.get("HUELAPSE_ALL_BITS") else [
        *random.Random(0).sample(range(8 * len(whole)), 4000)
    ]  # fmt: skip
    for bit in flips:
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        try:
            with PartialFile(path) as file:
                assert same(file.load(), small), f"bit {bit} went unnoticed"
        except PartialError as error:
            noticed += 1
            assert str(error).startswith(str(path))
    assert noticed > 0.8 * len(flips)
    for size in range(0, len(whole), 37):
        path.write_bytes(whole[:size])
        with pytest.raises(PartialError):
            PartialFile(path)


def test_a_file_that_says_it_is_larger_than_it_is_takes_no_memory(tmp_path: Path) -> None:
    import tracemalloc
    import zipfile

    path = write_partial(tmp_path, part(0, 0))
    with zipfile.ZipFile(path) as archive:
        members = {entry.filename: archive.read(entry) for entry in archive.infolist()}
    header = json.loads(members["header.npy"].split(b"\n", 1)[1])

    def refused(change, compression: int = zipfile.ZIP_STORED) -> str:
        own = json.loads(json.dumps(header))
        change(own)
        from huelapse.store import partial as module

        own["hash"] = module.digest_of(own)
        text = np.frombuffer(json.dumps(own).encode(), np.uint8)
        with zipfile.ZipFile(path, "w", compression) as archive:
            for name, content in members.items():
                if name == "header.npy":
                    content = module._array_header("|u1", text.shape) + text.tobytes()
                archive.writestr(name, content)
        tracemalloc.start()
        with pytest.raises(PartialError) as told, PartialFile(path) as file:
            file.load()
        assert tracemalloc.get_traced_memory()[1] < 30e6
        tracemalloc.stop()
        return str(told.value)

    def more_units(own) -> None:
        own["layers"] = [["a", 10**11]]

    def more_samples(own) -> None:
        own["samples"] = 10**12

    assert "needs" in refused(more_units)
    assert "needs" in refused(more_samples)
    assert "compressed" in refused(lambda own: None, zipfile.ZIP_DEFLATED)


@pytest.mark.parametrize(
    "change",
    [
        {"confusion": np.zeros((2, 2), np.int64)},
        {"ids": np.zeros(3, np.int64)},
        {"ids": np.zeros(SAMPLES // PARTS, np.float64)},
        {"moments": {"true": Moments.empty(3, UNITS)}},
        {"moments": {one.name: Moments.empty(3, UNITS) for one in GROUPINGS}},
        {"step": -1},
        {"expected": 0},
        {"wall_time": float("nan")},
        {"part": ""},
        {"metrics": {"../../evil": 1.0}},
    ],
)
def test_a_part_whose_numbers_do_not_fit_is_not_written(tmp_path: Path, change) -> None:
    with pytest.raises(PartialError):
        write_partial(tmp_path, part(0, 0, **change))
    assert not (tmp_path / "partial").exists()


def test_numbers_that_no_samples_have_are_refused(tmp_path: Path) -> None:
    for member, value in (
        ("mean", np.nan), ("mean", np.inf), ("m2", -1.0), ("m2", np.nan), ("active", 1000),
        ("nonfinite", -1), ("nonfinite", 1000), ("active", -1),
    ):  # fmt: skip
        own = part(0, 0)
        getattr(own.moments["true"], member)[0, 1] = value
        with pytest.raises(PartialError, match="what cannot be"):
            write_partial(tmp_path, own)


# --- merging ----------------------------------------------------------------------------------


def joined(tmp_path: Path, x: np.ndarray, own: np.ndarray, cuts: list[int]) -> Moments:
    shutil.rmtree(tmp_path / "partial", ignore_errors=True)
    one = (Grouping(name="size", classes=("a", "b", "c")),)
    found = []
    for i, (a, b) in enumerate(zip([0, *cuts], [*cuts, len(x)], strict=True)):
        written = replace(
            part(0, 0), part=f"rank-{i}", layers=(("a", x.shape[1]),), groupings=one, peaks={},
            confusion=None, ids=None, moments={"size": Moments.from_samples(x[a:b], own[a:b], 3)},
        )  # fmt: skip
        path = write_partial(tmp_path, written)
        with PartialFile(path) as file:
            found.append(Part(path, file.about, file.digest))
    return merge_parts(found).moments["size"]


cubes = hnp.arrays(
    np.float64,
    st.tuples(st.integers(0, 25), st.just(2)),
    elements=st.one_of(st.floats(-10, 10), st.sampled_from([np.nan, np.inf, -np.inf])),
)


@given(
    x=cubes,
    offset=st.sampled_from([0.0, 1.0, 1e6, -1e12, 1e30]),
    scale=st.sampled_from([1e-20, 1.0, 1e20]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_parts_together_equal_one_pass_over_all_samples(
    tmp_path_factory, x, offset, scale, seed
) -> None:
    rng = np.random.default_rng(seed)
    x = x * scale + offset
    own = rng.integers(-1, 3, len(x))
    cuts = sorted(rng.integers(0, len(x) + 1, 3).tolist())
    got = joined(tmp_path_factory.getbasetemp() / "law", x, own, cuts)
    whole = Moments.from_samples(x, own, 3)
    for member in ("count", "active", "nonfinite"):
        np.testing.assert_array_equal(getattr(got, member), getattr(whole, member))
    largest = np.abs(np.where(np.isfinite(x), x, 0)).max(initial=0)
    assert (np.abs(got.mean - whole.mean) <= 1e-12 * largest).all()
    # a mean is known to one part in 2⁵³ of itself: that much the deviations from it may be off
    off = 1e-12 * (whole.m2 + largest * np.sqrt(np.maximum(whole.n, 0) * whole.m2))
    assert (np.abs(got.m2 - whole.m2) <= off + whole.n * (1e-14 * largest) ** 2).all()


def test_responses_as_they_usually_are_are_merged_to_a_part_in_a_trillion(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    x = np.maximum(rng.standard_normal((400, 50)) + 0.5, 0) * rng.uniform(0.01, 100, 50)
    own = rng.integers(0, 3, 400)
    got, whole = joined(tmp_path, x, own, [1, 100, 101, 333]), Moments.from_samples(x, own, 3)
    np.testing.assert_allclose(got.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(got.m2, whole.m2, rtol=1e-12)


def test_parts_become_one_snapshot_whatever_the_order_they_came_in(tmp_path: Path) -> None:
    kept: list[dict[str, bytes]] = []
    for order in ((0, 1, 2, 3), (3, 1, 0, 2)):
        run = run_with(tmp_path / f"run{order[0]}")
        for index in order:
            write_partial(run, part(5, index))
        report = merge(run)
        (merged,) = report.merged
        assert (merged.step, merged.parts, merged.complete, merged.twice) == (5, 4, True, 0)
        assert_merged(run, 5)
        assert files(run) == []
        kept.append(shards(run / "run.zarr/val"))
    one, other = kept
    assert one.keys() == other.keys()
    assert all(one[name] == other[name] for name in one)


def test_a_merged_snapshot_has_what_its_parts_say_of_it(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in range(PARTS):
        write_partial(run, part(5, index, samples=10, ids=None))
    assert merge(run).merged[0].twice is None
    opened = huelapse.open(run)
    assert opened.coordinate("epoch").tolist() == [0.5]
    assert opened.coordinate("wall_time").tolist() == [1e9 + 5 + 3 / 8]
    assert opened.coordinate("seconds").tolist() == pytest.approx([0.3])
    assert opened.coordinate("metric.loss").tolist() == [1.5]
    assert opened.coordinate("metric.only").tolist() == [2.0]
    np.testing.assert_array_equal(opened.confusion()[0], confusion(slice(None)))
    assert verify(run).whole


def test_scalars_are_means_by_samples(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in (0, 1):
        rows = slice(0, 10 + 20 * index)
        write_partial(
            run,
            part(5, index, of=2, samples=10 + 20 * index, ids=None,
                 metrics={"loss": 1.0 + index, "lost": float("nan")},
                 moments=moments_of(responses(5), rows), peaks=moments_of(responses(5), rows)),
        )  # fmt: skip
    merge(run)
    assert huelapse.open(run).coordinate("metric.loss")[0] == pytest.approx(1.75, rel=1e-15)
    assert np.isnan(huelapse.open(run).coordinate("metric.lost")[0])


def test_merging_again_changes_not_a_byte(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", steps=(0, 1))
    for index in range(PARTS):
        write_partial(run, part(5, index))
    for index in range(3):
        write_partial(run, part(6, index))
    merge(run, keep=True, incomplete=True)
    before = root(run)
    for _ in range(2):
        report = merge(run, keep=True, incomplete=True)
        assert (report.merged, report.already, report.left) == ([], 4, [])
        assert [waiting.committed for waiting in report.waiting] == [True]
    assert root(run) == before
    assert merge(run).removed == 4
    assert root(run) == before
    assert huelapse.open(run).steps.tolist() == [0, 1, 5, 6]


def test_what_is_missing_is_waited_for_and_named(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    before = root(run)
    for index in (0, 2):
        write_partial(run, part(5, index))
    report = merge(run)
    assert report.merged == []
    assert report.waiting[0].missing == ("rank-1", "rank-3")
    assert root(run) == before
    assert len(files(run)) == 2
    assert missing_of(["a", "rank-2"], 3) == missing_of(["rank-9"], 3) == ()


def test_a_late_part_is_merged_from_all_of_them_and_replaces_the_marked_snapshot(
    tmp_path: Path,
) -> None:
    run = run_with(tmp_path / "run", steps=(0, 1))
    for step in (5, 6):
        for index in (0, 1, 3):
            write_partial(run, part(step, index))
    assert [m.missing for m in merge(run, incomplete=True).merged] == [("rank-2",)] * 2
    entry = StoreReader(run).attributes["merged"][0]
    assert (entry["first"], entry["parts"], entry["expected"]) == (2, 3, 4)
    assert entry["present"] == ["rank-0", "rank-1", "rank-3"]
    assert stored(run, 5)[0].count.sum() == 30 - 1
    assert len(files(run)) == 6
    for step in (5, 6):
        write_partial(run, part(step, 2))
    assert [m.again for m in merge(run).merged] == [True, True]
    assert files(run) == []
    assert_merged(run, 5)
    assert_merged(run, 6)
    opened = huelapse.open(run)
    assert opened.steps.tolist() == [0, 1, 5, 6]
    every = huelapse.open(run, superseded=True)
    assert every.steps.tolist() == [0, 1, 5, 6, 5, 6]
    assert every.coordinate("superseded").tolist() == [0, 0, 1, 1, 0, 0]
    assert StoreReader(run).attributes["merged"][-1] == {
        "split": "val", "first": 4, "last": 5, "parts": 4, "expected": 4,
    }  # fmt: skip
    assert opened.status == "complete"
    assert verify(run).whole


def test_a_late_part_whose_fellows_are_gone_is_refused(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in (0, 1):
        write_partial(run, part(5, index, of=3))
    merge(run, incomplete=True)
    before = root(run)
    for path in (run / "partial").iterdir():
        path.unlink()
    write_partial(run, part(5, 2, of=3))
    (left,) = merge(run, incomplete=True).left
    assert "rank-0, rank-1" in left.why and "exactly" in left.why
    assert root(run) == before
    assert len(files(run)) == 1


def test_samples_that_were_forwarded_twice_are_told(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in range(PARTS):
        ids = np.arange(SAMPLES, dtype=np.uint64)[index * 10 : index * 10 + 10]
        if index == 3:
            ids[-2:] = 0, 1  # the sampler began again to fill the last batch
        write_partial(run, part(5, index, ids=ids))
    assert merge(run).merged[0].twice == 2
    assert StoreReader(run).attributes["merged"][0]["twice"] == 2


def test_what_is_damaged_or_foreign_is_left_and_the_rest_is_merged(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for step in (5, 6):
        for index in range(PARTS):
            write_partial(run, part(step, index))
    hurt = run / "partial" / part(5, 2).file_name
    content = bytearray(hurt.read_bytes())
    content[len(content) // 2] ^= 8
    hurt.write_bytes(content)
    (run / "partial/notes.txt").write_text("mine")
    (run / "partial/text.npz").write_text("mine too")
    (run / "partial/a.npz").mkdir()
    (run / "partial/.val-7.npz.1234.tmp").write_bytes(b"being written")
    report = merge(run)
    assert [merged.step for merged in report.merged] == [6]
    assert report.waiting[0].missing == ("rank-2",)
    told = {left.file: left.damaged for left in report.left}
    assert told == {hurt.name: True, "text.npz": True, "notes.txt": False, "a.npz": True}
    assert hurt.read_bytes() == content
    assert len(files(run)) == 8
    assert_merged(run, 6)
    write_partial(run, part(5, 2))  # the rank, or the task, does it again
    assert [merged.step for merged in merge(run).merged] == [5]
    assert_merged(run, 5)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"run": "another"}, "of another run"),
        ({"name": "test"}, "no split 'test'; it has val, train"),
        ({"layers": (("a/b.relu#1", 20), ("other", 3))}, "it has 'other'"),
        ({"layers": (("a/b.relu#1", 19), ("output", 4))}, "'a/b.relu#1' is 19, not 20"),
        ({"segment": 9}, "segment 9; the run has 1"),
        ({"peaks": {}}, "responses are mean, peak"),
        ({"confusion": None}, "confusion counts are missing"),
        (
            {"groupings": (Grouping(name="true", classes=("cat", "dog", "cow")), *GROUPINGS[1:])},
            "'true' are others: it has 'cow'",
        ),
    ],
)
def test_parts_of_something_else_are_refused_with_what_differs(
    tmp_path: Path, change, said: str
) -> None:
    run = run_with(tmp_path / "run")
    before = root(run)
    write_partial(run, part(5, 0, of=1, **change))
    (left,) = merge(run, incomplete=True).left
    assert said in left.why and not left.damaged
    assert root(run) == before


def test_parts_that_disagree_how_many_there_are_are_refused(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    write_partial(run, part(5, 0, of=2))
    write_partial(run, part(5, 1, of=3))
    write_partial(run, part(6, 0, of=1))
    write_partial(run, part(6, 1, of=1))
    report = merge(run, incomplete=True)
    assert [left.why for left in report.left] == [
        *["parts of this moment do not agree how many there are: 2, 3"] * 2,
        *["there are 2 parts of 1"] * 2,
    ]
    assert report.merged == []


def test_a_copy_of_a_part_is_not_counted_twice(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    path = write_partial(run, part(5, 0, of=2))
    shutil.copy(path, path.with_name("copy.npz"))
    report = merge(run)
    assert "is it a copy" in report.left[0].why
    assert report.waiting[0].parts == ("rank-0",)


def test_steps_that_a_resumed_training_made_again_are_not_merged(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", steps=(0, 1, 2, 8))
    for index in range(PARTS):
        write_partial(run, part(2, index, segment=0))
        write_partial(run, part(8, index, segment=0))
    merge(run, keep=True)
    store = StoreWriter(
        run, name="", layers=LAYERS, facts={}, responses=("mean", "peak"), first_step=2, resume=True
    )
    store.add_split(split(), static())
    store.commit(snapshot(4))
    store.close()
    for index in range(PARTS):
        write_partial(run, part(9, index, segment=0, expected=4))
        write_partial(run, part(4, index, segment=2))
    report = merge(run)
    assert [(m.step, m.again) for m in report.merged] == [(4, True)]
    assert {left.why for left in report.left} == {
        f"the training was resumed at step 2, and made step {step} again" for step in (8, 9)
    }
    assert huelapse.open(run).steps.tolist() == [0, 1, 2, 4]
    assert_merged(run, 2)
    assert_merged(run, 4)


def test_a_late_merge_does_not_hide_what_lies_beyond_it(tmp_path: Path) -> None:
    """The segment of one merge says nothing of steps that a rank of the same training made."""
    run = run_with(tmp_path / "run", steps=(0,))
    for step in (3, 9, 6):
        for index in range(PARTS):
            write_partial(run, part(step, index, segment=0))
        merge(run)
    assert huelapse.open(run).steps.tolist() == [0, 3, 6, 9]
    for step in (3, 6, 9):
        assert_merged(run, step)


def test_a_run_that_is_being_written_is_not_merged_into(tmp_path: Path) -> None:
    run = tmp_path / "run"
    store = begin(run)
    store.add_split(split(), static())
    write_partial(run, part(5, 0, of=1))  # what a rank does meanwhile
    with pytest.raises(RunLockedError):
        merge(run)
    assert merge(run, dry=True).merged[0].step == 5
    store.close()
    assert len(merge(run).merged) == 1


def test_what_killed_ranks_left_half_written_is_removed_once_it_is_old(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in range(PARTS):
        write_partial(run, part(1, index))
    old, fresh = (run / f"partial/.val-1-rank-{n}-abc.npz.{n * 12}.tmp" for n in "01")
    for path in (old, fresh):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 7200,) * 2)
    merge(run, dry=True)
    assert old.exists()
    merge(run)
    assert files(run) == [fresh.name]


def test_snapshots_without_all_parts_are_told(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", (1,))
    for step, there, of in ((4, 3, PARTS), (2, PARTS, PARTS), (3, 2, None)):
        for index in range(there):
            write_partial(run, part(step, index, of=of))
    merge(run, incomplete=True)
    told = [(one.snapshot, one.step, one.parts, one.expected) for one in opened(run)]
    assert told == [(2, 3, 2, None), (3, 4, 3, 4)]
    assert huelapse.open(run).incomplete("train") == ()
    shown = CliRunner().invoke(app, ["info", str(run)])
    assert "step 3 (2 of an unknown number of parts), step 4 (3 of 4 parts)" in shown.output
    prune(
        run, plan_pruning(run, every=2)
    )  # of 1, 2, 3, 4 go 2 and, by its place, none that is told
    assert [one.snapshot for one in opened(run)] == [1, 2]
    write_partial(run, part(4, 3))
    merge(run)
    assert [one.step for one in opened(run)] == [3]


def opened(run: Path) -> tuple[Incomplete, ...]:
    return huelapse.open(run).incomplete()


def test_looking_changes_nothing(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    for index in range(PARTS):
        write_partial(run, part(5, index))
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    assert merge(run, dry=True).merged[0].complete
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


def test_there_must_be_a_run(tmp_path: Path) -> None:
    with pytest.raises(NotARunError):
        merge(tmp_path)


def test_a_run_without_parts_is_left_alone(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run")
    assert merge(run).as_json()["moments"] == 0


# --- order ------------------------------------------------------------------------------------


def commit_in(path: Path, order: tuple[int, ...], resumed: bool) -> Path:
    store = begin(path)
    store.add_split(split(), static())
    half = len(order) // 2 if resumed else len(order)
    for step in order[:half]:
        store.commit(snapshot(step))
    store.close()
    if resumed:
        for index in range(PARTS):
            for step in order[half:]:
                write_partial(path, part(step, index))
        merge(path)
    return path


@pytest.mark.parametrize("resumed", [False, True])
def test_snapshots_committed_in_any_order_are_read_by_step(tmp_path: Path, resumed: bool) -> None:
    order = (7, 2, 9, 0, 4)
    run = huelapse.open(commit_in(tmp_path / "run", order, resumed))
    assert run.steps.tolist() == sorted(order)
    assert run.coordinate("wall_time").tolist() == sorted(run.coordinate("wall_time"))
    for index, step in enumerate(sorted(order)):
        assert run.index(step) == index
        if not resumed:
            given = snapshot(step)
            np.testing.assert_array_equal(
                run.moments(index).mean, given.moments["true"].mean.astype(np.float32)
            )
            np.testing.assert_array_equal(run.maps("a/b.relu#1", step), extras(step)[
                "true/maps/a%2Fb.relu#1"])  # fmt: skip
            np.testing.assert_array_equal(run.history(1)[index].mean[:, 0], run.moments(
                index).mean[:, 1])  # fmt: skip
        elif step in order[2:]:
            assert_merged(run.path, step)
    tree = run.to_xarray("val")
    assert tree["step"].values.tolist() == sorted(order)
    by_step = tree["mean"].sel(step=4).values
    np.testing.assert_array_equal(by_step, run.tuning(4).astype(np.float32))
    np.testing.assert_array_equal(
        tree["mean"].isel(snapshot=slice(1, 4)).values, tree["mean"].values[1:4]
    )
    frame = run.to_dataframe(layer="output")
    assert sorted(frame["step"].unique()) == list(frame["step"].unique()) == sorted(order)
    assert verify(run.path).whole


def test_slices_integers_and_negative_indices_mean_what_is_shown(tmp_path: Path) -> None:
    reader = StoreReader(commit_in(tmp_path / "run", (7, 2, 9, 0, 4), resumed=False))
    whole = reader.read("val/true/mean")
    assert reader.read("val/step").tolist() == [0, 2, 4, 7, 9]
    for chosen in (slice(1, 3), slice(None, None, -2), slice(9, 12), slice(3, 1), slice(-2, None)):
        np.testing.assert_array_equal(reader.read("val/true/mean", chosen), whole[chosen])
        np.testing.assert_array_equal(
            reader.read("val/true/mean", (chosen, slice(None), 2)), whole[chosen, :, 2]
        )
    for index in (0, 3, -1):
        np.testing.assert_array_equal(reader.read("val/true/mean", index), whole[index])


# --- the process is killed -----------------------------------------------------------------------

MERGE = """
import sys
from huelapse.store.merging import Merging
import huelapse.store.writer, tensorstore
print("ready", flush=True)
sys.stdin.readline()
for _ in Merging(sys.argv[1]).steps():
    print("one", flush=True)
print("done", flush=True)
"""


def test_a_merge_that_is_killed_loses_nothing_and_merges_nothing_twice(tmp_path: Path) -> None:
    killing(tmp_path, 20)


@pytest.mark.slow
def test_a_merge_that_is_killed_many_times(tmp_path: Path) -> None:
    killing(tmp_path, 400)


def killing(tmp_path: Path, kills: int) -> None:
    dice = random.Random(1)
    every, left = list(range(10, 16)), 0
    run = run_with(tmp_path / "run0", steps=(0, 1))
    done = finished = 0
    while done < kills:
        if not left:
            shutil.rmtree(run, ignore_errors=True)
            run = run_with(tmp_path / f"run{done}", steps=(0, 1))
            for step in every:
                for index in range(PARTS):
                    write_partial(run, part(step, index))
        with subprocess.Popen(
            [sys.executable, "-c", MERGE, str(run)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None and child.stdout is not None
            assert child.stdout.readline() == "ready\n"
            child.stdin.write("\n")
            child.stdin.flush()
            time.sleep(dice.uniform(0, 0.25))
            child.send_signal(signal.SIGKILL)
            said = child.stdout.read()
        done += 1
        finished += "done" in said
        opened = huelapse.open(run)
        shown = opened.steps.tolist()
        assert shown == sorted(set(shown)), "merged twice, or out of order"
        assert set(shown) <= {0, 1, *every}
        assert opened.status == "complete"
        for step in shown[2:]:
            assert_merged(run, step)
        waiting = {name.split("-")[1] for name in files(run) if not name.startswith(".")}
        assert set(every) <= {*shown, *map(int, waiting)}, "a part is gone that was not committed"
        left = len(every) + 2 - len(shown)
        if not left:
            merge(run)
            assert files(run) == []
            assert verify(run).whole
    print(f"{kills} kills, {finished} of them after the end")
    merge(run)
    assert huelapse.open(run).steps.tolist() == [0, 1, *every]
    assert huelapse.open(run, superseded=True).steps.tolist() == [0, 1, *every]
    assert verify(run).whole


def test_the_command_says_what_was_merged_what_waits_and_what_is_damaged(tmp_path: Path) -> None:
    run = run_with(tmp_path / "run", (1,))
    for index in range(PARTS):
        write_partial(run, part(5, index))
    write_partial(run, part(6, 0))
    (run / "partial/foreign.npz").write_bytes(b"no zip")
    before = root(run)
    runner = CliRunner()
    dry = runner.invoke(app, ["merge", str(run), "--dry-run"])
    assert dry.exit_code == 1  # as a file is damaged
    assert "1 snapshot would be merged, step 5" in dry.output
    assert root(run) == before
    done = runner.invoke(app, ["merge", str(run), "--json"])
    assert done.exit_code == 1
    told = json.loads(done.output)
    assert [one["step"] for one in told["merged"]] == [5]
    assert huelapse.open(run).steps.tolist() == [1, 5]
    (run / "partial/foreign.npz").unlink()
    again = runner.invoke(app, ["merge", str(run)])
    assert again.exit_code == 0
    assert "step 6" in again.output
    late = runner.invoke(app, ["merge", str(run), "--incomplete"])
    assert late.exit_code == 0
    assert huelapse.open(run).steps.tolist() == [1, 5, 6]
