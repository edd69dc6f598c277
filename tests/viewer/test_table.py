"""The table twin of the picture: what it says is what Python computes, read from the keyboard."""

import csv
import io
import json

import numpy as np
import pytest
from closer_run import SNAPSHOTS
from safetensors.numpy import load
from viewing import Viewer

import huelapse
from huelapse.errors import SelectionError
from huelapse.measures import interval
from huelapse.palette import Choice, level
from huelapse.viewer.resources import Resources

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def run(closer_run: huelapse.Run) -> huelapse.Run:
    return closer_run


@pytest.mark.parametrize("grouping", ["true", "predicted"])
@pytest.mark.parametrize("t", [0, 5, SNAPSHOTS - 1])
def test_its_numbers_are_those_of_the_run(run, grouping: str, t: int) -> None:
    step = int(run.steps[t])
    for i, layer in enumerate(run.layers):
        path = f"val/{grouping}/margin/table/{t}/{i}.st"
        found = load(Resources(run).get(path)[0])
        at = {"grouping": grouping, "step": step, "layer": layer.path}
        preferred = run.preferred(**at)
        moments = run.moments(t, grouping)
        low, high = interval(moments)
        known = preferred >= 0
        k, u = preferred[known], np.arange(layer.units)[known] + layer.offset
        assert known.any() or grouping == "predicted"
        assert (found["preferred"] == np.where(known, preferred, 65535)).all()
        np.testing.assert_allclose(found["mean"][known], moments.mean[k, u], rtol=1e-6)
        np.testing.assert_allclose(found["low"][known], low[k, u], rtol=1e-6)
        np.testing.assert_allclose(found["high"][known], high[k, u], rtol=1e-6)
        assert (found["n"][known] == moments.n[k, u]).all()
        assert (found["n"][~known] == 0).all()
        assert np.isnan(found["low"][~known]).all()
        np.testing.assert_allclose(found["strength"], run.strength(**at), rtol=1e-6)
        held = found["state"] == 0
        assert (found["level"][held] == level(run.strength(**at))[held]).all()


@pytest.mark.parametrize("grouping", ["true", "predicted~1", "true~1", "true~finest"])
def test_it_says_what_the_picture_shows_by_every_level(run, grouping: str) -> None:
    belongs = {name: "shoes" if i in (5, 7, 9) else "else" for i, name in enumerate(run.classes)}
    resources = Resources(run, colors=Choice(superclasses=belongs))
    painted = load(resources.get(f"val/{grouping}/margin/paint/0.st")[0])
    for i, layer in enumerate(run.layers):
        found = load(resources.get(f"val/{grouping}/margin/table/9/{i}.st")[0])
        for name in ("preferred", "level", "state", "flags"):
            assert (found[name] == painted[name][9, layer.slice]).all(), name


@pytest.mark.parametrize("path", ["0/9", "99/0", "0/-1", "0/x", "x/0"])
def test_a_table_that_is_not_there_is_none(run, path: str) -> None:
    with pytest.raises(SelectionError):
        Resources(run).get(f"val/true/margin/table/{path}.st")
    with pytest.raises(SelectionError):
        Resources(run).get("val/true/height/table/0/0.st")


def rows(viewer: Viewer) -> list[list[str]]:
    return viewer.page.evaluate(
        """() => [...document.querySelectorAll('[data-testid=units] tbody tr[aria-rowindex]')]
            .map((row) => [...row.children].map((cell) => cell.innerText.trim()))"""
    )


@pytest.mark.browser
def test_a_point_leads_to_the_table_and_back(viewer: Viewer, run) -> None:
    step = int(run.steps[6])
    viewer.open(f"view=layer&layer=1&step={step}")
    viewer.page.keyboard.press(".")
    viewer.by("units").wait_for()
    viewer.until("() => document.activeElement.dataset.testid === 'units'")
    layer = run.layers[1]
    strength = run.strength(step=step, layer=layer.path)
    state = run.state(step=step, layer=layer.path)
    preferred = run.preferred(step=step, layer=layer.path)
    shown = rows(viewer)
    assert sorted(int(row[0]) for row in shown) == list(range(layer.units))
    for unit, name, told, _, between, n, word in shown:
        u = int(unit)
        word = word.split(",")[0]  # what qualifies it follows
        if word in ("tuned", "below threshold"):
            assert name == run.classes[preferred[u]]
            assert told == f"{np.floor(100 * strength[u]) / 100:.2f}"
            assert (word == "tuned") == (strength[u] >= 0.5)
            assert int(n) > 0 and "…" in between
        else:
            assert told == "–"
    assert {row[6].split(",")[0] for row in shown} <= {
        "tuned", "below threshold", "tied", "silent",
    }  # fmt: skip
    held = np.isin(state, [huelapse.State.TUNED, huelapse.State.UNSELECTIVE])
    assert held.sum() == sum(row[6].startswith(("tuned", "below")) for row in shown)
    viewer.page.keyboard.press("Escape")
    viewer.by("kymograph").wait_for()


