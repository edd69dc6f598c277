"""A run may come from anybody: what is wrong with it is told."""

import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pytest
from extra_run import LAYERS, record
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numcodecs.blosc import Blosc

from huelapse.errors import FormatError, LayerError, NotARunError
from huelapse.store import StoreWriter, layout
from huelapse.store.reader import StoreReader

VALUES = (None, True, -1, 0, 2**40, 2**62, 1.5, "", "..", "a/../b", [], [[]], {}, "mean")

Root = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("whole") / "run", steps=2)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def root_of(run: Path) -> Path:
    return run / "run.zarr" / "zarr.json"


def rewrite(run: Path, change: Callable[[Root], None]) -> None:
    """Change a root, and let it have the hash of what it says then."""
    root = json.loads(root_of(run).read_bytes())
    change(root)
    root["attributes"].pop("hash", None)
    root["attributes"]["hash"] = layout.digest(root)
    root_of(run).write_text(json.dumps(root))


def members(root: Root) -> Root:
    return root["consolidated_metadata"]["metadata"]


def array(root: Root, path: str) -> Root:
    return members(root)[f"val/{path}"]


def layers(root: Root) -> list[Root]:
    return root["attributes"]["layers"]


def splits(root: Root) -> list[Root]:
    return root["attributes"]["splits"]


