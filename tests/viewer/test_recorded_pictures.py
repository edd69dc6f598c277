"""In a real Chromium: recorded pictures are drawn as they were recorded, on the scales they claim."""

import base64
import io
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pictured_run import CLASSES, SNAPSHOTS, UNITS, WATCHED, Net, data, trained
from PIL import Image
from safetensors.numpy import load as load_tensors
from viewing import Viewer, looked_at, saved, served

import huelapse
from huelapse.color import paint
from huelapse.palette import palette
from huelapse.viewer.filters import REACH, ZERO
from huelapse.viewer.parts import Parts
from huelapse.viewer.pictured import FULL
from huelapse.viewer.resources import Resources
from huelapse.viewer.standalone import write_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LAST = SNAPSHOTS - 1
SETTLED = 20
SMALL = 500_000
"""Bytes of a file that has no room for feature maps."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("pictures") / "run")


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The same net, of which no picture was recorded."""
    path = tmp_path_factory.mktemp("bare") / "run"
    with huelapse.Recorder(Net(), path, probe=data(30, 0), classes=CLASSES) as recorder:
        recorder.step()
    with served(huelapse.open(path)) as url:
        yield url


def get(run: huelapse.Run, path: str) -> dict[str, np.ndarray]:
    return load_tensors(Resources(run).get(path)[0])


def gray(value: int, theme: str = "dark") -> int:
    """Luminance of a map's value, by the ramp that the page says it has."""
    least, greatest = {"dark": (0.22, 0.92), "light": (0.955, 0.3)}[theme]
    linear = (least + (greatest - least) * value / FULL) ** 3
    encoded = 12.92 * linear if linear <= 0.0031308 else 1.055 * linear ** (1 / 2.4) - 0.055
    return int(np.floor(255 * min(1.0, max(0.0, encoded)) + 0.5))


def pixel(viewer: Viewer, selector: str, index: int, y: int, x: int) -> list[int] | None:
    """[r, g, b] of a canvas; None while it is not that large, or not there."""
    return viewer.page.evaluate(
        """([selector, index, y, x]) => {
            const canvas = document.querySelectorAll(selector)[index];
            if (!canvas || x >= canvas.width || y >= canvas.height) return null;
            return [...canvas.getContext("2d").getImageData(x, y, 1, 1).data].slice(0, 3);
        }""",
        [selector, index, y, x],
    )


def size_of(viewer: Viewer, selector: str) -> tuple[int, int]:
    """Height and width of a canvas, once something is drawn on it."""
    viewer.until(f"() => (document.querySelector('{selector}')?.height ?? 0) > 100")
    found = viewer.page.evaluate(
        "(selector) => { const c = document.querySelector(selector); return [c.height, c.width]; }",
        selector,
    )
    return found[0], found[1]


def until_pixel(
    viewer: Viewer, selector: str, index: int, y: int, x: int, wanted: list[int]
) -> None:
    deadline = time.monotonic() + SETTLED
    while (found := pixel(viewer, selector, index, y, x)) != wanted:
        assert time.monotonic() < deadline, (found, wanted)
        time.sleep(0.05)


def text_of(viewer: Viewer, name: str, wanted: str) -> str:
    deadline = time.monotonic() + SETTLED
    while wanted not in (told := " ".join(viewer.by(name).first.inner_text().split())):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def nearest(side: int, positions: int, at: int) -> int:
    """Which position a pixel of an enlarged map shows."""
    return int((at + 0.5) * positions / side)


