"""The page in a notebook: the real Viewer, its messages, and the bundle in a shadow tree."""

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closer_run import trained
from notebook import Notebook, notebook, shown
from safetensors.numpy import load
from test_accessible import violations
from viewing import Viewer as Page

import huelapse
from huelapse.color import paint
from huelapse.errors import NotARunError, OptionError, SelectionError
from huelapse.palette import palette
from huelapse.viewer.shelf import run_id

jupyter = pytest.importorskip("huelapse.integrations.jupyter")

pytestmark = pytest.mark.timeout(300)

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("widget") / "run")


@pytest.fixture
def book(run: huelapse.Run) -> Iterator[Notebook]:
    with notebook() as found:
        found.viewer = jupyter.Viewer(run)
        yield found
        found.viewer.close()


@pytest.fixture
def page(book: Notebook, browser: Any) -> Iterator[Page]:
    with shown(book) as address:
        tab = browser.new_page(viewport={"width": 1000, "height": 760}, color_scheme="light")
        found = Page(tab, address)
        yield found
        said = [line for line in found.said if "willReadFrequently" not in line]
        tab.close()
        assert said == []


def asked(book: Notebook, key: str) -> tuple[int, bytes]:
    """Status and content of the answer to a page that asks."""
    book.hear({"kind": "get", "id": 7, "key": key})
    data, content = book.next()
    answer = data["content"]
    assert (data["method"], answer["kind"], answer["id"]) == ("custom", "answer", 7)
    return answer["status"], gzip.decompress(content) if answer["gzip"] else content


# --- messages ------------------------------------------------------------------------------------


def test_what_the_page_asks_for_comes_as_a_binary_buffer(book: Notebook, run) -> None:
    status, content = asked(book, f"{run_id(run)}/val/true/margin/paint/0.st")
    assert status == 200
    assert load(content)["preferred"].shape == (len(run.steps), run.units)
    assert json.loads(asked(book, "runs.json")[1])["runs"][0]["name"] == run.name
    assert asked(book, "main.css")[0] == 200


@pytest.mark.parametrize("key", ["nothing.st", "../../etc/passwd", "", "x" * 10_000])
def test_what_is_not_there_is_404_or_the_page_and_never_silence(book: Notebook, key: str) -> None:
    status, _ = asked(book, key)
    assert status == (404 if key else 200)


