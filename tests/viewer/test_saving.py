"""Pictures and films that the page saves, read by other programs: the same numbers, the same colors."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import av
import numpy as np
import pytest
from closer_run import SNAPSHOTS, trained
from PIL import Image
from viewing import Viewer, looked_at, saved, served

import huelapse
from huelapse.color import paint
from huelapse.palette import palette
from huelapse.viewer.standalone import write_page

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TOLERANCE = 8
"""Steps of 255 by which a cell's color may be off in a film: video has 219 steps of luma, a color for
2 × 2 pixels (4:2:0), and an encoder that rounds further. A class's hue is many times farther off."""
STANDS, LAST = 2, 18


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    return trained(tmp_path_factory.mktemp("film") / "run & <b>")


@pytest.fixture(scope="module")
def address(run: huelapse.Run) -> Iterator[str]:
    with served(run) as address:
        yield address


def expected(run: huelapse.Run, step: int) -> tuple[np.ndarray, np.ndarray]:
    """Units that have a class, and what Python colors them."""
    units = np.flatnonzero(run.state(step=step) <= huelapse.State.TIED)
    strength = np.nan_to_num(run.strength(step=step)[units])
    return units, paint(run.preferred(step=step)[units], strength, palette(10), "dark")[:, :3]


def frames_of(content: bytes) -> tuple[Any, list[np.ndarray]]:
    """The codec, and the pictures as a player shows them: by the colors that the file says it has."""
    with av.open(io.BytesIO(content)) as film:
        stream = film.streams.video[0]
        context = stream.codec_context
        told = (context.color_primaries, context.color_trc, context.colorspace)
        assert told == (1, 1, 1)  # BT.709
        frames = [
            frame.reformat(
                format="rgb24",
                src_colorspace="ITU709",
                dst_colorspace="ITU709",
                src_color_range="MPEG",
                dst_color_range="JPEG",
            ).to_ndarray()
            for frame in film.decode(stream)
        ]
        assert float(stream.average_rate) == 10
        return context.name, frames


def colors_in(viewer: Viewer, picture: np.ndarray, units: np.ndarray) -> np.ndarray:
    places = viewer.page.evaluate(
        "(units) => units.map((unit) => globalThis.huelapse.framePixel(unit))", units.tolist()
    )
    return np.array([picture[int(at["y"]), int(at["x"])] for at in places], dtype=int)


