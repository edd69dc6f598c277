"""The viewer in a real Chromium, on the demo's run."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import uvicorn

import huelapse
from huelapse.color import paint
from huelapse.demo.training import Trained
from huelapse.palette import palette
from huelapse.viewer import server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
TOKEN = "browser-test"


@pytest.fixture(scope="module")
def run(demo_run: Trained) -> huelapse.Run:
    return huelapse.open(demo_run.run)


@pytest.fixture(scope="module")
def address(run: huelapse.Run) -> Iterator[str]:
    listener = server.listen(None)
    port = listener.getsockname()[1]
    app = server.build_app([run], token=TOKEN, port=port)
    served = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
    thread.start()
    yield f"http://127.0.0.1:{port}/?token={TOKEN}"
    served.should_exit = True
    thread.join()
    listener.close()


class Viewer:
    """A page on the run, with everything the console said."""

    def __init__(self, page: Any, address: str) -> None:
        self.page = page
        self.said: list[str] = []
        page.on("console", lambda m: self.said.append(f"{m.type}: {m.text}"))
        page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        page.goto(address)
        self.base = page.url.partition("#")[0]
        self.ready()

    def ready(self) -> None:
        self.until("() => Boolean(globalThis.huelapse && globalThis.huelapse.ready)")

    def until(self, condition: str, seconds: float = 20) -> None:
        """Polled from outside: the page's own policy forbids evaluating strings in it."""
        deadline = time.monotonic() + seconds
        while not self.page.evaluate(condition):
            assert time.monotonic() < deadline, condition
            time.sleep(0.05)

    def open(self, state: str) -> None:
        self.page.goto("about:blank")
        self.page.goto(f"{self.base}#{state}")
        self.ready()

    def snapshot(self) -> int:
        return self.page.evaluate("() => globalThis.huelapse.snapshot()")

    def by(self, name: str) -> Any:
        return self.page.get_by_test_id(name)

    def cell_colors(self, units: list[int]) -> list[list[int]]:
        return self.page.evaluate(
            """(units) => {
                const read = new Map();  // each canvas once: Chromium warns of repeated read-backs
                return units.map((unit) => {
                    const { canvas, x, y } = globalThis.huelapse.cellPixel(unit);
                    if (!read.has(canvas)) {
                        const context = canvas.getContext("2d");
                        read.set(canvas, context.getImageData(0, 0, canvas.width, canvas.height));
                    }
                    const image = read.get(canvas);
                    const at = 4 * (Math.floor(y) * image.width + Math.floor(x));
                    return [...image.data.slice(at, at + 4)];
                });
            }""",
            units,
        )


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
    viewer.until("() => location.hash.includes('step=')")
    step = int(run.steps[viewer.snapshot()])
    assert f"step={step}" in viewer.page.url


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
    spot = viewer.page.evaluate(
        """(unit) => {
            const at = globalThis.huelapse.cellPixel(unit);
            const box = at.canvas.getBoundingClientRect();
            const scale = box.width / at.canvas.width;
            return [box.x + at.x * scale, box.y + at.y * scale];
        }""",
        unit,
    )
    viewer.page.mouse.click(*spot)
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


def test_class_names_are_text(browser: Any, tmp_path: Any) -> None:
    from conftest import SmallNet, batches

    names = ["<img src=x onerror=alert(1)>", "b & c", "ä" * 200]
    huelapse.Recorder(SmallNet(), tmp_path / "odd", probe=batches(), classes=names).close()
    listener = server.listen(None)
    app = server.build_app(
        [huelapse.open(tmp_path / "odd")], token=TOKEN, port=listener.getsockname()[1]
    )
    served = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=served.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/?token={TOKEN}"
        viewer = Viewer(context.new_page(), address)
        assert "<img src=x" in viewer.page.locator("body").inner_text()
        assert viewer.page.locator("img").count() == 0
        width = viewer.page.evaluate("() => document.documentElement.scrollWidth")
        assert width <= 1440
        assert viewer.said == []
        context.close()
    finally:
        served.should_exit = True
        thread.join()
        listener.close()
