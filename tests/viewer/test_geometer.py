"""The geometry of classes on its way to the page: worked out in the background, kept, shown."""

import threading
import time
from typing import Any

import numpy as np
import pytest
from closer_run import SNAPSHOTS, trained
from safetensors.numpy import load
from viewing import Viewer, looked_at, served

import huelapse
from huelapse import geometry
from huelapse.compacting import remove_stale
from huelapse.errors import SelectionError
from huelapse.geometry import OUTLINE
from huelapse.viewer import geometer
from huelapse.viewer.geometer import MOST, Geometer, coarse_to_fine
from huelapse.viewer.resources import Resources
from huelapse.viewer.server import Page
from huelapse.viewer.shelf import Shelf, run_id

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("geometer") / "run")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    """One of which no responses were kept."""
    return trained(tmp_path_factory.mktemp("geometer") / "bare", keep=False, steps=9)


@pytest.fixture
def without_cache(run: huelapse.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(run.cache), "find", lambda *_: None)
    monkeypatch.setattr(type(run.cache), "keep", lambda *_: False)


def whole(run: huelapse.Run, split: str = "val") -> dict[str, np.ndarray]:
    """Its geometry, once it is there."""
    resources = Resources(run)
    resources.get(f"{split}/geometry.st")
    resources.geometer.join()
    return load(resources.get(f"{split}/geometry.st")[0])


def test_every_number_is_what_the_library_says(run: huelapse.Run) -> None:
    found = whole(run)
    assert found["snapshot"].tolist() == list(range(SNAPSHOTS))
    assert found["wanted"].tolist() == [SNAPSHOTS]
    for i, layer in enumerate(run.layers):
        told = geometry.collapse(run, layer.path)
        for name in ("cdnv", "equinorm", "equiangular", "within"):
            np.testing.assert_allclose(found[name][:, i], told[name], rtol=1e-6)
        steps = [int(run.steps[0]), int(run.steps[-1])]
        for at, decoded in zip(
            (0, -1), geometry.decoded(run, layer.path, steps=steps), strict=True
        ):
            assert found["linear"][at, i] == pytest.approx(decoded.linear)
            assert found["nearest_centre"][at, i] == pytest.approx(decoded.nearest_centre)
            assert found["chance"][at, i] == pytest.approx(decoded.chance)
        special = geometry.special(run, layer.path)
        difference = special.units - special.rotated.mean()
        spread = special.rotated.std()
        assert abs(found["above"][-1, i] - difference) < 3 * spread + 1e-6


def test_without_kept_responses_the_rest_is_there(bare: huelapse.Run) -> None:
    found = whole(bare)
    assert np.isfinite(found["cdnv"]).all()
    for name in ("within", "linear", "nearest_centre", "above"):
        assert np.isnan(found[name]).all()
    resources = Resources(bare)
    (split,) = resources.manifest()["splits"]
    assert "geometry" in split["resources"]
    assert "similarity" not in split["resources"]
    with pytest.raises(SelectionError, match="no responses"):
        resources.get("val/similarity/0.st")


def test_similarity_is_that_of_each_layer_to_each_at_the_end(run: huelapse.Run) -> None:
    found = load(Resources(run).get("val/similarity/2.st")[0])
    assert found["last"].tolist() == [SNAPSHOTS - 1]
    paths = [layer.path for layer in run.layers]
    now = [run.responses(int(run.steps[2]), path).astype(float) for path in paths]
    end = [run.responses(None, path).astype(float) for path in paths]
    expected = [[geometry.cka(one, two) for two in end] for one in now]
    np.testing.assert_allclose(found["cka"], expected, rtol=1e-5)
    assert found["cka"][0, 1] != pytest.approx(found["cka"][1, 0])


@pytest.mark.parametrize("total", [0, 1, 2, 3, 17, 41, MOST, 1000])
def test_snapshots_come_from_coarse_to_fine_each_once(total: int) -> None:
    order = coarse_to_fine(total)
    assert sorted(order) == sorted(set(order))
    assert len(order) == min(total, MOST)
    assert set(order[:2]) == ({0, total - 1} if total else set())
    for n in range(2, len(order)):
        apart = np.diff(sorted(order[:n]))
        assert apart.max() <= 4 * max(1, total / n) + 1


