"""In a real Chromium: other measures, units they have no meaning for, events, unreliable units."""

import time
from typing import Any

import numpy as np
import pytest
from viewing import Viewer

import huelapse
from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

CLASSES = ("cat", "dog", "owl")
LABELS = np.repeat(np.arange(3), 60)
SNAPSHOTS = 30


def responses(t: int) -> np.ndarray:
    """Unit 0 is tuned to cat from 10 on, 1 goes from dog to owl at 20; 3 rests on 12 samples."""
    rng = np.random.default_rng(t)
    x = np.abs(rng.standard_normal((len(LABELS), 8))) * 0.2 + 0.5
    x[LABELS == 0, 0] += 2.0 * (t >= 10)
    x[(1 if t < 20 else 2) == LABELS, 1] += 2.0
    x[:, 3] = 0.0
    x[:12, 3] = 1.0 + np.arange(12) / 100
    x[:, 5:] -= 0.5
    return x


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("judging") / "animals"
    layers = tuple(
        Layer(path=p, kind=k, shape=(n,), unit_axis=1, units=n, offset=o, signed=s)
        for p, k, n, o, s in (("early", "ReLU", 5, 0, False), ("late", "Linear", 3, 5, True))
    )
    store = StoreWriter(path, name="animals", layers=layers, facts={})
    grouping = Grouping(name="true", classes=CLASSES)
    store.add_split(Split(name="val", kind="probe", groupings=(grouping,), facts={}))
    for t in range(SNAPSHOTS):
        moments = {"true": Moments.from_samples(responses(t), LABELS, 3)}
        store.commit(
            Snapshot(split="val", step=10 * t, epoch=float("nan"), wall_time=1e9 + t, seconds=0.0,
                     moments=moments, confusion=np.eye(3, dtype=np.int64))
        )  # fmt: skip
    store.close()
    return huelapse.open(path)


def colors_of(run: huelapse.Run, measure: str) -> list[list[int]]:
    from huelapse.color import paint
    from huelapse.palette import palette

    preferred, strength = run.preferred(measure=measure), run.strength(measure=measure)
    return paint(preferred, np.nan_to_num(strength), palette(3), "dark").tolist()


def choose(viewer: Viewer, measure: str) -> None:
    viewer.by("measure").select_option(measure)
    viewer.until(f"() => location.hash.includes('measure={measure}')")
    viewer.ready()


def becomes(viewer: Viewer, units: list[int], colors: list[list[int]]) -> None:
    """The cells have these colors once they are drawn anew."""
    deadline = time.monotonic() + 20
    while viewer.cell_colors(units) != colors:
        assert time.monotonic() < deadline, (viewer.cell_colors(units), colors)
        time.sleep(0.05)


def test_another_measure_colors_the_cells_and_stands_in_the_address(viewer: Viewer, run) -> None:
    choose(viewer, "class_selectivity")
    becomes(viewer, [0, 1], colors_of(run, "class_selectivity")[:2])
    assert "class selectivity" in viewer.page.content()
    viewer.page.go_back()
    viewer.until("() => document.querySelector('[data-testid=measure]').value === 'margin'")
    assert "measure" not in viewer.page.evaluate("() => location.hash")
    viewer.open("measure=informedness&step=100")
    assert viewer.by("measure").input_value() == "informedness"
    viewer.open("measure=nothing")
    assert viewer.by("measure").input_value() == "margin"


def test_units_a_measure_has_no_meaning_for_are_neither_neutral_nor_colored(viewer, run) -> None:
    neutral = colors_of(run, "margin")[5]
    assert viewer.cell_colors([5])[0] == neutral
    choose(viewer, "class_selectivity")
    becomes(viewer, [0], colors_of(run, "class_selectivity")[:1])
    assert viewer.cell_colors([5])[0] != neutral
    assert "3 units that may respond below 0 cannot be judged by it" in viewer.page.content()
    assert "not defined" in viewer.page.inner_text(".glyphs")
    title, key = viewer.page.inner_text("main h1"), viewer.page.inner_text(".key h2")
    assert "40% of units are tuned" in title  # 2 of the 5 it is defined for
    assert "40% tuned" in key
    viewer.open("measure=class_selectivity&unit=5")
    viewer.by("inspector").get_by_text("Not defined: its responses may be negative").wait_for()


