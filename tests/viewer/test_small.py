"""In small windows, with a card open: what is beside it is still whole."""

from collections.abc import Iterator
from typing import Any

import pytest
from closer_run import trained
from viewing import Viewer, looked_at, served

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(trained(tmp_path_factory.mktemp("small") / "run")) as address:
        yield address


@pytest.fixture
def viewer(browser: Any, address: str) -> Iterator[Viewer]:
    with looked_at(browser, address) as viewer:
        viewer.resize(1024, 768)
        yield viewer


def width_of(viewer: Viewer, selector: str) -> float:
    viewer.page.locator(selector).first.wait_for()
    return viewer.page.locator(selector).first.bounding_box()["width"]


def overflow_of(viewer: Viewer, selector: str) -> int:
    """Pixels of its contents that have no room from left to right."""
    return viewer.page.locator(selector).evaluate("(of) => of.scrollWidth - of.clientWidth")


@pytest.mark.parametrize("size", [(1024, 768), (760, 620)])
def test_samples_can_be_sought_beside_a_samples_card(viewer: Viewer, size: tuple[int, int]) -> None:
    viewer.resize(*size)
    viewer.open("view=samples&sample=0")
    assert width_of(viewer, "[data-testid=find]") >= 120


def test_a_classs_strongest_units_have_bars_and_their_strength_under_its_heading(
    viewer: Viewer,
) -> None:
    viewer.open("class=1")
    assert width_of(viewer, ".unit .bar") == pytest.approx(110, abs=1)
    row = viewer.page.locator(".unit").first
    row.wait_for()
    value, bar = (row.locator(name).bounding_box() for name in (".count", ".bar"))
    assert value["x"] > bar["x"] + bar["width"]
    heading = viewer.page.locator(".inspector section h2 small").last.bounding_box()
    right = heading["x"] + heading["width"]
    assert value["x"] + value["width"] == pytest.approx(right, abs=2)


@pytest.mark.parametrize(("size", "least"), [((1024, 768), 100), ((760, 620), 90)])
def test_a_table_beside_a_card_has_room_for_classes(
    viewer: Viewer, size: tuple[int, int], least: int
) -> None:
    viewer.resize(*size)
    viewer.open("view=table&unit=3")
    assert width_of(viewer, ".units tbody td.path") >= least
    assert overflow_of(viewer, ".units") == 0
