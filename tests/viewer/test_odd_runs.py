"""The viewer in a real Chromium, on runs with windows, groupings, several labels and odd names."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from viewing import Viewer, served

import huelapse
from conftest import SmallNet, batches
from huelapse import Recorder
from huelapse.color import paint
from huelapse.palette import palette

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]
RTL = "safe \u202egnp.exe"
LONG = "a class with a name that goes on and on " * 5
NAMES = ["<img src=x onerror=alert(1)>", RTL, LONG, "\u05e9\u05dc\u05d5\u05dd", "b & c"]


class Recurrent(nn.Module):
    """An LSTM, a ReLU that is called twice, and a join."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(12, 8, batch_first=True)
        self.fc, self.relu, self.head = nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.lstm(x.flatten(2).transpose(1, 2).reshape(len(x), 6, 12))[0][:, -1]
        x = x + self.relu(self.fc(x))
        return self.head(self.relu(self.fc(x)))


def train(path: Path, model: nn.Module, steps: int = 30, **options: Any) -> huelapse.Run:
    """A training with a probe, windows of 60, averaged weights, and a grouping of its own."""
    torch.manual_seed(0)
    x, y = batches(300)
    averaged = torch.optim.swa_utils.AveragedModel(model)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    options = {
        "classes": ["a", "b", "c"],
        "probe": batches(90),
        "probe_budget": None,
        "schedule": 5,
        "window": 60,
        "window_schedule": 1,
        "groupings": {"superclass": (["a or c", "b"], [0, 1, 0])},
    } | options
    with Recorder(model, path, **options) as recorder:
        for step in range(steps):
            part = slice(30 * step % 300, 30 * step % 300 + 30)
            with recorder.window(y[part]):
                logits = model(x[part])
            loss = nn.functional.cross_entropy(logits, y[part])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            averaged.update_parameters(model)
            recorder.step(loss=loss)
            if step % 10 == 9:
                recorder.snapshot(averaged, split="ema")
    return huelapse.open(path)


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return train(tmp_path_factory.mktemp("odd") / "splits", SmallNet())


@pytest.fixture
def open_viewer(browser: Any) -> Iterator[Any]:
    """Opens a page on a run; the console must have said nothing."""
    opened: list[Viewer] = []
    with ExitStack() as stack:

        def start(run: huelapse.Run) -> Viewer:
            address = stack.enter_context(served(run))
            context = browser.new_context(viewport={"width": 1440, "height": 900})
            stack.callback(context.close)
            opened.append(Viewer(context.new_page(), address))
            return opened[-1]

        yield start
        for viewer in opened:
            assert viewer.said == []


def test_splits_are_chosen_explained_and_kept_in_the_address(
    open_viewer: Any, splits: huelapse.Run
) -> None:
    viewer = open_viewer(splits)
    chooser = viewer.by("split")
    options = chooser.locator("option").all_inner_texts()
    assert options == [
        "val – probe: the same samples every time",
        "train – window: the training samples, weights moving, train mode",
        "ema – probe: the same samples every time, averaged weights",
    ]
    unit = splits.layers[1].offset
    viewer.page.mouse.click(*viewer.place_of(unit))
    chooser.select_option("train")
    viewer.until("() => location.hash.includes('split=train')")
    viewer.ready()
    assert f"unit={unit}" in viewer.page.url  # the same unit, seen in the other split
    steps = splits.coordinate("step", "train")
    assert viewer.snapshot() == len(steps) - 1
    assert f"Step {steps[-1]}" in viewer.by("title").inner_text()
    viewer.page.keyboard.press("Escape")
    assert "Window: the training samples" in viewer.by("inspector").inner_text()
    viewer.page.reload()
    viewer.ready()
    assert chooser.input_value() == "train"
    viewer.page.go_back()
    viewer.until("() => location.hash.includes('unit=')")
    assert chooser.input_value() == "train"
    viewer.page.go_back()
    viewer.until("() => !location.hash.includes('split=')")
    viewer.until("() => document.querySelector('[data-testid=split]').value === 'val'")


