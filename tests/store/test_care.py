"""Looking after runs: which there are, whether they are whole, removing them and nothing else."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import extra_run
import numpy as np
import pytest
from extra_run import CLASSES, LAYERS, MAPS, snapshot, split, static
from typer.testing import CliRunner

from huelapse import care
from huelapse.care import metadata, removing, showing
from huelapse.cli import app
from huelapse.errors import FormatError, NotARunError, OptionError, RunLockedError
from huelapse.listing import DEPTH
from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreReader, StoreWriter, layout
from huelapse.store import root as committed_root
from huelapse.store.checking import StoredRun, read_metadata
from huelapse.store.lock import WriterLock

SNAPSHOTS = 3
WIDE = 700  # more units than one tile holds


def copied(make: Callable[[Path], Path], path: Path) -> Path:
    """What `make` makes, made once: many files, each synced, take their time."""
    template = TEMPLATES / make.__name__
    if not template.exists():
        make(template)
    return shutil.copytree(template, path)


@pytest.fixture(scope="module", autouse=True)
def templates(tmp_path_factory: pytest.TempPathFactory) -> None:
    global TEMPLATES
    TEMPLATES = tmp_path_factory.mktemp("templates")


TEMPLATES = Path()


def full(path: Path) -> Path:
    return copied(make_full, path)


def wide(path: Path) -> Path:
    return copied(make_wide, path)


def make_full(path: Path) -> Path:
    """Two splits, both responses, a scalar, every optional array, not kept at one snapshot."""
    store = extra_run.begin(path)
    for name in ("val", "test"):
        store.add_split(split(name), static())
        for step in range(SNAPSHOTS):
            one = snapshot(step, name=name, kept_too=step != 1)
            store.commit(replace(one, metrics={"loss": 1 / (step + 1)} if step else {}))
    store.close()
    return path


def make_wide(path: Path) -> Path:
    """Several tiles to a shard; resumed at step 1, so that the last snapshot before is superseded."""
    layers = [
        Layer(path="relu", kind="ReLU", shape=(WIDE,), unit_axis=1, units=WIDE, offset=0,
              signed=False, output=True)
    ]  # fmt: skip
    groupings = tuple(Grouping(name=name, classes=CLASSES) for name in ("true", "predicted"))
    one = Split(name="val", kind="probe", groupings=groupings, facts={"samples": 60, "é": 1e-05})
    facts = {"created": "2026-11-01T12:00:00+00:00", "rate": 1e-05}
    store = StoreWriter(path, name="wide", layers=layers, facts=facts)
    store.add_split(one)
    for step in range(SNAPSHOTS):
        store.commit(wide_snapshot(step))
    store.close()
    store = StoreWriter(path, name="wide", layers=layers, facts=facts, resume=True, first_step=1)
    store.add_split(one)
    store.commit(wide_snapshot(2))
    store.close()
    return path


def wide_snapshot(step: int) -> Snapshot:
    rng = np.random.default_rng(step)
    labels = rng.integers(0, 2, 60)  # the third class is empty
    responses = np.maximum(rng.standard_normal((60, WIDE)), 0)
    moments = Moments.from_samples(responses, labels, 3)
    return Snapshot(
        split="val",
        step=step,
        epoch=float("nan"),
        wall_time=1e9 + step,
        seconds=0.1,
        moments={"true": moments, "predicted": moments},
        confusion=np.diag(moments.count),
    )


def command(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def stored(path: Path) -> dict[str, np.ndarray]:
    reader = StoreReader(path, superseded=True)
    return {name: reader.read(name) for name in reader.arrays()}


# --- verify -------------------------------------------------------------------------------------


def along(reader: StoreReader, name: str) -> bool:
    return reader.metadata_of(name)["dimension_names"][0] == "snapshot"


def check_the_rest_is_readable(
    path: Path, report: care.Report, before: dict[str, np.ndarray]
) -> int:
    """Every value that the report does not call damaged is what it was; gives how many arrays."""
    reader, looked = StoreReader(path, superseded=True), 0
    for name, expected in before.items():
        of, _, array = name.partition("/")
        lost: set[int] = set()
        for damage in report.damages:
            if damage.split == of and damage.array == array:
                first, last = damage.snapshots or (0, len(expected) - 1)
                lost.update(range(first, last + 1))
        if not along(reader, name):
            if not lost:
                np.testing.assert_array_equal(reader.read(name), expected)
                looked += 1
            continue
        for index in sorted(set(range(len(expected))) - lost):
            np.testing.assert_array_equal(reader.read(name, index), expected[index])
            looked += 1
    return looked


def damage(file: Path, rng: random.Random) -> str:
    content = bytearray(file.read_bytes())
    if rng.random() < 0.25:
        kept = rng.randrange(len(content))
        file.write_bytes(content[:kept])
        return f"{file}: {len(content)} bytes cut to {kept}"
    bit = rng.randrange(len(content) * 8)
    content[bit // 8] ^= 1 << bit % 8
    file.write_bytes(content)
    return f"{file}: bit {bit} of {len(content)} bytes"


def torture(paths: list[Path], times: int, seed: int) -> dict[str, int]:
    """Damage one file at a time, look whether it is told, put it back."""
    rng = random.Random(seed)
    before = {path: stored(path) for path in paths}
    figures = {"damages": 0, "undetected": 0, "of the root": 0, "of metadata": 0, "of data": 0}
    figures["values read as before"] = 0
    for number in range(times):
        path = paths[number % len(paths)]
        files = sorted(f for f in path.rglob("*") if f.is_file() and f.stat().st_size)
        weights = [f.stat().st_size for f in files] if number % 4 < 2 else None
        file = rng.choices(files, weights)[0]
        whole = file.read_bytes()
        what = damage(file, rng)
        report = care.verify(path)
        named = {one.file for one in report.damages}
        figures["damages"] += 1
        is_root = file.parent.name == layout.ROOT
        kind = "root" if is_root else "metadata" if file.name == layout.GROUP_FILE else "data"
        figures[f"of {'the ' * is_root}{kind}"] += 1
        if named != {file.relative_to(path).as_posix()}:
            figures["undetected"] += 1
            print(what, "was told as", report.damages)
        elif is_root:
            with pytest.raises(FormatError):
                StoreReader(path)
        else:
            figures["values read as before"] += check_the_rest_is_readable(
                path, report, before[path]
            )
        file.write_bytes(whole)
    for path in paths:
        assert care.verify(path).whole
    print(figures)
    return figures


def test_random_damages_are_told_and_the_rest_stays_readable(tmp_path: Path) -> None:
    figures = torture([full(tmp_path / "full"), wide(tmp_path / "wide")], 60, seed=3)
    assert figures["damages"] == 60
    assert figures["undetected"] == 0
    assert figures["of the root"] * figures["of metadata"] * figures["of data"] > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_thousand_random_damages_are_told(tmp_path: Path) -> None:
    figures = torture([full(tmp_path / "full"), wide(tmp_path / "wide")], 1000, seed=1)
    assert figures["damages"] == 1000
    assert figures["undetected"] == 0


@pytest.mark.parametrize("make", [full, wide])
def test_a_whole_run_is_told_whole(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    report = care.verify(make(tmp_path / "run"))
    assert report.whole
    assert (report.damages, report.leftovers) == ([], [])
    assert report.checked == report.total > 30
    code, text = command("verify", tmp_path / "run")
    assert code == 0
    assert "no damage found" in text


@pytest.mark.parametrize("make", [full, wide])
def test_every_bit_of_a_shard_counts(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path / "run")
    file = path / "run.zarr/val/true/nonfinite/c.1.0.0"
    whole = file.read_bytes()
    run = StoredRun(path)
    for bit in range(len(whole) * 8):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        file.write_bytes(content)
        with pytest.raises(FormatError):
            run.read("val/true/nonfinite", 1)
    file.write_bytes(whole)
    assert care.verify(path).whole


@pytest.mark.parametrize("file", ["val/true/mean/zarr.json", "val/true/zarr.json"])
def test_every_bit_of_a_metadata_file_counts(tmp_path: Path, file: str) -> None:
    path = full(tmp_path / "run")
    run, changed = StoredRun(path), path / "run.zarr" / file
    whole = changed.read_bytes()
    for bit in range(0, len(whole) * 8, 7 if len(whole) < 200 else 83):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        changed.write_bytes(content)
        found = [name for name, _, _ in metadata.faults(run, {"val": SNAPSHOTS}, live=False)]
        assert found == [f"run.zarr/{file}"], bit


def test_bytes_that_no_checksum_covers_are_told(tmp_path: Path) -> None:
    path = wide(tmp_path / "run")
    file = path / "run.zarr/val/true/mean/c.1.0.0"
    whole = file.read_bytes()
    before = stored(path)
    file.write_bytes(b"\0" * 8 + whole)  # the index stands where it shall, its offsets do not
    assert {d.file for d in care.verify(path).damages} == {"run.zarr/val/true/mean/c.1.0.0"}
    index = 2 * 16 + 4
    file.write_bytes(whole[:-index] + b"\0" * 8 + whole[-index:])  # a gap that reads as before
    np.testing.assert_array_equal(stored(path)["val/true/mean"], before["val/true/mean"])
    (told,) = care.verify(path).damages
    assert (told.array, told.snapshots) == ("true/mean", (1, 1))


@pytest.mark.parametrize(
    "file",
    [
        "step/c.0",
        "wall_time/c.0",
        "true/count/c.1.0",
        "true/mean/c.1.0.0",
        "true/m2/c.1.0.0",
        "true/active/c.1.0.0",
        "true/nonfinite/c.1.0.0",
        "true/confusion/c.1.0.0",
        "size/peak/mean/c.1.0.0",
        "responses/c.2.0.0",
        "response_ref/c.2.0",
        "predictions/c.2.0",
        "labels/c.0",
        "step/zarr.json",
        "true/zarr.json",
        "zarr.json",
    ],
)
def test_a_file_that_is_gone_is_noticed(tmp_path: Path, file: str) -> None:
    path = full(tmp_path / "run")
    (path / "run.zarr/val" / file).unlink()
    report = care.verify(path)
    assert [d.file for d in report.damages] == [f"run.zarr/val/{file}"]
    assert report.damaged_snapshots("test") == []


def test_flags_of_superseded_snapshots_that_are_gone_are_noticed(tmp_path: Path) -> None:
    path = wide(tmp_path / "run")
    (path / "run.zarr/val/superseded/c.0").unlink()
    (told,) = care.verify(path).damages
    assert (told.array, told.snapshots) == ("superseded", (2, 2))


def test_numbers_that_contradict_each_other_are_told(tmp_path: Path) -> None:
    store = extra_run.begin(tmp_path / "run")
    store.add_split(split(), static())
    one = snapshot(0)
    moments = one.moments["true"]
    many = replace(moments, active=moments.active + 60)
    store.commit(replace(one, moments={**one.moments, "true": many}))
    store.commit(replace(snapshot(1), confusion=np.full((3, 3), 60)))
    store.close()
    found = {(d.array, d.snapshots) for d in care.verify(tmp_path / "run").damages}
    assert found == {("true/active", (0, 0)), ("true/confusion", (1, 1))}


def test_a_bit_that_leaves_every_value_as_it_was_is_told(tmp_path: Path) -> None:
    path = wide(tmp_path / "run")
    for file in ("zarr.json", "val/zarr.json"):
        root = path / "run.zarr" / file
        whole = root.read_bytes()
        for before, after in ((b"1e-05", b"1E-05"), (rb"\u00e9", rb"\u00E9")):
            if before not in whole:
                continue
            root.write_bytes(whole.replace(before, after, 1))
            assert json.loads(root.read_bytes()) == json.loads(whole)
            assert [d.file for d in care.verify(path).damages] == [f"run.zarr/{file}"]
        root.write_bytes(whole)


def test_what_a_commit_cut_short_has_left_is_harmless(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "run"
    store = extra_run.begin(path)
    store.add_split(split(), static())
    store.commit(snapshot(0))

    def refuse(file: Path, content: bytes) -> None:
        raise OSError("no space left on device")

    for cut in (0, 1):  # before, and after the split's own file was written
        with monkeypatch.context() as patch:
            turns = iter([committed_root.replace_file] * cut)

            def sometimes(file: Path, content: bytes, turns: Any = turns) -> None:
                next(turns, refuse)(file, content)

            patch.setattr(committed_root, "replace_file", sometimes)
            with pytest.raises(OSError, match="no space"):
                store.commit(replace(snapshot(1), metrics={"late": 1.0}))
        assert care.verify(path).damages == []  # while the writer is there
        assert care.verify(path).leftovers == []
        copy = shutil.copytree(path, tmp_path / f"cut{cut}")
        (copy / "run.zarr/.zarr.json.1.2.tmp").write_bytes(b"half")
        (copy / "run.zarr/val/step/c.0.__lock").write_bytes(b"half")
        (copy / "notes.txt").write_text("mine")
        report = care.verify(copy)
        assert report.damages == []
        for name in ("run.zarr/.zarr.json.1.2.tmp", "run.zarr/val/true/mean/c.1.0.0", "notes.txt",
                     "run.zarr/val/step/c.0.__lock", "run.zarr/val/metric.late"):  # fmt: skip
            assert name in report.leftovers, name
        code, text = command("verify", copy)
        assert code == 0
        assert "harmless" in text
    store.abandon()


def test_an_array_alone_that_says_one_snapshot_more_is_told(tmp_path: Path) -> None:
    path = full(tmp_path / "run")
    file = path / "run.zarr/val/true/mean/zarr.json"
    file.write_text(file.read_text().replace('"shape":[3,', '"shape":[4,'))
    assert [d.file for d in care.verify(path).damages] == ["run.zarr/val/true/mean/zarr.json"]
    file = path / "run.zarr/zarr.json"  # of a run that was cut short, a crash may have left it so
    root = json.loads(file.read_text())
    root["attributes"]["state"] = "interrupted"
    root["attributes"]["hash"] = layout.digest(root)
    file.write_text(json.dumps(root, indent=1))
    assert care.verify(path).whole


def test_a_damaged_root_is_told_and_a_newer_format_is_not_called_damaged(tmp_path: Path) -> None:
    path = full(tmp_path / "run")
    file = path / "run.zarr/zarr.json"
    whole = file.read_text()
    newer = whole.replace('"huelapse_format": 1', '"huelapse_format": 3')
    file.write_text(newer)  # one flipped bit
    assert [d.file for d in care.verify(path).damages] == ["run.zarr/zarr.json"]
    code, text = command("verify", path)
    assert code == 1
    assert "nothing more was read" in text
    root = json.loads(newer)
    root["attributes"]["hash"] = layout.digest(root)
    file.write_text(json.dumps(root, indent=1))
    with pytest.raises(FormatError, match="format 3"):
        care.verify(path)
    with pytest.raises(NotARunError):
        care.verify(tmp_path)


def test_verify_says_which_snapshots_of_what_are_damaged(tmp_path: Path) -> None:
    path = full(tmp_path / "run")
    file = path / "run.zarr/val" / MAPS / "c.2.0.0.0.0"
    file.write_bytes(file.read_bytes()[:-1])
    code, text = command("verify", path)
    assert code == 1
    assert f"run.zarr/val/{MAPS}/c.2.0.0.0.0 (snapshot 2)" in text
    assert "val: 1 of 3 snapshots are damaged" in text
    code, text = command("verify", path, "--json")
    found = json.loads(text)
    assert code == 1
    assert found["snapshots"]["val"] == {"snapshots": 3, "damaged": [2]}
    assert found["snapshots"]["test"] == {"snapshots": 3, "damaged": []}
    assert not found["whole"]


def test_ctrl_c_ends_a_verification_saying_how_far_it_came(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = full(tmp_path / "run")
    real, seen = care.Verification.steps, []

    def steps(self: care.Verification):
        for place in real(self):
            yield place
            seen.append(place)
            if len(seen) == 3:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(1)

    monkeypatch.setattr(showing.Verification, "steps", steps)
    code, text = command("verify", path)
    assert code == 130
    found = re.search(r"Stopped: (\d+) of (\d+) parts were read, no damage found until then", text)
    assert found is not None
    assert 0 < int(found[1]) < int(found[2])


# --- ls -----------------------------------------------------------------------------------------


def test_ls_lists_every_run_and_goes_on_past_a_damaged_one(tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    wide(runs / "a" / "wide")
    full(runs / "full")
    begun = StoreWriter(runs / "begun", name="begun", layers=LAYERS, facts={})
    damaged = wide(runs / "cut") / "run.zarr/zarr.json"
    damaged.write_bytes(damaged.read_bytes()[:-200])
    full(runs / "full" / "cache" / "inner")  # not looked for inside a run
    deep = runs.joinpath(*"1234")
    wide(deep)
    wide(runs.joinpath(*"abcd") / "too deep")
    wide(tmp_path / "outside")
    (runs / "link").symlink_to(tmp_path / "outside")
    found = care.list_runs(runs)
    begun.abandon()
    assert len(deep.relative_to(runs).parts) == DEPTH
    assert [str(Path(one.path).relative_to(runs)) for one in found] == [
        "1/2/3/4", "a/wide", "begun", "cut", "full",
    ]  # fmt: skip
    one = {Path(run.path).name: run for run in found}
    assert (one["wide"].name, one["wide"].classes, one["wide"].snapshots) == ("wide", 3, 3)
    assert (one["wide"].last_step, one["wide"].accuracy) == (2, 1.0)
    assert one["wide"].created == "2026-11-01T12:00:00+00:00"
    assert one["wide"].state == "complete"
    assert one["begun"].state == "recording"
    assert (one["begun"].snapshots, one["begun"].last_step) == (0, None)
    assert one["full"].accuracy == 0.0
    assert one["full"].bytes == sum(
        f.stat().st_size for f in (runs / "full").rglob("*") if f.is_file()
    )
    assert one["cut"].error is not None
    assert "FormatError" in one["cut"].error
    code, text = command("ls", runs)
    assert code == 0
    assert "a/wide" in text
    assert "5 runs" in text
    assert len([line for line in text.splitlines() if "FormatError" in line]) == 1
    code, text = command("ls", runs, "--json")
    assert [run["path"] for run in json.loads(text)] == [run.path for run in found]
    assert command("ls", deep)[1].count("wide") == 1
    with pytest.raises(NotARunError):
        care.list_runs(tmp_path / "nowhere")


def test_ls_reads_one_confusion_however_many_there_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide(tmp_path / "run")
    read: list[str] = []
    real = StoreReader.read_chunks

    def counting(self: StoreReader, path: str, selection: object) -> np.ndarray:
        value = real(self, path, selection)
        read.append(path)
        assert value.size < 20
        return value

    monkeypatch.setattr(StoreReader, "read_chunks", counting)
    (one,) = care.list_runs(tmp_path)
    assert one.snapshots == 3
    assert one.last_step == 2
    assert set(read) == {f"val/{n}" for n in ("step", "segment", "true/confusion", "true/count")}


# --- rm -----------------------------------------------------------------------------------------


def test_rm_removes_a_run_and_says_what_was_freed(tmp_path: Path) -> None:
    path = wide(tmp_path / "run")
    (path / "cache").mkdir()
    (path / "cache" / "x").write_bytes(b"123")
    kept = wide(tmp_path / "kept")
    code, text = command("rm", path, "--dry-run")
    assert (code, path.exists()) == (0, True)
    assert "would remove" in text
    code, text = command("rm", path)  # no terminal to ask on
    assert (code, path.exists()) == (1, True)
    assert "--yes" in text
    code, text = command("rm", path, "--yes")
    assert (code, path.exists()) == (0, False)
    assert "Removed 1 run, freed" in text
    assert care.verify(kept).whole


@pytest.mark.parametrize("answer, code", [("y", 0), ("n", 1), ("", 1)])
def test_rm_asks_on_a_terminal(tmp_path: Path, answer: str, code: int) -> None:
    pty = pytest.importorskip("pty")
    path = wide(tmp_path / "run")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "huelapse", "rm", str(path)],
        stdin=theirs,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.write(ours, f"{answer}\n".encode())
    assert process.wait(60) == code
    os.close(ours)
    os.close(theirs)
    assert path.exists() == (code != 0)


def test_rm_refuses_what_is_not_a_run_alone(tmp_path: Path) -> None:
    def made(name: str) -> Path:
        return wide(tmp_path / name)

    link = tmp_path / "link"
    link.symlink_to(made("target"))
    foreign = made("foreign")
    (foreign / "model.pt").write_bytes(b"weights")
    inner = made("inner")
    (inner / "cache").symlink_to(tmp_path)
    other = made("other")
    root = other / "run.zarr/zarr.json"
    root.write_text(root.read_text().replace("huelapse_format", "some_format"))
    folder = made("folder/run").parent
    empty = tmp_path / "empty"
    empty.mkdir()
    file = tmp_path / "file"
    file.write_text("mine")
    refused = {
        link: "symbolic link",
        foreign: "model.pt",
        inner: "symbolic links",
        other: "does not say",
        folder: "holds no run",
        empty: "holds no run",
        file: "not a directory",
        tmp_path / "target/run.zarr": "inside of a run",
    }
    good = made("good")
    before = sorted(tmp_path.rglob("*"))
    for path, why in refused.items():
        code, text = command("rm", good, path, "--yes")
        assert code == 1, path
        assert why in text.replace("\n", " "), path
        with pytest.raises(NotARunError, match=why):
            care.remove(path)
    with pytest.raises(NotARunError):
        command("rm", good, tmp_path / "nowhere", "--yes")
    assert sorted(tmp_path.rglob("*")) == before


def test_rm_refuses_a_run_that_is_being_written(tmp_path: Path) -> None:
    path = wide(tmp_path / "run")
    lock = WriterLock(path / "lock")
    lock.acquire()
    code, text = command("rm", path, "--yes")
    assert code == 1
    assert "being written" in text
    with pytest.raises(RunLockedError):
        care.remove(path)
    lock.release()
    assert care.verify(path).whole
    assert care.remove(path) > 1000


def test_a_run_that_is_half_removed_is_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = wide(tmp_path / "run")

    def stop(directory: Path) -> None:
        raise KeyboardInterrupt

    with pytest.raises(RunLockedError), monkeypatch.context() as patch:
        # what would begin to write there meanwhile is kept out
        patch.setattr(removing.shutil, "rmtree", lambda directory: extra_run.begin(path))
        care.remove(path)
    assert not (path / "run.zarr/zarr.json").exists()
    path = wide(tmp_path / "another")
    monkeypatch.setattr(removing.shutil, "rmtree", stop)
    code, text = command("rm", path, "--yes")
    assert code == 130
    assert "half removed" in text
    assert (path / "run.zarr/val").exists()
    assert care.list_runs(tmp_path) == []
    with pytest.raises(NotARunError):
        StoreReader(path)


def test_rm_of_old_runs_leaves_young_ones(tmp_path: Path) -> None:
    old, young = wide(tmp_path / "runs/a/old"), wide(tmp_path / "runs/young")
    mixed = wide(tmp_path / "runs/mixed")
    (mixed / "mine").write_text("x")
    past = time.time() - 40 * 86400
    for path in (old, mixed):
        os.utime(path / "run.zarr/zarr.json", (past, past))
    assert [r.path for r in care.plan_removal([tmp_path / "runs"], 45 * 86400)] == []
    code, text = command("rm", tmp_path / "runs", "--older-than", "30d", "--yes")
    assert code == 1  # one was refused, and told
    assert "holds more than a run" in text
    assert [p.exists() for p in (old, young, mixed)] == [False, True, True]
    code, text = command("rm", tmp_path / "runs", "--older-than", "45d", "--yes")
    assert (code, "0 runs" in text) == (0, True)


@pytest.mark.parametrize("name", ["ls", "verify", "rm"])
def test_each_command_has_help(name: str) -> None:
    code, text = command(name, "--help")
    assert code == 0
    assert len(text) > 300


def test_xarray_reads_a_split_of_a_run_whose_root_is_damaged(tmp_path: Path) -> None:
    xr = pytest.importorskip("xarray")
    path = full(tmp_path / "run")
    expected = stored(path)["val/true/mean"]
    (path / "run.zarr/zarr.json").write_text("{")
    with xr.open_datatree(path / "run.zarr/val", engine="zarr") as tree:
        np.testing.assert_array_equal(tree["true/mean"].values, expected)


def test_ages() -> None:
    found = [removing.parse_age(text) for text in ("30m", "12h", "30d", "4w")]
    assert found == [1800, 43200, 30 * 86400, 28 * 86400]
    for text in ("30", "d", "-3d", "3 days", "1.5d", "3y"):
        with pytest.raises(OptionError):
            removing.parse_age(text)


def test_numbers_and_strings_are_written_in_one_way() -> None:
    for good in ("1", "-3", "0.1", "1e-05", "1e+16", "1000000000000000.0", '"é"', r'"\u00e9"'):
        read_metadata(f'{{"a": {good}}}'.encode())
    for bad in ("1E-05", "0.10000000000000001", r'"\u00E9"', "1.0e5x", '"a', "NaN5"):
        with pytest.raises(FormatError):
            read_metadata(f'{{"a": {bad}}}'.encode())
