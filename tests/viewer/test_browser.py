"""The viewer in a real Chromium, on the demo's run."""

import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from viewing import Viewer, served

import huelapse
from huelapse.color import paint
from huelapse.demo.training import Trained
from huelapse.palette import palette

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def run(demo_run: Trained) -> huelapse.Run:
    return huelapse.open(demo_run.run)


@pytest.fixture
def viewer(browser: Any, address: str) -> Iterator[Viewer]:
    context = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    viewer = Viewer(context.new_page(), address)
    yield viewer
    assert viewer.said == []
    context.close()


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("grouping", ["true", "predicted"])
@pytest.mark.parametrize("at", [0, 12, -1])
def test_every_cells_pixels_are_the_colors_python_computes(
    viewer: Viewer, run: huelapse.Run, theme: str, grouping: str, at: int
) -> None:
    step = int(run.steps[at])
    viewer.open(f"step={step}&theme={theme}&grouping={grouping}")
    state = run.state(step, grouping=grouping)
    filled = np.flatnonzero(state <= huelapse.State.TIED)
    assert len(filled) > 0.5 * run.units or grouping == "predicted"
    expected = paint(
        run.preferred(step, grouping=grouping)[filled],
        run.strength(step, grouping=grouping)[filled],
        palette(10),
        theme,
    )
    if len(filled):
        found = np.array(viewer.cell_colors(filled.tolist()))
        wrong = np.flatnonzero((found != expected).any(1))
        assert len(wrong) == 0, [
            (int(filled[i]), found[i].tolist(), expected[i].tolist()) for i in wrong[:5]
        ]


def test_scrubbing_moves_through_training(viewer: Viewer, run: huelapse.Run) -> None:
    last = len(run.steps) - 1
    assert viewer.snapshot() == last
    assert f"{run.steps[last]:,}" in viewer.by("playhead").inner_text()
    viewer.page.keyboard.press("Home")
    assert viewer.snapshot() == 0
    assert "before training" in viewer.by("title").inner_text().lower()
    viewer.page.keyboard.press("ArrowRight")
    viewer.page.keyboard.press("Shift+ArrowRight")
    assert viewer.snapshot() == 6
    box = viewer.by("timeline").bounding_box()
    y = box["y"] + box["height"] / 2
    seen = set()
    viewer.page.mouse.move(box["x"] + box["width"] * 0.35, y)
    viewer.page.mouse.down()
    for share in np.linspace(0.35, 0.8, 12):
        viewer.page.mouse.move(box["x"] + box["width"] * share, y)
        seen.add(viewer.snapshot())
    viewer.page.mouse.up()
    assert len(seen) >= 5
    step = int(run.steps[viewer.snapshot()])
    viewer.until(f"() => location.hash.includes('step={step}')")


def test_playing_runs_to_the_end_and_stops(viewer: Viewer, run: huelapse.Run) -> None:
    last = len(run.steps) - 1
    viewer.open(f"step={run.steps[last - 3]}")
    viewer.by("play").click()
    viewer.until(f"() => globalThis.huelapse.snapshot() === {last}")
    time.sleep(0.5)
    assert viewer.snapshot() == last
    viewer.by("play").click()  # from the end it starts over
    viewer.until("() => globalThis.huelapse.snapshot() > 0 && globalThis.huelapse.snapshot() < 20")
    viewer.page.keyboard.press("Space")
    stopped = viewer.snapshot()
    time.sleep(0.6)
    assert abs(viewer.snapshot() - stopped) <= 1


def test_the_title_is_true(viewer: Viewer, run: huelapse.Run) -> None:
    for at in (8, 20, -1):
        step = int(run.steps[at])
        viewer.open(f"step={step}")
        share = (run.state(step) == huelapse.State.TUNED).mean()
        title = viewer.by("title").inner_text()
        assert f"{step:,}" in title
        assert f"{round(100 * share)}%" in title.replace(" %", "%"), (title, share)


def test_predicted_says_how_many_classes_are_predicted_at_all(
    viewer: Viewer, run: huelapse.Run
) -> None:
    viewer.open("step=0")
    viewer.by("grouping-predicted").click()
    viewer.until("() => location.hash.includes('grouping=predicted')")
    predicted = int((run.moments(0, "predicted").count > 0).sum())
    assert predicted < 10
    assert f"{predicted} of 10 classes predicted" in viewer.by("network").inner_text() + " " + (
        viewer.page.locator("main, #main").first.inner_text()
    )
    viewer.by("grouping-true").click()


def test_a_unit_is_picked_and_explained(viewer: Viewer, run: huelapse.Run) -> None:
    fc2 = run.layers[-2]
    strength = run.strength(layer=fc2.path)
    unit = fc2.offset + int(strength.argmax())
    viewer.page.mouse.click(*viewer.place_of(unit))
    viewer.until(f"() => location.hash.includes('unit={unit}')")
    inspector = viewer.by("inspector")
    name = run.classes[int(run.preferred()[unit])]
    viewer.until(
        f"() => document.querySelector('[data-testid=inspector]').innerText.includes('{name}')"
    )
    text = inspector.inner_text()
    assert name in text
    assert f"{np.floor(100 * run.strength()[unit]) / 100:.2f}" in text
    viewer.page.keyboard.press("ArrowDown")
    viewer.until(f"() => !location.hash.includes('unit={unit}')")
    viewer.page.keyboard.press("Escape")
    viewer.until("() => !location.hash.includes('unit=')")


