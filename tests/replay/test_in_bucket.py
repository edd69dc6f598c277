"""Shards that share nothing but a bucket: the same run; nothing is lost, done twice or trusted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, data, replay, same, train
from typer.testing import CliRunner

import huelapse
import huelapse.errors
from huelapse.cli import app
from huelapse.errors import OptionError, PlaceError, ReplayError, RunLockedError, RunPathError
from huelapse.replaying import roster
from huelapse.replaying.asked import Asked, Data
from huelapse.replaying.committing import Committer
from huelapse.replaying.engines import Job, Progress, Result, Task
from huelapse.replaying.engines.remote import BucketMark, Remote, own_directory
from huelapse.replaying.gathering import commit
from huelapse.replaying.in_bucket import InBucket
from huelapse.schema import VERSION
from huelapse.store import objects, pieces
from served_bucket import KEY, SECRET, Fault, Served, served

AT = "s3://bucket/parts of/mine"
QUICK = {"max_retries": 3, "initial_delay": "1ms", "max_delay": "5ms"}


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("saved"), live=False)


@pytest.fixture(scope="module")
def whole(saved: Path) -> Path:
    """What one process gives that needs no bucket."""
    replay(saved, saved.parent / "whole", batch=50)
    return saved.parent / "whole"


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """The server, of the buckets `bucket` and `closed`; faults are given up soon."""
    for name in ("bucket", "closed"):
        (tmp_path / "served" / name).mkdir(parents=True)
    monkeypatch.setattr(objects, "PATIENT", QUICK)
    monkeypatch.setattr(objects, "RETRIES", QUICK)
    with served(tmp_path / "served", monkeypatch) as told:
        yield told


NURSERY = """
import json, os, sys, torch, tensorstore
torch.set_num_threads(1)
import replayed
from huelapse.replaying.asked import Asked, Data
from huelapse.replaying.engines import Job, Progress, Result, Task
from huelapse.replaying.engines.remote import BucketMark, Remote, own_directory
from huelapse.replaying.gathering import commit
from huelapse.replaying.in_bucket import InBucket
from huelapse.schema import VERSION
from huelapse.store import objects, pieces
objects.PATIENT = objects.RETRIES = {"max_retries": 3, "initial_delay": "1ms", "max_delay": "5ms"}
pieces.PIECE_BYTES = 9000
print("ready", flush=True)
for line in sys.stdin:
    told = json.loads(line)
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        try:
            do = commit if told["commit"] else replayed.replay
            report = do(*told["given"], **told["options"])
            print(json.dumps(report.as_json()), flush=True)
        except BaseException:
            import traceback
            print(traceback.format_exc(), flush=True)
        os._exit(0)
    os.wait()
    print("gone", flush=True)
"""
"""Forks a process for each line it is told, which ends before it is told the next."""


class Nursery:
    """Processes that may be killed, without waiting for torch each time."""

    def __init__(self) -> None:
        paths = os.pathsep.join([str(HERE.parent), str(HERE.parent.parent)])
        self._process = subprocess.Popen(
            [sys.executable, "-c", NURSERY],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
        )
        assert self._line() == "ready"

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def do(self, bucket: Served, *given: Any, **options: Any) -> dict[str, Any] | None:
        """The report of a shard, or of who commits where none is named; None where it was killed."""
        bucket.victim = None
        told = {
            "commit": "shard" not in options,
            "given": [str(one) for one in given],
            "options": {**options, "parts_at": AT},
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(told) + "\n")
        self._process.stdin.flush()
        bucket.victim = int(self._line())
        last = self._line()
        if last == "gone":
            return None
        assert self._line() == "gone"
        return json.loads(last)

    def end(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture
def nursery(bucket: Served) -> Iterator[Nursery]:
    """One that knows the bucket's address."""
    nursery = Nursery()
    yield nursery
    nursery.end()


def shard(saved: Path, run: Path, which: str, **options: Any) -> Any:
    """One that works in a directory that nobody else sees."""
    return replay(saved, run, **{"shard": which, "parts_at": AT, "batch": 50, **options})


