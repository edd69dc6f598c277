"""A run in a bucket, on a web server and in a pack is the run on disk, bit for bit."""

import json
import os
import shutil
import socket
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import elsewhere
import extra_run
import numpy as np
import pytest
from extra_run import MAPS
from starlette.testclient import TestClient
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.errors import FormatError, HuelapseError, NotARunError, PackError, PlaceError
from huelapse.store import layout, places
from huelapse.store.pack import pack_run
from huelapse.viewer import server
from huelapse.viewer.shelf import Shelf, run_id

KINDS = ("local", "s3", "http", "pack")
SNAPSHOTS = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one bucket, `bucket`, and in it the run `some runs/full`."""
    folder = tmp_path_factory.mktemp("elsewhere")
    path = folder / "bucket" / "some runs" / "full"
    path.parent.mkdir(parents=True)
    record(path)
    return folder


def record(path: Path, steps: int = SNAPSHOTS) -> None:
    store = extra_run.begin(path)
    store.add_split(extra_run.split(), extra_run.static())
    for step in range(steps):
        one = extra_run.snapshot(step, kept_too=step != 1)
        store.commit(replace(one, metrics={"loss": 1 / (step + 1)}))
    store.close()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", elsewhere.KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def address(
    folder: Path, tmp_path: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., str]]:
    """The address of a run in a bucket's folder, by kind of place."""
    with elsewhere.web(folder) as web, elsewhere.s3(folder, asked) as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3)

        def of(kind: str, run: str = "some runs/full") -> str:
            if kind == "local":
                return str(folder / "bucket" / run)
            if kind == "s3":
                return f"s3://bucket/{run}"
            if kind == "http":
                return f"{web}/bucket/{run.replace(' ', '%20')}"
            to = tmp_path / "run.hue.zip"
            pack_run(folder / "bucket" / run, to, force=True)
            return str(to)

        yield of


def same(a: object, b: object) -> None:
    left, right = np.asarray(a), np.asarray(b)
    assert left.dtype == right.dtype
    assert left.shape == right.shape
    assert left.tobytes() == right.tobytes()


@pytest.mark.parametrize("kind", KINDS[1:])
def test_everything_is_the_same_bit_for_bit(kind: str, address: Callable[..., str]) -> None:
    here, there = huelapse.open(address("local")), huelapse.open(address(kind))
    assert there.version == here.version
    assert there.status == here.status == "complete"
    assert there.metrics() == here.metrics() == ["loss"]
    reader = there._reader
    for path in here._reader.arrays():
        same(reader.read(path), here._reader.read(path))
    assert f"val/{MAPS}" in reader.arrays()
    for grouping in ("true", "predicted", "size"):
        for response in ("mean", "peak"):
            for index in range(SNAPSHOTS):
                a, b = (r.moments(index, grouping, response=response) for r in (here, there))
                for name in ("count", "mean", "m2", "active", "nonfinite"):
                    same(getattr(a, name), getattr(b, name))
            same(here.strength(1, None, grouping, None, response),
                 there.strength(1, None, grouping, None, response))  # fmt: skip
    same(here.coordinate("metric.loss"), there.coordinate("metric.loss"))


def test_nothing_is_listed_in_a_bucket(address: Callable[..., str], asked: list[str]) -> None:
    huelapse.open(address("s3")).strength()
    assert asked
    assert not [path for path in asked if "?" in path or path.endswith("/")]


def test_the_address_may_name_run_zarr_itself(address: Callable[..., str]) -> None:
    for kind in ("s3", "http"):
        assert huelapse.open(address(kind) + "/run.zarr/").place == huelapse.open(
            address(kind)).place  # fmt: skip


@pytest.mark.parametrize("kind", ("s3", "http"))
def test_a_run_that_grows_is_noticed(kind: str, address: Callable[..., str], folder: Path) -> None:
    path = folder / "bucket" / f"live-{kind}"
    store = extra_run.begin(path, both=False)
    store.add_split(extra_run.split(), extra_run.static())
    store.commit(replace(extra_run.snapshot(0), peaks={}))
    run = huelapse.open(address(kind, path.name))
    assert run.status == "recording"  # the lock can't be seen: what the root says
    assert run.refreshed() is run
    store.commit(replace(extra_run.snapshot(1), peaks={}))  # within the same second
    newer = run.refreshed()
    assert (run.steps.tolist(), newer.steps.tolist()) == ([0], [0, 1])
    assert newer.refreshed() is newer
    same(newer.moments(1).mean, huelapse.open(path).moments(1).mean)
    store.close()
    assert newer.refreshed().status == "complete"
    shutil.rmtree(path)
    with pytest.raises(NotARunError, match=r"gone|not there"):
        newer.refreshed()


