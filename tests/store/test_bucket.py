"""`huelapse ls s3://bucket/folder`: which runs stand in a bucket."""

import json
from collections.abc import Iterator
from pathlib import Path

import extra_run
import pytest
from typer.testing import CliRunner

from huelapse import care
from huelapse.cli import app
from huelapse.errors import NotARunError, PlaceError
from huelapse.store import bucket
from served_bucket import served


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a server was asked that has the buckets `bucket` and `closed`."""
    inside = tmp_path / "bucket"
    for name in ("runs/b & co", "runs/a/one", "top", "runs/1/2/3/4", "runs/1/2/3/4_/5"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        extra_run.record(inside / name, steps=2)
    (inside / "runs/cut/run.zarr").mkdir(parents=True)
    (inside / "runs/cut/run.zarr/zarr.json").write_text("{")
    (inside / "runs/notes.txt").write_text("")
    (tmp_path / "closed").mkdir()
    with served(tmp_path, monkeypatch) as told:
        yield told.asked


def test_the_runs_in_a_bucket_are_listed_as_those_in_a_folder(
    asked: list[str], tmp_path: Path
) -> None:
    found = care.list_runs("s3://bucket/runs/")
    assert [run.path.removeprefix("s3://bucket/runs/") for run in found] == [
        "1/2/3/4", "a/one", "b & co", "cut",
    ]  # fmt: skip
    here = care.list_runs(tmp_path / "bucket/runs")
    for one, other in zip(found, here, strict=True):
        assert one.bytes is None
        for name in ("name", "state", "classes", "split", "snapshots", "last_step", "accuracy"):
            assert getattr(one, name) == getattr(other, name)
    assert found[0].snapshots == 2
    assert found[3].error is not None
    assert len([path for path in asked if "list-type" in path]) > 2  # pages
    assert len(care.list_runs("s3://bucket")) == 4  # those at most four deep


def test_the_command_lists_them_and_goes_on_past_a_damaged_one(asked: list[str]) -> None:
    found = CliRunner().invoke(app, ["ls", "s3://bucket/runs"])
    assert found.exit_code == 0, found.output
    assert "a/one" in found.output
    assert "4 runs" in found.output
    assert found.output.count("FormatError") == 1
    found = CliRunner().invoke(app, ["ls", "s3://bucket/runs", "--json"])
    assert [run["bytes"] for run in json.loads(found.output)] == [None] * 4
    assert CliRunner().invoke(app, ["ls", "s3://bucket/nothing"]).output.startswith("No run in")


def test_of_a_run_itself_nothing_is_listed(asked: list[str]) -> None:
    assert [run.path for run in care.list_runs("s3://bucket/top")] == ["s3://bucket/top"]
    assert asked
    assert not [path for path in asked if "list-type" in path]


def test_what_cannot_be_listed_says_why(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(PlaceError, match="may not be read"):
        care.list_runs("s3://closed/runs")
    with pytest.raises(NotARunError, match="expected s3://bucket or"):
        care.list_runs("s3://")
    with pytest.raises(PlaceError, match="cannot be asked which runs it has"):
        care.list_runs("https://example.org/runs")
    monkeypatch.setattr(bucket, "LIST_SECONDS", 0.0)
    with pytest.raises(PlaceError, match=r"cannot be reached|could be listed in 0 s"):
        care.list_runs("s3://bucket/runs")