def at(bucket: Served) -> Path:
    return bucket.folder / "bucket" / AT.removeprefix("s3://bucket/")


def parts_in(bucket: Served) -> list[Path]:
    """Folders of parts that are closed."""
    return sorted(p.parent for p in at(bucket).glob("*.npz/whole.json"))


def left_in(bucket: Served) -> list[str]:
    return sorted(
        {p.relative_to(at(bucket)).parts[0] for p in at(bucket).rglob("*") if p.is_file()}
    )


@pytest.mark.parametrize("divided", [1, 2])
def test_shards_that_share_only_a_bucket_give_what_one_process_gives(
    saved: Path,
    whole: Path,
    bucket: Served,
    tmp_path: Path,
    divided: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pieces, "PIECE_BYTES", 3000)  # several of each part
    for i in range(2):
        report = shard(saved, tmp_path / f"machine{i}/run", f"{i}/2", parts=divided)
        assert report.recorded == len(STEPS) * divided // 2
        assert not list((tmp_path / f"machine{i}/run/partial").glob("*.npz"))
        assert not (tmp_path / f"machine{i}/run/run.zarr").exists()
    assert len(parts_in(bucket)) == len(STEPS) * divided
    assert all(len(list(part.iterdir())) > 2 for part in parts_in(bucket))
    assert bucket.greatest == pieces.CLOSING_BYTES  # of pieces none has more than 3,000
    run = tmp_path / "committer/run"
    report = commit(run, parts_at=AT)
    assert sorted(report.committed) == list(STEPS)
    assert (report.waiting, report.lacking, report.failed, report.left) == ([], [], [], [])
    assert huelapse.open(run).status == "complete"
    assert not (run / "partial").exists()
    assert [name for name in left_in(bucket) if "committed" not in name] == []
    if divided == 1:
        same(run, whole)
    else:
        replay(saved, tmp_path / "disk", batch=50, parts=2)
        same(run, tmp_path / "disk")
    again = shard(saved, tmp_path / "new machine/run", "1/2", parts=divided)
    assert (again.samples, again.already) == (0, len(STEPS))
    report = commit(run, parts_at=AT)
    assert (report.committed, report.failed, report.waiting, report.lacking) == ([], [], [], [])
    assert huelapse.open(run).status == "complete"


MOMENTS = [
    ("PUT", "-job-", 0),  # nothing is there yet
    ("PUT", ".safetensors/", 0),
    ("PUT", ".npz/", 0),  # the first piece of the first part
    ("PUT", ".npz/", 1),
    ("PUT", "whole.json", 2),  # what closes it
    ("GET", ".npz/whole.json", 1),  # between two tasks
    ("PUT", ".npz/", 4),
    ("PUT", "-job-", 2),  # all is there, and it is not said
]


def test_a_shard_that_is_killed_at_any_moment_is_gone_on_with_elsewhere(
    saved: Path, whole: Path, bucket: Served, nursery: Nursery, tmp_path: Path
) -> None:
    own = 300 * len(STEPS) // 2
    for number, (method, inside, after) in enumerate(MOMENTS):
        shutil.rmtree(at(bucket), ignore_errors=True)
        bucket.faults[:] = [Fault(method, inside, "kill", times=1, after=after)]
        first = tmp_path / f"{number}/first"
        assert nursery.do(bucket, saved, first, shard="0/2", batch=50) is None, inside
        assert not bucket.faults[0].times
        done = len(parts_in(bucket))
        for path in parts_in(bucket):
            told = json.loads((path / "whole.json").read_bytes())
            assert {one["sha256"] for one in told["pieces"]} <= {p.name for p in path.iterdir()}
        other = nursery.do(bucket, saved, tmp_path / f"{number}/other", shard="0/2", batch=50)
        assert other is not None
        assert other["samples"] == own - 300 * done
        assert other["failed"] == []
        if number in (2, 4):  # the same machine again: what it had not sent is sent
            shutil.rmtree(at(bucket))
            again = nursery.do(bucket, saved, first, shard="0/2", batch=50)
            assert again is not None
            assert again["samples"] == own - 300
        assert nursery.do(bucket, saved, tmp_path / f"{number}/next", shard="1/2", batch=50)
        report = commit(tmp_path / f"{number}/run", parts_at=AT)
        assert (sorted(report.committed), report.failed, report.left) == (list(STEPS), [], [])
        same(tmp_path / f"{number}/run", whole)
        assert [name for name in left_in(bucket) if "committed" not in name] == []


