"""A viewer's server in a thread, and a page on it: what the tests in a real browser share."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huelapse
from huelapse.palette import Choice
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf

TOKEN = "browser-test"


@contextmanager
def served(
    run: huelapse.Run,
    *,
    port: int | None = None,
    token: str = TOKEN,
    colors: Choice | None = None,
) -> Iterator[str]:
    """The address of a viewer on `run`, token included, while the block lasts."""
    with in_background(Shelf([run], colors=colors), token=token, port=port) as address:
        yield address


@contextmanager
def looked_at(browser: Any, address: str) -> Iterator["Viewer"]:
    """A dark page of the usual size; the console must say nothing until it is closed."""
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme="dark")
    viewer = Viewer(page, address)
    yield viewer
    said = [line for line in viewer.said if "willReadFrequently" not in line]
    page.close()
    assert said == []


def saved(viewer: "Viewer", button: str, size: str = "screen") -> tuple[str, bytes]:
    """Name and content of what the page saves."""
    viewer.by("export").click()
    viewer.by(f"size-{size}").click()
    with viewer.page.expect_download(timeout=120_000) as download:
        viewer.by(button).click()
    content = Path(download.value.path()).read_bytes()
    viewer.page.keyboard.press("Escape")
    return download.value.suggested_filename, content


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

    def resize(self, width: int, height: int) -> None:
        self.page.set_viewport_size({"width": width, "height": height})

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

    def place_of(self, unit: int) -> list[float]:
        """Where a unit's cell is on the page."""
        return self.page.evaluate(
            """(unit) => {
                const at = globalThis.huelapse.cellPixel(unit);
                const box = at.canvas.getBoundingClientRect();
                const scale = box.width / at.canvas.width;
                return [box.x + at.x * scale, box.y + at.y * scale];
            }""",
            unit,
        )
