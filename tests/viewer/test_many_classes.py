"""The viewer in a real Chromium, on a run of a hundred classes and on one of two."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from many_classes import parents, write
from viewing import Viewer, looked_at, served

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder
from huelapse.hierarchy import Hierarchy
from huelapse.measures import NO_CLASS
from huelapse.painting import tuned
from huelapse.palette import level as level_of
from huelapse.palette import palette
from huelapse.viewer.leveled import Belongings

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "safe \u202egnp.exe",
    "a class with a name that goes on and on " * 5,
    "\u05e9\u05dc\u05d5\u05dd",
    "\U0001f9d1\u200d\U0001f680 \U0001f1fa\U0001f1f3",
    "b & c </script>",
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("many") / "run"
    write(path, superclasses=parents(100))
    return huelapse.open(path)


def names(viewer: Viewer) -> list[str]:
    return viewer.page.locator(".classes:not(.pins) .class .name").all_inner_texts()


def counts(viewer: Viewer) -> list[str]:
    return viewer.page.locator(".classes:not(.pins) .class .count").all_inner_texts()


def tuned_to(run: huelapse.Run, k: list[int]) -> int:
    state = run.state() == huelapse.State.TUNED
    return int((state & np.isin(run.preferred(), k)).sum())


def test_a_class_is_found_by_typing_and_highlighted_by_arrows(viewer: Viewer) -> None:
    page = viewer.page
    page.keyboard.press("/")
    page.keyboard.type("ss 09")
    viewer.until("() => document.querySelector('[data-testid=found]')?.textContent === '10 of 100'")
    assert names(viewer) == [f"class {k:03}" for k in range(90, 100)]
    page.keyboard.press("Enter")
    viewer.until("() => location.hash.includes('class=90')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    viewer.until("() => location.hash.includes('class=92')")
    page.keyboard.press("ArrowUp")
    viewer.until("() => location.hash.includes('class=91')")
    page.keyboard.press("x")  # goes into the text, not to another view
    assert viewer.by("find").input_value() == "ss 09x"
    assert viewer.by("found").inner_text() == "none"
    page.keyboard.press("Escape")
    assert viewer.by("find").input_value() == ""
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    viewer.until("() => location.hash.includes('view=confusion')")


def test_classes_are_sorted_by_units_tuned(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.by("sort").select_option("units")
    viewer.until("() => location.hash.includes('sort=units')")
    by_class = np.array([tuned_to(run, [k]) for k in range(100)])
    viewer.until("() => document.querySelectorAll('.classes .class').length > 10")
    shown = [int(n) for n in counts(viewer)]
    assert shown == sorted(by_class.tolist(), reverse=True)[: len(shown)]
    assert shown == [by_class[int(name.split()[1])] for name in names(viewer)]
    first = names(viewer)[0]
    viewer.page.reload()
    viewer.ready()
    assert names(viewer)[0] == first
    viewer.by("sort").select_option("recall")
    viewer.until("() => document.querySelector('.classes .count')?.textContent.endsWith('%')")
    matrix = run.confusion_at(3)
    recall = np.diag(matrix) / matrix.sum(1)
    viewer.until("() => document.querySelector('[data-testid=sort]').value === 'recall'")
    listed = [recall[int(name.split()[1])] for name in names(viewer)]
    assert listed == sorted(recall, reverse=True)[: len(listed)]


def test_superclasses_open_and_count_their_classes(viewer: Viewer, run: huelapse.Run) -> None:
    assert names(viewer) == [f"group {g}" for g in range(10)]
    assert counts(viewer) == [f"{tuned_to(run, list(range(g, 100, 10))):,}" for g in range(10)]
    viewer.page.locator(".class", has_text="group 3").click()
    inside = names(viewer)[4:14]
    assert inside == [f"class {k:03}" for k in range(3, 100, 10)]
    # a class that is chosen elsewhere is opened to
    viewer.open("class=57")
    assert "class 057" in names(viewer)


def test_pins_have_the_colors_of_python_in_every_view(viewer: Viewer, run: huelapse.Run) -> None:
    held = np.flatnonzero(run.strength() > 0.05)
    preferred, levels = run.preferred()[held], level_of(run.strength()[held])
    belonging = Belongings(run, None).by_classes[run.classes]
    for pins in ([12], [12, 40, 7]):
        viewer.open("pins=" + ",".join(map(str, pins)))
        colors = palette(
            run.classes, pinned=[run.classes[k] for k in pins], places=belonging.places
        )
        expected = colors.dark[preferred, levels]
        assert np.array_equal(np.array(viewer.cell_colors(held.tolist())), expected), pins
    viewer.open("pins=12,40,7&theme=light&view=classes&sort=given")
    page = viewer.page
    swatch = "getComputedStyle(document.querySelectorAll('.trellis-row .swatch')[{}]).background"

    def rgb(k: int) -> str:
        return "rgb({}, {}, {})".format(*colors.light[k, -1, :3])

    assert rgb(12) in page.evaluate(f"() => {swatch.format(12)}")
    assert rgb(13) in page.evaluate(f"() => {swatch.format(13)}")
    assert rgb(12) != rgb(13)
    page.locator(".pins .class-line", has_text="class 040").locator(".pin").click()
    viewer.until("() => location.hash.includes('pins=12%2C%2C7')")
    assert rgb(7) in page.evaluate(f"() => {swatch.format(7)}")  # it keeps its hue
    page.go_back()
    viewer.until("() => location.hash.includes('pins=12%2C40%2C7')")


def test_a_ninth_pin_is_refused(viewer: Viewer) -> None:
    viewer.open("pins=0,1,2,3,4,5,6,7&sort=given")
    assert viewer.page.locator(".pins .class").count() == 8
    line = viewer.page.locator(".classes:not(.pins) .class-line", has_text="class 009")
    line.hover()
    line.locator(".pin").click()
    viewer.until("() => document.querySelector('.notice').textContent.includes('Eight classes')")
    assert viewer.page.locator(".pins .class").count() == 8


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_colors_are_by_the_finest_level_that_holds(
    viewer: Viewer, run: huelapse.Run, theme: str
) -> None:
    viewer.open(f"theme={theme}")
    viewer.by("level").select_option("finest")
    viewer.until("() => location.hash.includes('grouping=true%7Efinest')")
    viewer.ready()
    hierarchy = Hierarchy.from_parents(run.classes, parents(100))
    leveled = run.finest(hierarchy)
    belongings = Belongings(run, None)
    own = belongings.palette(run.classes).table(theme)
    (groups,) = (one.table(theme) for one in belongings.groups(run.classes))
    table = np.concatenate([own, groups])
    holds = np.flatnonzero(leveled.level != NO_CLASS)
    numbered = np.where(leveled.level == 1, 100 + leveled.group, leveled.group)[holds]
    expected = table[numbered, level_of(leveled.strength[holds])]
    assert np.array_equal(np.array(viewer.cell_colors(holds.tolist())), expected)
    if theme == "light":
        return
    coarse = int(np.flatnonzero((leveled.level == 1) & (leveled.strength > 0.6))[0])
    name = hierarchy.levels[0].names[leveled.group[coarse]]
    viewer.page.mouse.move(*viewer.place_of(coarse))
    viewer.until("() => document.querySelector('.tip')?.textContent.includes('superclass')")
    tip = viewer.page.locator(".tip").inner_text()
    assert f"{name}, a superclass, as no class surely holds" in tip
    viewer.open(f"grouping=true~finest&unit={coarse}")
    viewer.by("level").first.wait_for()
    card = viewer.by("inspector").inner_text()
    assert f"Tuned to {name}" in card and "a superclass, as no class surely holds" in card
    assert card.count("class 0") >= 10  # its bars are those of classes


def test_every_view_takes_levels_of_superclasses(viewer: Viewer) -> None:
    for grouping in ("true~finest", "true~1", "predicted~finest"):
        for view, there in (("classes", "trellis"), ("layer", "kymograph"), ("network", "network")):
            viewer.open(f"view={view}&grouping={grouping}&class=3")
            viewer.by(there).wait_for()
            assert viewer.by("title").inner_text()
            viewer.page.keyboard.press("Home")
            viewer.page.keyboard.press("End")
    viewer.page.keyboard.press("t")
    viewer.until("() => location.hash.includes('grouping=true%7Efinest')")


def test_the_matrix_stands_in_superclasses_or_by_likeness(
    viewer: Viewer, run: huelapse.Run
) -> None:
    viewer.open("view=confusion")
    assert viewer.page.locator(".block-names bdi").all_inner_texts()[3] == "group 3"
    box = viewer.by("confusion").bounding_box()
    # in the order by superclass the second place is class 010
    viewer.page.mouse.click(box["x"] + box["width"] * 0.005, box["y"] + box["height"] * 0.015)
    viewer.until("() => location.hash.includes('cell=10%2C0')")
    before = viewer.page.evaluate("() => document.querySelector('.blocked canvas').toDataURL()")
    viewer.by("matrix-order").select_option("given")
    viewer.until("() => location.hash.includes('matrix=given')")
    after = "() => document.querySelector('.blocked canvas').toDataURL()"
    assert viewer.page.evaluate(after) != before
    viewer.by("matrix-order").select_option("alike")
    viewer.until("() => location.hash.includes('matrix=alike')")
    rows = viewer.page.locator(".confusions button")
    assert rows.count() == 50
    most = run.confusion_at(3) * (1 - np.eye(100, dtype=np.int64))
    assert rows.first.locator(".count").inner_text() == str(most.max())


def test_where_nothing_can_be_compared_the_classes_say_why(viewer: Viewer) -> None:
    viewer.open("view=classes&grouping=predicted&step=0")
    title = viewer.by("title").inner_text()
    assert title == "Step 0: nothing to compare, every sample is predicted as class 000."


def test_hostile_names_are_text_in_lists_pins_and_superclasses(
    browser: Any, tmp_path: Path
) -> None:
    classes = tuple(f"{HOSTILE[k % 6]} {k}" for k in range(30))
    superclasses = {name: HOSTILE[k % 3] for k, name in enumerate(classes)}
    sizes = {"classes": 30, "units": 120, "snapshots": 3, "hidden": 2}
    write(tmp_path / "run", **sizes, names=classes, superclasses=superclasses)
    with (
        served(huelapse.open(tmp_path / "run")) as at,
        looked_at(browser, at) as viewer,
    ):
        page = viewer.page
        for state in (
            "pins=0,1,2,3,4&sort=given",
            "grouping=true~finest&class=30",
            "view=classes&grouping=true~1&class=1",
            "view=confusion&class=4",
            "view=classes&pins=2,5",
        ):
            viewer.open(state)
            for width in (1440, 1024, 760):
                viewer.resize(width, 700)
                assert page.evaluate("() => document.documentElement.scrollWidth") <= width
            viewer.resize(1440, 900)
            assert page.locator("img").count() == 0
            rail = page.locator(".rail").bounding_box()
            assert rail["width"] <= 212
        viewer.open("sort=given")
        page.keyboard.press("/")
        page.keyboard.type("<IMG src")
        viewer.until("() => document.querySelector('[data-testid=found]')?.textContent[0] === '5'")
        assert all(name.startswith("<img src=x onerror") for name in names(viewer))
        page.keyboard.press("ArrowDown")
        viewer.until("() => location.hash.includes('class=0')")


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("two") / "run"
    torch.manual_seed(6)  # of each class some unit is tuned at 0.5 and not at 0.8
    x, y = batches(200, classes=2)
    with Recorder(
        SmallNet(2), path, probe=(x + 2.0 * y[:, None, None, None], y), classes=["no", "yes"]
    ) as recorder:
        recorder.snapshot()
    return huelapse.open(path)


def test_two_classes_are_one_scale_with_a_threshold_on_both_sides(
    browser: Any, two: huelapse.Run
) -> None:
    with ExitStack() as stack:
        viewer = stack.enter_context(looked_at(browser, stack.enter_context(served(two))))
        marks = viewer.by("threshold-mark")
        assert marks.count() == 2
        strength, preferred = two.strength(), two.preferred()
        known = two.state() <= huelapse.State.TIED

        def expected(threshold: float) -> list[str]:
            state = np.where(known & (strength > 0), 0, 1)
            over = tuned(state, level_of(strength), threshold)
            return [str(int((over & (preferred == k)).sum())) for k in (0, 1)]

        ends = viewer.by("ends").locator(".count")
        assert ends.all_inner_texts() == expected(0.5)
        assert expected(0.5) != expected(0.8)
        box = viewer.by("key-threshold").bounding_box()
        for side in (-1, 1):  # the same threshold, from either side
            viewer.page.mouse.click(box["x"] + 92 + side * 92 * 0.8, box["y"] + 20)
            viewer.until("() => location.hash.includes('threshold=0.80')")
            assert ends.all_inner_texts() == expected(0.8)
            viewer.page.mouse.click(box["x"] + 92 + side * 92 * 0.5, box["y"] + 20)
            viewer.until("() => !location.hash.includes('threshold')")
        subtitle = viewer.page.locator(".head .subtitle").inner_text()
        assert "on one scale from no to yes" in subtitle
        # its left end is the first class at full strength, its right end the second
        ramp = viewer.page.evaluate(
            """() => {
                const canvas = document.querySelector('.threshold canvas');
                const g = canvas.getContext('2d');
                const at = (x) => [...g.getImageData(x, canvas.height - 3, 1, 1).data];
                return [at(0), at(canvas.width / 2), at(canvas.width - 1)];
            }"""
        )
        colors = palette(2).dark
        assert ramp == [colors[0, 100].tolist(), colors[1, 0].tolist(), colors[1, 100].tolist()]