def test_a_file_told_by_its_time_is_asked_for_with_head_alone(
    address: Callable[..., str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = folder / "bucket" / "some runs" / "full" / "run.zarr" / "zarr.json"
    os.utime(root, (time.time() - 60, time.time() - 60))
    run = huelapse.open(address("http"))
    monkeypatch.setattr("huelapse.store.web._read", lambda *_: pytest.fail("read again"))
    assert run.refreshed() is run


@pytest.mark.parametrize("kind", KINDS)
def test_info_tells_of_each(kind: str, address: Callable[..., str]) -> None:
    found = CliRunner().invoke(app, ["info", address(kind), "--json"])
    assert found.exit_code == 0, found.output
    told = json.loads(found.output)
    assert told["steps"] == [0, 1, 2]
    assert (told["bytes"] is None) == (kind in ("s3", "http"))
    shown = CliRunner().invoke(app, ["info", address(kind)])
    assert shown.exit_code == 0, shown.output


@pytest.mark.parametrize("kind", KINDS)
def test_the_viewer_serves_each(kind: str, address: Callable[..., str]) -> None:
    run = huelapse.open(address(kind))
    client = TestClient(server.build_app(Shelf([run]), token="t"), base_url="http://127.0.0.1:8765")
    client.cookies.set("huelapse-8765", "t")
    answer = client.get(f"/{run_id(run)}/manifest.json")
    assert answer.status_code == 200
    assert answer.json()["splits"][0]["snapshots"] == SNAPSHOTS


def test_a_run_elsewhere_has_no_path(address: Callable[..., str]) -> None:
    run = huelapse.open(address("s3"))
    assert run.place == "s3://bucket/some runs/full"
    with pytest.raises(PlaceError, match=r"run\.place"):
        _ = run.path


# --- what is not there ------------------------------------------------------------------------


def refused(error: type[HuelapseError], match: str, given: str | Path) -> str:
    began = time.monotonic()
    with pytest.raises(error, match=match) as caught:
        huelapse.open(given)
    assert time.monotonic() - began < 20
    return str(caught.value)


def test_what_is_not_there_is_said_clearly(
    address: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused(NotARunError, "no object s3://bucket/none/run.zarr/zarr.json", "s3://bucket/none")
    refused(NotARunError, "no such bucket", "s3://other/run")
    refused(NotARunError, "404", address("http", "none"))
    refused(NotARunError, "names no run in a bucket", "s3://bucket")
    refused(NotARunError, "gs:// is no place", "gs://bucket/run")
    refused(NotARunError, "as a string", Path("s3://bucket/run"))
    text = refused(NotARunError, "without user", "https://me:hush@example.org/run?token=hush")
    assert "hush" not in text
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "SOMEONE")
    refused(PlaceError, "may not be read", address("s3"))
    found = CliRunner().invoke(app, ["info", "s3://bucket/run"])
    assert isinstance(found.exception, PlaceError)


def test_nobody_at_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
        refused(PlaceError, "cannot be reached", f"{nobody}/run")
        monkeypatch.setenv("AWS_ENDPOINT_URL", nobody)
        refused(PlaceError, "cannot be reached", "s3://bucket/run")


@pytest.mark.parametrize("digits", ["401", "403"])
def test_digits_of_an_address_are_not_the_answer_of_a_server(
    digits: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for last in range(100):  # the first port of these that nobody holds
        port = int(f"{digits}{last:02}")
        with socket.socket() as taken:
            try:
                taken.bind(("127.0.0.1", port))
            except OSError:
                continue
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
            refused(PlaceError, "cannot be reached", "s3://bucket/run")
            return
    pytest.fail(f"no free port begins with {digits}")


def test_a_server_that_never_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ROOT_SECONDS", 1.0)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        refused(PlaceError, "cannot be reached", f"{address}/run")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        refused(PlaceError, "no answer in time", "s3://bucket/run")


class Odd(BaseHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        if self.path.startswith("/forbidden"):
            self.send_error(403)
        elif self.path.startswith("/file"):
            self.send_response(302)
            self.send_header("Location", "file:///etc/passwd")
            self.end_headers()
        elif self.path.startswith("/huge"):
            self.send_response(200)
            self.send_header("Content-Length", str(10**12))
            self.end_headers()
        elif self.path.startswith("/endless"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b" " * 5000)
        elif self.path.startswith("/short"):
            self.send_response(200)
            self.send_header("Content-Length", "100")
            self.end_headers()
            self.wfile.write(b"{}")


def test_servers_that_refuse_or_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "ROOT_BYTES", 1000)
    with elsewhere.serving(Odd) as address:
        refused(PlaceError, "403", f"{address}/forbidden")
        refused(PlaceError, "302|not allowed|redirect", f"{address}/file")
        refused(FormatError, "1,000,000,000,000 bytes", f"{address}/huge")
        refused(FormatError, "more than 1,000", f"{address}/endless")
        refused(PlaceError, "after 2 of 100 bytes", f"{address}/short")


@pytest.mark.parametrize("kind", KINDS)
def test_a_root_that_is_too_large_is_refused(
    kind: str, address: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = address(kind)
    monkeypatch.setattr(places, "ROOT_BYTES", 1000)
    refused(FormatError, "more than the 1,000", given)


@pytest.mark.parametrize("kind", ("s3", "http"))
def test_a_chunk_that_is_gone_or_damaged_is_told(
    kind: str, address: Callable[..., str], folder: Path
) -> None:
    path = folder / "bucket" / f"hole-{kind}"
    shutil.copytree(folder / "bucket" / "some runs" / "full", path)
    (path / "run.zarr/val/true/count/c.1.0").unlink()
    shard = path / "run.zarr/val/true/mean/c.2.0.0"
    content = bytearray(shard.read_bytes())
    content[8] ^= 255
    shard.write_bytes(content)
    run = huelapse.open(address(kind, path.name))
    run.moments(0)
    for index in (1, 2):
        with pytest.raises(FormatError):
            run.moments(index)


# --- the pack ---------------------------------------------------------------------------------


def test_a_pack_holds_what_is_committed_and_nothing_else(folder: Path, tmp_path: Path) -> None:
    path = shutil.copytree(folder / "bucket" / "some runs" / "full", tmp_path / "run")
    inside = path / "run.zarr"
    (inside / "val/true/mean/c.3.0.0").write_bytes(b"not committed")
    (inside / "val/true/mean/.c.2.0.0.tmp").write_bytes(b"half")
    (inside / ".zarr.json.1.2.tmp").write_bytes(b"half")
    (path / "lock").write_bytes(b"")
    to = tmp_path / "run.hue.zip"
    pack_run(path, to)
    with zipfile.ZipFile(to) as archive:
        names = set(archive.namelist())
        assert {e.compress_type for e in archive.infolist()} == {zipfile.ZIP_STORED}
        assert archive.testzip() is None
    assert {"zarr.json", "val/true/mean/c.2.0.0", "val/labels/c.0"} <= names
    assert not [n for n in names if "tmp" in n or "lock" in n or n.endswith("mean/c.3.0.0")]
    on_disk = {str(f.relative_to(inside)) for f in inside.rglob("*") if f.is_file()}
    assert names == {n for n in on_disk if "tmp" not in n and n != "val/true/mean/c.3.0.0"}
    again = tmp_path / "again.hue.zip"
    pack_run(path, again)
    assert again.read_bytes() == to.read_bytes()


def test_the_command_packs_and_never_overwrites(folder: Path, tmp_path: Path) -> None:
    run, to = str(folder / "bucket" / "some runs" / "full"), tmp_path / "run.hue.zip"
    told = CliRunner().invoke(app, ["pack", run, "-o", str(to)])
    assert told.exit_code == 0, told.output
    again = CliRunner().invoke(app, ["pack", run, "-o", str(to)])
    assert isinstance(again.exception, PackError)
    assert CliRunner().invoke(app, ["pack", run, "-o", str(to), "--force"]).exit_code == 0
    assert [f.name for f in tmp_path.iterdir()] == ["run.hue.zip"]
    with pytest.raises(PackError, match="not a run's directory"):
        pack_run(to, tmp_path / "b.hue.zip")
    with pytest.raises(PackError, match="no folder"):
        pack_run(run, tmp_path / "none" / "b.hue.zip")


def test_ctrl_c_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    def stop(done: int, _: int) -> None:
        if done > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_run(folder / "bucket/some runs/full", tmp_path / "run.hue.zip", progress=stop)
    assert not list(tmp_path.iterdir())


def test_a_pack_of_a_live_run_is_never_recording(tmp_path: Path) -> None:
    store = extra_run.begin(tmp_path / "run")
    store.add_split(extra_run.split(), extra_run.static())
    store.commit(extra_run.snapshot(0))
    pack_run(tmp_path / "run", tmp_path / "run.hue.zip")
    assert huelapse.open(tmp_path / "run").status == "recording"
    assert huelapse.open(tmp_path / "run.hue.zip").status == "interrupted"
    store.close()


def test_other_libraries_open_a_pack(address: Callable[..., str]) -> None:
    import xarray
    from zarr.storage import ZipStore

    store = ZipStore(address("pack"), mode="r")
    try:
        tree = xarray.open_datatree(store, engine="zarr")  # pyright: ignore
        run = huelapse.open(address("local"))
        same(tree["val/true/mean"].values, run._reader.read("val/true/mean"))
        tree.close()
    finally:
        store.close()


def zipped(path: Path, entries: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_files_that_are_no_packs(address: Callable[..., str], tmp_path: Path) -> None:
    good = Path(address("pack")).read_bytes()
    bad = tmp_path / "bad.hue.zip"
    bad.write_bytes(b"hello")
    refused(FormatError, "no zip", bad)
    bad.write_bytes(b"")
    refused(FormatError, "no zip", bad)
    for length in (10, len(good) // 2, len(good) - 5):
        bad.write_bytes(good[:length])
        refused(FormatError, "damaged or truncated", bad)
    refused(NotARunError, "without a run", zipped(bad, {"run.zarr/zarr.json": b"{}"}))
    for name in ("../zarr.json", "/etc/passwd", "a/../../b", "a\\..\\b"):
        refused(FormatError, "leads out of it", zipped(bad, {"zarr.json": b"{}", name: b""}))
    bomb = zipped(bad, {"zarr.json": b" " * 10_000_000}, zipfile.ZIP_DEFLATED)
    refused(FormatError, "compressed entry", bomb)
    content = bytearray(zipped(bad, {"zarr.json": b"{}"}).read_bytes())
    at = content.index(b"PK\1\2") + 20
    content[at : at + 8] = (2**31).to_bytes(4, "little") * 2
    bad.write_bytes(content)
    refused(FormatError, "takes 2,147,483,648 bytes", bad)
    refused(FormatError, "not the root of a huelapse run", zipped(bad, {"zarr.json": b"{}"}))
    refused(NotARunError, "does not exist", tmp_path / "none.hue.zip")


def test_damage_within_a_pack_is_told(address: Callable[..., str]) -> None:
    path = Path(address("pack"))
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("val/true/mean/c.0.0.0")
    content[entry.header_offset + 30 + len(entry.filename) + 8] ^= 255
    path.write_bytes(content)
    with pytest.raises(FormatError, match="val/true/mean"):
        huelapse.open(path).moments(0)


def test_keys_of_chunks_follow_the_committed_shape() -> None:
    from huelapse.store.pack import chunk_keys

    spec = layout.ArraySpec(path="a", dims=("snapshot",), shape=(), dtype="int64")
    assert list(chunk_keys(spec.metadata(0))) == []
    assert list(chunk_keys(spec.metadata(1025))) == ["c.0", "c.1"]


def test_a_file_that_changed_within_a_second_is_noticed(tmp_path: Path) -> None:
    from huelapse.store import web

    file = tmp_path / "zarr.json"
    file.write_bytes(b"before")
    at = time.time()
    os.utime(file, (at, at))
    with elsewhere.web(tmp_path) as address:
        content, seen = web.fetch(f"{address}/zarr.json", 100, 5)
        assert (content, web.fetch_unless(f"{address}/zarr.json", seen, 100, 5)) == (
            b"before",
            True,
        )
        file.write_bytes(b"behind")  # as long, and of the same time
        os.utime(file, (at, at))
        assert not web.fetch_unless(f"{address}/zarr.json", seen, 100, 5)
