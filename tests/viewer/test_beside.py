"""What the page is told of two that are laid side by side, and what it shows of them."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from closer_run import trained
from made import Units, begin, snapshot, write
from viewing import Viewer, looked_at

import huelapse
from conftest import SmallNet, batches
from huelapse.color import paint
from huelapse.comparing import pair
from huelapse.palette import palette
from huelapse.viewer.beside import beside, config_difference
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf, run_id, shelf_of

pytestmark = pytest.mark.timeout(300)

NAMES = ["ant", "bee", "cow"]


def small(path: Path, *, classes: list[str] = NAMES, seed: int = 0, **how: Any) -> huelapse.Run:
    """Two snapshots of an untrained net, by a probe and a window of training samples."""
    inputs, labels = batches(seed=seed)
    labels = labels.clone().apply_(lambda k: classes.index(NAMES[k]))
    model = SmallNet(len(classes))
    with huelapse.Recorder(
        model, path, probe=(inputs, labels), window=90, classes=classes, strict=True, **how
    ) as recorder:
        model.train()
        with recorder.window(labels):
            model(inputs)
        recorder.step(loss=1.0)
    return huelapse.open(path)


def test_splits_of_a_run_are_compared_though_their_samples_differ(tmp_path: Path) -> None:
    run = small(tmp_path / "a")
    found = beside(run, run, "val", "true", "train", "predicted")
    assert found["refused"] is None
    assert "same samples" in found["samples"]
    assert found["same_units"]
    assert found["classes"] == [0, 1, 2]
    assert beside(run, run, "val", "true", "val", "predicted")["samples"] is None


def test_runs_on_other_samples_or_of_other_classes_are_refused(tmp_path: Path) -> None:
    a = small(tmp_path / "a")
    other = beside(a, small(tmp_path / "b", seed=7), "val", "true", "val", "true")
    assert "same samples" in other["refused"]
    assert "one probe" in other["refused"]
    renamed = small(tmp_path / "c", classes=["ant", "bee", "cow", "gnu"])
    told = beside(a, renamed, "val", "true", "val", "true")["refused"]
    assert "'gnu' in one of them only" in told
    assert "window" in beside(a, small(tmp_path / "d"), *("train", "true") * 2)["refused"]


def test_a_class_is_found_by_its_name(tmp_path: Path) -> None:
    a = small(tmp_path / "a")
    b = small(tmp_path / "b", classes=["cow", "ant", "bee"])
    found = beside(a, b, "val", "true", "val", "true")
    assert [b.classes[k] for k in found["classes"]] == list(a.classes)


def test_configs_differ_where_their_values_do(tmp_path: Path) -> None:
    one = {"lr": 1.0, "net": {"width": 8, "norm": None}, "name": "x", "only": True}
    other = {"lr": 1, "net": {"width": 16, "norm": None}, "name": "y", "tags": ["a", 1]}
    a = small(tmp_path / "a", config=one)
    b = small(tmp_path / "b", config=other)
    assert config_difference(a, b) == [
        {"name": "name", "a": "x", "b": "y"},
        {"name": "net.width", "a": "8", "b": "16"},
        {"name": "only", "a": "true", "b": None},
        {"name": "tags", "a": None, "b": '["a", 1]'},
    ]
    assert config_difference(a, a) == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seeds, one of them recorded less often; one with other layers; one on other samples."""
    above = tmp_path_factory.mktemp("beside")
    trained(above / "first")
    trained(above / "second", seed=1, lr=0.05, every=4)
    trained(above / "deep", hidden=(32, 32, 24), steps=9, keep=False)
    trained(above / "unlike", samples=250, steps=3, keep=False)
    return above


@pytest.fixture(scope="module")
def first(folder: Path) -> huelapse.Run:
    return huelapse.open(folder / "first")


@pytest.fixture(scope="module")
def second(folder: Path) -> huelapse.Run:
    return huelapse.open(folder / "second")


def test_a_run_is_compared_with_another_of_the_shelf_by_its_id(folder: Path, first, second) -> None:
    found = shelf_of(folder / "first", folder / "second")
    ids = {row["name"]: row["id"] for row in found.listed()}
    resources = found.resources(ids["first"])
    assert resources is not None
    content, kind = resources.get(f"val/true/compare/{ids['second']}/val/true.json")
    assert kind == "application/json"
    told = json.loads(content)
    assert told["refused"] is None
    assert told["layers"] is None
    assert not told["same_units"]
    assert "no epoch" in told["pairs"]["epoch"]["why"]
    for by in ("step", "accuracy"):
        pairs = pair(first, second, by=by)
        assert told["pairs"][by]["snapshot"] == pairs.b.tolist()
        assert told["pairs"][by]["gap"] == pairs.gap.tolist()
    with pytest.raises(huelapse.errors.SelectionError, match="no run"):
        resources.get("val/true/compare/0123456789ab/val/true.json")


