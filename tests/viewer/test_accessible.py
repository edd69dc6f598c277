"""axe-core over every view in both themes: no violation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from closer_run import trained
from viewing import Viewer, served

import huelapse

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(__file__).parents[2] / "frontend/node_modules/axe-core/axe.min.js"

VIEWS = {
    "network": "network",
    "layer": "kymograph",
    "classes": "trellis",
    "confusion": "confusion",
    "samples": "samples",
    "table": "units",
    "compare": "compare-b",
    "geometry": "panel-cdnv",
}


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    run: huelapse.Run = trained(tmp_path_factory.mktemp("accessible") / "run")
    with served(run) as url:
        yield url


def violations(page: Any) -> list[str]:
    """What axe finds, with where. Evaluated from outside, where the page's policy does not reach."""
    page.evaluate(AXE.read_text() + "; undefined")
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        f"{one['id']}: {node['html'][:120]} {node.get('failureSummary', '')[:200]}"
        for one in found
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("view", VIEWS)
def test_axe_finds_no_violation(address: str, browser: Any, view: str, theme: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=theme)
    viewer = Viewer(page, address)
    for more in ("", "&unit=5", "&class=3", "&sample=4"):
        viewer.open(f"view={view}&theme={theme}{more}")
        viewer.by(VIEWS[view]).wait_for()
        assert violations(page) == [], more
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    assert violations(page) == [], "help"
    if view == "network":
        page.keyboard.press("Escape")
        page.keyboard.press("e")
        viewer.by("save-mp4").wait_for()
        assert violations(page) == [], "export"
    page.close()


def test_axe_finds_a_button_without_a_name(address: str, browser: Any) -> None:
    page = browser.new_page()
    Viewer(page, address)
    page.evaluate(
        "() => document.querySelector('[data-testid=theme]').removeAttribute('aria-label')"
    )
    page.evaluate("() => document.querySelector('[data-testid=theme]').removeAttribute('title')")
    assert any(one.startswith("button-name") for one in violations(page))
    page.close()
