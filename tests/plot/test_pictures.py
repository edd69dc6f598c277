"""Pictures: their colors are the run's, their text can be read, and they hold nothing."""

import gc
import weakref
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot
from matplotlib.image import AxesImage
from matplotlib.text import Text

import huelapse
from huelapse.color import paint
from huelapse.errors import OptionError, SelectionError
from huelapse.moments import Moments
from huelapse.palette import palette
from huelapse.plot import Picture
from huelapse.plot.cells import order
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

KINDS = ("network", "layer", "kymograph", "unit", "classes", "timeline")
SNAPSHOTS = 9


def layers(*units: int) -> tuple[Layer, ...]:
    made, offset = [], 0
    for i, number in enumerate(units):
        signed = i == len(units) - 1
        path = f"block{i}.relu" if not signed else "output"
        made.append(
            Layer(path=path, kind="ReLU", shape=(number,), unit_axis=1, units=number,
                  offset=offset, signed=signed, output=signed)
        )  # fmt: skip
        offset += number
    return tuple(made)


def record(
    path: Path, classes: int = 5, units: tuple[int, ...] = (12, 30, 5), snapshots: int = SNAPSHOTS,
    n: int = 20, confusion: bool = True,
) -> huelapse.Run:  # fmt: skip
    """Units that grow into preferring class (unit mod K); unit 2 is silent, unit 3 not finite."""
    labels = np.repeat(np.arange(classes), n)
    total = sum(units)
    favourite = np.arange(total) % classes
    names = tuple(f"class ${k}$ of many" for k in range(classes))
    table = layers(*units)
    store = StoreWriter(path, name="pictures", layers=table, facts={})
    grouping = Grouping(name="true", classes=names)
    store.add_split(Split(name="val", kind="probe", groupings=(grouping,), facts={}))
    for t in range(snapshots):
        rng = np.random.default_rng(t)
        lift = 4.0 * t / max(snapshots - 1, 1) * (np.arange(total) % 3 > 0)
        x = np.abs(rng.standard_normal((len(labels), total))) + lift * (
            labels[:, None] == favourite
        )
        x[:, 2] = 0.0
        x[0, 3] = np.nan
        right = np.full((classes, classes), 0) + np.eye(classes, dtype=np.int64) * t
        store.commit(
            Snapshot(
                split="val", step=t * t, epoch=float("nan"), wall_time=1e9 + t, seconds=0.0,
                moments={"true": Moments.from_samples(x, labels, classes)},
                confusion=right.astype(np.int64) if confusion else None,
                metrics={"loss": 2.0 / (t + 1)},
            )
        )  # fmt: skip
    store.close()
    return huelapse.open(path)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> huelapse.Run:
    return record(tmp_path_factory.mktemp("pictures") / "run")


def draw(run: huelapse.Run, kind: str, **how) -> Picture:
    plot, path = run.plot(**how), run.layers[-2].path
    made = {
        "layer": lambda: plot.layer(path),
        "kymograph": lambda: plot.kymograph(path),
        "unit": lambda: plot.unit(path, run.layers[-2].units - 1),
    }
    return made.get(kind, lambda: getattr(plot, kind)())()


def images(picture: Picture) -> list[np.ndarray]:
    found = [a for a in picture.findobj(AxesImage) if np.ndim(a.get_array()) == 3]
    return [np.asarray(image.get_array()) for image in found]


def expected(run: huelapse.Run, theme: str, step: int | None = None) -> np.ndarray:
    """RGBA of all units as the one rule of colors has it; nothing where nothing is known."""
    known = np.isin(run.state(step), (0, 1, 2))
    colors = paint(run.preferred(step), run.strength(step), palette(len(run.classes)), theme)
    return np.where(known[:, None], colors, 0).astype(np.uint8)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_kymographs_cells_have_the_colors_of_their_units(run, theme: str) -> None:
    layer = run.layers[1]
    (cells,) = images(run.plot(theme=theme).kymograph(layer.path))
    last = dict(zip(("preferred", "level", "state"), _last(run), strict=True))
    rows = order(last, layer.slice)
    for t, step in enumerate(run.steps):
        own = expected(run, theme, int(step))[layer.slice]
        np.testing.assert_array_equal(cells[:, t], own[rows])


def _last(run: huelapse.Run) -> tuple[np.ndarray, ...]:
    from huelapse.painting import on_wire

    picture = on_wire(run.reading(len(run.steps) - 1, "true", "val"))
    return picture["preferred"], picture["level"], picture["state"]


def test_a_networks_cells_are_all_units_once(run) -> None:
    blocks = images(run.plot.network())
    shown = np.concatenate([block.swapaxes(0, 1).reshape(-1, 4) for block in blocks])
    shown = shown[shown[:, 3] > 0]
    wanted = expected(run, "light")
    wanted = wanted[wanted[:, 3] > 0]
    np.testing.assert_array_equal(shown[np.lexsort(shown.T)], wanted[np.lexsort(wanted.T)])


