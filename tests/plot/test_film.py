"""An MP4 plays, and its colors are those of the pictures, as far as the codec goes."""

import base64
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from test_writing import command
from test_writing import run as run  # the same small run

import huelapse
from huelapse.errors import ExportError, MissingExtraError
from huelapse.plot import film
from huelapse.plot.writing import write_picture

av = pytest.importorskip("av")

TOLERANCE = 8
"""Steps of 255 within flat areas: 8-bit YCbCr rounds, the codec quantizes."""


@pytest.fixture(scope="module")
def written(run: huelapse.Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    to = tmp_path_factory.mktemp("film") / "x.mp4"
    assert write_picture(run.plot(preset="column"), [0, 1, 2, 3, 4], to, since=1) == 4
    assert [one.name for one in to.parent.iterdir()] == ["x.mp4"]
    return to


def flat(picture: np.ndarray) -> np.ndarray:
    """Which pixels [y, x] have neighbors of their own color two pixels around: cells, not edges."""
    same = np.ones(picture.shape[:2], bool)
    for y in range(-2, 3):
        for x in range(-2, 3):
            same &= (np.roll(picture, (y, x), (0, 1)) == picture).all(2)
    same[:2] = same[-2:] = same[:, :2] = same[:, -2:] = False
    return same


def still(run: huelapse.Run, step: int, to: Path) -> np.ndarray:
    run.plot(preset="column").network(step).savefig(to, dpi=110)
    with Image.open(to) as picture:
        return np.asarray(picture.convert("RGB")).astype(int)


def test_each_snapshot_stands_in_the_film_in_its_colors(written, run, tmp_path: Path) -> None:
    with av.open(str(written)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = [
            frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)
        ]
    assert len(frames) == 3 * film.STANDS + film.LAST
    for i, step in enumerate((1, 2, 3, 4)):
        expected = still(run, step, tmp_path / f"{step}.png")
        height, width = expected.shape[:2]
        for frame in frames[film.STANDS * i : film.STANDS * (i + 1)]:
            assert frame.shape[0] - height in (0, 1)
            assert frame.shape[0] % 2 == frame.shape[1] % 2 == 0
            off = np.abs(frame[:height, :width] - expected).max(2)
            cells = flat(expected)
            assert cells.mean() > 0.3
            assert off[cells].max() <= TOLERANCE
            # title, step and key are text: blurred in color, but the same picture
            assert off.mean() < 3
    colored = np.ptp(expected[flat(expected)], axis=1).max()
    assert colored > 60  # there were hues to compare


@pytest.mark.browser
def test_a_browser_plays_it(written, run, tmp_path: Path, browser: Any) -> None:
    page = browser.new_page()
    content = base64.b64encode(written.read_bytes()).decode()
    page.set_content(f'<video muted src="data:video/mp4;base64,{content}"></video>')
    deadline = time.monotonic() + 20
    while page.evaluate("() => document.querySelector('video').readyState") < 2:
        error = page.evaluate("() => document.querySelector('video').error?.message ?? ''")
        assert not error
        assert time.monotonic() < deadline
        time.sleep(0.1)
    seconds = page.evaluate("() => document.querySelector('video').duration")
    assert seconds == pytest.approx((3 * film.STANDS + film.LAST) / film.RATE, abs=0.02)
    expected = still(run, 4, tmp_path / "last.png")
    points = np.argwhere(flat(expected))[::97]
    colors = page.evaluate(
        """async (points) => {
            const video = document.querySelector("video");
            await new Promise((done) => { video.onseeked = done; video.currentTime = 2; });
            const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
            const g = canvas.getContext("2d");
            g.drawImage(video, 0, 0);
            const { data } = g.getImageData(0, 0, canvas.width, canvas.height);
            const at = ([y, x]) => 4 * (y * canvas.width + x);
            return points.map((point) => [...data.slice(at(point), at(point) + 3)]);
        }""",
        points.tolist(),
    )
    page.close()
    assert len(points) > 100
    assert np.abs(np.array(colors) - expected[tuple(points.T)]).max() <= TOLERANCE + 2


def test_without_an_encoder_it_says_what_to_do(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(film, "ENCODERS", {"libnone": {}})
    with pytest.raises(ExportError, match=r"has none of libnone.*\.gif"):
        write_picture(run.plot(), [0], tmp_path / "x.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    done = command(run, tmp_path / "x.mp4")
    assert isinstance(done.exception, MissingExtraError)
    assert "huelapse[video]" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_one_from_a_step_on(run, tmp_path: Path) -> None:
    done = command(run, tmp_path / "x.mp4", "--since", "3")
    assert done.exit_code == 0, done.output
    assert "2 of 5 snapshots" in done.output
    with av.open(str(tmp_path / "x.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == film.STANDS + film.LAST
