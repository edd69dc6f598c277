"""Shards that share nothing but a bucket: the same run; nothing is lost, done twice or trusted."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, replay, same, train

import huelapse
from huelapse.replaying.gathering import commit
from huelapse.store import objects, pieces
from served_bucket import Fault, Served, served

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
from huelapse.replaying.gathering import commit
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