def check_film(viewer: Viewer, run: huelapse.Run, content: bytes, codec: str = "h264") -> None:
    found_codec, frames = frames_of(content)
    assert found_codec in (codec, f"lib{codec}", f"lib{codec}-vp9", "libdav1d")
    assert len(frames) == STANDS * (SNAPSHOTS - 1) + LAST
    assert {frame.shape for frame in frames} == {(1080, 1920, 3)}
    seen = 0
    for t in (SNAPSHOTS // 2, SNAPSHOTS - 1):
        units, colors = expected(run, int(run.steps[t]))
        found = colors_in(viewer, frames[STANDS * t + 1], units)
        assert np.abs(found - colors).max() <= TOLERANCE
        seen += len(set(map(tuple, colors)))
    assert seen > 20  # many strengths of several classes
    first = colors_in(viewer, frames[0], units)
    assert np.abs(first - colors).max() > 40  # the first is another picture


def test_a_film_has_every_snapshot_in_the_colors_of_the_run(
    browser: Any, address: str, run: huelapse.Run
) -> None:
    with looked_at(browser, address) as viewer:
        viewer.open(f"theme=dark&step={run.steps[3]}")
        name, content = saved(viewer, "save-mp4")
        assert name == "run_b_-network.mp4"
        check_film(viewer, run, content)
        assert viewer.snapshot() == 3  # the page stays where it was


@pytest.mark.parametrize(("refused", "codec"), [("avc1", "vp9"), ("avc1|vp09", "av1")])
def test_a_browser_without_h264_makes_films_in_another_codec(
    browser: Any, address: str, run: huelapse.Run, refused: str, codec: str
) -> None:
    with looked_at(browser, address) as viewer:
        viewer.page.add_init_script(
            f"""const asked = globalThis.VideoEncoder?.isConfigSupported;
            if (asked) VideoEncoder.isConfigSupported = async (config) =>
                /{refused}/.test(config.codec) ? {{ supported: false }} : asked(config);"""
        )
        viewer.open("theme=dark")
        _, content = saved(viewer, "save-mp4")
        check_film(viewer, run, content, codec)


def test_a_gif_has_a_frame_for_each_snapshot_in_exactly_its_colors(
    browser: Any, address: str, run: huelapse.Run
) -> None:
    """Of its 256 colors the cells' come first: so few of them are exact."""
    with looked_at(browser, address) as viewer:
        viewer.open("theme=dark")
        name, content = saved(viewer, "save-gif")
        assert name == "run_b_-network.gif"
        film = Image.open(io.BytesIO(content))
        assert (film.size, film.n_frames, film.info["loop"]) == ((1280, 720), SNAPSHOTS, 0)
        for t in (3, SNAPSHOTS - 1):
            film.seek(t)
            assert film.info["duration"] == (1800 if t == SNAPSHOTS - 1 else 200)
            units, colors = expected(run, int(run.steps[t]))
            assert (colors_in(viewer, np.asarray(film.convert("RGB")), units) == colors).all()


@pytest.mark.parametrize(
    ("size", "name", "shape"),
    [
        ("screen", "", (1440, 2560, 3)),
        ("slide", "-slide", (1440, 2560, 3)),
        ("column", "-column", (None, 2010, 3)),
    ],
)
def test_a_picture_of_each_size_has_the_colors_of_the_run_exactly(
    browser: Any, address: str, run: huelapse.Run, size: str, name: str, shape: tuple[int, ...]
) -> None:
    with looked_at(browser, address) as viewer:
        step = int(run.steps[SNAPSHOTS // 2])
        viewer.open(f"theme=dark&step={step}")
        found, content = saved(viewer, "save-png", size)
        assert found == f"run_b_-network-step{step}{name}.png"
        picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
        assert picture.shape[1:] == shape[1:]
        assert picture.shape[0] == (shape[0] or picture.shape[0])  # as tall as cells need
        units, colors = expected(run, step)
        assert (colors_in(viewer, picture, units) == colors).all()
        # cells of a column, 6 pixels in the picture's own measure, can be told apart in print
        ys = {
            int(at["y"])
            for at in viewer.page.evaluate(
                "(units) => units.map((unit) => globalThis.huelapse.framePixel(unit))",
                units[:40].tolist(),
            )
        }
        assert np.diff(sorted(ys)).min(initial=99) >= (24 if size != "column" else 36)


def test_a_drawing_has_the_same_picture_in_shapes(
    browser: Any, address: str, run: huelapse.Run
) -> None:
    """Read as XML, and drawn by a browser in the size of the PNG: cells have exactly their colors."""
    with looked_at(browser, address) as viewer:
        step = int(run.steps[SNAPSHOTS // 2])
        viewer.open(f"theme=dark&step={step}")
        name, content = saved(viewer, "save-svg")
        assert name == f"run_b_-network-step{step}.svg"
        root = ElementTree.fromstring(content)
        assert root.get("viewBox") == "0 0 1280 720"
        told = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
        assert viewer.by("title").inner_text() in told
        assert any("run & <b>" in (text or "") for text in told)
        assert not list(root.iter("{http://www.w3.org/2000/svg}image"))
        units, colors = expected(run, step)
        at = viewer.page.evaluate(
            "(units) => units.map((unit) => globalThis.huelapse.framePixel(unit))", units.tolist()
        )
        drawn = browser.new_page()
        drawn.set_viewport_size({"width": 1280, "height": 720})
        drawn.set_content(f"<body style='margin:0'>{content.decode()}")
        picture = np.asarray(Image.open(io.BytesIO(drawn.screenshot())).convert("RGB"))
        drawn.close()
        # the frame's pixels are half as large as those of the screenshot
        found = np.array([picture[int(a["y"]) // 2, int(a["x"]) // 2] for a in at], dtype=int)
        assert (found == colors).all()


def test_the_file_makes_the_same_film_from_disk(
    browser: Any, run: huelapse.Run, tmp_path: Path
) -> None:
    to = tmp_path / "run.html"
    write_page(run, to)
    with looked_at(browser, to.as_uri()) as viewer:
        viewer.open("theme=dark")
        _, content = saved(viewer, "save-mp4")
        check_film(viewer, run, content)


def test_a_film_of_the_part_that_is_shown(browser: Any, address: str, run: huelapse.Run) -> None:
    with looked_at(browser, address) as viewer:
        viewer.open(f"theme=dark&zoom=4-7&step={run.steps[5]}")
        _, content = saved(viewer, "save-mp4")
        assert len(frames_of(content)[1]) == STANDS * 3 + LAST


def test_a_film_that_is_cancelled_leaves_nothing_and_another_can_be_made(
    browser: Any, address: str
) -> None:
    with looked_at(browser, address) as viewer:
        viewer.open("theme=dark")
        downloads: list[Any] = []
        viewer.page.on("download", lambda download: downloads.append(download))
        viewer.by("export").click()
        viewer.by("save-mp4").click()
        viewer.by("stop-mp4").click()
        viewer.by("save-mp4").wait_for()
        assert not viewer.by("export-trouble").is_visible()
        assert downloads == []
        with viewer.page.expect_download(timeout=120_000):
            viewer.by("save-mp4").click()


def test_without_an_encoder_the_menu_says_what_to_do(browser: Any, address: str) -> None:
    with looked_at(browser, address) as viewer:
        viewer.page.add_init_script("delete globalThis.VideoEncoder")
        viewer.open("theme=dark")
        viewer.by("export").click()
        viewer.by("export-dialog").get_by_text("huelapse export RUN -o run.mp4").wait_for()
        assert not viewer.by("save-mp4").is_visible()
        assert viewer.by("save-png").is_visible()
        assert viewer.by("save-gif").is_enabled()  # it needs none


def test_the_menu_says_what_is_saved_and_what_draws_the_view_that_is_open(
    browser: Any, address: str
) -> None:
    with looked_at(browser, address) as viewer:
        dialog = viewer.by("export-dialog")
        viewer.open("view=network")
        viewer.by("export").click()
        assert "Not the view that is open" not in dialog.inner_text()
        viewer.open("view=layer&layer=1")
        viewer.by("export").click()
        told = dialog.inner_text()
        assert "Not the view that is open, but the network." in told
        assert "--picture layer --layer" in told
        viewer.open("view=classes")
        viewer.by("export").click()
        assert "huelapse export RUN -o classes.pdf --picture classes" in dialog.inner_text()
