"""`huelapse ls s3://bucket/folder`: which runs stand in a bucket."""

import json
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import elsewhere
import extra_run
import pytest
from typer.testing import CliRunner

from huelapse import care
from huelapse.cli import app
from huelapse.errors import NotARunError, PlaceError
from huelapse.store import bucket

PAGE = 50
"""Names told at a time, so that there are several pages."""


class Listing(elsewhere.S3):
    """Also ListObjectsV2, as far as it is used."""

    def do_GET(self) -> None:  # noqa: N802
        path, _, query = self.path.partition("?")
        asked = {name: values[0] for name, values in parse_qs(query).items()}
        if asked.get("list-type") != "2":
            return super().do_GET()
        self.asked.append(self.path)
        folder = self.folder / unquote(path).strip("/")
        if not folder.is_dir():
            return self.fail(404, "NoSuchBucket")
        if folder.name == "closed":
            return self.fail(403, "AccessDenied")
        files = (file for file in folder.rglob("*") if file.is_file())
        names = sorted(file.relative_to(folder).as_posix() for file in files)
        after = asked.get("continuation-token", asked.get("start-after", ""))
        names = [n for n in names if n.startswith(asked.get("prefix", "")) and n > after]
        told, more = names[:PAGE], len(names) > PAGE
        text = "".join(f"<Contents><Key>{escape(n)}</Key><Size>1</Size></Contents>" for n in told)
        if more:
            text += f"<NextContinuationToken>{escape(told[-1])}</NextContinuationToken>"
        text = (
            f"<IsTruncated>{str(more).lower()}</IsTruncated><KeyCount>{len(told)}</KeyCount>{text}"
        )
        text = f"<?xml version='1.0'?><ListBucketResult>{text}</ListBucketResult>"
        return self.give(200, text.encode(), None)


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What a server was asked that has the buckets `bucket` and `closed`."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", elsewhere.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    inside = tmp_path / "bucket"
    for name in ("runs/b & co", "runs/a/one", "top", "runs/1/2/3/4", "runs/1/2/3/4_/5"):
        (inside / name).parent.mkdir(parents=True, exist_ok=True)
        extra_run.record(inside / name, steps=2)
    (inside / "runs/cut/run.zarr").mkdir(parents=True)
    (inside / "runs/cut/run.zarr/zarr.json").write_text("{")
    (inside / "runs/notes.txt").write_text("")
    (tmp_path / "closed").mkdir()
    requests: list[str] = []
    with elsewhere.serving(partial(Listing, tmp_path, requests)) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        yield requests


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