def test_events_are_listed_and_lead_to_their_unit(viewer: Viewer) -> None:
    events = viewer.by("events")
    events.wait_for()
    assert "early 1 dog → owl" in events.inner_text().replace("\n", " ")
    assert "Noise alone would give" in events.inner_text()
    events.get_by_text("dog → owl").click()
    assert viewer.snapshot() == 20
    assert "unit=1" in viewer.page.evaluate("() => location.hash")
    viewer.by("event-card").wait_for()
    viewer.page.keyboard.press("Escape")  # from the event to its unit
    own = viewer.by("unit-events")
    own.wait_for()
    assert own.inner_text().replace("\n", " ").split("  ")[-1].endswith("dog → owl")
    assert "tuned to dog" in own.inner_text()


def test_at_the_beginning_nothing_has_happened_yet(viewer: Viewer) -> None:
    viewer.open("step=40")
    events = viewer.by("events")
    events.wait_for()
    assert "dog → owl" not in events.inner_text()


def test_a_unit_that_rests_on_few_samples_is_called_unreliable(viewer: Viewer, run) -> None:
    assert run.reading(29, "true", "val", "margin").unreliable.tolist()[3] is True
    viewer.open("unit=3")
    viewer.by("inspector").get_by_text("Unreliable: fewer than 30 active samples of cat").wait_for()


def test_numbers_of_one_measure_never_stand_under_the_name_of_another(viewer: Viewer) -> None:
    viewer.open("unit=1")
    inspector, held = viewer.by("inspector"), []
    inspector.get_by_text("Tuned to owl").wait_for()
    viewer.page.route("**/class_selectivity/unit/*", lambda route: held.append(route))
    choose(viewer, "class_selectivity")
    viewer.until("() => !document.querySelector('[data-testid=inspector] .facts')")
    assert "class selectivity" not in inspector.inner_text()
    while not held:
        viewer.page.wait_for_timeout(50)
    held[0].continue_()
    inspector.get_by_text("its class selectivity is").wait_for()


def test_a_measure_that_fails_to_load_is_marked_while_it_loads_and_not_chosen(
    viewer: Viewer,
) -> None:
    held: list[Any] = []
    viewer.page.route("**/class_selectivity/summary.st", lambda route: held.append(route))
    viewer.by("measure").select_option("class_selectivity")
    viewer.until("() => document.querySelector('.chooser[aria-busy=true]') !== null")
    while not held:
        viewer.page.wait_for_timeout(50)
    held[0].fulfill(status=404, body="no")
    viewer.until("() => document.querySelector('.chooser[aria-busy=true]') === null")
    assert viewer.by("measure").input_value() == "margin"
    viewer.page.unroute("**/class_selectivity/summary.st")
    choose(viewer, "class_selectivity")
    viewer.said[:] = [line for line in viewer.said if "404" not in line]


def test_the_timeline_shows_when_units_switched(viewer: Viewer, run: huelapse.Run) -> None:
    switched = [event for event in run.events() if event.kind == "switched"]
    assert [event.snapshot for event in switched] == [20]
    viewer.by("switches").wait_for()
    bars = viewer.by("switches").get_attribute("d").count("M")
    assert bars == 1
    viewer.open("step=200&axis=snapshot")
    viewer.by("switches").wait_for()
    bar, head = viewer.by("switches").bounding_box(), viewer.by("playhead").bounding_box()
    assert bar["x"] <= head["x"] <= bar["x"] + bar["width"] + 1
