"""What the views of one fixed run look like, beside pictures that were looked at by eye.

Both are made smaller before they are compared, so that fonts may be smoothed otherwise: a part that has
moved, is missing, or has another color is seen. After a change that is meant:

    python tests/viewer/test_looks.py

makes the pictures anew; look at each before it is committed.
"""

import shutil
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from viewing import Viewer, served

import huelapse

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

HERE = Path(__file__).parent / "looks"
RUN = HERE / "run.hue.zip"
SHRINK = 3
SIZES = {"wide": (1440, 900), "small": (760, 620)}
LOOKS = {
    "network-dark": "theme=dark",
    "network-light": "theme=light&step=75",
    "untrained-dark": "theme=dark&step=0",
    "unit-dark": "theme=dark&unit=41",
    "layer-light": "theme=light&view=layer&layer=1",
    "classes-dark": "theme=dark&view=classes&class=3",
    "confusion-light": "theme=light&view=confusion&grouping=predicted",
    "samples-dark": "theme=dark&view=samples",
    "network-dark@small": "theme=dark",
    "classes-light@small": "theme=light&view=classes",
}
MEAN, WORST = 1.0, 40.0
"""Of 255: what may differ on average, and in a square of 12 × 12 pixels of the page."""


def shrunk(png: bytes) -> np.ndarray:
    """[y, x, rgb] of a screenshot, a third as wide and high."""
    image = Image.open(BytesIO(png)).convert("RGB")
    return np.asarray(image.reduce(SHRINK), np.int16)


def taken(viewer: Viewer, name: str) -> bytes:
    """A picture of a view, once it holds still."""
    width, height = SIZES[name.partition("@")[2] or "wide"]
    viewer.resize(width, height)
    viewer.open(LOOKS[name])
    before = b""
    for _ in range(40):
        viewer.page.wait_for_timeout(250)
        now = viewer.page.screenshot(animations="disabled")
        if now == before:
            return now
        before = now
    raise AssertionError(f"{name} never holds still")


def apart(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """How far two pictures are apart: on average, and in the square where it is most."""
    far = np.abs(one - other).mean(2)
    height, width = (4 * (n // 4) for n in far.shape)
    squares = far[:height, :width].reshape(height // 4, 4, width // 4, 4).mean((1, 3))
    return float(far.mean()), float(squares.max())


@pytest.fixture(scope="module")
def viewer(browser: Any) -> Iterator[Viewer]:
    with served(huelapse.open(RUN)) as address:
        context = browser.new_context(reduced_motion="reduce")
        viewer = Viewer(context.new_page(), address)
        yield viewer
        context.close()


@pytest.mark.parametrize("name", LOOKS)
def test_a_view_looks_as_it_did(viewer: Viewer, name: str, tmp_path: Path) -> None:
    png = taken(viewer, name)
    (tmp_path / f"{name}.png").write_bytes(png)
    expected = np.asarray(Image.open(HERE / f"{name}.png").convert("RGB"), np.int16)
    seen = shrunk(png)
    assert seen.shape == expected.shape
    mean, worst = apart(seen, expected)
    assert mean <= MEAN and worst <= WORST, (
        f"{name} looks otherwise: {mean:.2f} on average, {worst:.0f} at most; see {tmp_path}; "
        f"if that is meant, run {Path(__file__).name} and look at what it makes"
    )


def test_a_part_that_has_moved_would_be_seen(viewer: Viewer) -> None:
    """Of the comparison itself: a rail 6 pixels lower, a legend without its swatches."""
    expected = shrunk(taken(viewer, "network-dark"))
    for style in (".rail { transform: translateY(6px); }", ".class .swatch { opacity: 0; }"):
        viewer.page.evaluate(
            "(style) => { const sheet = new CSSStyleSheet(); sheet.replaceSync(style);"
            "document.adoptedStyleSheets = [sheet]; }",
            style,
        )
        mean, worst = apart(shrunk(viewer.page.screenshot()), expected)
        assert mean > MEAN or worst > WORST, style


def main() -> None:
    from playwright.sync_api import sync_playwright

    wanted = sys.argv[1:] or list(LOOKS)
    with served(huelapse.open(RUN)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        viewer = Viewer(browser.new_context(reduced_motion="reduce").new_page(), address)
        for name in wanted:
            small = shrunk(taken(viewer, name)).astype(np.uint8)
            Image.fromarray(small).save(HERE / f"{name}.png", optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