def test_what_is_not_held_is_neutral_and_what_is_not_known_has_no_color(run) -> None:
    (cells,) = images(run.plot.kymograph(run.layers[0].path))
    assert (cells[..., 3] == 0).all(1).sum() == 2  # the silent unit, and the one not finite
    neutral = palette(5).table("light")[0, 0]
    first = cells[:, 0]
    assert (first[first[:, 3] > 0] == neutral).all(1).mean() > 0.8


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("preset", "least"), [("column", 7.0), ("double", 7.5), ("slide", 18.0)])
def test_no_text_is_smaller_than_the_preset_says_nor_outside(
    run, kind: str, preset: str, least: float
) -> None:
    picture = draw(run, kind, preset=preset)
    picture.canvas.draw()
    for text in picture.findobj(Text):
        assert not text.get_text().strip() or text.get_fontsize() >= least, text
    drawn, (width, height) = picture.get_tightbbox(), picture.get_size_inches()
    assert drawn.x0 >= -0.01
    assert drawn.y0 >= -0.01
    assert drawn.x1 <= width + 0.01
    assert drawn.y1 <= height + 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("classes", "units", "snapshots"), [(2, (3, 2), 1), (120, (40, 300, 120), 3), (3, (1, 1, 2), 2)]
)
def test_runs_of_any_size_are_drawn(kind, classes, units, snapshots, tmp_path: Path) -> None:
    n = 12 if classes > 100 else 20
    run = record(tmp_path / "run", classes, units, snapshots, n=n, confusion=False)
    picture = draw(run, kind)
    picture.savefig(tmp_path / "picture.png", dpi=60)
    assert (tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Matplotlib's own
def test_text_stays_text_in_vector_files(run, tmp_path: Path) -> None:
    run.plot(preset="column").kymograph(run.layers[1].path).savefig(tmp_path / "a.svg")
    drawn = (tmp_path / "a.svg").read_text()
    assert "units are tuned" in drawn.replace("\n", " ")
    assert "<text" in drawn
    run.plot(preset="column").timeline().savefig(tmp_path / "a.pdf")
    assert b"/FontFile2" in (tmp_path / "a.pdf").read_bytes()


def test_nothing_is_left_behind(run) -> None:
    before = dict(mpl.rcParams)
    picture = run.plot(theme="dark", preset="slide").network()
    assert dict(mpl.rcParams) == before
    assert pyplot.get_fignums() == []
    gone = weakref.ref(picture)
    del picture
    gc.collect()
    assert gone() is None


def test_titles_say_what_is_so(run) -> None:
    layer = run.layers[1]
    state = run.state(layer=layer.path)
    share = f"{100 * (state == huelapse.State.TUNED).mean():.0f} % of {layer.path}'s 30 units"
    title = run.plot(preset="slide").kymograph(layer.path).get_suptitle()
    assert share in title.replace("\n", " ")
    silent = run.plot.unit(run.layers[0].path, 2)
    assert "is silent" in silent.get_suptitle().replace("\n", " ")
    no_data = run.plot.unit(run.layers[0].path, 3)
    assert "no data" in no_data.get_suptitle().replace("\n", " ")


def test_what_a_measure_is_not_defined_for_is_said_and_stands_in_no_share(run) -> None:
    plot = run.plot(measure="class_selectivity")
    plain = " ".join(plot.network().get_suptitle().split())
    tuned = run.state(measure="class_selectivity") == huelapse.State.TUNED
    assert f"{100 * tuned.sum() / 42:.0f} % of 42 units are tuned" in plain  # not the output's five
    assert "class_selectivity is not defined for output" in " ".join(
        plot.kymograph("output").get_suptitle().split()
    )
    captions = [text.get_text() for text in plot.network().findobj(Text)]
    assert "output\nnot defined" in captions


def test_a_run_is_painted_once_for_all_its_pictures(tmp_path: Path, monkeypatch) -> None:
    from huelapse.painting import Painter

    own, painted = record(tmp_path / "run"), []
    paint_ = Painter._paint
    monkeypatch.setattr(Painter, "_paint", lambda *a: painted.append(1) or paint_(*a))
    for kind in KINDS:
        draw(own, kind)
    own.events()
    own.curves()
    assert len(painted) == 1


def test_what_there_is_not_is_refused(run) -> None:
    with pytest.raises(SelectionError, match="no layer"):
        run.plot.kymograph("nothing")
    with pytest.raises(SelectionError, match="no unit 30"):
        run.plot.unit(run.layers[1].path, 30)
    with pytest.raises(SelectionError, match="no unit 'a'"):
        run.plot.unit(run.layers[1].path, "a")
    with pytest.raises(SelectionError, match="no snapshot at step 2"):
        run.plot.network(2)
    with pytest.raises(OptionError, match="no preset 'poster'"):
        run.plot(preset="poster").timeline()
    with pytest.raises(TypeError, match="no option 'width'"):
        run.plot(width=3)