@pytest.fixture(scope="module")
def served_folder(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    shelf = shelf_of(folder)
    ids = {row["name"]: row["id"] for row in shelf.listed()}
    with in_background(shelf, token="beside") as url:
        yield f"{url}#run={ids['first']}&view=compare", ids


@pytest.fixture
def viewer(served_folder: tuple[str, dict[str, str]], browser: Any) -> Iterator[Viewer]:
    with looked_at(browser, served_folder[0]) as viewer:
        yield viewer


def compare(viewer: Viewer, ids: dict[str, str], other: str, more: str = "") -> None:
    viewer.open(f"run={ids['first']}&view=compare&theme=dark&other={ids[other]}{more}")


def title(viewer: Viewer, wanted: str) -> str:
    deadline = time.monotonic() + 20
    while wanted not in (told := viewer.by("title").inner_text()):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def colors_of(viewer: Viewer, side: int, units: list[int]) -> list[list[int]]:
    return viewer.page.evaluate(
        """([side, units]) => units.map((unit) => {
            const { canvas, x, y } = globalThis.huelapse.cellPixel(unit, side);
            const context = canvas.getContext("2d", { willReadFrequently: true });
            return [...context.getImageData(Math.floor(x), Math.floor(y), 1, 1).data];
        })""",
        [side, units],
    )


def expected(run: huelapse.Run, step: int) -> tuple[list[int], list[list[int]]]:
    """Units that have a fill, and their colors."""
    units = np.flatnonzero(run.state(step=step) < 2).tolist()
    strength = np.nan_to_num(run.strength(step=step))
    colors = paint(run.preferred(step=step), strength, palette(10), "dark")
    return units, [colors[u].tolist() for u in units]


@pytest.mark.browser
def test_both_have_the_colors_python_computes_at_paired_snapshots(
    viewer: Viewer, served_folder, first, second
) -> None:
    ids = served_folder[1]
    for by, t in (("step", 7), ("accuracy", 5)):
        step = int(first.steps[t])
        compare(viewer, ids, "second", f"&by={by}&step={step}")
        other = int(second.steps[pair(first, second, by=by).b[t]])
        assert other != step, "the test needs snapshots that are not at the same step"
        for side, run, at in ((0, first, step), (1, second, other)):
            units, colors = expected(run, at)
            assert colors_of(viewer, side, units) == colors
        assert f"step {other}" in viewer.by("side-b").inner_text()
    viewer.page.keyboard.press("ArrowLeft")
    viewer.page.get_by_test_id("side-a").filter(has_text=f"step {first.steps[4]} ").wait_for()
    assert viewer.by("config").inner_text() == "Configs differ in lr and seed"


@pytest.mark.browser
def test_the_title_says_what_is_tuned_in_both(viewer: Viewer, served_folder, first, second) -> None:
    compare(viewer, served_folder[1], "second", "&step=21")
    one, two = share_of(first, 21), share_of(second, 20)
    title(viewer, f"Step 21 of A, 20 of B: {one} of units are tuned in A, {two} in B.")
    assert viewer.by("by-epoch").is_disabled()
    viewer.by("by-accuracy").click()
    title(viewer, "accuracy")
    assert "by=accuracy" in viewer.page.evaluate("() => location.hash")


def share_of(run: huelapse.Run, step: int) -> str:
    tuned = (run.state(step=step) == 0) & (run.strength(step=step) >= 0.5)
    return f"{round(100 * float(tuned.mean()))}%"


@pytest.mark.browser
def test_units_of_one_run_stay_in_their_places_in_another_grouping(
    viewer: Viewer, served_folder, first
) -> None:
    compare(viewer, served_folder[1], "first")
    places = viewer.page.evaluate(
        """() => [0, 1].map((side) => [...Array(74).keys()].map((unit) => {
            const { x, y } = globalThis.huelapse.cellPixel(unit, side);
            return [Math.round(x / 4), Math.round(y / 4)];
        }))"""
    )
    assert places[0] == places[1]
    assert "Predicted" in viewer.by("side-b").inner_text()
    assert "same units" in viewer.page.locator(".subtitle").first.inner_text()
    colors = expected_by(first, "predicted")
    assert colors_of(viewer, 1, colors[0]) == colors[1]


def expected_by(run: huelapse.Run, grouping: str) -> tuple[list[int], list[list[int]]]:
    units = np.flatnonzero(run.state(grouping=grouping) < 2).tolist()
    strength = np.nan_to_num(run.strength(grouping=grouping))
    colors = paint(run.preferred(grouping=grouping), strength, palette(10), "dark")
    return units, [colors[u].tolist() for u in units]


@pytest.mark.browser
def test_of_other_layers_only_shares_are_shown_and_of_other_samples_nothing(
    viewer: Viewer, served_folder
) -> None:
    ids = served_folder[1]
    compare(viewer, ids, "deep")
    viewer.by("trellis-b").wait_for()
    assert viewer.by("compare-a").count() == 0
    assert "Other layers (2 with 40 units" in viewer.page.locator(".subtitle").first.inner_text()
    compare(viewer, ids, "unlike")
    title(viewer, "These two runs cannot be laid side by side.")
    assert "same samples" in viewer.page.locator(".subtitle").first.inner_text()
    assert viewer.page.locator(".compare canvas").count() == 0
    viewer.by("other-run").select_option(ids["second"])
    viewer.by("compare-b").wait_for()
    assert f"other={ids['second']}" in viewer.page.evaluate("() => location.hash")


@pytest.mark.browser
def test_what_is_late_of_another_run_is_not_shown(viewer: Viewer, served_folder, second) -> None:
    ids = served_folder[1]

    held: list[Any] = []
    viewer.page.route(
        f"**/{ids['first']}*/val/true/compare/{ids['deep']}/**", lambda route: held.append(route)
    )
    compare(viewer, ids, "second")
    viewer.by("other-run").select_option(ids["deep"])
    for _ in range(500):
        viewer.page.wait_for_timeout(20)
        if held:
            break
    viewer.by("other-run").select_option(ids["second"])
    viewer.by("side-b").filter(has_text="second").wait_for()
    with viewer.page.expect_response(f"**/compare/{ids['deep']}/**"):
        held[0].continue_()
    viewer.page.wait_for_timeout(400)
    assert viewer.by("trellis-a").count() == 0
    assert "second" in viewer.by("side-b").inner_text()


@pytest.mark.browser
def test_what_is_compared_goes_on_with_a_growing_run_and_never_says_loading(
    browser: Any, tmp_path: Path
) -> None:
    """Nothing of one state stands beside anything of another."""
    units = Units.of([0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2] * 2)
    other = write(tmp_path / "other", range(8), lambda t: units)
    store = begin(tmp_path / "run")

    def commit(t: int) -> None:
        store.commit(snapshot(t, Units.of([t % 4] * 22), wall_time=time.time()))

    for t in range(3):
        commit(t)
    run = huelapse.open(tmp_path / "run")
    with (
        in_background(Shelf([run, other])) as address,
        looked_at(browser, f"{address}#run={run_id(run)}&view=compare") as viewer,
    ):
        viewer.by("compare-b").wait_for()
        viewer.page.evaluate(
            """() => {
                globalThis.told = [];
                const tell = () => {
                    const text = (name) =>
                        document.querySelector(`[data-testid=${name}]`)?.innerText ?? "none";
                    const now = [text("title"), text("side-a"), text("side-b")].join("|");
                    if (globalThis.told.at(-1) !== now) globalThis.told.push(now);
                    requestAnimationFrame(tell);
                };
                tell();
            }"""
        )
        for t in (3, 4):
            commit(t)
            viewer.until(
                "() => document.querySelector('[data-testid=title]').innerText"
                f".startsWith('Step {t}: ')"
            )
            viewer.until("() => globalThis.huelapse.ready")
        told = viewer.page.evaluate("() => globalThis.told")
        assert len(told) >= 3
        for line in told:
            title_, a, b = line.split("|")
            step = title_.partition(":")[0].lower()
            assert step in ("step 2", "step 3", "step 4"), told
            assert step in a.lower() and step in b.lower(), told
    store.close()


@pytest.mark.browser
@pytest.mark.parametrize(("width", "height"), [(1024, 768), (760, 620)])
def test_nothing_is_cut_off_in_small_windows(viewer: Viewer, served_folder, width, height) -> None:
    viewer.resize(width, height)
    compare(viewer, served_folder[1], "second")
    over = viewer.page.evaluate(
        """() => [...document.querySelectorAll(".top > *, .main .head *, .compare-choices > *")]
            .filter((e) => e.offsetWidth > 0)
            .map((e) => [e.className, e.getBoundingClientRect().right])
            .filter(([, right]) => right > innerWidth + 1)"""
    )
    assert over == []
    for side in ("compare-a", "compare-b"):
        box = viewer.by(side).bounding_box()
        assert box["y"] + box["height"] <= height - 206 + 1, side  # above the time axis
        assert box["x"] + box["width"] <= width, side