def test_one_split_needs_no_chooser(open_viewer: Any, tmp_path: Path) -> None:
    Recorder(SmallNet(), tmp_path / "one", probe=batches(), classes=3).close()
    viewer = open_viewer(huelapse.open(tmp_path / "one"))
    assert viewer.by("split").count() == 0


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("split", ["val", "train", "ema"])
def test_the_users_own_grouping_has_its_own_classes_and_colors(
    open_viewer: Any, splits: huelapse.Run, split: str, theme: str
) -> None:
    viewer = open_viewer(splits)
    viewer.open(f"split={split}&theme={theme}")
    viewer.by("grouping-superclass").click()
    viewer.until("() => location.hash.includes('grouping=superclass')")
    viewer.ready()
    assert viewer.page.locator(".class .name").all_inner_texts() == ["a or c", "b"]
    step = int(splits.coordinate("step", split)[-1])
    state = splits.state(step, grouping="superclass", split=split)
    filled = np.flatnonzero(state <= huelapse.State.TIED)
    expected = paint(
        splits.preferred(step, grouping="superclass", split=split)[filled],
        splits.strength(step, grouping="superclass", split=split)[filled],
        palette(2),
        theme,
    )
    assert len(filled) > 0
    np.testing.assert_array_equal(np.array(viewer.cell_colors(filled.tolist())), expected)


def test_many_groupings_are_a_list(open_viewer: Any, tmp_path: Path) -> None:
    rule = [0, 1, 0]
    groupings = {f"a_grouping_with_number_{i}": (["x", "y"], rule) for i in range(4)}
    viewer = open_viewer(train(tmp_path / "many", SmallNet(), groupings=groupings))
    for width in (1440, 760):
        viewer.resize(width, 620)
        viewer.by("grouping").select_option("a_grouping_with_number_3")
        viewer.until("() => location.hash.includes('number_3')")
        viewer.by("grouping").select_option("true")
        viewer.until("() => !location.hash.includes('grouping')")
        assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= width
        icons = viewer.by("keys").bounding_box()
        assert icons["x"] + icons["width"] <= width


def test_recurrent_layers_repeated_calls_and_joins_have_their_places(
    open_viewer: Any, tmp_path: Path
) -> None:
    run = train(tmp_path / "recurrent", Recurrent())
    viewer = open_viewer(run)
    paths = [layer.path for layer in run.layers]
    assert any("#1" in path for path in paths)
    listed = viewer.page.locator(".layer-row .path").all_inner_texts()
    assert listed == paths
    viewer.open(f"unit={run.layers[0].offset}")
    heading = viewer.by("inspector").locator("h1 .path")
    assert heading.get_attribute("title") == f"{paths[0]}, LSTM"


def test_several_labels_are_counted_as_labels(open_viewer: Any, tmp_path: Path) -> None:
    x, y = batches(90)
    labels = torch.stack([y == 0, y <= 1, torch.zeros(90)], 1)
    Recorder(SmallNet(), tmp_path / "multi", probe=(x, labels), classes=3, multilabel=True).close()
    viewer = open_viewer(huelapse.open(tmp_path / "multi"))
    card = viewer.by("inspector").inner_text()
    assert "90\nlabels" in card
    assert "samples\n" not in card and "accuracy" not in card
    viewer.page.locator(".class").nth(2).click()  # a class that nothing belongs to
    viewer.until("() => location.hash.includes('class=2')")
    assert "no sample is of class" in viewer.by("title").inner_text()


def test_class_names_are_text(open_viewer: Any, tmp_path: Path) -> None:
    probe = batches(200, classes=5)
    Recorder(SmallNet(classes=5), tmp_path / "odd", probe=probe, classes=NAMES).close()
    viewer = open_viewer(huelapse.open(tmp_path / "odd"))
    assert "<img src=x" in viewer.page.locator("body").inner_text()
    assert viewer.page.locator("img").count() == 0
    for width in (1440, 1024, 760):
        viewer.resize(width, 700)
        assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= width


def test_a_long_name_neither_wraps_the_title_nor_moves_the_network(
    open_viewer: Any, tmp_path: Path
) -> None:
    probe = batches(200, classes=5)
    Recorder(SmallNet(classes=5), tmp_path / "odd", probe=probe, classes=NAMES).close()
    viewer = open_viewer(huelapse.open(tmp_path / "odd"))
    tops = []
    for k in (0, 2):
        viewer.open(f"class={k}")
        tops.append(viewer.by("network").bounding_box()["y"])
    assert tops[0] == tops[1]
    title = viewer.by("title")
    assert title.inner_text().endswith("…")
    assert LONG in title.get_attribute("title")


def test_a_name_that_turns_text_turns_nothing_but_itself(open_viewer: Any, tmp_path: Path) -> None:
    probe = batches(200, classes=5)
    Recorder(SmallNet(classes=5), tmp_path / "odd", probe=probe, classes=NAMES).close()
    viewer = open_viewer(huelapse.open(tmp_path / "odd"))
    for k in (1, 3):
        viewer.open(f"class={k}")
        lefts = viewer.page.evaluate(
            """() => {
                const text = document.querySelector('[data-testid=title]').firstChild;
                const left = (i) => {
                    const range = document.createRange();
                    range.setStart(text, i);
                    range.setEnd(text, i + 1);
                    return range.getBoundingClientRect().left;
                };
                return Array.from(text.data, (_, i) => left(i));
            }"""
        )
        title = viewer.by("title").inner_text()
        assert title.endswith(".")
        assert lefts[-1] == max(lefts), (k, title)  # the full stop stands at the end


