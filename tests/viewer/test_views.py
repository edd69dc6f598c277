"""In a real Chromium: one layer, the classes, the confusion. What is drawn is what Python computes."""

import time

import numpy as np
import pytest
from closer_run import SNAPSHOTS
from viewing import Viewer

import huelapse
from huelapse.color import paint
from huelapse.measures import State
from huelapse.palette import level as level_of
from huelapse.palette import palette

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

LAYER = 0
"""A hidden one of 40 units."""


@pytest.fixture(scope="module")
def run(closer_run: huelapse.Run) -> huelapse.Run:
    return closer_run


def title(viewer: Viewer) -> str:
    return viewer.by("title").inner_text()


def text_of(viewer: Viewer, name: str, wanted: str) -> str:
    """The text of a part of the page, once it holds what is wanted."""
    deadline = time.monotonic() + 20
    while wanted not in (told := " ".join(viewer.by(name).inner_text().split())):
        assert time.monotonic() < deadline, told
        time.sleep(0.05)
    return told


def pixels(viewer: Viewer, canvas: str) -> np.ndarray:
    """[y, x, rgb] of a canvas."""
    found = viewer.page.evaluate(
        """(name) => {
            const canvas = document.querySelector(`[data-testid=${name}]`);
            const image = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            return { width: canvas.width, height: canvas.height, data: [...image.data] };
        }""",
        canvas,
    )
    return np.array(found["data"], np.uint8).reshape(found["height"], found["width"], 4)[:, :, :3]


def columns(run: huelapse.Run) -> list[int]:
    """Units of the layer in the order of the page: by class, strongest first; tied ones last."""
    layer = run.layers[LAYER]
    state = run.state(layer=layer.path)
    preferred, strength = run.preferred(layer=layer.path), run.strength(layer=layer.path)
    held = np.isin(state, [0, 1])
    rank = [
        (int(preferred[u]), -int(np.floor(100 * strength[u] + 1e-9)), u)
        if held[u]
        else (99 + int(state[u]), 0, u)
        for u in range(layer.units)
    ]
    return sorted(range(layer.units), key=lambda u: rank[u])


def cell_size(image: np.ndarray, across: int, down: int) -> tuple[int, int]:
    return image.shape[1] // across, image.shape[0] // down


def test_views_are_chosen_by_tab_by_key_and_by_address(viewer: Viewer) -> None:
    assert viewer.by("network").count() == 1
    for name, key, there in (
        ("layer", "l", "kymograph"),
        ("classes", "c", "trellis"),
        ("confusion", "x", "confusion"),
        ("samples", "p", "samples"),
        ("network", "n", "network"),
    ):
        viewer.by(f"view-{name}").click()
        viewer.by(there).wait_for()
        viewer.by("view-network").click()
        viewer.by("network").wait_for()
        viewer.page.keyboard.press(key)
        viewer.by(there).wait_for()
        assert viewer.by(f"view-{name}").get_attribute("aria-current") == "page"
        if name != "network":
            assert f"view={name}" in viewer.page.evaluate("() => location.hash")
            viewer.open(f"view={name}")
            viewer.by(there).wait_for()
    viewer.open("view=classes")
    viewer.by("view-confusion").click()
    viewer.by("confusion").wait_for()
    viewer.page.go_back()
    viewer.by("trellis").wait_for()