COMMITTING = [
    ("GET", ".safetensors/", 1),
    ("GET", ".npz/", 2),  # while the first part is fetched
    ("GET", ".npz/", 7),
    ("PUT", "-committed.json/", 0),  # it is in the run, and nobody has noted it
    ("PUT", "-committed.json/", 1),
    ("PUT", "-committed.json/", 3),
    ("DELETE", "whole.json", 0),
    ("DELETE", "whole.json", 2),
    ("DELETE", ".npz/", 3),  # some of its pieces are gone
    ("DELETE", ".safetensors/", 0),  # all is committed, and not all tidied up
]


def test_who_commits_is_killed_at_any_moment_and_the_next_one_goes_on(
    saved: Path, whole: Path, bucket: Served, nursery: Nursery, tmp_path: Path
) -> None:
    for i in range(2):
        shard(saved, tmp_path / f"shard{i}", f"{i}/2")
    shutil.copytree(at(bucket), tmp_path / "as it was")
    for number, (method, inside, after) in enumerate(COMMITTING):
        shutil.rmtree(at(bucket))
        shutil.copytree(tmp_path / "as it was", at(bucket))
        bucket.faults[:] = [Fault(method, inside, "kill", times=1, after=after)]
        run = tmp_path / f"{number}/run"
        assert nursery.do(bucket, run) is None, (method, inside, after)
        assert not bucket.faults[0].times
        waiting = {int(p.name.split("-")[1]) for p in parts_in(bucket)}
        before: set[int] = set()
        if (run / "run.zarr/zarr.json").exists():
            before = set(huelapse.open(run).steps.tolist())
        assert waiting | before == set(STEPS)  # nothing is removed that is not in the run
        again = shard(saved, tmp_path / f"{number}/again", "0/2")  # given again meanwhile
        assert again.samples == 0, (method, inside, after)
        report = commit(run, parts_at=AT)
        assert set(report.committed) == set(STEPS) - before
        assert (report.failed, report.waiting, report.lacking, report.left) == ([], [], [], [])
        same(run, whole)
        assert huelapse.open(run).status == "complete"
        assert [name for name in left_in(bucket) if "committed" not in name] == []
        assert not (run / "partial").exists()