LIES: dict[str, tuple[Callable[[Root], Any], str]] = {
    "2^62 snapshots": (lambda r: array(r, "step").update(shape=[2**62]), "shape"),
    "10^9 snapshots": (lambda r: array(r, "step").update(shape=[10**9]), "number of snapshots"),
    "2^40 units": (lambda r: layers(r)[1].update(units=2**40), "units"),
    "a negative length": (lambda r: array(r, "step").update(shape=[-1]), "shape"),
    "more classes": (lambda r: array(r, "true/mean")["shape"].__setitem__(1, 4), "shape"),
    "more samples": (lambda r: array(r, "predictions")["shape"].__setitem__(1, 61), "shape"),
    "another dtype": (lambda r: array(r, "true/mean").update(data_type="float64"), "data_type"),
    "other codecs": (lambda r: array(r, "true/mean").update(codecs=[]), "codecs"),
    "other chunks": (
        lambda r: array(r, "true/mean")["chunk_grid"]["configuration"].update(
            chunk_shape=[2**20, 3, 23]
        ),
        "chunk_grid",
    ),
    "layers that overlap": (lambda r: layers(r)[1].update(offset=19), "offset"),
    "a split outside": (lambda r: splits(r)[0].update(name=".."), "name"),
    "an array outside": (
        lambda r: members(r).update({"../../x": array(r, "step")}),
        "path of an array",
    ),
    "superclasses that are a list": (
        lambda r: r["attributes"].update(superclasses=["a", "b"]),
        "superclasses",
    ),
    "a superclass that is a number": (
        lambda r: r["attributes"].update(superclasses={"a": 1}),
        "superclasses.a",
    ),
    "an optional array outside": (
        lambda r: splits(r)[0]["extras"][0].update(path="../x"),
        "path",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_root_that_lies_is_refused_and_what_is_wrong_is_named(run: Path, lie: str) -> None:
    change, named = LIES[lie]
    rewrite(run, change)
    with pytest.raises(FormatError, match=f"not as huelapse writes it.*{named}"):
        StoreReader(run)


TEXTS: dict[str, Callable[[str], str]] = {
    "cut short": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "nested deeply": lambda text: "[" * 200_000 + "]" * 200_000,
    "not a number": lambda text: text.replace('"dropped": 0', '"dropped": NaN'),
    "a name twice": lambda text: text.replace('"dropped": 0', '"dropped": 0, "dropped": 0'),
    "ten thousand digits": lambda text: text.replace('"dropped": 0', f'"dropped": 1{"0" * 10000}'),
}


@pytest.mark.parametrize("text", TEXTS)
def test_a_root_that_is_no_plain_json_is_refused(run: Path, text: str) -> None:
    rewrite(run, lambda root: None)
    before = root_of(run).read_text()
    after = TEXTS[text](before)
    assert after != before
    root_of(run).write_text(after)
    with pytest.raises(FormatError, match="is not the root of a huelapse run"):
        StoreReader(run)


def newer(run: Path) -> None:
    rewrite(run, lambda root: root["attributes"].update(huelapse_format=99))


def truncated(run: Path) -> None:
    root_of(run).write_bytes(root_of(run).read_bytes()[:500])


def foreign_v3(run: Path) -> None:
    shutil.rmtree(run / "run.zarr")
    (run / "run.zarr").mkdir()
    root_of(run).write_text('{"zarr_format": 3, "node_type": "group", "attributes": {}}')


def foreign_v2(run: Path) -> None:
    shutil.rmtree(run / "run.zarr")
    (run / "run.zarr").mkdir()
    (run / "run.zarr" / ".zgroup").write_text('{"zarr_format": 2}')


def empty(run: Path) -> None:
    shutil.rmtree(run)
    run.mkdir()


def a_file(run: Path) -> None:
    shutil.rmtree(run)
    run.write_text("no run")


def store_is_a_file(run: Path) -> None:
    shutil.rmtree(run / "run.zarr")
    (run / "run.zarr").write_text("no store")


FAULTS = (truncated, newer, foreign_v3, foreign_v2, empty, a_file, store_is_a_file)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
def test_what_is_no_run_of_ours_is_refused(run: Path, fault: Callable[[Path], None]) -> None:
    fault(run)
    with pytest.raises((FormatError, NotARunError)):
        StoreReader(run)


def test_a_shard_that_is_a_link_or_a_pipe_is_refused_without_waiting(run: Path) -> None:
    shard = run / "run.zarr" / "val" / "true" / "mean" / "c.0.0.0"
    aside = run.parent / "aside"
    shard.rename(aside)
    shard.symlink_to(aside)
    for make in (lambda: None, lambda: (shard.unlink(), os.mkfifo(shard))):
        make()
        code = (
            "import sys; from huelapse.store.reader import StoreReader\n"
            "from huelapse.errors import FormatError\n"
            "try: StoreReader(sys.argv[1]).read('val/true/mean')\n"
            "except FormatError: sys.exit(7)\n"
        )
        ended = subprocess.run([sys.executable, "-c", code, str(run)], timeout=60, check=False)
        assert ended.returncode == 7


def crc(content: bytes) -> bytes:
    return struct.pack("<I", google_crc32c.value(content))


def lying_tile() -> bytes:
    """A small tile whose header says that it unpacks to 2 GiB."""
    tile = bytearray(Blosc("lz4", 5, 1).encode(np.zeros(69, "f4").tobytes()))
    struct.pack_into("<I", tile, 4, 2**31 - 17)
    return bytes(tile)


def bomb() -> bytes:
    """A small tile that unpacks to 300 MB."""
    return bytes(Blosc("lz4", 9, 1).encode(np.zeros(300 * 2**20, "u1")))


@pytest.mark.parametrize("make", [lying_tile, bomb])
@pytest.mark.skipif(sys.platform != "linux", reason="memory is told by /proc")
def test_a_shard_that_unpacks_to_more_than_it_may_is_refused_within_memory(
    run: Path, make: Callable[[], bytes]
) -> None:
    tile = make()
    tile += crc(tile)
    index = struct.pack("<QQ", 0, len(tile))
    (run / "run.zarr/val/true/mean/c.0.0.0").write_bytes(tile + index + crc(index))
    code = (
        "import re, sys; import tensorstore; from huelapse.store.reader import StoreReader\n"
        "from huelapse.errors import FormatError\n"
        "def peak(): return int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1])\n"
        "before = peak()\n"
        "try: StoreReader(sys.argv[1]).read('val/true/mean', 0)\n"
        "except FormatError: print('refused')\n"
        "print(peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)],
        timeout=60,
        check=True,
        capture_output=True,
        text=True,
    )
    refused, kilobytes = done.stdout.split()
    assert refused == "refused"
    assert int(kilobytes) < 100_000


def test_more_units_than_a_reader_takes_are_not_written(tmp_path: Path) -> None:
    huge = replace(LAYERS[0], units=10**7 + 1)
    with pytest.raises(LayerError, match="10,000,001 units"):
        StoreWriter(tmp_path / "run", name="", layers=[huge], facts={})
    assert not (tmp_path / "run").exists()


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every container of a root and every key of it."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    found: list[tuple[Any, Any]] = []
    for key in keys:
        found.append((value, key))
        if isinstance(value[key], dict | list):
            found += places(value[key])
    return found


def mutate_once(run: Path, data: st.DataObject) -> None:
    def change(root: Root) -> None:
        container, key = data.draw(st.sampled_from(places(root)), label="where")
        if data.draw(st.booleans()):
            container[key] = data.draw(st.sampled_from(VALUES))
        else:
            del container[key]
        root["attributes"] = root.get("attributes") or {}
        if not isinstance(root["attributes"], dict):
            root["attributes"] = {}

    rewrite(run, change)
    try:
        reader = StoreReader(run)
    except (FormatError, NotARunError):
        return
    for path in reader.arrays():
        assert isinstance(reader.read(path), np.ndarray)


QUIET = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@settings(QUIET, max_examples=60)
@given(data=st.data())
def test_any_change_of_a_root_is_refused_or_harmless(whole: Path, data: st.DataObject) -> None:
    before = root_of(whole).read_bytes()
    try:
        mutate_once(whole, data)
    finally:
        root_of(whole).write_bytes(before)