def test_it_is_kept_and_not_worked_out_again(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = whole(run)
    remove_stale(run)  # what `huelapse compact` clears away
    monkeypatch.setattr(geometer, "outline", lambda *_: pytest.fail("worked out again"))
    after = load(Resources(run).get("val/geometry.st")[0])
    for name in before:
        np.testing.assert_array_equal(after[name], before[name])


@pytest.mark.usefixtures("without_cache")
def test_the_work_ends_when_nobody_looks(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(geometer, "PATIENCE", -1.0)
    works = Geometer()
    first = works.geometry(run, "val")
    works.join()
    assert first["snapshot"].tolist() == []
    assert works.geometry(run, "val")["snapshot"].tolist() == []
    monkeypatch.setattr(geometer, "PATIENCE", 60.0)
    works.geometry(run, "val")
    works.join()
    assert len(works.geometry(run, "val")["snapshot"]) == SNAPSHOTS


@pytest.mark.usefixtures("without_cache")
def test_a_snapshot_that_fails_is_left_out_and_the_others_go_on(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(one: huelapse.Run, split: str, index: int, layer: Any) -> dict[str, float]:
        if index == 4:
            raise OSError("gone")
        return dict.fromkeys(OUTLINE, float(index))

    monkeypatch.setattr(geometer, "outline", fails)
    works = Geometer()
    works.geometry(run, "val")
    works.join()
    found = works.geometry(run, "val")
    assert found["snapshot"].tolist() == [t for t in range(SNAPSHOTS) if t != 4]
    assert found["wanted"].tolist() == [SNAPSHOTS - 1]
    assert found["cdnv"][:, 0].tolist() == found["snapshot"].tolist()


def test_an_export_waits_for_a_few_snapshots_alone(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.viewer.resources.EXPORTED", 5)
    resources = Resources(run, exporting=True)
    found = load(resources.get("val/geometry.st")[0])
    assert found["snapshot"].tolist() == sorted(coarse_to_fine(SNAPSHOTS)[:5])
    assert found["wanted"].tolist() == [5]


def heading(viewer: Viewer, panel: str, wanted: str) -> str:
    """A panel's sentence, once it holds what is wanted."""
    deadline = time.monotonic() + 20
    while wanted not in (told := viewer.by(panel).locator("h2").inner_text()):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


@pytest.mark.browser
def test_the_panels_say_what_python_computes_of_the_chosen_layer(viewer: Viewer, run) -> None:
    whole(run)
    t = 6
    step = int(run.steps[t])
    viewer.open(f"view=geometry&step={step}&layer=1")
    path = run.layers[1].path
    told = geometry.collapse(run, path, steps=[step])
    (decoded,) = geometry.decoded(run, path, steps=[step])
    heading(viewer, "panel-cdnv", f"is {told['cdnv'][0]:.2f} of that between")
    heading(viewer, "panel-linear", f"classifies {round(100 * decoded.linear)}%")
    heading(viewer, "panel-equiangular", f"{told['equiangular'][0]:.2f} from even")
    now, end = (run.responses(at, path).astype(float) for at in (step, None))
    heading(viewer, "panel-similarity", f"{geometry.cka(now, end):.2f} like itself")
    assert f"Step {step}, layer {path}: " in viewer.by("title").inner_text()
    viewer.by("layer").select_option("0")
    other = geometry.collapse(run, run.layers[0].path, steps=[step])
    heading(viewer, "panel-cdnv", f"is {other['cdnv'][0]:.2f} of that between")
    assert "layer=0" in viewer.page.evaluate("() => location.hash")
    viewer.page.keyboard.press("PageDown")
    heading(viewer, "panel-cdnv", f"is {told['cdnv'][0]:.2f} of that between")
    viewer.page.keyboard.press("End")
    heading(viewer, "panel-similarity", "At the last snapshot")


@pytest.mark.browser
def test_lines_have_no_hue_and_each_term_says_where_it_is_from(viewer: Viewer, run) -> None:
    viewer.open("view=geometry&layer=0")
    viewer.by("panel-linear").locator(".depth").first.wait_for()
    strokes = viewer.page.evaluate(
        """() => [...document.querySelectorAll(".geometry-lines path")]
            .map((path) => getComputedStyle(path).stroke)
            .filter((stroke) => stroke !== "none")"""
    )
    for stroke in strokes:
        chroma = float(stroke.removeprefix("oklch(").split()[1])
        assert chroma <= 0.012, stroke
    viewer.by("panel-within").get_by_role("button").focus()
    assert "Papyan, Han and Donoho" in viewer.page.get_by_role("tooltip").inner_text()


@pytest.mark.browser
def test_what_was_not_kept_is_said_with_what_to_pass(bare: huelapse.Run, browser: Any) -> None:
    with served(bare) as url, looked_at(browser, url) as viewer:
        viewer.page.keyboard.press("g")
        text = viewer.by("geometry-missing").inner_text()
        assert "Recorder(keep_responses=True)" in text
        assert viewer.by("panel-linear").count() == 0
        viewer.by("panel-cdnv").wait_for()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1024, 768), (760, 620)])
def test_panels_stay_within_small_windows(viewer: Viewer, width: int, height: int) -> None:
    viewer.resize(width, height)
    viewer.open("view=geometry")
    viewer.by("panel-cdnv").wait_for()
    over = viewer.page.evaluate(
        """() => [...document.querySelectorAll(".top > *, .main .head *, .geometry-panel *")]
            .map((e) => [e.className, e.getBoundingClientRect().right])
            .filter(([, right]) => right > innerWidth + 1)"""
    )
    assert over == []
    assert viewer.by("panel-linear").bounding_box()["y"] < height - 206


@pytest.mark.usefixtures("without_cache")
def test_a_server_answers_with_what_is_known_by_now(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()

    def waits(*_: Any) -> dict[str, float]:
        assert release.wait(20)
        return dict.fromkeys(OUTLINE, 0.5)

    monkeypatch.setattr(geometer, "outline", waits)
    shelf = Shelf([run])
    page, id_ = Page(shelf), run_id(run)
    path = f"{id_}@{run.version}/val/geometry.st"
    first = page.answer(path)
    assert first is not None
    assert load(first.content)["snapshot"].tolist() == []
    release.set()
    resources = shelf.resources(id_)
    assert resources is not None
    resources.geometer.join()
    then = page.answer(path)
    assert then is not None
    assert len(load(then.content)["snapshot"]) == SNAPSHOTS
