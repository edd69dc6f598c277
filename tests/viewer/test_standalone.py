"""A run as one HTML file: opened from disk, it shows what the server shows, and asks nobody."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closer_run import trained
from rich.console import Console
from test_odd_runs import train
from typer.testing import CliRunner
from viewing import Viewer

import huelapse
from conftest import SmallNet
from huelapse.cli import app
from huelapse.color import paint
from huelapse.errors import ExportError, ExportExistsError, SelectionError
from huelapse.palette import palette
from huelapse.plot.writing import frames_of
from huelapse.schema import Layer
from huelapse.store import StoreWriter
from huelapse.viewer.exporting import export_page
from huelapse.viewer.site import write_site
from huelapse.viewer.standalone import write_page

LAYERS = (Layer(path="a", kind="ReLU", shape=(3,), unit_axis=1, units=3, offset=0, signed=False),)

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("standalone") / "run")


@pytest.fixture(scope="module")
def file(run: huelapse.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("page") / "run & <b>.html"
    assert write_page(run, to).left_out == ()
    return to


@pytest.fixture
def viewer(file: Path, browser: Any) -> Iterator[Viewer]:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    viewer = Viewer(page, file.as_uri())
    yield viewer
    said = [line for line in viewer.said if "willReadFrequently" not in line]
    page.close()
    assert said == []
    others = {url for url in asked if not url.startswith(("file:", "data:", "blob:", "about:"))}
    assert others == set()


@pytest.mark.browser
def test_the_file_shows_the_colors_python_computes(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.open(f"theme=dark&step={run.steps[6]}")
    colors = paint(
        run.preferred(step=int(run.steps[6])),
        np.nan_to_num(run.strength(step=int(run.steps[6]))),
        palette(10),
        "dark",
    )
    held = np.isin(run.state(step=int(run.steps[6])), [0, 1])
    units = np.flatnonzero(held).tolist()
    assert len(units) > 10
    assert viewer.cell_colors(units) == colors[units].tolist()


@pytest.mark.browser
def test_every_view_unit_grouping_and_measure_is_in_it(viewer: Viewer) -> None:
    for view, there in (
        ("layer", "kymograph"),
        ("classes", "trellis"),
        ("confusion", "confusion"),
        ("samples", "samples"),
    ):
        viewer.open(f"view={view}")
        viewer.by(there).wait_for()
    viewer.open("view=confusion")
    viewer.by("cell-samples").wait_for()
    viewer.until("() => document.querySelector('.thumbnail').width === 28")
    viewer.open("view=samples&sample=12")
    viewer.page.get_by_text("correct at").wait_for()
    viewer.open("unit=5&grouping=predicted")
    viewer.page.get_by_text("Through training").wait_for()
    viewer.open("view=geometry&step=0")
    viewer.by("panel-similarity").get_by_text("like itself at step 33").wait_for()
    viewer.open("view=compare")
    viewer.by("compare-b").wait_for()
    assert "Predicted" in viewer.by("side-b").inner_text()
    viewer.open("measure=class_selectivity&class=3")
    viewer.by("inspector").get_by_text("Strongest units now").wait_for()


@pytest.mark.browser
def test_all_splits_are_in_it_each_with_its_own_colors(tmp_path: Path, browser: Any) -> None:
    """A probe, windows of the training and averaged weights: other samples, at other steps."""
    run = train(tmp_path / "run", SmallNet())
    to = tmp_path / "splits.html"
    assert write_page(run, to).left_out == ()
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    viewer = Viewer(page, to.as_uri())
    for split in ("val", "train", "ema"):
        assert split in viewer.by("split").inner_text()
        viewer.by("split").select_option(split)
        viewer.until(f"() => document.querySelector('[data-testid=split]').value === '{split}'")
        viewer.open(f"split={split}&grouping=superclass&theme=dark")
        step = int(run.coordinate("step", split)[-1])
        assert f"Step {step}" in viewer.by("title").inner_text()
        at = {"step": step, "grouping": "superclass", "split": split}
        units = np.flatnonzero(run.state(**at) <= huelapse.State.TIED)
        classes = len(run.grouping("superclass", split).classes)
        strength = np.nan_to_num(run.strength(**at)[units])
        expected = paint(run.preferred(**at)[units], strength, palette(classes), "dark")
        assert viewer.cell_colors(units.tolist()) == expected.tolist()
        viewer.open(f"split={split}&unit=1")
        viewer.by("inspector").get_by_role("heading", name="Through training").wait_for()
        viewer.open(f"split={split}&view=table&layer=1")
        viewer.by("units").wait_for()
    said = [line for line in viewer.said if "willReadFrequently" not in line]
    page.close()
    assert said == []


@pytest.mark.browser
def test_what_had_no_room_is_said_where_it_is_missed(
    run: huelapse.Run, file: Path, tmp_path: Path, browser: Any
) -> None:
    small = tmp_path / "small.html"
    budget = int(0.3 * file.stat().st_size)
    found = write_page(run, small, budget=budget)
    assert small.stat().st_size == found.bytes <= budget
    assert "histories of units" in found.left_out
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    viewer = Viewer(page, small.as_uri())
    told = viewer.by("left-out").inner_text()
    assert all(name in told for name in found.left_out)
    viewer.open("unit=3")
    page.get_by_text("Its history is not in this file").wait_for()
    page.close()


def test_too_small_a_budget_says_what_is_needed_and_writes_nothing(run, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"room for 0.00 MB, and the pictures of the run alone take"
    ):
        write_page(run, tmp_path / "x.html", budget=1000)
    assert list(tmp_path.iterdir()) == []


def test_the_same_run_gives_the_same_file(run, file: Path, tmp_path: Path) -> None:
    write_page(run, tmp_path / "again.html")
    assert (tmp_path / "again.html").read_bytes() == file.read_bytes()


def test_the_file_allows_no_script_but_its_own(file: Path) -> None:
    content = file.read_text()
    policy = content.partition('Content-Security-Policy" content="')[2].partition('"')[0]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "http://" not in policy
    assert "https://" not in policy


def test_a_file_that_is_there_is_kept(run, file: Path) -> None:
    before = file.read_bytes()
    with pytest.raises(ExportExistsError, match="already there"):
        write_page(run, file)
    assert file.read_bytes() == before


def test_the_command_writes_it_and_refuses_options_of_tables(run, tmp_path: Path) -> None:
    to = tmp_path / "run.html"
    done = CliRunner().invoke(app, ["export", str(run.path), "-o", str(to)])
    assert done.exit_code == 0, done.output
    assert "MB" in done.output
    assert to.stat().st_size < 10e6
    for options in (["--layer", "1"], ["--per", "unit"], ["--grouping", "predicted"]):
        refused = CliRunner().invoke(app, ["export", str(run.path), "-o", str(to), *options])
        assert isinstance(refused.exception, ExportError)
    bad = CliRunner().invoke(
        app, ["export", str(run.path), "-o", str(to), "--force", "--budget", "0"]
    )
    assert isinstance(bad.exception, ExportError)


@pytest.fixture
def site(run: huelapse.Run, tmp_path: Path) -> Iterator[str]:
    """A plain server of files."""
    write_site(run, tmp_path / "site")
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    handler.log_message = lambda *_: None  # type: ignore[attr-defined]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.mark.browser
def test_a_folder_is_shown_by_any_server_of_files(site: str, run, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    viewer = Viewer(page, site)
    viewer.open("theme=dark")
    colors = paint(run.preferred(), np.nan_to_num(run.strength()), palette(10), "dark")
    units = np.flatnonzero(np.isin(run.state(), [0, 1])).tolist()
    assert viewer.cell_colors(units) == colors[units].tolist()
    viewer.open("view=confusion")
    viewer.by("cell-samples").wait_for()
    assert [line for line in viewer.said if "willReadFrequently" not in line] == []
    page.close()


def test_a_folder_that_is_there_is_left_alone(run, tmp_path: Path) -> None:
    (tmp_path / "site").mkdir()
    with pytest.raises(ExportExistsError, match="already there"):
        write_site(run, tmp_path / "site")
    assert list((tmp_path / "site").iterdir()) == []
    done = CliRunner().invoke(app, ["export", str(run.path), "-o", f"{tmp_path}/other/"])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "other/index.html").exists()
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []


def test_a_run_without_a_snapshot_is_refused(tmp_path: Path) -> None:
    store = StoreWriter(tmp_path / "run", name="none", layers=LAYERS, facts={})
    store.close()
    with pytest.raises(ExportError, match="no snapshot yet"):
        write_page(huelapse.open(tmp_path / "run"), tmp_path / "x.html")


@pytest.mark.parametrize("budget", [0.0, -1.0, float("inf"), float("nan")])
def test_a_budget_that_is_none_is_refused(run, tmp_path: Path, budget: float) -> None:
    quiet = Console(quiet=True)
    with pytest.raises(ExportError, match="finite number above 0"):
        export_page(quiet, quiet, run, tmp_path / "a.html", budget, force=False)
    assert not list(tmp_path.iterdir())


def test_a_film_of_no_snapshot_is_refused() -> None:
    assert frames_of([3, 5], 3) == [3]
    with pytest.raises(SelectionError, match="the first is at 3"):
        frames_of([3, 5], 2)
    with pytest.raises(SelectionError, match="no snapshot yet"):
        frames_of([], None)