def test_a_unit_is_asked_for_when_its_cell_is_pressed_and_once(viewer: Viewer) -> None:
    asked: list[str] = []
    viewer.page.on("request", lambda request: asked.append(request.url))
    viewer.page.mouse.move(*viewer.place_of(200))
    with viewer.page.expect_request("**/unit/200.st"):
        viewer.page.mouse.down()
    assert viewer.page.locator("svg.history").count() == 0  # a press is no choice
    viewer.page.mouse.up()
    viewer.page.locator("svg.history").wait_for()
    assert sum(url.endswith("/unit/200.st") for url in asked) == 1


def test_the_theme_switches_and_is_kept_in_the_address(viewer: Viewer) -> None:
    background = "() => getComputedStyle(document.body).backgroundColor"
    dark = viewer.page.evaluate(background)
    viewer.by("theme").click()
    viewer.until("() => location.hash.includes('theme=light')")
    assert viewer.page.evaluate(background) != dark
    viewer.page.reload()
    viewer.ready()
    assert viewer.page.evaluate(background) != dark


def test_the_threshold_changes_what_counts_as_tuned(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.open("threshold=0.80")
    share = (run.state(threshold=0.8) == huelapse.State.TUNED).mean()
    assert f"{round(100 * share)}%" in viewer.by("title").inner_text().replace(" %", "%")
    slider = viewer.by("key-threshold")
    slider.focus()
    viewer.page.keyboard.press("ArrowLeft")
    viewer.until("() => location.hash.includes('threshold=0.75')")


def test_a_restarted_viewer_takes_nothing_away(browser: Any, run: huelapse.Run) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    with served(run) as address:
        viewer = Viewer(context.new_page(), address)
        title = viewer.by("title").inner_text()
        # what is asked for after the picture: nothing must be on its way when the server ends
        viewer.until("() => document.body.innerText.includes('Noise floor 0')")
        viewer.by("events").wait_for()
    port = int(address.partition("/?")[0].rpartition(":")[2])
    with served(run, port=port, token="another") as again:
        viewer.page.mouse.click(*viewer.place_of(run.layers[-2].offset))
        viewer.until("() => Boolean(document.querySelector('[data-testid=banner]'))")
        banner = viewer.by("banner").inner_text()
        assert banner == "The viewer was restarted: open the address it printed"
        assert viewer.by("problem").count() == 0
        assert viewer.by("title").inner_text() == title
        viewer.page.keyboard.press("Home")  # what is loaded can still be looked at
        assert "before training" in viewer.by("title").inner_text()
        other = Viewer(context.new_page(), again)
        other.page.close()
        viewer.until("() => !document.querySelector('[data-testid=banner]')", seconds=30)
        viewer.until(
            "() => document.querySelector('[data-testid=inspector]').innerText.includes('sure')"
        )
    assert {line.partition(":")[0] for line in viewer.said} <= {"error"}
    assert all("403" in line for line in viewer.said), viewer.said
    context.close()


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (760, 620)])
@pytest.mark.parametrize("layer", [0, -1])
def test_what_is_picked_is_not_covered_by_what_is_said_of_it(
    viewer: Viewer, run: huelapse.Run, width: int, height: int, layer: int
) -> None:
    viewer.resize(width, height)
    unit = run.layers[layer].offset + run.layers[layer].units - 1
    viewer.open(f"unit={unit}")
    sheet = viewer.by("inspector").bounding_box()
    assert sheet["x"] + sheet["width"] <= width + 0.5
    for name in ("marker", "title", "network"):
        box = viewer.by(name).bounding_box()
        assert box["x"] + box["width"] <= sheet["x"], name
    on_top = "([x, y]) => document.elementFromPoint(x, y).dataset.testid"
    assert viewer.page.evaluate(on_top, viewer.place_of(unit)) in ("marker", "network")
    assert viewer.by("marker").bounding_box()["width"] >= 8


def test_no_data_never_reads_as_zero(viewer: Viewer) -> None:
    viewer.open("step=0&grouping=predicted")
    assert "every sample is predicted as" in viewer.by("title").inner_text()
    rail = viewer.page.locator(".rail")
    assert "– tuned" in rail.inner_text()
    assert set(rail.locator(".class .count").all_inner_texts()) == {"–"}
    viewer.by("grouping-true").click()
    viewer.until("() => !location.hash.includes('grouping=')")
    assert "–" not in rail.inner_text()


def test_the_key_stays_where_it_is_from_grouping_to_grouping(viewer: Viewer) -> None:
    viewer.open("step=0")
    before = viewer.by("key-threshold").bounding_box()
    viewer.by("grouping-predicted").click()
    viewer.until("() => location.hash.includes('grouping=predicted')")
    assert viewer.by("key-threshold").bounding_box() == before


def test_a_layer_has_one_name_and_its_path_in_the_tip(viewer: Viewer, run: huelapse.Run) -> None:
    fc2 = run.layers[-2]
    viewer.open(f"unit={fc2.offset}")
    heading = viewer.by("inspector").locator("h1")
    assert heading.inner_text().split() == ["fc2", "unit", "0"]
    assert heading.locator(".path").get_attribute("title") == f"{fc2.path}, {fc2.kind}"
    assert "fc2" in viewer.by("timeline").inner_text().split()
    x, _ = viewer.place_of(fc2.offset)
    top = viewer.by("network").bounding_box()["y"]
    viewer.page.mouse.move(x, top + 12)
    assert fc2.path in viewer.page.locator(".tip").inner_text()


def test_the_legend_stands_under_its_header(viewer: Viewer) -> None:
    def right(selector: str) -> float:
        box = viewer.page.locator(selector).first.bounding_box()
        return box["x"] + box["width"]

    assert right(".class .count") == pytest.approx(right(".rail > h2 small"), abs=0.6)
