"""Shards that share nothing but a bucket: the same run, and nothing lost, done twice or taken on trust."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, build, data, replay, same, train
from served_bucket import KEY, SECRET, Fault, Served, served
from test_equal import float64
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.errors import OptionError, PlaceError, ReplayError
from huelapse.replaying import in_bucket
from huelapse.replaying.gathering import commit
from huelapse.store import objects, pieces
from huelapse.store.partial import About

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


def shard(saved: Path, run: Path, which: str, **options: Any) -> Any:
    """One that works in a directory that nobody else sees."""
    return replay(saved, run, **{"shard": which, "parts_at": AT, "batch": 50, **options})


def at(bucket: Served) -> Path:
    return bucket.folder / "bucket" / AT.removeprefix("s3://bucket/")


def parts_in(bucket: Served) -> list[Path]:
    """Folders of parts that are closed."""
    return sorted(p.parent for p in at(bucket).glob("*.npz/whole.json"))


def left_in(bucket: Served) -> list[str]:
    return sorted(p.name for p in at(bucket).glob("*"))


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