VIEWS = {
    "layer": "kymograph",
    "classes": "trellis",
    "confusion": "confusion",
    "samples": "samples",
}


def walk(viewer: Viewer, views: dict[str, str], *more: str) -> None:
    """Every view is there, says something, and moves nothing out of the window."""
    for view, there in views.items():
        for state in more or ("",):
            viewer.open(f"view={view}{state}")
            title = viewer.by("title").inner_text()
            assert title
            if "not kept" not in title:  # of windows, samples are not
                viewer.by(there).wait_for()
            assert viewer.page.evaluate("() => document.documentElement.scrollWidth") <= 1440
            viewer.page.keyboard.press("Home")
            viewer.page.keyboard.press("End")


def test_every_view_takes_any_name(open_viewer: Any, tmp_path: Path) -> None:
    run = train(tmp_path / "run", SmallNet(5), classes=NAMES, groupings={})
    viewer = open_viewer(run)
    walk(viewer, VIEWS, "", "&class=0", "&grouping=predicted&class=2", "&theme=light&unit=3")
    viewer.open("view=confusion&cell=0,1")
    viewer.by("cell-card").wait_for()
    assert "<img src=x onerror=alert(1)>" in viewer.by("cell-card").inner_text()


def test_every_view_takes_splits_and_groupings_of_ones_own(
    open_viewer: Any, splits: huelapse.Run
) -> None:
    viewer = open_viewer(splits)
    walk(viewer, VIEWS, "", "&split=train", "&split=ema", "&grouping=superclass&class=1")
    viewer.open("view=confusion")
    for name in ("train", "ema", "val"):
        viewer.by("split").select_option(name)
        viewer.until(f"() => document.querySelector('[data-testid=split]').value === '{name}'")
        viewer.by("confusion").wait_for()
        last = splits.coordinate("step", name)[-1]
        samples = splits.confusion(name)[-1].sum()
        viewer.until(
            f"() => document.querySelector('[data-testid=title]').textContent"
            f".includes('of {samples:,} samples')"
        )
        assert f"Step {last}" in viewer.by("title").inner_text()


def test_the_heat_map_is_that_of_the_split_that_is_shown(
    open_viewer: Any, splits: huelapse.Run
) -> None:
    """Also where the other split's was of the same snapshot, grouping and layer."""
    viewer = open_viewer(splits)
    heat = "() => document.querySelector('[data-testid=heat]').toDataURL()"

    def settled() -> str:
        viewer.page.wait_for_timeout(1200)
        return viewer.page.evaluate(heat)

    first = splits.coordinate("step", "val")[0], splits.coordinate("step", "train")[0]
    viewer.open(f"view=layer&layer=0&split=train&step={first[1]}")
    train = settled()
    viewer.open(f"view=layer&layer=0&split=val&step={first[0]}")
    assert settled() != train
    viewer.by("split").select_option("train")
    viewer.until("() => document.querySelector('[data-testid=split]').value === 'train'")
    assert settled() == train


def test_a_run_without_a_confusion_says_so(open_viewer: Any, tmp_path: Path) -> None:
    x, y = batches(90)
    several = nn.functional.one_hot(y, 3)
    with Recorder(
        SmallNet(), tmp_path / "run", probe=(x, several), classes=3, multilabel=True, schedule=1
    ) as recorder:
        recorder.step()
    viewer = open_viewer(huelapse.open(tmp_path / "run"))
    walk(viewer, {name: there for name, there in VIEWS.items() if name in ("layer", "classes")})
    viewer.page.keyboard.press("x")
    viewer.until(
        "() => document.querySelector('[data-testid=title]').textContent.includes('no confusion')"
    )


@pytest.mark.parametrize("classes", [2, 3])
def test_every_view_takes_one_snapshot_and_two_classes(
    open_viewer: Any, tmp_path: Path, classes: int
) -> None:
    run = tmp_path / "run"
    with Recorder(
        SmallNet(classes), run, probe=batches(80, classes), classes=classes, schedule="manual"
    ):
        pass
    viewer = open_viewer(huelapse.open(run))
    walk(viewer, VIEWS, "", "&class=0", "&theme=light")
