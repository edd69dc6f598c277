"""Who commits parts of a job array knows which jobs left nothing, and what others failed at."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, replay, same, train
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.replaying import roster
from huelapse.replaying.gathering import commit

OTHER_DISK = "it must be on one that all jobs share"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("saved"), live=False)


@pytest.fixture(scope="module")
def whole(saved: Path) -> Path:
    replay(saved, saved.parent / "whole")
    return saved.parent / "whole"


def rosters(run: Path) -> list[roster.Roster]:
    (digest,) = roster.digests_in(run)
    return roster.left_by(run, digest)


def test_jobs_that_wrote_to_a_disk_of_their_own_are_named(
    saved: Path, whole: Path, run_path: Path, tmp_path: Path
) -> None:
    for i in range(3):  # the second one's node has another disk at this path
        replay(saved, run_path if i != 1 else tmp_path / "its own", shard=(i, 3))
    report = commit(run_path)
    assert sorted(report.committed) == [0, 4, 6]
    (told,) = report.lacking
    assert told.startswith("job 1 of 3 left nothing here (others ran on ")
    assert OTHER_DISK in told
    assert huelapse.open(run_path).status == "interrupted"  # which would be a wrong claim otherwise
    done = CliRunner().invoke(app, ["replay", "--commit", "--out", str(run_path)])
    assert done.exit_code == 1
    assert "Job 1 of 3 left nothing here" in done.output
    replay(saved, run_path, shard="1/3")
    report = commit(run_path)
    assert (report.committed, report.lacking, report.waiting) == ([2], [], [])
    assert huelapse.open(run_path).status == "complete"
    assert not (run_path / "partial").exists()
    same(run_path, whole)


def test_a_job_that_was_lost_is_told_from_one_that_has_ended(
    saved: Path, whole: Path, run_path: Path
) -> None:
    def lost(happening: Any) -> None:
        if happening.done == 1:
            raise KeyboardInterrupt  # as when its node is taken away

    replay(saved, run_path, shard="0/2")
    with pytest.raises(KeyboardInterrupt):
        replay(saved, run_path, shard="1/2", progress=lost)
    assert [(one.shard, one.ended) for one in rosters(run_path)] == [
        ((0, 2), True),
        ((1, 2), False),
    ]
    report = commit(run_path)
    assert sorted(report.committed) == [0, 2, 4]
    assert report.waiting == [6]
    assert report.lacking[0].startswith("job 1 of 2 have not ended, or were lost (on ")
    replay(saved, run_path, shard="1/2")
    assert commit(run_path).committed == [6]
    same(run_path, whole)


def test_a_job_that_was_lost_once_all_of_its_parts_were_there_lacks_nothing(
    saved: Path, run_path: Path
) -> None:
    replay(saved, run_path, shard="0/1")
    (job,) = rosters(run_path)
    (digest,) = roster.digests_in(run_path)
    unfinished = roster.Roster(shard=job.shard, host=job.host, tasks=job.tasks)
    roster.leave(run_path, digest, unfinished)
    report = commit(run_path)
    assert sorted(report.committed) == list(STEPS)
    assert (report.lacking, report.waiting) == ([], [])
    assert huelapse.open(run_path).status == "complete"


def test_a_part_that_was_lost_after_its_job_had_ended_is_waited_for(
    saved: Path, whole: Path, run_path: Path
) -> None:
    replay(saved, run_path, shard="0/1")
    for path in (run_path / "partial").glob("*.npz"):
        path.unlink()
    for _ in range(2):
        report = commit(run_path)
        assert (report.committed, report.waiting) == ([], list(STEPS))
    replay(saved, run_path, shard="0/1")
    next((run_path / "partial").glob("val-4-*.npz")).unlink()
    for _ in range(2):
        assert commit(run_path).waiting == [4]
        assert huelapse.open(run_path).status == "interrupted"
    replay(saved, run_path, shard="0/1")
    assert commit(run_path).committed == [4]
    same(run_path, whole)


def test_what_a_job_failed_at_is_told_by_who_commits(
    saved: Path, run_path: Path, tmp_path: Path
) -> None:
    for path in saved.glob("*.pt"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "step=2.pt"
    content = broken.read_bytes()
    broken.write_bytes(content[:500])
    for i in range(2):
        replay(tmp_path / "*.pt", run_path, shard=(i, 2))
    for _ in range(2):  # as often as it is asked
        report = commit(run_path)
        (failed,) = report.failed
        assert failed.step == 2
        assert "step=2.pt is cut short or damaged" in failed.why
        assert report.waiting == []
        assert huelapse.open(run_path).status == "interrupted"
    broken.write_bytes(content)
    replay(tmp_path / "*.pt", run_path, shard="1/2")
    report = commit(run_path)
    assert report.committed == [2]
    assert not report.failed
    assert huelapse.open(run_path).status == "complete"


def test_where_all_has_failed_that_is_told(run_path: Path, tmp_path: Path) -> None:
    (tmp_path / "step=2.pt").write_bytes(b"nothing of a checkpoint")
    replay(tmp_path / "step=2.pt", run_path, shard="0/1")
    report = commit(run_path)
    assert [one.step for one in report.failed] == [2]
    assert not (run_path / "run.zarr").exists()


def test_an_array_that_is_given_again_when_all_is_done_lacks_nothing(
    saved: Path, run_path: Path
) -> None:
    for i in range(2):
        replay(saved, run_path, shard=(i, 2))
    assert commit(run_path).finished
    replay(saved, run_path, shard="1/2")
    report = commit(run_path)
    assert (report.lacking, report.waiting, report.failed) == ([], [], [])
    assert huelapse.open(run_path).status == "complete"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"{}",
        b"\xff\xfe",
        b'{"shard": [5, 2], "host": "a", "tasks": {}, "failed": [], "ended": true}',
        b'{"shard": [0, 2], "host": "a", "tasks": {"x": 1}, "failed": [], "ended": true}',
        b'{"shard": 1, "host": "a", "tasks": {}, "failed": [{}], "ended": true}',
    ],
)
def test_a_damaged_roster_says_nothing(saved: Path, run_path: Path, content: bytes) -> None:
    (run_path / "partial").mkdir(parents=True)
    (run_path / "partial/.replay-0123456789abcdef-job-000000of000002.json").write_bytes(content)
    assert roster.left_by(run_path, "0123456789abcdef") == []
    report = commit(run_path)
    assert report.finished
    assert not report.lacking


def test_of_arrays_of_several_sizes_the_one_that_has_come_furthest_counts() -> None:
    def job(i: int, n: int) -> roster.Roster:
        return roster.Roster(shard=(i, n), host="a", tasks={i: 1}, ended=True)

    assert roster.missing([job(0, 16), job(0, 2), job(1, 2)], ()) == []
    (told,) = roster.missing([job(i, 16) for i in range(3)], ())
    assert told.startswith("jobs 3, 4, 5, 6, 7, 8, 9, 10 … of 16 left nothing here")
    assert roster.missing([], ()) == []


def test_rosters_are_plain(saved: Path, run_path: Path) -> None:
    replay(saved, run_path, shard="0/2")
    (path,) = (run_path / "partial").glob(".replay-*-job-*.json")
    told = json.loads(path.read_text())
    assert told["shard"] == [0, 2]
    assert told["tasks"] == {"0": 1, "4": 1}
    assert str(HERE) not in path.read_text()
