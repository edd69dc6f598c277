"""In a real Chromium: what someone sees who has never seen the page. Marks are explained where they
are, nothing that is said is cut, and what is counted is what Python counts."""

import time

import numpy as np
import pytest
from closer_run import SNAPSHOTS
from viewing import Viewer

import huelapse
from huelapse.palette import palette

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

VIEWS = [
    "", "step=0", "unit=3", "class=2", "view=layer", "view=classes", "view=confusion&cell=6,4",
    "view=samples&only=wrong&sample=0", "view=compare", "view=geometry", "view=table",
]  # fmt: skip
CUT = """() => [...document.querySelectorAll("#huelapse *")].filter((e) => {
    if (e.closest(".hidden, [hidden], dialog:not([open]), option, .skip")) return false;
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim())) return false;
    const style = getComputedStyle(e);
    const box = e.getBoundingClientRect();
    if (style.visibility === "hidden" || box.width === 0 || box.height === 0) return false;
    if (box.right > innerWidth + 1 || box.left < -1) return true;
    const view = e.closest(".confusion");
    if (view && box.top < view.getBoundingClientRect().top - 1) return true;
    const clipped = style.overflow.includes("hidden");
    return clipped && (e.scrollWidth > e.clientWidth + 1 || e.scrollHeight > e.clientHeight + 2);
}).map((e) => `${e.tagName} ${e.className.baseVal ?? e.className}: ${e.textContent.trim()}`)"""
"""What stands on the page and is not there as a whole."""


@pytest.fixture(scope="module")
def run(closer_run: huelapse.Run) -> huelapse.Run:
    return closer_run


@pytest.mark.parametrize("size", [(1024, 768), (760, 620)])
def test_nothing_that_is_said_is_cut(viewer: Viewer, size: tuple[int, int]) -> None:
    viewer.resize(*size)
    cut: dict[str, list[str]] = {}
    for state in VIEWS:
        viewer.open(state)
        viewer.page.wait_for_timeout(400)  # what comes later: events, the noise floor, a card
        found = viewer.page.evaluate(CUT)
        if found:
            cut[state] = found
    assert cut == {}


def test_the_timeline_says_what_its_marks_are(viewer: Viewer) -> None:
    viewer.until("() => document.querySelector('[data-testid=events]') !== null")
    legend = viewer.by("legend")
    viewer.until(
        "() => document.querySelector('[data-testid=legend]').textContent.includes('tick')"
    )
    told = legend.text_content()
    assert "accuracy 0 to 100%" in told
    assert "shade: mean strength of the layer, 0 to 1" in told
    viewer.open("class=2")
    viewer.until(
        "() => document.querySelector('[data-testid=legend]').textContent.includes('tuned to it')"
    )
    assert "mean strength" not in viewer.by("legend").text_content()


def test_how_to_read_is_open_until_it_was_closed_once(viewer: Viewer) -> None:
    is_open = "() => document.querySelector('[data-testid=how]').open"
    assert viewer.page.evaluate(is_open)
    viewer.by("how").locator("summary").click()
    viewer.until(is_open.replace("() => ", "() => !"))
    viewer.open("step=0")
    viewer.until(is_open.replace("() => ", "() => !"))
    viewer.by("how").locator("summary").click()
    viewer.until(is_open)
    viewer.open("")
    viewer.until(is_open)


def tuned(run: huelapse.Run, step: int, grouping: str = "true") -> np.ndarray:
    """The class each unit is tuned to, -1 where none."""
    strong = run.strength(step=step, grouping=grouping) >= 0.5
    held = run.state(step=step, grouping=grouping) <= 1
    return np.where(held & strong, run.preferred(step=step, grouping=grouping), -1)


def test_the_key_and_the_story_count_tuned_units_as_python_does(viewer: Viewer, run) -> None:
    last = int(run.steps[-1])
    n = int((tuned(run, last) >= 0).sum())
    viewer.until(
        "() => [...document.querySelectorAll('.glyphs > div')]"
        f".some((row) => row.innerText.replace(/\\s+/g, ' ') === 'tuned, any class {n}')"
    )
    shares = [100 * float((tuned(run, int(step)) >= 0).mean()) for step in run.steps]
    story = viewer.by("story").inner_text()
    assert f"{round(shares[-1])}% at step {last}" in story
    right = [100 * float((run.predictions(int(step)) == run.labels()).mean()) for step in run.steps]
    assert f"Accuracy: {right[0]:.1f}% to {right[-1]:.1f}%" in story


def test_how_many_units_differ_between_two_groupings_is_what_python_counts(viewer, run) -> None:
    step = int(run.steps[-1])
    viewer.open(f"view=compare&step={step}")
    n = int((tuned(run, step) != tuned(run, step, "predicted")).sum())
    assert n > 0, "the test needs units that differ"
    word = "differs" if n == 1 else "differ"
    deadline = time.monotonic() + 20
    wanted = f"Step {step}: {n} of {sum(layer.units for layer in run.layers)} units {word}"
    while wanted not in (told := viewer.by("title").inner_text()):
        assert time.monotonic() < deadline, (told, wanted)
        time.sleep(0.05)
    # each snapshot goes with itself, whatever they would be aligned by
    assert viewer.by("by-step").count() == 0


def test_events_of_one_snapshot_share_a_row_that_lists_them(viewer: Viewer, run) -> None:
    events = run.events()
    row = viewer.by("events-together").first
    row.wait_for()
    step = int(row.locator(".count").inner_text())
    own = [event for event in events if event.step == step]
    assert len(own) > 2
    told = row.inner_text()
    assert sum(int(part.split()[0]) for part in told.split("\n")[-1].split(", ")) == len(own)
    row.click()
    assert viewer.by("moment").locator(".events button").count() == min(200, len(own))
    assert int(run.steps[viewer.snapshot()]) == step


def test_small_charts_have_no_line_at_their_end(viewer: Viewer, run) -> None:
    viewer.open(f"view=classes&step={run.steps[SNAPSHOTS // 2]}")
    assert viewer.page.locator(".column-line").count() > 1
    assert viewer.page.locator(".rail .reading").count() == 1
    viewer.page.keyboard.press("End")
    viewer.until("() => document.querySelectorAll('.column-line, .reading').length === 0")


def test_below_a_wrong_sample_stands_its_class_then_what_it_is_predicted_as(viewer, run) -> None:
    viewer.open("view=samples&only=wrong&theme=dark")
    colors = palette(10).dark[:, 100, :3]
    wrong = np.flatnonzero(run.predictions() != run.labels())
    own = run.probabilities()[wrong, run.labels()[wrong]]
    first = wrong[np.lexsort((wrong, np.floor(100 * own + 0.5)))[0]]
    wanted = [colors[run.labels()[first]].tolist(), colors[run.predictions()[first]].tolist()]
    at = """() => [6, 40].map((x) => [...document.querySelector("[data-testid=samples]")
        .getContext("2d").getImageData(x, 44, 1, 1).data].slice(0, 3))"""
    deadline = time.monotonic() + 20
    while (found := viewer.page.evaluate(at)) != wanted:
        assert time.monotonic() < deadline, (found, wanted)
        time.sleep(0.05)
