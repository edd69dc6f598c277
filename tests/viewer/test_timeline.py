"""The timeline in a real Chromium: what it shows of long, resumed and eventful runs."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import Units, begin, snapshot, write
from viewing import Viewer, looked_at, served

import huelapse

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LONG = 124
STEPS = [round(t**1.5) for t in range(LONG)]
SWITCHES = (40, 90)
UNIT = 3


def long_units(t: int) -> Units:
    prefers = np.zeros(22, int)
    prefers[UNIT] = 1 if SWITCHES[0] <= t < SWITCHES[1] else 2
    return Units.of(prefers)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return write(tmp_path_factory.mktemp("timeline") / "long", STEPS, long_units)


@pytest.fixture
def viewer(browser: Any, address: str) -> Iterator[Viewer]:
    with looked_at(browser, address) as viewer:
        viewer.until("() => document.querySelector('[data-testid=events]') !== null")
        yield viewer


def place(viewer: Viewer, t: int) -> tuple[float, float]:
    """Where a snapshot stands, in the window and in the timeline."""
    viewer.page.evaluate("(t) => globalThis.huelapse.show(t)", t)
    viewer.until(f"() => globalThis.huelapse.snapshot() === {t}")
    viewer.page.wait_for_timeout(60)
    box = viewer.by("playhead").bounding_box()
    return box["x"], box["x"] - viewer.by("scrubber").bounding_box()["x"]


def row_y(viewer: Viewer, layer: int) -> float:
    return viewer.by("scrubber").bounding_box()["y"] + 60 + (layer + 0.5) * 22


def span(viewer: Viewer) -> tuple[float, float] | None:
    viewer.page.wait_for_timeout(400)  # the address is written at rest
    _, found, rest = viewer.page.url.partition("zoom=")
    if not found:
        return None
    start, _, end = rest.partition("&")[0].partition("-")
    return float(start), float(end)


def test_the_axis_says_what_it_is_and_n_stands_under_it(viewer: Viewer) -> None:
    assert viewer.by("axis").text_content() == "step, log axis"  # the steps are spread unevenly
    viewer.page.get_by_label("Time axis").select_option("snapshot")
    assert viewer.by("axis").text_content() == "step, evenly spaced"
    assert "n = 240 samples at every snapshot" in viewer.by("scrubber").text_content()


def test_the_wheel_comes_closer_where_it_is_and_the_bar_moves_what_is_shown(
    viewer: Viewer,
) -> None:
    assert span(viewer) is None
    assert viewer.by("bar").count() == 1 and viewer.by("window").count() == 0
    x, _ = place(viewer, 70)
    viewer.page.mouse.move(x, row_y(viewer, 1))
    for _ in range(4):
        viewer.page.mouse.wheel(0, -240)
    start, end = span(viewer)
    assert 0 < start < 70 < end < LONG - 1
    assert place(viewer, 70)[0] == pytest.approx(x, abs=2)
    window = viewer.by("window").bounding_box()
    y = window["y"] + window["height"] / 2
    viewer.page.mouse.move(window["x"] + window["width"] / 2, y)
    viewer.page.mouse.down()
    viewer.page.mouse.move(window["x"] + window["width"] / 2 - 200, y, steps=4)
    viewer.page.mouse.up()
    moved = span(viewer)
    assert moved[0] < start and moved[1] < end
    assert viewer.snapshot() == 70  # the bar does not move the playhead
    viewer.page.reload()
    viewer.ready()
    assert span(viewer) == pytest.approx(moved, abs=0.11)
    viewer.page.keyboard.press("End")  # a playhead that leaves takes the axis along
    assert span(viewer)[1] == pytest.approx(LONG - 1)
    viewer.page.keyboard.press("a")
    assert span(viewer) is None


def test_keys_come_closer_to_the_playhead(viewer: Viewer) -> None:
    place(viewer, 60)
    for _ in range(3):
        viewer.page.keyboard.press("+")
    start, end = span(viewer)
    assert start < 60 < end
    for _ in range(5):
        viewer.page.keyboard.press("-")
    assert span(viewer) is None


def test_the_slider_snaps_to_snapshots_in_view(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.open("zoom=50-60&axis=snapshot")
    box = viewer.by("scrubber").bounding_box()
    seen = set()
    viewer.page.mouse.move(box["x"] + 20, box["y"] + 100)
    viewer.page.mouse.down()
    for x in np.linspace(20, box["width"], 60):
        viewer.page.mouse.move(box["x"] + x, box["y"] + 100)
        seen.add(viewer.snapshot())
    viewer.page.mouse.up()
    assert seen == set(range(50, 61))


def ink(viewer: Viewer, x: float, layer: int) -> int:
    """Marks in a row near a place of the timeline: the sum of their opacity."""
    return viewer.page.evaluate(
        """([x, y]) => {
            const canvas = document.querySelector('[data-testid=marks]');
            const g = canvas.getContext('2d');
            const { data } = g.getImageData(Math.round(x) - 2, y, 5, 20);
            return data.reduce((sum, v, i) => sum + (i % 4 === 3 ? v : 0), 0);
        }""",
        [x, 61 + 22 * layer],
    )


def test_what_happened_is_marked_where_it_happened(viewer: Viewer) -> None:
    for t in SWITCHES:
        _, x = place(viewer, t)
        assert ink(viewer, x, 0) > 0, t
        assert ink(viewer, x, 1) == 0, t
    assert ink(viewer, place(viewer, 65)[1], 0) == 0


def test_a_click_on_a_mark_lists_that_moment_and_an_event_has_its_card(
    viewer: Viewer, run: huelapse.Run
) -> None:
    x, _ = place(viewer, SWITCHES[0])
    viewer.page.mouse.click(x, row_y(viewer, 0))
    moment = viewer.by("moment")
    rows = moment.locator(".events button")
    events = [e for e in run.events() if e.snapshot == SWITCHES[0]]
    assert rows.count() == len(events) >= 1
    rows.filter(has_text="→").click()
    card = viewer.by("event-card")
    card.wait_for()
    event = next(e for e in events if e.kind == "switched")
    assert (event.before, event.after, event.unit) == ("cat", "bee", UNIT)
    assert card.locator(".from-to").inner_text().split() == ["cat", "→", "bee"]
    text = card.inner_text()
    assert f"From step {event.step} on" in text
    assert f"sure at step {event.confirmed}" in text
    expected = run.events().expected_false["switched"]
    assert ("hardly any" if expected < 0.05 else f"at most {expected:.1f}") in text
    assert "2 were found" in text
    evidence = card.locator(".evidence tbody tr")
    viewer.until("() => document.querySelectorAll('.evidence tbody tr').length > 0")
    steps = [row.locator("td").first.inner_text() for row in evidence.all()]
    assert steps == [str(STEPS[t]) for t in range(SWITCHES[0] - 1, SWITCHES[0] + 3)]
    for row, t in zip(evidence.all(), range(SWITCHES[0] - 1, SWITCHES[0] + 3), strict=True):
        strength = np.floor(100 * run.strength(STEPS[t])[UNIT]) / 100
        assert f"{strength:.2f}" in row.inner_text()
    assert f"event=switched%2C{SWITCHES[0]}%2C{UNIT}" in viewer.page.url
    viewer.page.reload()
    viewer.ready()
    viewer.by("event-card").wait_for()
    viewer.page.keyboard.press("Escape")
    viewer.until("() => document.querySelector('[data-testid=event-card]') === null")
    assert f"unit {UNIT}" in viewer.by("inspector").inner_text()


def test_a_click_where_nothing_happened_lists_everything(viewer: Viewer) -> None:
    viewer.page.mouse.click(place(viewer, SWITCHES[0])[0], row_y(viewer, 0))
    viewer.by("moment").wait_for()
    viewer.page.mouse.click(place(viewer, 65)[0], row_y(viewer, 0))
    viewer.by("events").wait_for()
    assert viewer.by("moment").count() == 0


def test_another_unit_ends_what_was_said_of_an_event(viewer: Viewer) -> None:
    viewer.open(f"event=switched,{SWITCHES[0]},{UNIT}&unit={UNIT}")
    viewer.by("event-card").wait_for()
    viewer.page.mouse.click(*viewer.place_of(12))
    viewer.until("() => document.querySelector('[data-testid=event-card]') === null")
    assert "unit 2" in viewer.by("inspector").inner_text()
    assert "event=" not in viewer.page.url


def test_brackets_go_from_switch_to_switch_of_the_selected_unit(viewer: Viewer) -> None:
    viewer.open(f"unit={UNIT}")
    viewer.until("() => document.querySelector('[data-testid=unit-events]') !== null")
    for key, t in (("[", 90), ("[", 40), ("[", 40), ("]", 90), ("]", 90)):
        viewer.page.keyboard.press(key)
        assert viewer.snapshot() == t
    assert "switches to no other class after this" in viewer.page.locator(".notice").inner_text()


def test_while_cells_load_nothing_beside_is_counted_as_theirs(browser: Any, address: str) -> None:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    held: list[Any] = []
    page.route("**/paint/2.st", lambda route: held.append(route))
    viewer = Viewer(page, address)
    page.keyboard.press("l")
    page.locator(".layer-totals").wait_for()
    page.evaluate("() => globalThis.huelapse.show(36)")
    viewer.until(
        "() => document.querySelector('[data-testid=playhead]').innerText.startsWith('≈ step')"
    )
    assert page.locator(".layer-totals").count() == 0
    page.keyboard.press("2")  # of a class alone, shares are counted from cells too
    assert viewer.by("title").inner_text() == f"second at step {STEPS[36]}: loading."
    while held:
        held.pop().continue_()
    page.locator(".layer-totals").wait_for()
    assert "loading" not in viewer.by("title").inner_text()
    page.close()
    assert viewer.said == []


# --- resumed -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("timeline") / "resumed"
    for first, steps in ((0, range(0, 70, 10)), (40, range(40, 120, 10))):
        store = begin(path, first_step=first, resume=first > 0)
        for t, step in enumerate(steps):
            at = 1.7e9 + 1000 * first + t
            store.commit(snapshot(step, Units.of([first // 40] * 22), wall_time=at))
        store.close()
    return path


def test_where_a_training_was_resumed_is_marked(browser: Any, resumed: Path) -> None:
    with served(huelapse.open(resumed)) as address, looked_at(browser, address) as viewer:
        assert viewer.by("resumed").count() == 1
        assert "resumed at 40" in viewer.by("scrubber").text_content()
        assert viewer.by("superseded").count() == 0
        said = viewer.by("segment").inner_text()
        assert "resumed from step 40" in said
        assert "3 snapshots that it made again are not shown" in said
        viewer.page.keyboard.press("Home")
        assert "resumed later" in viewer.by("segment").inner_text()


def test_what_was_made_again_is_shown_as_such_and_has_an_address_of_its_own(
    browser: Any, resumed: Path
) -> None:
    run = huelapse.open(resumed, superseded=True)
    with served(run) as address, looked_at(browser, address) as viewer:
        assert viewer.by("superseded").count() == 1
        steps = run.coordinate("step").tolist()
        first, second = [t for t, step in enumerate(steps) if step == 50]
        for t, written in ((first, "step=50&take=1"), (second, "step=50")):
            place(viewer, t)
            viewer.until(f"() => location.hash.slice(1).split('&axis')[0] === '{written}'")
            assert ("weights were given up" in viewer.by("segment").inner_text()) == (t == first)
            viewer.page.reload()
            viewer.ready()
            assert viewer.snapshot() == t


# --- what cannot be shown ------------------------------------------------------------------------

BAD = 6


def faulty_units(t: int) -> Units:
    units = Units.of([1] * 22)
    if t >= 4:
        units.lost[10:18] = True  # all of "second"
    if t >= 8:
        units.silent[:10] = True  # all of "first"
    return units


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return write(tmp_path_factory.mktemp("timeline") / "faulty", range(0, 120, 10), faulty_units)


def test_a_layer_that_is_not_finite_is_hatched_crossed_and_listed(
    browser: Any, faulty: huelapse.Run
) -> None:
    with served(faulty) as address, looked_at(browser, address) as viewer:
        assert viewer.by("not-finite").count() == 1
        assert "from step 40 on" in viewer.by("not-finite").locator("title").text_content()
        box = viewer.by("not-finite").bounding_box()
        assert row_y(viewer, 1) - 12 < box["y"] + box["height"] / 2 < row_y(viewer, 1) + 12
        assert box["x"] + box["width"] / 2 == pytest.approx(place(viewer, 4)[0], abs=2)
        row = viewer.by("bad-row")
        assert row.inner_text().split("\n") == ["40", "✕", "second 8 units not finite"]
        hatched = viewer.page.evaluate(
            """(x) => {
                const g = document.querySelector('[data-testid=strip]').getContext('2d');
                const { data } = g.getImageData(Math.round(x) - 8, 84, 16, 16);
                const seen = new Set();
                for (let i = 3; i < data.length; i += 4) seen.add(data[i] > 60);
                return seen.size;
            }""",
            place(viewer, 6)[1],
        )
        assert hatched == 2  # neither one color nor nothing
        row.click()
        viewer.until("() => location.hash.includes('view=layer')")
        assert viewer.snapshot() == 4


def test_a_layer_that_is_silent_as_a_whole_is_named(browser: Any, faulty: huelapse.Run) -> None:
    with served(faulty) as address, looked_at(browser, address) as viewer:
        assert "all of first is silent" in viewer.by("title").inner_text()
        place(viewer, 3)
        viewer.until(
            "() => !document.querySelector('[data-testid=title]').innerText.includes('silent')"
        )


@pytest.fixture
def damaged(faulty: huelapse.Run, tmp_path: Path) -> huelapse.Run:
    """Of one snapshot neither the statistics nor the confusion can be read back."""
    shutil.copytree(faulty.path, tmp_path / "damaged")
    shutil.rmtree(tmp_path / "damaged/cache", ignore_errors=True)
    for name in ("mean", "confusion"):
        shard = next((tmp_path / "damaged/run.zarr/val/true" / name).glob(f"c.{BAD}.*"))
        content = bytearray(shard.read_bytes())
        content[len(content) // 2] ^= 0xFF
        shard.write_bytes(content)
    return huelapse.open(tmp_path / "damaged")


def test_a_damaged_snapshot_is_told_in_place_and_the_others_are_shown(
    browser: Any, damaged: huelapse.Run
) -> None:
    with served(damaged) as address:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        viewer = Viewer(page, address)
        assert viewer.by("damaged").count() == 1
        cannot = "Step 60: this snapshot cannot be read back."
        for view in ("network", "layer&layer=0", "classes"):
            viewer.open(f"view={view}&step=60")
            assert viewer.by("title").inner_text() == cannot, view
            if view != "classes":
                viewer.until("() => document.body.innerText.includes('huelapse verify')")
                assert "mean" in viewer.page.locator(".head .subtitle").inner_text()
            viewer.page.keyboard.press("ArrowLeft")
            assert "cannot be read" not in viewer.by("title").inner_text(), view
        viewer.open("view=confusion&step=60")
        title = "Step 60: the confusion of this snapshot cannot be read back."
        viewer.until(f"() => document.querySelector('[data-testid=title]').innerText === '{title}'")
        viewer.until(
            "() => document.querySelector('[data-testid=about]').innerText.includes('confusion')"
        )
        assert viewer.by("confusion").count() == 0
        viewer.page.keyboard.press("ArrowRight")
        viewer.by("confusion").wait_for()
        assert "Step 70: " in viewer.by("title").inner_text()
        viewer.open("step=60&unit=2")
        viewer.until("() => document.body.innerText.includes('Cannot be read back')")
        viewer.page.keyboard.press("ArrowLeft")
        viewer.until(
            "() => document.querySelector('[data-testid=inspector]').innerText.includes('Tuned to')"
        )
        wrong = [line for line in viewer.said if "422" not in line and "huelapse:" not in line]
        page.close()
    assert wrong == []