def test_a_fault_is_answered_too(book: Notebook, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    monkeypatch.setattr(book.viewer._page, "answer", lambda key: 1 / 0)
    assert asked(book, "runs.json") == (500, b"")
    assert "runs.json could not be made" in caplog.text


def test_messages_that_are_none_of_the_pages_are_passed_over(book: Notebook) -> None:
    for content in (None, {}, {"kind": "get"}, {"kind": "selected", "address": {}}, "get", 3):
        book.hear(content)
    assert book.viewer.selection.step is None
    assert asked(book, "runs.json")[0] == 200


def test_nothing_of_the_run_is_a_synced_trait(book: Notebook, run) -> None:
    """Traits are saved into the notebook."""
    assert {name for name in book.state if not name.startswith("_")} <= {
        "height", "layout", "tabbable", "tooltip",
    }  # fmt: skip
    saved = json.dumps({name: value for name, value in book.state.items() if name != "_esm"})
    assert str(run.path) not in saved
    assert len(saved) < 2_000


def test_two_viewers_are_two_files(run) -> None:
    """A host that loads equal files once would show one run in the other's cell."""
    with notebook() as first:
        one = jupyter.Viewer(run)
    with notebook() as second:
        two = jupyter.Viewer(run.path)
    assert first.state["_esm"] != second.state["_esm"]
    one.close()
    two.close()


def test_a_selection_is_told_by_its_names(book: Notebook, run) -> None:
    seen: list[Any] = []
    book.viewer.selection.observe(lambda change: seen.append(change["new"]), "unit")
    address = {
        "view": "confusion", "layer": -1, "sample": 4, "only": "all", "cell": "3,5", "run": "x",
        "split": "val", "step": 6, "unit": 43, "grouping": "predicted", "measure": "margin",
        "class": 2, "threshold": 35, "theme": "dark", "axis": "log",
    }  # fmt: skip
    book.hear({"kind": "selected", "address": address})
    chosen = book.viewer.selection
    assert (chosen.layer, chosen.unit, chosen.step, chosen.sample) == ("4", 3, 6, 4)
    assert chosen.class_name == run.classes[2]
    assert chosen.cell == (run.classes[3], run.classes[5])
    assert (chosen.split, chosen.grouping, chosen.threshold) == ("val", "predicted", 0.35)
    book.hear({"kind": "selected", "address": {**address, "unit": -1, "class": -1, "cell": ""}})
    assert (chosen.unit, chosen.layer, chosen.class_name, chosen.cell) == (None,) * 4
    assert seen == [3, None]
    book.hear({"kind": "selected", "address": {**address, "unit": 10_000}})
    assert chosen.unit is None
    with pytest.raises(Exception, match="read-only"):
        chosen.step = 5


@pytest.mark.parametrize(
    ("wish", "error", "told"),
    [
        ({"view": "nets"}, OptionError, "no view 'nets'; there are network"),
        ({"unit": 3}, OptionError, "which layer the unit is of"),
        ({"layer": "fc9"}, SelectionError, "no layer 'fc9'; it has 2, 4"),
        ({"layer": "4", "unit": 24}, SelectionError, "no unit of layer '4' 24: there are 24"),
        ({"step": 7}, SelectionError, "no snapshot at step 7; the nearest are at"),
        ({"class_name": "dog"}, SelectionError, "no class 'dog'; there are T-shirt"),
        ({"sample": 300}, SelectionError, "no sample 300: there are 300"),
        ({"threshold": 1.5}, OptionError, r"expected 0.05 … 0.95"),
        ({"grouping": "own"}, SelectionError, "no grouping 'own'"),
        ({"measure": "height"}, SelectionError, "no measure 'height'"),
    ],
)
def test_what_cannot_be_shown_is_refused(book: Notebook, wish, error, told: str) -> None:
    with pytest.raises(error, match=told):
        book.viewer.show(**wish)
    assert book.sent.empty()


def test_bad_viewers_are_refused(run, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="height is 100"):
        jupyter.Viewer(run, height=100)
    with pytest.raises(NotARunError):
        jupyter.Viewer(tmp_path)


def test_the_views_are_those_of_the_page() -> None:
    told = re.search(r"VIEWS = \[(.*?)\]", (ROOT / "frontend/src/url.ts").read_text(), re.S)
    assert told is not None
    assert tuple(re.findall(r'"(\w+)"', told[1])) == jupyter.VIEWS


# --- in a browser --------------------------------------------------------------------------------


@pytest.mark.browser
def test_a_cell_shows_the_colors_python_computes(page: Page, run) -> None:
    colors = paint(run.preferred(), np.nan_to_num(run.strength()), palette(10), "dark")
    units = np.flatnonzero(np.isin(run.state(), [0, 1])).tolist()
    assert len(units) > 10
    assert page.cell_colors(units) == colors[units].tolist()


@pytest.mark.browser
def test_python_reads_what_is_chosen_and_turns_the_page(page: Page, book: Notebook, run) -> None:
    chosen = book.viewer.selection
    wait = lambda told: page.page.wait_for_timeout(50) or told()  # noqa: E731
    page.page.mouse.click(*page.place_of(45))
    for _ in range(100):
        if wait(lambda: chosen.unit == 5 and chosen.layer == "4"):
            break
    assert (chosen.unit, chosen.layer, chosen.step) == (5, "4", int(run.steps[-1]))
    # keys act on the page, and on nothing else in the notebook
    page.page.keyboard.press("Home")
    page.until("() => globalThis.huelapse.snapshot() === 0")
    theme = "() => document.querySelector('#out > div > div').shadowRoot" \
            ".querySelector('#huelapse').dataset.theme"  # fmt: skip
    assert page.page.evaluate(theme) == "dark"
    page.page.keyboard.press("d")
    assert page.page.evaluate(theme) == "light"
    assert page.page.evaluate("() => globalThis.escaped") == []
    for _ in range(100):
        if wait(lambda: chosen.step == 0):
            break
    assert chosen.step == 0
    for _ in range(2):  # the same wish twice moves twice
        book.viewer.show(step=int(run.steps[4]), view="layer", layer="2", class_name=run.classes[1])
        page.until("() => globalThis.huelapse.snapshot() === 4")
        page.by("kymograph").wait_for()
        page.page.keyboard.press("End")
        page.until(f"() => globalThis.huelapse.snapshot() === {len(run.steps) - 1}")
    for _ in range(100):
        if wait(lambda: chosen.view == "layer" and chosen.class_name == run.classes[1]):
            break
    assert (chosen.view, chosen.layer, chosen.class_name) == ("layer", "2", run.classes[1])


@pytest.mark.browser
def test_the_notebook_and_the_page_leave_each_other_alone(page: Page, book: Notebook) -> None:
    """Styles stay in the cell; a heading of the same name is no page; a second cell shows the same."""
    assert page.page.locator("main > h1").inner_text() == "huelapse"
    style = page.page.evaluate(
        """() => {
            const { shadowRoot } = document.querySelector("#out > div > div");
            const { fontSize, fontFamily, fontStyle } =
                getComputedStyle(shadowRoot.querySelector(".rail"));
            return [fontSize, fontFamily.split(",")[0], fontStyle];
        }"""
    )
    assert style == ["12px", "Inter", "normal"]
    assert page.page.evaluate("() => getComputedStyle(document.body).fontSize") == "30px"
    box = page.page.locator("#out > div > div").bounding_box()
    assert box["height"] == jupyter.HEIGHT
    page.page.evaluate("() => show()")
    page.page.evaluate("() => leave[0]()")  # the one it was drawn in first goes
    page.page.wait_for_timeout(200)
    page.page.evaluate("() => globalThis.huelapse.show(2)")
    page.ready()
    ink = page.page.evaluate(
        """() => {
            const canvas = document.querySelector("#out > div:nth-child(2) > div").shadowRoot
                .querySelector("[data-testid=network]");
            const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, 20);
            return Math.max(...data);
        }"""
    )
    assert ink > 200  # the layers' names, in the theme's ink


@pytest.mark.browser
@pytest.mark.parametrize("width", [1000, 740])
def test_a_cell_from_700_pixels_has_all_parts_and_no_violation(
    book: Notebook, browser: Any, width: int
) -> None:
    with shown(book, light=True) as address:
        tab = browser.new_page(viewport={"width": width, "height": 760}, color_scheme="dark")
        page = Page(tab, address)
        root = "document.querySelector('#out > div > div').shadowRoot"
        theme = tab.evaluate(f"() => {root}.querySelector('#huelapse').dataset.theme")
        assert theme == "light"  # the notebook's, not the system's
        over = tab.evaluate(
            f"""() => {{
                const page = {root}.querySelector(".page").getBoundingClientRect();
                return [...{root}.querySelectorAll(".top > *, .main .head *")]
                    .filter((e) => e.offsetWidth > 0)
                    .map((e) => [e.className, e.getBoundingClientRect()])
                    .filter(([, box]) => box.right > page.right + 1)
                    .map(([name]) => name);
            }}"""
        )
        assert over == []
        overlap = tab.evaluate(
            f"""() => {{
                const boxes = [...{root}.querySelectorAll(".top > *")]
                    .filter((e) => e.offsetWidth > 0).map((e) => e.getBoundingClientRect());
                return boxes.some((b, i) => i > 0 && b.left < boxes[i - 1].right - 1);
            }}"""
        )
        assert not overlap
        assert page.by("timeline").is_visible()
        assert violations(tab) == []
        tab.close()