def test_copies_that_one_who_was_killed_has_left_do_not_count_twice(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/1")
    files = pieces.FilesInBucket(objects.Objects(AT))
    one, two = (part.name for part in parts_in(bucket)[:2])
    files.fetch(one, tmp_path / "run/partial" / one, 2**30)
    (tmp_path / "run/partial" / two).write_bytes(b"cut short")
    report = commit(tmp_path / "run", parts_at=AT)
    assert (sorted(report.committed), report.failed) == (list(STEPS), [])
    assert not (tmp_path / "run/partial").exists()
    same(tmp_path / "run", whole)


# --- what goes wrong on the way ---------------------------------------------------------------------


@pytest.mark.parametrize("what", [500, 503, "cut", "short"])
def test_faults_that_pass_are_not_noticed(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path, what: int | str
) -> None:
    bucket.faults += [Fault("PUT", ".npz/", what, 2), Fault("GET", "whole.json", what, 2)]
    bucket.faults += [Fault("GET", "list-type", what, 2), Fault("DELETE", ".npz/", what, 2)]
    report = shard(saved, tmp_path / "shard", "0/1")
    assert (report.recorded, report.failed) == (len(STEPS), [])
    bucket.faults.append(Fault("GET", ".npz/", what, 2))
    assert sorted(commit(tmp_path / "run", parts_at=AT).committed) == list(STEPS)
    assert not any(fault.times for fault in bucket.faults)
    same(tmp_path / "run", whole)


def test_a_part_that_could_not_be_sent_waits_where_it_was_made(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    bucket.faults.append(Fault("PUT", "val-2-", 503))
    report = shard(saved, tmp_path / "shard", "0/1")
    (failed,) = report.failed
    assert failed.step == 2
    assert "cannot be written to" in failed.why
    assert failed.tries == 2
    assert report.recorded == len(STEPS) - 1
    told = commit(tmp_path / "run", parts_at=AT)
    assert sorted(told.committed) == [0, 4, 6]
    assert [one.step for one in told.failed] == [2]
    assert huelapse.open(tmp_path / "run").status == "interrupted"
    bucket.faults.clear()
    report = shard(saved, tmp_path / "shard", "0/1")
    assert (report.samples, report.failed) == (0, [])
    assert commit(tmp_path / "run", parts_at=AT).committed == [2]
    same(tmp_path / "run", whole)


def test_a_bucket_that_goes_away_ends_the_committing_and_loses_nothing(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/1")
    bucket.faults.append(Fault("GET", "val-4-", 500))
    with pytest.raises(PlaceError, match="cannot be read"):
        commit(tmp_path / "run", parts_at=AT)
    assert huelapse.open(tmp_path / "run").steps.tolist() == [0, 2]
    assert not list((tmp_path / "run/partial").glob("*.npz"))
    bucket.faults.clear()
    assert commit(tmp_path / "run", parts_at=AT).committed == [4, 6]
    same(tmp_path / "run", whole)


def never() -> Any:
    raise AssertionError("the model was made before the bucket was tried")


@pytest.mark.parametrize(
    ("address", "fault", "told"),
    [
        ("s3://nowhere/x", None, "there is no bucket nowhere"),
        ("s3://closed/x", None, r"may not be written to \(403\).*s3:PutObject"),
        (AT, Fault("GET", "trial", 403), r"may not be (read|listed) \(403\)"),
        (AT, Fault("GET", "list-type", 403), r"may not be listed \(403\)"),
        (AT, Fault("DELETE", "trial", 403), r"may not be removed from \(403\)"),
        (AT, Fault("PUT", "trial", 500), "cannot be written to: .*InternalError"),
    ],
)
def test_a_bucket_that_cannot_be_used_is_told_before_anything_is_computed(
    saved: Path, bucket: Served, tmp_path: Path, address: str, fault: Fault | None, told: str
) -> None:
    bucket.faults += [fault] if fault is not None else []
    with pytest.raises(PlaceError, match=told) as raised:
        shard(saved, tmp_path / "shard", "0/1", parts_at=address, model=never)
    assert SECRET not in str(raised.value)
    assert KEY not in str(raised.value)
    assert not (tmp_path / "shard").exists()
    if fault is None or fault.method != "PUT":
        if fault is not None:
            bucket.faults[:] = [Fault(fault.method, fault.inside.replace("trial", "/"), 403)]
        with pytest.raises(PlaceError):
            commit(tmp_path / "run", parts_at=address)
        assert not (tmp_path / "run/run.zarr").exists()


def test_a_server_that_is_away_and_keys_that_are_wrong_are_told_without_secrets(
    saved: Path, bucket: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(PlaceError, match=r"may not be written to \(403\)") as raised:
        shard(saved, tmp_path / "shard", "0/1", model=never)
    assert "another-secret" not in str(raised.value)
    port = address.rpartition(":")[2]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://me:pass-word@127.0.0.1:{port}/none")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIASOMEONE")
    with pytest.raises(PlaceError) as raised:
        shard(saved, tmp_path / "shard", "0/1", model=never)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://me:pass-word@127.0.0.1:9")
    with pytest.raises(PlaceError, match="AWS_ENDPOINT_URL and AWS_REGION right") as away:
        shard(saved, tmp_path / "shard", "0/1", model=never)
    for told in (str(raised.value), str(away.value)):
        assert "pass-word" not in told
        assert "AKIASOMEONE" not in told
    for odd in (
        "s3://bucket",
        "s3://",
        "gs://b/x",
        "/shared/x",
        "s3://me:pass-word@b/x",
        "s3://b/../x",
    ):
        with pytest.raises(OptionError, match="expected s3://bucket/key") as refused:
            shard(saved, tmp_path / "shard", "0/1", parts_at=odd, model=never)
        assert "pass-word" not in str(refused.value)


# --- what others have put there ---------------------------------------------------------------------


def closing(name: str, *sizes: int, **other: Any) -> bytes:
    told = {"huelapse_pieces": 1, "name": name}
    told["pieces"] = [{"sha256": "0" * 64, "bytes": size} for size in sizes]
    return json.dumps({**told, **other}).encode().ljust(pieces.CLOSING_BYTES)


def test_what_others_have_put_there_is_named_and_the_rest_is_committed(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/1")
    zero, two, four, six = sorted(parts_in(bucket), key=lambda path: path.name)
    piece = next(p for p in two.iterdir() if p.name != "whole.json")
    piece.write_bytes(piece.read_bytes()[:-1])  # cut short
    piece = next(p for p in four.iterdir() if p.name != "whole.json")
    content = bytearray(piece.read_bytes())
    content[len(content) // 2] ^= 1
    piece.write_bytes(content)
    shutil.rmtree(six)
    shutil.copytree(zero, six)  # another part under its name
    told = json.loads((six / "whole.json").read_bytes())
    (six / "whole.json").write_bytes(
        json.dumps({**told, "name": six.name}).encode().ljust(pieces.CLOSING_BYTES)
    )
    folder = at(bucket)
    strange = "val-8-replay-00000000" + "1" * 16 + "-0000-" + "2" * 12 + ".npz"
    for name, inside, content in (
        (strange, "whole.json", closing(strange, 5)),  # of another run
        ("notes.txt", "whole.json", b"x"),
        ("a/b/../../..", "x", b""),
        ("deeper/than/that", "whole.json", b"x"),
        (".replay-0000000000000000-0000of0001.safetensors", "whole.json", closing("../../evil", 9)),
        (
            ".replay-1111111111111111-0000of0001.safetensors",
            "whole.json",
            b"[" * pieces.CLOSING_BYTES,
        ),
        (".replay-2222222222222222-job-000000of000001.json", "whole.json", b"short"),
    ):
        (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / name / inside).write_bytes(content)
    (folder / "evil.pkl").write_bytes(b"cos\nsystem\n(S'touch /tmp/evil'\ntR.")
    before = {p for p in tmp_path.rglob("*") if bucket.folder not in p.parents}
    report = commit(tmp_path / "run", parts_at=AT)
    assert report.committed == [0]
    why = {one.step: one.why for one in report.failed}
    assert sorted(why) == [2, 4, 6]
    assert "is cut short" in why[2]
    assert "a piece does not match its SHA-256" in why[4]
    assert f"holds another part: {zero.name}" in why[6]
    left = "\n".join(report.left)
    for name in (strange, "notes.txt", "deeper/than", "evil.pkl", ".replay-0000", ".replay-1111"):
        assert name in left
    assert ".replay-2222222222222222-job" in left
    assert huelapse.open(tmp_path / "run").status == "interrupted"
    after = {p for p in tmp_path.rglob("*") if bucket.folder not in p.parents} - before
    assert all(tmp_path / "run" in (path, *path.parents) for path in after)
    assert not list((tmp_path / "run/partial").glob("*.npz"))
    assert (folder / "evil.pkl").is_file()  # it is nobody's business here
    told = CliRunner().invoke(
        app, ["replay", "--commit", "--out", str(tmp_path / "run"), "--parts-at", AT]
    )
    assert told.exit_code == 1
    assert "left  " in told.output
    again = shard(saved, tmp_path / "again", "0/1")  # which does what is damaged, and only that
    assert (again.samples, again.already) == (900, 1)
    assert commit(tmp_path / "run", parts_at=AT).committed == [2, 4, 6]
    same(tmp_path / "run", whole)


@pytest.mark.parametrize(
    "told",
    [
        closing("x", 10**15),
        closing("x", -5),
        closing("x", 1.5),  # type: ignore[arg-type]
        closing("x", *[64 * 2**20] * 601),
        closing("x", pieces=[{"sha256": "../../../etc/passwd", "bytes": 9}]),
        closing("x", pieces=7),
        closing("y", 5),
        b"\xff" * pieces.CLOSING_BYTES,
        b"{}".ljust(pieces.CLOSING_BYTES),
        b"",
    ],
)
def test_what_closes_a_file_is_not_trusted(bucket: Served, tmp_path: Path, told: bytes) -> None:
    (at(bucket) / "x").mkdir(parents=True)
    (at(bucket) / "x/whole.json").write_bytes(told)
    files = pieces.FilesInBucket(objects.Objects(AT))
    assert not files.has("x")
    with pytest.raises(huelapse.errors.PartialError):
        files.fetch("x", tmp_path / "here/x", 2**40)
    assert not list((tmp_path / "here").iterdir())
    assert not [path for path in bucket.asked if "passwd" in path]


def test_what_a_newer_huelapse_has_put_there_is_left_as_it_is(
    saved: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/1")
    newer = parts_in(bucket)[0]
    (newer / "whole.json").write_bytes(closing(newer.name, huelapse_pieces=2))
    report = commit(tmp_path / "run", parts_at=AT)
    assert "is in format 2; this huelapse reads 1" in report.failed[0].why
    assert (newer / "whole.json").is_file()


# --- one address, one run ---------------------------------------------------------------------------


def test_another_replay_is_refused_at_an_address_that_has_one(
    saved: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/2")
    with pytest.raises(
        ReplayError, match=r"mine has parts of another replay of 'val': batch was 50"
    ):
        shard(saved, tmp_path / "other", "1/2", batch=20)
    assert shard(saved, tmp_path / "shard", "0/1", split="test").recorded == len(STEPS)
    report = commit(tmp_path / "run", parts_at=AT)
    assert sorted(report.committed) == [0, 0, 2, 4, 4, 6]
    assert report.lacking[0].startswith("job 1 of 2 left nothing here")
    with pytest.raises(ReplayError, match=r"mine has parts of another replay of 'val'"):
        shard(saved, tmp_path / "other", "1/2", batch=20)
    with pytest.raises(
        ReplayError, match=r"were committed into the run .*run, and are not in .*else"
    ):
        commit(tmp_path / "else", parts_at=AT)
    assert not (tmp_path / "else/run.zarr").exists()
    shard(saved, tmp_path / "other", "1/2")
    assert sorted(commit(tmp_path / "run", parts_at=AT).committed) == [2, 6]
    assert huelapse.open(tmp_path / "run").status == "complete"
    assert [name for name in left_in(bucket) if "committed" not in name] == []
    with pytest.raises(ReplayError, match=r"mine has parts of another replay of 'val'"):
        shard(saved, tmp_path / "other", "1/2", batch=20)  # what is there no more is known too


def other_data() -> Any:
    x, y = data()
    return x + 1, y


def test_other_samples_behind_the_same_name_are_told_from_machine_to_machine(
    saved: Path, bucket: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard(saved, tmp_path / "shard", "0/2")
    other_data.__module__, other_data.__qualname__ = data.__module__, data.__qualname__
    monkeypatch.setattr("replayed.data", other_data)
    report = shard(saved, tmp_path / "other", "1/2")
    assert not report.recorded
    assert "the data give other samples than before" in report.failed[0].why
    monkeypatch.setattr(InBucket, "begin", lambda *_: None)  # as when both had begun at once
    report = shard(saved, tmp_path / "third", "1/2")
    assert not report.recorded
    assert "the data give other samples than before" in report.failed[0].why


def test_parts_are_kept_where_that_is_asked_for(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    shard(saved, tmp_path / "shard", "0/1")
    there = left_in(bucket)
    for run in ("one", "two", "two"):
        report = commit(tmp_path / run, parts_at=AT, keep_parts=True)
        assert len(report.committed) + report.already == len(STEPS)
        assert left_in(bucket) == there
    same(tmp_path / "two", whole)
    assert commit(tmp_path / "two", parts_at=AT).already == len(STEPS)
    assert [name for name in left_in(bucket) if "committed" not in name] == []


def test_of_two_who_commit_into_a_run_one_does_not_disturb_the_other(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shard(saved, tmp_path / "shard", "0/2")
    assert len(commit(run, parts_at=AT).committed) == 2
    (digest,) = roster.digests_in(run)
    other = Committer(run, "val", digest, 1, name="run")
    other.begin()
    shard(saved, tmp_path / "shard", "1/2")
    name = parts_in(bucket)[0].name
    (run / "partial" / name).write_bytes(b"what the other one has fetched")
    bucket.asked.clear()
    with pytest.raises(RunLockedError):
        commit(run, parts_at=AT)
    assert not [path for path in bucket.asked if ".npz/" in path]
    assert (run / "partial" / name).is_file()
    other.close("interrupted")
    assert len(commit(run, parts_at=AT).committed) == 2
    same(run, whole)


def test_options_that_do_not_go_together_are_told(saved: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="parts_at is for machines that share no disk"):
        replay(saved, tmp_path / "run", parts_at=AT)
    with pytest.raises(OptionError, match="keep_parts is of parts in a bucket"):
        commit(tmp_path / "run", keep_parts=True)
    for options, told in (
        (
            ["--keep-parts", "x.pt", "--model", "a:b", "--data", "c:d"],
            "--keep-parts is of --commit",
        ),
        (["--commit", "--parts-at", AT, "--shard", "0/2"], "--commit needs nothing but --out"),
        (["--commit", "--parts-at", "gs://x/y"], "expected s3://bucket/key"),
    ):
        done = CliRunner().invoke(app, ["replay", *options, "--out", str(tmp_path / "run")])
        assert isinstance(done.exception, OptionError)
        assert told in str(done.exception)


def test_the_command_says_where_parts_are_and_that_there_are_none(
    saved: Path, bucket: Served, tmp_path: Path
) -> None:
    options = ["--model", f"{HERE}:build", "--data", f"{HERE}:data", "--classes", "3"]
    options += ["--shard", "0/2", "--parts-at", AT]
    run = str(tmp_path / "run")
    done = CliRunner().invoke(app, ["replay", str(saved), "--out", run, *options])
    assert done.exit_code == 0, done.output
    told = f"huelapse replay --commit --out {run} --parts-at {AT}"
    assert told in done.output
    done = CliRunner().invoke(app, ["replay", "--commit", "--out", run, "--parts-at", AT])
    assert done.exit_code == 1
    assert "job 1 of 2 left nothing here" in done.output.lower()
    assert f"it leaves them elsewhere than at {AT}" in done.output
    done = CliRunner().invoke(app, ["replay", "--commit", "--out", run, "--parts-at", f"{AT}2"])
    assert f"{AT}2 holds no parts of a replay" in str(done.exception)
    with pytest.raises(ReplayError, match="holds no parts of a replay"):
        commit(tmp_path / "new/run", parts_at=f"{AT}2")
    assert not (tmp_path / "new/run").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(RunPathError, match="nothing can be written into"):
        commit(tmp_path / "file", parts_at=AT)
    with pytest.raises(RunPathError, match="nothing can be written into"):
        shard(saved, tmp_path / "file/run", "1/2")
    options[options.index("0/2")] = "1/2"
    command = ["replay", str(saved), "--out", str(tmp_path / "pool"), *options, "--workers", "2"]
    assert "2 tasks done" in CliRunner().invoke(app, command).output
    assert sorted(commit(run, parts_at=AT).committed) == [2, 6]


# --- workers of a cluster -----------------------------------------------------------------------------


def remote(mark: BucketMark, **changed: Any) -> Remote:
    asked = Asked(
        model=f"{HERE}:build", data=Data(kind="factory", source=f"{HERE}:data"), classes=3
    )
    job = Job(run="/not/here/run", asked=asked.as_json(), checkpoints=1, memory=2**30, parts_at=AT)
    told = {**job.as_json(), "version": VERSION, **changed}
    return Remote(told, str(Path.cwd()), (mark.path, mark.content), "cpu")


def test_a_worker_that_does_not_see_the_run_hands_its_parts_over(
    saved: Path, bucket: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.replaying.engines.remote.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    task = Task(place=str(saved / "step=2.pt"), step=2)
    worker = remote(BucketMark(AT))
    assert worker.greet()["unfit"] is None
    result = Result.from_json(worker.do(task.as_json(), None)["result"])
    assert result.samples == 300
    assert [part.name for part in parts_in(bucket)] == [Path(str(result.path)).name]
    (own,) = tmp_path.glob("huelapse-parts-*")
    assert not list(own.rglob("*.npz"))
    assert not Path("/not").exists()
    elsewhere = remote(BucketMark(AT))
    assert elsewhere.do(task.as_json(), None)["result"]["samples"] == 0
    for one in (worker, elsewhere):
        one.close()
    assert not list(tmp_path.glob("huelapse-parts-*"))


def test_directories_of_workers_that_were_killed_are_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.replaying.engines.remote.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    living = own_directory()
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    killed = living.with_name(living.name.replace(f"-{os.getpid()}-", f"-{child}-"))
    killed.mkdir()
    (killed / "part.npz").write_bytes(b"x")
    other = own_directory()
    assert set(tmp_path.glob("huelapse-parts-*")) == {living, other}


def test_a_worker_that_sees_another_bucket_is_not_used(
    saved: Path, bucket: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = BucketMark(AT)
    assert remote(mark).greet()["unfit"] is None
    with monkeypatch.context() as there:
        (tmp_path / "another/bucket").mkdir(parents=True)
        with served(tmp_path / "another", there):
            unfit = remote(mark).greet()["unfit"]
            assert "is another bucket there than here: AWS_ENDPOINT_URL" in unfit
            (tmp_path / "another/bucket").rename(tmp_path / "another/renamed")
            told = remote(mark).do(Task(place=str(saved / "step=2.pt"), step=2).as_json(), None)
            assert "there is no bucket bucket" in told["unfit"]
    mark.remove()
    assert left_in(bucket) == []


class Elsewhere:
    """An engine whose one worker sees nothing of the run, as on another machine."""

    def __init__(self, job: Job) -> None:
        self._mark = BucketMark(str(job.parts_at))
        told = {**job.as_json(), "version": VERSION, "run": "/not/here/run"}
        self._worker = Remote(told, "/", (self._mark.path, self._mark.content), "cpu")

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        try:
            for task in tasks:
                yield Result.from_json(self._worker.do(task.as_json(), None)["result"])
        finally:
            self._worker.close()
            self._mark.remove()


@pytest.mark.parametrize("divided", [1, 2])
def test_who_commits_what_workers_elsewhere_hand_over_gives_the_same_run(
    saved: Path, whole: Path, bucket: Served, tmp_path: Path, divided: int
) -> None:
    asked = {"engine": Elsewhere, "parts_at": AT, "batch": 50, "parts": divided}

    def stop(happening: Any) -> None:
        if happening.done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        replay(saved, tmp_path / "run", progress=stop, **asked)
    report = replay(saved, tmp_path / "run", **asked)
    assert report.failed == []
    assert report.samples <= (4 * divided - 3) * 300 // divided
    assert huelapse.open(tmp_path / "run").status == "complete"
    assert not (tmp_path / "run/partial").exists()
    assert [name for name in left_in(bucket) if "committed" not in name] == []
    if divided > 1:
        replay(saved, tmp_path / "disk", batch=50, parts=divided)
    same(tmp_path / "run", whole if divided == 1 else tmp_path / "disk")
    assert replay(saved, tmp_path / "run", **asked).already == len(STEPS)