# --- cells of the network --------------------------------------------------------------------------


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_cells_keep_their_color_around_the_map_of_their_class(
    viewer: Viewer, run: huelapse.Run, theme: str
) -> None:
    step = int(run.steps[LAST])
    viewer.open(f"theme={theme}")
    viewer.until("() => document.querySelector('.subtitle').innerText.includes('Pictures:')")
    colors = paint(
        run.preferred(step=step), np.nan_to_num(run.strength(step=step)), palette(3), theme
    )
    shown = np.isin(run.state(step=step), [0, 1])
    units = np.flatnonzero(shown).tolist()
    assert len(units) > 20
    assert viewer.cell_colors(units) == colors[units].tolist()
    maps = get(run, f"val/true/margin/maps/{LAST}.st")
    of_maps = [u for u in units if u < UNITS + 8]
    assert len(of_maps) > 12
    size, inset = 42, 24  # of the largest cells, and of the picture in them
    for unit in of_maps:
        layer = int(unit >= UNITS)
        own = maps[f"maps.{layer}"][unit - layer * UNITS]
        place = nearest(inset, own.shape[0], inset // 2 + 1)
        found = viewer.page.evaluate(
            "(unit) => { const at = globalThis.huelapse.cellPixel(unit); return [at.x, at.y]; }",
            unit,
        )
        edge = int((size - inset) / 4)
        middle = [int(found[1]) - edge + size // 2 + 1, int(found[0]) + 1]
        wanted = [gray(int(own[place, place]), theme)] * 3
        until_pixel(viewer, "[data-testid=network]", 0, *middle, wanted)


def test_cells_of_another_class_than_the_highlighted_show_no_map(viewer: Viewer, run) -> None:
    viewer.open("theme=dark")
    viewer.until("() => document.querySelector('.subtitle').innerText.includes('Pictures:')")
    step = int(run.steps[LAST])
    preferred, state = run.preferred(step=step), run.state(step=step)
    unit = int(np.flatnonzero((state == 0)[:UNITS] & (preferred[:UNITS] != 0))[0])
    other = int(preferred[unit])
    maps = get(run, f"val/true/margin/maps/{LAST}.st")["maps.0"][unit]
    shown = [gray(int(maps[7, 7]))] * 3
    deadline = time.monotonic() + SETTLED
    while True:  # a cell's color stands above its map once that has come, in its middle until then
        at = viewer.page.evaluate(
            "(unit) => { const { x, y } = globalThis.huelapse.cellPixel(unit); return [x, y]; }",
            unit,
        )
        middle = [int(at[1]) - 4 + 22, int(at[0]) + 1]
        if pixel(viewer, "[data-testid=network]", 0, *middle) == shown:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    viewer.page.keyboard.press("0")
    viewer.until("() => location.hash.includes('class=0')")
    time.sleep(0.2)
    edge = pixel(viewer, "[data-testid=network]", 0, int(at[1]), int(at[0]))
    assert pixel(viewer, "[data-testid=network]", 0, *middle) == edge
    viewer.page.keyboard.press(str(other))
    until_pixel(viewer, "[data-testid=network]", 0, *middle, shown)


def test_what_is_saved_has_the_maps_that_cells_show(viewer: Viewer, run: huelapse.Run) -> None:
    step = int(run.steps[LAST])
    viewer.open("theme=dark")
    _, content = saved(viewer, "save-png")
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    maps = get(run, f"val/true/margin/maps/{LAST}.st")
    state = run.state(step=step)[: UNITS + 8]
    units = np.flatnonzero(np.isin(state, [0, 1])).tolist()
    assert len(units) > 12
    inset, middle, edge = 48, 42, 9  # twice those of the page
    wanted: set[bytes] = set()
    for unit in units:
        own = maps[f"maps.{int(unit >= UNITS)}"][unit - UNITS * int(unit >= UNITS)]
        place = nearest(inset, own.shape[0], inset // 2 + 1)
        at = viewer.page.evaluate("(unit) => globalThis.huelapse.framePixel(unit)", unit)
        found = picture[int(at["y"]) - edge + middle + 1, int(at["x"]) + 1]
        assert found.tolist() == [gray(int(own[place, place]))] * 3
        wanted.add(np.vectorize(gray)(own).astype(np.uint8).tobytes())
    _, drawing = saved(viewer, "save-svg")
    images = list(ElementTree.fromstring(drawing).iter("{http://www.w3.org/2000/svg}image"))
    assert len(images) == len(units)
    drawn = {
        np.asarray(Image.open(io.BytesIO(base64.b64decode(i.attrib["href"].partition(",")[2]))))[
            ..., 0
        ].tobytes()
        for i in images
    }
    assert drawn == wanted


# --- a unit ----------------------------------------------------------------------------------------


def test_where_a_unit_responds_is_on_one_scale_for_all_classes(
    viewer: Viewer, run: huelapse.Run
) -> None:
    unit = UNITS + 2
    for t in (LAST, 1):
        viewer.open(f"unit={unit}&step={run.steps[t]}&theme=dark")
        found = get(run, f"val/maps/unit/{unit}/0.st")
        own = found["maps"][t]
        side = 54  # five in a row of the card
        for k in range(len(CLASSES)):
            place = nearest(side, own.shape[1], 20)
            wanted = [gray(int(own[k, place, place]))] * 3
            until_pixel(viewer, "[data-testid=unit-maps] .plate", k, 20, 20, wanted)
        told = viewer.by("map-scale").inner_text().split()
        assert told[0] == "0"
        assert float(told[1]) == pytest.approx(found["high"][t], rel=0.06)
    # another unit's, and another snapshot's, take their place
    viewer.page.keyboard.press("Home")
    own = found["maps"][0]
    place = nearest(54, own.shape[1], 20)
    until_pixel(
        viewer, "[data-testid=unit-maps] .plate", 0, 20, 20, [gray(int(own[0, place, place]))] * 3
    )


def test_a_units_filter_is_shown_with_its_first_layer_alone(viewer: Viewer, run) -> None:
    viewer.open("unit=5&theme=dark")
    assert "filter 5 of conv1" in text_of(viewer, "unit-filter", "First weights")
    film = get(run, "val/first_weights.st")
    share = film["scale"][LAST] / film["scale"].max()
    own = np.rint(ZERO + (film["weights"][LAST, 5, 2, 2].astype(float) - ZERO) * share)
    until_pixel(viewer, "[data-testid=unit-filter] .plate", 0, 32, 32, own.astype(int).tolist())
    viewer.by("unit-filter").locator(".film button").nth(1).click()
    viewer.until("() => globalThis.huelapse.snapshot() === 1")
    viewer.open(f"unit={UNITS + 1}")
    viewer.by("unit-maps").wait_for()
    assert viewer.by("unit-filter").count() == 0
    viewer.open(f"unit={UNITS + 8 + 2}")  # of a layer without positions
    text_of(viewer, "inspector", "Tuning")
    assert viewer.by("unit-maps").count() == 0


# --- a layer ---------------------------------------------------------------------------------------


def test_a_layers_maps_stand_above_the_colors_of_their_cells(viewer: Viewer, run) -> None:
    viewer.open("view=layer&layer=1&shows=maps&theme=dark")
    text_of(viewer, "title", "relu2 at step")
    step, layer = int(run.steps[LAST]), run.layers[1]
    colors = paint(
        run.preferred(step=step), np.nan_to_num(run.strength(step=step)), palette(3), "dark"
    )[layer.slice]
    state, preferred = run.state(layer="relu2", step=step), run.preferred(layer="relu2", step=step)
    strength = np.nan_to_num(run.strength(layer="relu2", step=step))
    held = np.isin(state, [0, 1])
    order = sorted(
        np.flatnonzero(held), key=lambda u: (preferred[u], -np.floor(100 * strength[u] + 1e-9), u)
    )
    tile, gap, bar = 104, 8, 5
    for path, of in (("", ""), ("&class=1", "/1")):
        viewer.open(f"view=layer&layer=1&shows=maps&theme=dark{path}")
        maps = get(run, f"val/maps/{LAST}/1{of}.st")["maps"]
        columns = size_of(viewer, "[data-testid=maps]")[1] // (tile + gap)
        for place, unit in enumerate(order):
            x = 2 + (place % columns) * (tile + gap) + 50
            y = 2 + (place // columns) * (tile + bar + 2 + gap)
            at = nearest(tile, 10, 50)
            wanted = [gray(int(maps[unit, at, at]))] * 3
            until_pixel(viewer, "[data-testid=maps]", 0, y + 50, x, wanted)
            until_pixel(viewer, "[data-testid=maps]", 0, y + 108, x, colors[unit, :3].tolist())
    box = viewer.by("maps").bounding_box()
    viewer.page.mouse.click(box["x"] + 40, box["y"] + 40)
    text_of(viewer, "inspector", f"unit {order[0]}")


def test_first_weights_grow_on_one_scale_through_training(viewer: Viewer, run) -> None:
    viewer.open("view=layer&layer=0&shows=weights&theme=dark")
    film = get(run, "val/first_weights.st")
    greatest = film["scale"].max()
    assert f"±{greatest:.2}" in text_of(viewer, "weights-scale", "One scale")
    height, width = size_of(viewer, "[data-testid=weights]")
    row = height // UNITS
    now, label, between = row - 4, 34, 20
    frame = (width - label - now - between) // SNAPSHOTS - 4

    def shown(weights: np.ndarray, scale: float) -> list[int]:
        coded = ZERO + (weights.astype(float) - ZERO) * (scale / greatest)
        return np.floor(coded + 0.5).astype(int).tolist()

    for t in (LAST, 1):
        viewer.open(f"view=layer&layer=0&shows=weights&theme=dark&step={run.steps[t]}")
        one = get(run, f"val/first_weights/{t}.st")
        for n in (0, UNITS - 1):
            middle = n * row + now // 2
            wanted = shown(one["weights"][n, 2, 2], one["scale"][0])
            until_pixel(viewer, "[data-testid=weights]", 0, middle, label + now // 2, wanted)
            for f in range(SNAPSHOTS):
                x = label + now + between + f * (frame + 4) + frame // 2
                wanted = shown(film["weights"][f, n, 2, 2], film["scale"][f])
                until_pixel(viewer, "[data-testid=weights]", 0, middle, x, wanted)
    assert np.ptp(film["scale"]) / greatest * REACH > 2  # growth can be seen
    box = viewer.by("weights").bounding_box()
    viewer.page.mouse.click(box["x"] + label + now + between + frame // 2, box["y"] + 20)
    viewer.until("() => globalThis.huelapse.snapshot() === 0")
    viewer.page.mouse.click(box["x"] + label + 10, box["y"] + 20)
    text_of(viewer, "inspector", "relu1 unit 0")


def test_first_weights_stand_with_the_first_layer(viewer: Viewer) -> None:
    viewer.open("view=layer&layer=0&shows=weights")
    viewer.by("weights").wait_for()
    viewer.page.keyboard.press("PageDown")
    viewer.by("kymograph").wait_for()
    assert viewer.by("shows-weights").count() == 0
    viewer.by("shows-maps").click()
    viewer.by("maps").wait_for()
    assert "shows=maps" in viewer.page.evaluate("() => location.hash")
    viewer.page.keyboard.press("PageDown")
    viewer.until("() => document.querySelector('.no-pictures')?.innerText.includes('no map')")


# --- a sample --------------------------------------------------------------------------------------


def test_a_watched_samples_feature_maps_follow_the_playhead(viewer: Viewer, run) -> None:
    which = 2
    viewer.open(f"view=samples&sample={WATCHED[which]}&theme=dark")
    for t in (LAST, 0):
        if t == 0:
            viewer.page.keyboard.press("Home")
        for i, layer in enumerate(run.layers[:2]):
            found = get(run, f"val/watched/{which}/{t}/{i}.st")
            step = int(run.steps[LAST])
            strength = np.nan_to_num(run.strength(step=step, layer=layer.path))
            preferred = run.preferred(step=step, layer=layer.path)
            first = min(
                np.flatnonzero(np.isin(run.state(step=step, layer=layer.path), [0, 1])),
                key=lambda u: (preferred[u], -np.floor(100 * strength[u] + 1e-9), u),
            )
            place = nearest(34, found["maps"].shape[1], 17)
            wanted = [gray(int(found["maps"][first, place, place]))] * 3
            until_pixel(viewer, f"[data-testid=features-{i}] .plate", 0, 17, 17, wanted)
    viewer.by("features-1").locator(".plates button").first.click()
    text_of(viewer, "inspector", "Tuning")


def test_how_a_sample_goes_through_the_layers_stands_in_its_card(viewer: Viewer, run) -> None:
    sample = WATCHED[2]
    found = get(run, f"val/sample/{sample}/layers.st")
    for t in (LAST, 1):
        viewer.open(f"view=samples&sample={sample}&step={run.steps[t]}")
        rows = viewer.by("through-layers").locator(".through")
        rows.first.wait_for()
        assert rows.count() == len(run.layers)
        for place, layer in enumerate(run.layers):
            told = " ".join(rows.nth(place).inner_text().split())
            assert told == f"{layer.path} {found['alike'][t, place]:.2f}"
            name = CLASSES[found["nearest"][t, place]]
            assert f"most like {name}" in rows.nth(place).get_attribute("title")


def test_watched_samples_are_marked_and_can_be_shown_alone(viewer: Viewer) -> None:
    viewer.open("view=samples&sample=1")
    text_of(viewer, "feature-maps", "Kept of 3 samples, not of this one.")
    viewer.page.get_by_text("Show those").click()
    text_of(viewer, "samples-shown", "3 samples")
    assert "only=watched" in viewer.page.evaluate("() => location.hash")


# --- what is not there -----------------------------------------------------------------------------


def test_what_was_not_recorded_says_what_to_pass_to_the_recorder(bare: str, browser: Any) -> None:
    with looked_at(browser, bare) as viewer:
        viewer.open("view=layer&layer=0&shows=maps")
        text_of(viewer, "missing-maps", 'Pass maps=True to Recorder, or maps=["conv*"]')
        viewer.by("shows-weights").click()
        text_of(viewer, "missing-first_weights", "Pass first_weights=True to Recorder.")
        viewer.open("unit=3")
        text_of(viewer, "missing-unit_maps", "Pass maps=True")
        text_of(viewer, "missing-first_weights", "Pass first_weights=True")
        viewer.open("view=samples&sample=2")
        text_of(viewer, "missing-watched", "Pass watch=8 to Recorder, or watch=[3, 14]")
        assert viewer.by("only-watched").count() == 0


def test_what_the_page_says_to_pass_is_what_the_recorder_takes() -> None:
    import inspect
    import re

    source = Path(__file__).parents[2] / "frontend/src/pictures/Missing.tsx"
    told = set(re.findall(r"[\"'](\w+)=(?:True|8|\[)", source.read_text()))
    assert told == {"maps", "watch", "first_weights", "keep_responses"}
    assert told <= set(inspect.signature(huelapse.Recorder).parameters)


def test_recorded_pictures_are_the_last_to_go_into_a_file(run: huelapse.Run) -> None:
    names = [part.name for part in Parts(run, None).parts]
    assert names[-5:] == [
        "maps in cells",
        "first weights",
        "maps of units",
        "maps of layers",
        "feature maps of watched samples",
    ]
    assert names[-6].startswith("measure ")


def test_a_file_holds_the_pictures_or_says_that_they_are_left_out(
    run: huelapse.Run, browser: Any, tmp_path: Path
) -> None:
    whole, small = tmp_path / "whole.html", tmp_path / "small.html"
    assert write_page(run, whole).left_out == ()
    found = write_page(run, small, budget=SMALL)
    assert {"maps of layers", "feature maps of watched samples"} <= set(found.left_out)
    with looked_at(browser, whole.as_uri()) as viewer:
        viewer.open(f"unit={UNITS + 1}&theme=dark")
        viewer.by("map-scale").wait_for()
        # by another measure cells have other classes: the maps of these go along too
        viewer.open("measure=separability")
        viewer.until("() => document.querySelector('.subtitle').innerText.includes('Pictures:')")
        viewer.open("view=layer&layer=0&shows=weights")
        text_of(viewer, "weights-scale", "One scale")
        viewer.open("view=layer&layer=1&shows=maps&class=2")
        viewer.by("maps").wait_for()
        viewer.open(f"view=samples&sample={WATCHED[0]}")
        viewer.by("features-1").wait_for()
        text_of(viewer, "missing-through_layers", "not in this file: huelapse view shows them")
    with looked_at(browser, small.as_uri()) as viewer:
        text_of(viewer, "inspector", "feature maps of watched samples")
        viewer.open("view=layer&layer=1&shows=maps")
        text_of(viewer, "missing-maps", "not in this file: huelapse view shows it")