def test_the_kymograph_has_the_colors_python_computes(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.open(f"view=layer&layer={LAYER}&theme=dark")
    layer = run.layers[LAYER]
    image = pixels(viewer, "kymograph")
    wide, tall = cell_size(image, layer.units, SNAPSHOTS)
    order = columns(run)
    table = palette(10)
    neutral = table.dark[0, 0, :3]
    for t, step in enumerate(run.steps):
        colors = paint(
            run.preferred(step=int(step), layer=layer.path),
            np.nan_to_num(run.strength(step=int(step), layer=layer.path)),
            table,
            "dark",
        )
        silent = run.state(step=int(step), layer=layer.path) == State.SILENT
        for column, u in enumerate(order):
            pixel = image[t * tall + tall // 2, column * wide + wide // 2]
            if silent[u]:
                assert not np.array_equal(pixel, neutral)
            else:
                assert pixel.tolist() == colors[u][:3].tolist(), (t, u)


def test_the_heat_map_is_no_more_vivid_than_the_units_are_strong(
    viewer: Viewer, run: huelapse.Run
) -> None:
    t = 6
    step = int(run.steps[t])
    viewer.open(f"view=layer&layer={LAYER}&theme=dark&step={step}")
    viewer.until("() => document.querySelector('[data-testid=heat]').width > 300")
    layer = run.layers[LAYER]
    image = pixels(viewer, "heat")
    wide, tall = cell_size(image, layer.units, 10)
    means = run.moments(t, "true").mean[:, layer.slice]
    state = run.state(step=step, layer=layer.path)
    levels = level_of(np.nan_to_num(run.strength(step=step, layer=layer.path)))
    colors = palette(10).dark
    low, high = means.min(0), means.max(0)
    checked = 0
    for column, u in enumerate(columns(run)):
        if state[u] > State.TIED:
            continue
        for k in range(10):
            share = (means[k, u] - low[u]) / (high[u] - low[u])
            # no more vivid than the unit's own cell
            held = levels[u] if state[u] < State.TIED else 0
            level = int(np.floor(np.floor(100 * share**2 + 0.5) * held / 100 + 0.5))
            pixel = image[k * tall + tall // 2, column * wide + wide // 2]
            assert pixel.tolist() == colors[k, level, :3].tolist(), (u, k)
            checked += 1
    assert checked > 200


def test_a_click_into_the_kymograph_goes_there_and_picks_the_unit(
    viewer: Viewer, run: huelapse.Run
) -> None:
    viewer.open(f"view=layer&layer={LAYER}")
    box = viewer.by("kymograph").bounding_box()
    units = run.layers[LAYER].units
    column, row = 7, 4
    viewer.page.mouse.click(
        box["x"] + (column + 0.5) * box["width"] / units,
        box["y"] + (row + 0.5) * box["height"] / SNAPSHOTS,
    )
    assert viewer.snapshot() == row
    unit = columns(run)[column]
    text_of(viewer, "inspector", f"unit {unit}")
    assert f"unit={unit}" in viewer.page.evaluate("() => location.hash")
    viewer.page.keyboard.press("PageDown")
    viewer.until("() => location.hash.includes('layer=1')")
    assert title(viewer).startswith("3 at step") or run.layers[1].path in title(viewer)


def test_a_layers_name_in_the_network_opens_it(viewer: Viewer, run: huelapse.Run) -> None:
    x, y = viewer.place_of(columns(run)[0])
    viewer.page.mouse.click(x, y - 26)
    viewer.by("kymograph").wait_for()
    tuned = (run.state(layer=run.layers[LAYER].path) == 0).sum()
    assert f"{tuned} of 40 units" in title(viewer)


def test_recall_is_the_same_number_in_every_view(viewer: Viewer, run: huelapse.Run) -> None:
    viewer.open("view=confusion")
    viewer.by("confusion").wait_for()
    matrix = viewer.page.locator(".matrix-recall .count").all_inner_texts()
    viewer.open("view=classes")
    viewer.page.locator(".trellis-heads").get_by_text("recall").wait_for()
    trellis = viewer.page.locator(".trellis-row .count").all_inner_texts()
    assert trellis == matrix
    right, samples = run.confusion()[-1].diagonal(), run.samples()[-1]
    assert [int(text.rstrip("%")) for text in matrix] == pytest.approx(
        100 * right / samples, abs=0.51
    )


def test_the_trellis_is_as_high_as_the_share_of_the_layer(viewer: Viewer, run) -> None:
    viewer.open("view=classes&axis=snapshot&theme=dark")
    viewer.page.locator(".trellis-heads").get_by_text("recall").wait_for()  # it takes a column
    viewer.page.wait_for_timeout(300)
    image = pixels(viewer, "trellis")
    shares = np.zeros((SNAPSHOTS, 2, 10))
    for t, step in enumerate(run.steps):
        for i in range(2):
            path = run.layers[i].path
            tuned = run.state(step=int(step), layer=path) == 0
            preferred = run.preferred(step=int(step), layer=path)
            shares[t, i] = np.bincount(preferred[tuned], minlength=10) / len(tuned)
    scale = max(0.06, shares.max())
    row = image.shape[0] // 10
    panel = image.shape[1] // (len(run.layers) + 1)
    high = row - 8
    width = panel - 13
    colors = palette(10).dark[:, 100, :3]
    for i in range(2):
        for k in range(10):
            # at the last snapshot, just inside the panel's right edge
            x = i * panel + width - 2
            column = image[k * row : k * row + high, x]
            filled = (np.abs(column.astype(int) - colors[k].astype(int)).sum(1) < 24).sum()
            expected = high * min(1, shares[-1, i, k] / scale)
            assert abs(filled - expected) <= 4, (i, k, filled, expected)
    assert "up to" in viewer.page.content()


def test_a_row_of_the_trellis_follows_its_class(viewer: Viewer) -> None:
    viewer.open("view=classes")
    viewer.page.locator(".trellis-row").nth(7).click()
    viewer.until("() => location.hash.includes('class=7')")
    text_of(viewer, "inspector", "Recall")


def worst(run: huelapse.Run) -> tuple[int, int, int]:
    confusion = run.confusion()[-1].copy()
    np.fill_diagonal(confusion, 0)
    row, column = np.unravel_index(confusion.argmax(), confusion.shape)
    return int(row), int(column), int(confusion.max())


def test_the_confusion_says_what_is_wrong_and_shows_the_largest_cell(viewer: Viewer, run) -> None:
    viewer.open("view=confusion")
    row, column, n = worst(run)
    whole = run.confusion()[-1]
    wrong = whole.sum() - np.trace(whole)
    named = f"{run.classes[row]} is predicted as {run.classes[column]} ({n})"
    assert (
        title(viewer)
        == f"Step {run.steps[-1]}: {wrong} of 300 samples are wrong; most often {named}."
    )
    told = text_of(viewer, "cell-card", "at this step")
    assert f"{n} samples at this step" in told
    assert "largest confusion" in told


def test_a_cell_shows_its_samples_what_they_were_read_as_and_their_pictures(viewer, run) -> None:
    row, column, n = worst(run)
    viewer.open("view=confusion&theme=dark")
    box = viewer.by("confusion").bounding_box()
    at = box["width"] / 10, box["height"] / 10
    viewer.page.mouse.move(box["x"] + (column + 0.5) * at[0], box["y"] + (row + 0.5) * at[1])
    tip = viewer.page.get_by_role("tooltip").inner_text()
    assert f"{n} sample" in tip
    assert f"predicted as {run.classes[column]}" in tip
    viewer.page.mouse.click(box["x"] + (column + 0.5) * at[0], box["y"] + (row + 0.5) * at[1])
    viewer.until(f"() => location.hash.includes('cell={row}%2C{column}')")
    viewer.by("cell-samples").wait_for()
    own = np.flatnonzero((run.labels() == row) & (run.predictions() == column))
    shown = min(16, len(own))
    assert viewer.page.locator(".sample").count() == shown
    viewer.until("() => document.querySelector('.thumbnail').width === 28")
    drawn = viewer.page.evaluate(
        """() => [...document.querySelectorAll(".sample")].map((sample) => {
            const [picture, strip] = sample.querySelectorAll("canvas");
            const all = (c) => [...c.getContext("2d").getImageData(0, 0, c.width, c.height).data];
            const image = all(strip);
            const middle = Math.floor(strip.height / 2) * strip.width;
            const at = (x) => image.slice(4 * (middle + x)).slice(0, 3);
            return { picture: all(picture), last: at(strip.width - 2), first: at(1) };
        })"""
    )
    colors = palette(10).dark[:, 100, :3]
    for found, sample in zip(drawn, own, strict=False):
        picture = np.array(found["picture"], np.uint8).reshape(28, 28, 4)
        assert np.array_equal(picture[:, :, :3], run.thumbnails()[sample])
        assert found["last"] == colors[column].tolist()
        assert found["first"] == colors[run.predictions(0)[sample]].tolist()


def hardest(run: huelapse.Run) -> np.ndarray:
    own = run.probabilities()[np.arange(300), run.labels()]
    return np.lexsort((np.arange(300), np.floor(100 * own + 0.5)))


def test_samples_stand_hardest_first_with_what_they_are_read_as(viewer: Viewer, run) -> None:
    viewer.resize(1440, 1500)
    viewer.open("view=samples&theme=dark")
    for place in (0, 1, 17, 150, 299):
        assert bar(viewer, place) == read_as(run, hardest(run)[place]), place
    wrong = (run.predictions() != run.labels()).sum()
    assert title(viewer) == f"Step {run.steps[-1]}: {wrong} of 300 samples are wrong."
    viewer.by("only-wrong").click()
    text_of(viewer, "samples-shown", f"{wrong} samples")
    assert "only=wrong" in viewer.page.evaluate("() => location.hash")
    viewer.page.keyboard.press("3")
    own = (run.labels() == 3) & (run.predictions() != 3)
    text_of(viewer, "samples-shown", f"{own.sum()} sample")


TILE = 52
"""Of a sample, with the gap to the next."""


def tile_at(viewer: Viewer, place: int) -> tuple[int, int]:
    """Where a sample's tile begins on the canvas, which shows what is scrolled into view."""
    columns_, scrolled = viewer.page.evaluate(
        """() => [
            document.querySelector("[data-testid=samples]").width,
            document.querySelector(".samples-view").scrollTop,
        ]"""
    )
    columns_ //= TILE
    return (place % columns_) * TILE, (place // columns_) * TILE - round(scrolled)


def pixel(viewer: Viewer, x: int, y: int) -> list[int]:
    return viewer.page.evaluate(
        """([x, y]) => {
            const g = document.querySelector("[data-testid=samples]").getContext("2d");
            return [...g.getImageData(x, y, 1, 1).data].slice(0, 3);
        }""",
        [x, y],
    )


def bar(viewer: Viewer, place: int) -> list[int]:
    """The color below a sample."""
    x, y = tile_at(viewer, place)
    return pixel(viewer, x + 25, y + 46)


def picture(viewer: Viewer, place: int) -> list[int]:
    """A point in the middle of a sample's picture."""
    x, y = tile_at(viewer, place)
    return pixel(viewer, x + 25, y + 20)


def read_as(run: huelapse.Run, sample: int, step: int | None = None) -> list[int]:
    return palette(10).dark[run.predictions(step)[sample], 100, :3].tolist()


def test_what_scrolls_into_view_is_drawn_and_found_there(viewer: Viewer, run) -> None:
    viewer.open("view=samples&theme=dark")
    order = hardest(run)
    scrolled = viewer.page.evaluate(
        """() => {
            const view = document.querySelector(".samples-view");
            view.scrollTop = 1e6;
            return view.scrollTop;
        }"""
    )
    assert scrolled > 300
    deadline = time.monotonic() + 20
    while bar(viewer, 299) != read_as(run, order[299]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert bar(viewer, 280) == read_as(run, order[280])
    box = viewer.by("samples").bounding_box()
    x, y = tile_at(viewer, 299)
    viewer.page.mouse.click(box["x"] + x + 20, box["y"] + y + 20)
    text_of(viewer, "sample-card", f"sample {order[299]}")
    # one that an address names is brought into view
    viewer.open(f"view=samples&sample={order[290]}")
    viewer.until("() => document.querySelector('.samples-view').scrollTop > 0")


def test_samples_are_found_by_number_and_by_class(viewer: Viewer, run: huelapse.Run) -> None:
    labels, predictions = run.labels(), run.predictions()
    names = [name.lower() for name in run.grouping().classes]
    viewer.open("view=samples")
    find = viewer.by("find")
    find.fill("123")
    text_of(viewer, "samples-shown", "1 sample")
    viewer.until("() => location.hash.includes('find=123')")
    shirt, coat = names.index("shirt"), names.index("coat")
    find.fill("shirt")
    text_of(viewer, "samples-shown", f"{(labels == shirt).sum()} samples")
    find.fill("as coat")
    text_of(viewer, "samples-shown", f"{(predictions == coat).sum()} samples")
    both = ((labels == shirt) & (predictions == coat)).sum()
    find.fill("shirt as coat")
    text_of(viewer, "samples-shown", f"{both} sample")
    viewer.open("view=samples&find=shirt&only=wrong")
    wrong = ((labels == shirt) & (predictions != shirt)).sum()
    text_of(viewer, "samples-shown", f"{wrong} sample")
    # letters that are typed there are no keys of the page
    viewer.by("find").press_sequentially("n")
    viewer.by("samples").wait_for()


def test_another_measure_leaves_the_samples_as_they_are(viewer: Viewer, run: huelapse.Run) -> None:
    """How samples are read has nothing to do with it; and nothing of the former session is left."""
    step = int(run.steps[4])
    order = hardest(run)
    viewer.open(f"view=samples&theme=dark&step={step}&sample={order[3]}")
    places = (0, 3, 20, 90)
    before = [[bar(viewer, place), picture(viewer, place)] for place in places]
    assert [one[0] for one in before] == [read_as(run, order[place], step) for place in places]
    told = title(viewer)
    viewer.by("measure").select_option("separability")
    viewer.until("() => location.hash.includes('measure=separability')")
    viewer.until("() => globalThis.huelapse.ready")
    text_of(viewer, "sample-card", f"sample {order[3]}")
    text_of(viewer, "samples-shown", "300 samples")
    assert title(viewer) == told
    deadline = time.monotonic() + 20
    while [[bar(viewer, p), picture(viewer, p)] for p in places] != before:  # pictures come again
        assert time.monotonic() < deadline
        time.sleep(0.05)
    viewer.page.keyboard.press("ArrowRight")
    viewer.until("() => globalThis.huelapse.snapshot() === 5")
    wrong = (run.predictions(int(run.steps[5])) != run.labels()).sum()
    text_of(viewer, "title", f"Step {run.steps[5]}: {wrong} of 300 samples")
    viewer.until("() => globalThis.huelapse.ready")
    while bar(viewer, 0) != read_as(run, order[0], int(run.steps[5])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_sample_is_looked_at_walked_and_left(viewer: Viewer, run: huelapse.Run) -> None:
    order = hardest(run)
    viewer.open("view=samples")
    box = viewer.by("samples").bounding_box()
    viewer.page.mouse.click(box["x"] + 20, box["y"] + 20)
    text_of(viewer, "sample-card", f"sample {order[0]}")
    told = text_of(viewer, "sample-card", "correct at")
    right = sum(run.predictions(int(s))[order[0]] == run.labels()[order[0]] for s in run.steps)
    assert f"correct at {right} of {SNAPSHOTS} snapshots" in told
    viewer.page.keyboard.press("ArrowDown")
    text_of(viewer, "sample-card", f"sample {order[1]}")
    viewer.by("sample-units").locator(".unit").first.click()
    text_of(viewer, "inspector", "Tuning")
    viewer.page.keyboard.press("Escape")
    viewer.by("sample-card").wait_for()
    viewer.page.keyboard.press("Escape")
    viewer.until("() => !location.hash.includes('sample=')")


def test_a_sample_of_a_cell_leads_to_its_card(viewer: Viewer, run: huelapse.Run) -> None:
    row, column, _ = worst(run)
    viewer.open(f"view=confusion&cell={row},{column}")
    viewer.by("cell-samples").locator(".sample").first.click()
    own = np.flatnonzero((run.labels() == row) & (run.predictions() == column))
    text_of(viewer, "sample-card", f"sample {own[0]}")
    assert "view=samples" in viewer.page.evaluate("() => location.hash")


def test_a_unit_of_a_cell_is_looked_at_and_left_again(viewer: Viewer, run: huelapse.Run) -> None:
    row, column, _ = worst(run)
    viewer.open(f"view=confusion&cell={row},{column}")
    units = viewer.by("cell-units")
    units.wait_for()
    first = units.locator(".unit").first
    place = first.locator(".path").inner_text()
    first.click()
    text_of(viewer, "inspector", f"unit {place.split(' · ')[1]}")
    viewer.page.keyboard.press("Escape")
    viewer.by("cell-card").wait_for()
    viewer.page.keyboard.press("Escape")
    viewer.until("() => !location.hash.includes('cell=')")


def test_the_timeline_marks_layers_that_are_half_tuned(viewer: Viewer, run) -> None:
    half = {event.layer for event in run.events() if event.kind == "half_tuned"}
    assert half
    viewer.until(f"() => document.querySelectorAll('.mark').length === {len(half)}")


@pytest.mark.parametrize(("width", "height"), [(1024, 768), (760, 620), (700, 500)])
@pytest.mark.parametrize("view", ["layer", "classes", "confusion", "samples"])
def test_nothing_is_cut_off_in_small_windows(
    viewer: Viewer, view: str, width: int, height: int
) -> None:
    viewer.resize(width, height)
    viewer.open(f"view={view}")
    over = viewer.page.evaluate(
        """() => [...document.querySelectorAll(".top > *, .main .head *")]
            .filter((e) => e.offsetWidth > 0)
            .map((e) => [e.className, e.getBoundingClientRect().right])
            .filter(([, right]) => right > innerWidth + 1)"""
    )
    assert over == []
    name = {
        "layer": "kymograph",
        "classes": "trellis",
        "confusion": "confusion",
        "samples": "samples",
    }[view]
    box = viewer.by(name).bounding_box()
    assert box["width"] > 100
    assert box["y"] < height - 206