@pytest.mark.browser
def test_rows_are_walked_ordered_and_drawn_only_in_sight(viewer: Viewer, run) -> None:
    viewer.resize(1200, 560)
    viewer.open("view=table&layer=0")
    viewer.by("units").wait_for()
    assert 5 < len(rows(viewer)) < 40 == run.layers[0].units
    viewer.by("units").locator("thead button", has_text="Strength").click()
    strongest = [float(row[2]) for row in rows(viewer) if row[2] != "–"]
    assert strongest == sorted(strongest, reverse=True)
    head = viewer.by("units").locator("thead th").nth(2)
    assert head.get_attribute("aria-sort") == "descending"
    viewer.by("units").focus()
    for _ in range(25):
        viewer.page.keyboard.press("ArrowDown")
    viewer.until("() => document.querySelector('tr[aria-current]') !== null")
    current = viewer.page.locator("tr[aria-current]")
    assert current.get_attribute("aria-rowindex") == "26"
    box, frame = current.bounding_box(), viewer.by("units").bounding_box()
    assert frame["y"] < box["y"] < frame["y"] + frame["height"] - box["height"] + 1
    viewer.by("inspector").get_by_text(f"unit {current.locator('th').inner_text()}").wait_for()
    t = viewer.snapshot()
    viewer.page.keyboard.press("ArrowLeft")  # time goes on beneath it
    assert viewer.snapshot() == t - 1


@pytest.mark.browser
def test_the_file_holds_the_same_numbers(viewer: Viewer, run) -> None:
    step = int(run.steps[8])
    viewer.open(f"view=table&layer=1&step={step}")
    viewer.by("units").wait_for()
    viewer.until("() => document.querySelector('.units').getAttribute('aria-busy') === 'false'")
    with viewer.page.expect_download() as saved:
        viewer.by("csv").click()
    told = list(csv.DictReader(io.StringIO(saved.value.path().read_text())))
    layer = run.layers[1]
    assert [int(row["unit"]) for row in told] == list(range(layer.units))
    assert {row["layer"] for row in told} == {layer.path}
    assert {row["step"] for row in told} == {str(step)}
    found = [float(row["strength"] or "nan") for row in told]
    np.testing.assert_allclose(found, run.strength(step=step, layer=layer.path), rtol=1e-6)
    assert saved.value.suggested_filename == f"{run.name}-{layer.path}-step{step}.csv"
    with viewer.page.expect_download() as saved:
        viewer.by("json").click()
    rows = json.loads(saved.value.path().read_text())
    assert [row["unit"] for row in rows] == list(range(layer.units))
    found = [np.nan if row["strength"] is None else row["strength"] for row in rows]
    np.testing.assert_allclose(found, run.strength(step=step, layer=layer.path), rtol=1e-6)
    assert saved.value.suggested_filename == f"{run.name}-{layer.path}-step{step}.json"


@pytest.mark.browser
def test_every_view_is_walked_with_arrows(viewer: Viewer, run) -> None:
    viewer.open("")
    viewer.page.keyboard.press("ArrowDown")
    viewer.until("() => location.hash.includes('unit=')")
    viewer.page.keyboard.press("PageDown")  # the same place in the next layer
    layer = run.layers[1]
    viewer.by("inspector").get_by_role("heading", name=layer.path).first.wait_for()
    viewer.open("view=classes")
    viewer.page.keyboard.press("ArrowDown")
    viewer.page.keyboard.press("ArrowDown")
    viewer.until("() => location.hash.includes('class=1')")
    viewer.open("view=confusion&cell=3,5")
    viewer.page.keyboard.press("ArrowDown")
    viewer.until("() => location.hash.includes('cell=4%2C5')")
    t = viewer.snapshot()
    viewer.page.keyboard.press("ArrowLeft")
    assert viewer.snapshot() == t - 1
    viewer.by("confusion").focus()  # the matrix has all four to itself
    viewer.page.keyboard.press("ArrowLeft")
    viewer.until("() => location.hash.includes('cell=4%2C4')")
    assert viewer.snapshot() == t - 1
    viewer.open("view=samples")
    viewer.page.keyboard.press("ArrowDown")
    viewer.until("() => location.hash.includes('sample=')")


@pytest.mark.browser
def test_the_title_is_said_at_most_once_a_second_and_not_while_playing(viewer: Viewer) -> None:
    viewer.open("")
    viewer.page.wait_for_timeout(1200)
    viewer.page.evaluate(
        """() => {
            globalThis.said = [];
            const live = document.querySelector("[data-testid=said]");
            new MutationObserver(() => globalThis.said.push([performance.now(), live.innerText]))
                .observe(live, { childList: true, characterData: true, subtree: true });
        }"""
    )
    for t in range(12):
        viewer.page.evaluate("(t) => globalThis.huelapse.show(t)", t % 11)
        viewer.page.wait_for_timeout(180)
    said = viewer.page.evaluate("() => globalThis.said")
    times = [at for at, _ in said]
    assert len(times) >= 2
    assert min(np.diff(times)) > 900
    viewer.page.keyboard.press("Space")
    viewer.page.wait_for_timeout(1500)
    before = len(viewer.page.evaluate("() => globalThis.said"))
    assert before <= len(times) + 1
    viewer.page.keyboard.press("Space")
    title = viewer.by("title").inner_text()
    viewer.until(f"() => globalThis.said.length > {before - 1}")
    viewer.until("() => document.querySelector('[data-testid=said]').innerText ==="
                 " document.querySelector('[data-testid=title]').innerText")  # fmt: skip
    assert title.startswith("Step")
