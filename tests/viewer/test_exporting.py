"""What an export makes, and what it does not begin: of runs that are too large, damaged, or stopped."""

import io
import shutil
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closer_run import trained
from many_classes import write
from rich.console import Console
from typer.testing import CliRunner
from viewing import Viewer

import huelapse
from huelapse import stored
from huelapse.cli import app
from huelapse.measures import MEASURES, reading
from huelapse.painting import PICTURE, Painter
from huelapse.store import StoreReader
from huelapse.store.layout import TILE_UNITS
from huelapse.terminal import STOPPED
from huelapse.viewer import exporting, numbers
from huelapse.viewer.collecting import BESIDE, PROBED, Collected, collect
from huelapse.viewer.parts import Parts
from huelapse.viewer.resources import Resources
from huelapse.viewer.standalone import write_page

pytestmark = pytest.mark.timeout(300)

UNITS, CLASSES, BAD = 600, 20, 5


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("exporting") / "large"
    write(path, classes=CLASSES, units=UNITS, snapshots=3)
    return huelapse.open(path)


@pytest.fixture(scope="module")
def damaged(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    """With everything kept, and one snapshot whose means cannot be read back."""
    path = tmp_path_factory.mktemp("exporting") / "damaged"
    trained(path)
    shutil.rmtree(path / "cache", ignore_errors=True)
    shard = next((path / "run.zarr/val/true/mean").glob(f"c.{BAD}.*"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 0xFF
    shard.write_bytes(content)
    return huelapse.open(path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often resources of each kind are made."""
    found: Counter[str] = Counter()
    get = Resources.get

    def counted(self: Resources, path: str) -> tuple[bytes, str]:
        for kind in ("unit", "heat", "table", "paint"):
            found[kind] += f"/{kind}/" in path
        return get(self, path)

    monkeypatch.setattr(Resources, "get", counted)
    return found


def test_a_part_that_is_far_too_large_is_left_out_once_a_few_of_it_are_made(
    large: huelapse.Run, asked: Counter[str]
) -> None:
    whole = Parts(large, None).collect(None, bytes)
    assert asked["unit"] == 2 * UNITS
    histories = sum(len(c) for path, c in whole.content.items() if "/unit/" in path)
    rest = sum(len(c) + 200 for path, c in whole.content.items() if "/unit/" not in path)
    assert histories > 3 * rest
    asked.clear()
    small = Parts(large, None).collect(rest, bytes)
    assert {"histories of units", "histories of units by predicted"} <= set(small.left_out)
    assert asked["unit"] <= 2 * PROBED
    assert "tables of layers" not in small.left_out  # what has room goes along


def test_a_measure_that_has_no_room_is_not_painted(
    large: huelapse.Run, asked: Counter[str]
) -> None:
    parts = Parts(large, None)
    parts.parts = tuple(
        part for part in parts.parts if part.name.startswith(("split ", "grouping ", "measure "))
    )
    usual = parts.collect(None, bytes)
    first = sum(
        len(c) + 200 for path, c in usual.content.items() if "margin" in path or "/" not in path
    )
    asked.clear()
    found = parts.collect(first + first // 8, bytes)
    measures = [f"measure {one['title'].lower()}" for one in parts.whole["measures"][1:]]
    assert found.left_out == measures
    assert asked["paint"] == 2  # by both groupings, and by no other measure


def test_all_of_a_part_is_in_it_in_its_own_order(large: huelapse.Run) -> None:
    content = Parts(large, None).collect(None, bytes).content
    units = [path for path in content if path.startswith("val/true/margin/unit/")]
    assert units == [f"val/true/margin/unit/{u}.st" for u in range(UNITS)]


def test_an_export_begins_nothing_in_the_background(
    large: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[str] = []

    def start(thread: threading.Thread) -> None:
        begun.append(thread.name)

    monkeypatch.setattr(threading.Thread, "start", start)
    resources = Resources(large, exporting=True)
    resources.get("val/true/margin/unit/3.st")
    assert begun == []
    Resources(large).get("val/true/margin/unit/3.st")
    assert begun == ["huelapse-keeper"]


def test_a_table_has_intervals_of_preferred_classes_alone_made(
    large: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    one = numbers.interval_of

    def counted(mean: np.ndarray, *rest: Any) -> Any:
        made.append(mean.size)
        return one(mean, *rest)

    monkeypatch.setattr(numbers, "interval_of", counted)
    Resources(large).get("val/true/margin/table/2/0.st")
    assert made == [large.layers[0].units]


def test_tables_of_a_snapshot_are_made_together_and_are_those_of_each_layer(
    large: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    layers = range(len(large.layers))
    paths = [f"val/true/margin/table/{t}/{layer}.st" for t in range(3) for layer in layers]
    alone = [Resources(large).get(path) for path in paths]
    read: Counter[int] = Counter()
    blocks = huelapse.Run.blocks

    def counted(self: Any, index: int, *where: Any) -> Any:
        read[index] += 1
        return blocks(self, index, *where)

    monkeypatch.setattr(huelapse.Run, "blocks", counted)
    exported = Resources(large, exporting=True)
    assert [exported.get(path) for path in paths] == alone
    assert read == dict.fromkeys(range(3), 1)


# --- pictures ------------------------------------------------------------------------------------


def test_a_snapshot_is_painted_some_units_at_a_time(
    large: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Painter(large).chunk("val", "true", "margin", 0)
    monkeypatch.setattr(stored, "READ_AT_ONCE", 1)
    monkeypatch.setattr(reading, "AT_ONCE", 100 * CLASSES)
    read: list[int] = []
    looked_at: list[int] = []
    read_by = StoreReader.read

    def counted(self: Any, path: str, *where: Any) -> Any:
        found = read_by(self, path, *where)
        if path.endswith("/mean"):
            read.append(found.shape[1])
        return found

    def judged(moments: Any, **options: Any) -> Any:
        looked_at.append(moments.mean.shape[1])
        return reading.read_by(moments, **options)

    monkeypatch.setattr(StoreReader, "read", counted)
    monkeypatch.setattr(stored, "read_by", judged)
    parts = Painter(large).chunk("val", "true", "margin", 0)
    assert sorted(read) == [UNITS - TILE_UNITS] * 3 + [TILE_UNITS] * 3
    assert sum(looked_at) == 3 * UNITS
    assert max(looked_at) <= 100
    assert all(np.array_equal(parts[name], whole[name], equal_nan=True) for name in whole)
    assert set(PICTURE) < set(whole)


def test_a_snapshot_is_read_once_for_all_measures(
    large: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = [Painter(large).chunk("val", "true", name, 0) for name in MEASURES]
    read: Counter[str] = Counter()
    of_place = StoreReader.read

    def counted(self: Any, path: str, *where: Any) -> Any:
        read[path] += 1
        return of_place(self, path, *where)

    monkeypatch.setattr(StoreReader, "read", counted)
    painter = Painter(large)
    together = painter.chunk_by("val", "true", list(MEASURES), 0)
    assert [read[f"val/true/{name}"] for name in ("mean", "m2", "active", "nonfinite")] == [3] * 4
    for one, other in zip(alone, together, strict=True):
        assert all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)
    painter.chunk("val", "true", "separability", 0)
    assert read["val/true/mean"] == 3


def test_other_measures_are_read_together_and_not_at_all_where_none_has_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "run", classes=4, units=4000, snapshots=3)
    run = huelapse.open(tmp_path / "run")
    painted: list[tuple[str, ...]] = []
    snapshot = Painter._snapshot

    def counted(self: Any, split: str, grouping: str, by: Any, *more: Any) -> Any:
        painted.append(tuple(one.name for one in by))
        return snapshot(self, split, grouping, by, *more)

    def collected(room: int | None) -> Collected:
        painted.clear()
        parts = Parts(run, None)
        some = [one for one in parts.parts if one.name.startswith(("split", "measure"))]
        return collect(some, parts.resources, parts.whole, room, bytes)

    monkeypatch.setattr(Painter, "_snapshot", counted)
    whole = collected(None)
    usual, *others = (one["name"] for one in whole.manifest["measures"])
    assert len(others) > 5
    assert painted == [(usual,)] * 3 + [tuple(others)] * 3
    sizes = Counter[bool]()
    for path, content in whole.content.items():
        sizes[any(f"/{name}/" in path for name in others)] += len(content) + len(path) + BESIDE

    # for one of them half the room it takes: what usual curves took tells nothing yet
    found = collected(sizes[False] + int(0.6 * sizes[True] / len(others)))
    assert painted == [(usual,)] * 3
    assert len(found.left_out) == len(others)


def test_what_others_paint_ends_once_one_was_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C must not wait for the snapshots that are under way."""
    write(tmp_path / "run", classes=4, units=4 * TILE_UNITS, snapshots=4)
    run = huelapse.open(tmp_path / "run")
    monkeypatch.setattr(stored, "READ_AT_ONCE", 1)
    stopped, read = threading.Event(), Counter[int]()
    of_place = StoreReader.read

    def interrupted(self: Any, path: str, where: Any = ...) -> Any:
        if not path.endswith("/mean"):
            return of_place(self, path, where)
        read[where[0]] += 1
        if where[0] == 0:
            stopped.set()
            raise KeyboardInterrupt
        stopped.wait()
        time.sleep(0.3)
        return of_place(self, path, where)

    monkeypatch.setattr(StoreReader, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Painter(run).chunk("val", "true", "margin", 0)
    assert max(read.values()) == 1, read


def test_ctrl_c_leaves_nothing_behind(
    large: huelapse.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []

    def interrupt(run: Any, to: Any, budget: Any, *, force: bool, done: Any) -> Any:
        def stop(share: float, what: str) -> None:
            done(share, what)
            told.append(what)
            if len(told) == 12:
                raise KeyboardInterrupt

        return write_page(run, to, done=stop)

    monkeypatch.setattr(exporting, "_write", interrupt)
    out = Console(record=True, width=200, file=io.StringIO())
    to = tmp_path / "page"
    to.mkdir()
    ended = exporting.export_page(out, Console(quiet=True), large, to / "x.html", None, force=False)
    assert ended == STOPPED
    assert "Nothing was written" in out.export_text()
    assert list(to.iterdir()) == []
    assert told[0] == "split val"


# --- damage --------------------------------------------------------------------------------------


def test_of_a_damaged_run_all_goes_along_but_what_is_damaged(damaged: huelapse.Run) -> None:
    found = Parts(damaged, None).collect(None, bytes)
    layers = len(damaged.layers)
    expected = {f"val/true/heat/{BAD}/{layer}.st" for layer in range(layers)}
    expected |= {f"val/true/margin/table/{BAD}/{layer}.st" for layer in range(layers)}
    assert found.unreadable.keys() == expected
    assert not found.unreadable.keys() & found.content.keys()
    assert f"val/true/heat/{BAD + 1}/0.st" in found.content
    assert f"val/predicted/heat/{BAD}/0.st" in found.content
    snapshots = len(damaged.steps)
    some = f"({layers} of {2 * layers * snapshots} files)"
    assert found.manifest["unreadable"] == [
        f"heat maps of layers {some}", f"tables of layers {some}",
    ]  # fmt: skip
    assert found.left_out == []
    assert {"heat", "table", "units"} <= set(found.manifest["splits"][0]["resources"])
    place = str(damaged.path.parent)
    assert not any(place in why for why in found.unreadable.values())


@pytest.mark.browser
def test_a_page_of_a_damaged_run_says_what_is_not_in_it(
    damaged: huelapse.Run, tmp_path: Path, browser: Any
) -> None:
    to = tmp_path / "run.html"
    done = CliRunner().invoke(app, ["export", str(damaged.path), "-o", str(to)])
    assert done.exit_code == 0, done.output
    assert "damaged, and left out: heat maps of layers (3 of 72 files)" in done.output
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    viewer = Viewer(page, to.as_uri())
    told = viewer.by("unreadable").inner_text()
    assert "heat maps of layers (3 of 72 files)" in told
    viewer.open(f"view=layer&layer=0&step={damaged.steps[BAD + 1]}")
    viewer.by("heat").wait_for()
    assert viewer.said == [line for line in viewer.said if "willReadFrequently" in line]
    viewer.open(f"view=layer&layer=0&step={damaged.steps[BAD]}")
    viewer.until("() => document.body.textContent.includes('cannot be read')")
    assert all("422" in line or "willReadFrequently" in line for line in viewer.said), viewer.said
    page.close()
