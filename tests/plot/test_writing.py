"""`huelapse export RUN -o x.png`: pictures and moving pictures as files."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import huelapse
from conftest import SmallNet, batches
from huelapse.cli import app
from huelapse.errors import ExportError, ExportExistsError, OptionError, SelectionError
from huelapse.plot.writing import FRAMES, frames_of, write_picture

STEPS = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("pictures") / "run"
    model = SmallNet()
    with huelapse.Recorder(
        model, path, probe=batches(), classes=3, schedule=1, probe_budget=None, strict=True
    ) as recorder:
        for _ in range(STEPS):
            recorder.step(loss=1.0)
    return huelapse.open(path)


def command(run: huelapse.Run, to: Path, *options: str) -> object:
    return CliRunner().invoke(app, ["export", str(run.path), "-o", str(to), *options])


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_picture_is_written_in_each_form(run, tmp_path: Path, suffix: str) -> None:
    to = tmp_path / f"x{suffix}"
    done = command(run, to)
    assert done.exit_code == 0, done.output
    begins = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF"}[suffix]
    assert to.read_bytes().startswith(begins)
    assert [p.name for p in tmp_path.iterdir()] == [to.name]


@pytest.mark.parametrize(
    "options",
    [
        ("layer", "--layer", "relu1"),
        ("kymograph", "--layer", "relu1", "--theme", "dark"),
        ("unit", "--layer", "relu2", "--unit", "3", "--step", "2"),
        ("classes", "--preset", "slide"),
        ("timeline", "--preset", "column"),
    ],
)
def test_each_picture_can_be_had(run, tmp_path: Path, options: tuple[str, ...]) -> None:
    to = tmp_path / "x.png"
    done = command(run, to, "--picture", *options)
    assert done.exit_code == 0, done.output
    pixels = np.asarray(Image.open(to).convert("RGB"))
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20  # it is not empty


def test_a_gif_has_a_frame_for_each_snapshot_in_order(run, tmp_path: Path) -> None:
    to = tmp_path / "x.gif"
    shares: list[float] = []
    plot = run.plot(preset="column")
    assert write_picture(plot, [0, 1, 2, 3, 4], to, done=shares.append) == 5
    assert shares == [0.2, 0.4, 0.6, 0.8, 1.0]
    with Image.open(to) as film:
        assert film.n_frames == 5
        film.seek(4)
        last = np.asarray(film.convert("RGB")).astype(int)
    still = tmp_path / "still.png"
    plot.network(4).savefig(still, dpi=110)
    with Image.open(still) as picture:
        expected = np.asarray(picture.convert("RGB")).astype(int)
    assert last.shape == expected.shape
    assert np.abs(last - expected).max() <= 16  # a hue is never taken for another


def test_long_films_leave_frames_out_evenly_and_keep_both_ends() -> None:
    steps = list(range(0, 50_000, 10))
    frames = frames_of(steps, None)
    assert len(frames) == FRAMES[".gif"] == len(set(frames))
    assert (frames[0], frames[-1]) == (steps[0], steps[-1])
    gaps = np.diff(frames)
    assert gaps.max() - gaps.min() <= 10
    assert frames_of([0, 5, 9], 5) == [0, 5]
    assert frames_of([0, 5, 9], None, 1) == [5, 9]
    with pytest.raises(SelectionError, match="from step 6 to 8; the first is at 0, the last at 9"):
        frames_of([0, 5, 9], 8, 6)


def test_what_cannot_be_drawn_is_refused_in_words_and_nothing_is_left(run, tmp_path: Path) -> None:
    refused: dict[tuple[str, ...], type[Exception]] = {
        ("--picture", "cake"): OptionError,
        ("--picture", "layer"): OptionError,
        ("--picture", "unit", "--layer", "relu1"): OptionError,
        ("--picture", "layer", "--layer", "nowhere"): SelectionError,
        ("--step", "77"): SelectionError,
        ("--preset", "poster"): OptionError,
        ("--grouping", "hat"): SelectionError,
    }
    for options, error in refused.items():
        done = command(run, tmp_path / "x.png", *options)
        assert isinstance(done.exception, error), (options, done.exception)
    done = command(run, tmp_path / "x.gif", "--picture", "timeline")
    assert isinstance(done.exception, ExportError)
    done = command(run, tmp_path / "none/x.png")
    assert isinstance(done.exception, ExportError)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "x.png").write_bytes(b"mine")
    assert isinstance(command(run, tmp_path / "x.png").exception, ExportExistsError)
    assert (tmp_path / "x.png").read_bytes() == b"mine"
    assert command(run, tmp_path / "x.png", "--force").exit_code == 0
