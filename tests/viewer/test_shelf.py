"""`huelapse view DIR`: the runs of a folder, as they come and go; each at a glance."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closer_run import trained
from safetensors.numpy import load as load_tensors

import huelapse
from conftest import SmallNet, batches
from huelapse.errors import NotARunError
from huelapse.palette import palette
from huelapse.viewer import shelf
from huelapse.viewer.resources import Resources
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf, shelf_of

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(trained(tmp_path_factory.mktemp("shelf") / "fashion").path)


@pytest.fixture
def folder(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two runs, one of which is below, and one that is damaged."""
    monkeypatch.setattr(shelf, "LOOK", 0.0)
    shutil.copytree(original, tmp_path / "runs/fashion")
    with huelapse.Recorder(
        SmallNet(), tmp_path / "runs/older/small", probe=batches(), classes=3
    ) as r:
        r.step(loss=1.0)
    shutil.copytree(original, tmp_path / "runs/broken")
    (tmp_path / "runs/broken/run.zarr/zarr.json").write_text("{}")
    return tmp_path / "runs"


def test_a_folder_is_listed_as_it_is_now(folder: Path, original: Path) -> None:
    found = shelf_of(folder)
    rows = {row["place"]: row for row in found.listed()}
    assert rows.keys() == {"broken", "fashion", "older/small"}
    assert rows["fashion"]["snapshots"] == 12
    assert rows["fashion"]["classes"] == 10
    run = huelapse.open(folder / "fashion")
    assert rows["fashion"]["accuracy"] == pytest.approx(run.accuracy()[-1])
    assert rows["fashion"]["last_step"] == run.steps[-1]
    assert "FormatError" in rows["broken"]["error"]
    assert rows["older/small"]["name"] == "small"
    steps = run.steps.tolist()
    shutil.rmtree(folder / "fashion")
    shutil.copytree(original, folder / "another")
    assert {row["place"] for row in found.listed()} == {"another", "broken", "older/small"}
    gone = rows["fashion"]["id"]
    assert found.resources(gone) is None
    there = {row["place"]: row["id"] for row in found.listed()}["another"]
    assert found.resources(there).run.steps.tolist() == steps


def test_one_run_is_not_a_list(original: Path) -> None:
    (row,) = shelf_of(original).listed()
    assert row.keys() == {"id", "name"}
    (row,) = Shelf([huelapse.open(original)]).listed()
    assert row["name"] == "fashion"


def test_a_folder_without_runs_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotARunError):
        shelf_of(tmp_path)
    with pytest.raises(NotARunError):
        shelf_of(tmp_path / "nothing")


def test_a_glance_has_the_colors_of_the_last_snapshot(original: Path) -> None:
    run = huelapse.open(original)
    found = load_tensors(Resources(run).get("glance.st")[0])
    assert found["units"].tolist() == [layer.units for layer in run.layers]
    table = palette(10)
    for i, layer in enumerate(run.layers):
        start = found["units"][:i].sum()
        rows = found["dark"][start : start + layer.units]
        held = run.state(layer=layer.path) < 2
        k = run.preferred(layer=layer.path)[held]
        levels = np.floor(100 * run.strength(layer=layer.path)[held] + 1e-9).astype(int)
        expected = sorted(tuple(color) for color in table.dark[k, levels].tolist())
        got = sorted(tuple(color) for color in rows[: held.sum()].tolist())
        assert got == expected


@pytest.fixture
def address(folder: Path) -> Iterator[str]:
    with in_background(shelf_of(folder)) as address:
        yield address


@pytest.mark.browser
def test_the_page_lists_runs_and_goes_there_and_back(address: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(address)
    page.get_by_test_id("start").wait_for()
    told = page.get_by_test_id("start").inner_text()
    assert "3 runs" in told
    assert "FormatError" in told
    page.get_by_role("searchbox").fill("older")
    assert page.locator("tbody tr").count() == 1
    page.get_by_role("searchbox").fill("fash")
    page.locator(".glance").wait_for()
    colors = 0
    for _ in range(100):
        colors = page.evaluate(
            """() => {
                const c = document.querySelector(".glance");
                const data = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
                return new Set(new Uint32Array(data.buffer)).size;
            }"""
        )
        if colors > 10:
            break
        page.wait_for_timeout(100)
    assert colors > 10
    page.get_by_role("link", name="fashion").click()
    page.get_by_test_id("network").wait_for()
    assert "run=" in page.evaluate("() => location.hash")
    page.get_by_test_id("view-classes").click()
    page.get_by_test_id("trellis").wait_for()
    page.get_by_role("link", name="huelapse").click()
    page.get_by_test_id("start").wait_for()
    assert [line for line in said if "willReadFrequently" not in line] == []
    page.close()
