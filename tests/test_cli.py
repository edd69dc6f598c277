"""The command, as a user types it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import huelapse
from conftest import SmallNet, batches
from huelapse.demo.training import Trained


def huelapse_command(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "huelapse", *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **options,  # pyright: ignore[reportArgumentType]
    )


@pytest.fixture
def recorded(tmp_path: Path) -> Path:
    with huelapse.Recorder(
        SmallNet(), tmp_path / "mine", probe=batches(), classes=["x", "y", "z"], probe_budget=None
    ) as recorder:
        recorder.step(loss=1.0)
    return tmp_path / "mine"


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_teaches_the_first_steps(arguments: list[str]) -> None:
    done = huelapse_command(*arguments)
    for word in ("demo", "view", "info", "Recorder(", "recorder.step"):
        assert word in done.stdout


@pytest.mark.parametrize("command", ["demo", "view", "info"])
def test_each_command_has_help(command: str) -> None:
    done = huelapse_command(command, "--help")
    assert done.returncode == 0
    assert len(done.stdout) > 300


def test_info_says_what_a_run_holds(recorded: Path) -> None:
    done = huelapse_command("info", str(recorded))
    assert done.returncode == 0
    for text in ("mine", "SmallNet", "3 classes", "15 units", "relu1", "eval mode", "Accuracy"):
        assert text in done.stdout, text
    found = json.loads(huelapse_command("info", str(recorded), "--json").stdout)
    assert found["steps"] == found["splits"]["val"]["steps"] == [0, 1]
    assert found["classes"] == ["x", "y", "z"]
    assert found["splits"]["val"]["metrics"] == ["loss"]
    assert found["cost"]["snapshots"] == 2
    assert found["bytes"] > 1000


def test_errors_are_one_line_and_no_traceback(tmp_path: Path) -> None:
    for command in ("info", "view"):
        done = huelapse_command(command, str(tmp_path / "none"))
        assert done.returncode == 2
        assert "does not exist" in done.stderr
        assert "Traceback" not in done.stderr


def test_what_a_run_says_does_not_command_the_terminal(tmp_path: Path) -> None:
    name = "\x1b[31mred\x1b]0;title\x07\r\nsecond\u202e \udc80 :boom: [bold]"
    with huelapse.Recorder(SmallNet(), tmp_path / "mine", probe=batches(), classes=3, name=name):
        pass
    done = huelapse_command("info", str(tmp_path / "mine"))
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert first.startswith(r"\x1b[31mred\x1b]0;title\x07\r\nsecond\u202e \udc80 :boom: [bold]  /")
    assert not set(done.stdout) & {"\x1b", "\x07", "\r", "\u202e"}
    found = json.loads(huelapse_command("info", str(tmp_path / "mine"), "--json").stdout)
    assert found["name"] == name
    missing = huelapse_command("info", str(tmp_path / "\x1b[31mnone"))
    assert missing.returncode == 2
    assert r"\x1b[31mnone" in missing.stderr
    assert "\x1b" not in missing.stderr


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_a_reader_that_has_seen_enough_is_no_error(recorded: Path, option: list[str]) -> None:
    """As `huelapse info RUN | head -1`, with the reader gone before anything is written."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "huelapse", "info", str(recorded), *option],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=120,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("after", [None, 0])
def test_a_demo_that_is_stopped_says_what_there_is(tmp_path: Path, after: int | None) -> None:
    """Ctrl-C before the first snapshot: there is no run to be viewed."""
    script = f"""
import sys, threading
from huelapse import cli
from huelapse.demo import training

committed = threading.Event()
whole = training.train

def stopped(out, **options):
    if {after} is None:
        raise KeyboardInterrupt

    def stop(step, loss):
        committed.wait(60)
        raise KeyboardInterrupt

    return whole(out, progress=stop, on_commit=lambda *_: committed.set())

training.train = stopped
sys.argv = ["huelapse", "demo", "--out", {str(tmp_path / "demo")!r}]
cli.main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 130, done.stderr
    said = " ".join(done.stdout.split())
    if after is None:
        assert said.endswith("Stopped. Nothing was recorded.")
        assert not (tmp_path / "demo").exists()
    else:
        assert "huelapse view" in said
        assert huelapse.open(tmp_path / "demo").steps[0] == 0


def test_view_serves_until_it_is_interrupted(recorded: Path) -> None:
    viewer = subprocess.Popen(
        [sys.executable, "-u", "-m", "huelapse", "view", str(recorded), "--no-browser"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert viewer.stdout is not None
        line = viewer.stdout.readline()
        address = next(word for word in line.split() if word.startswith("http://127.0.0.1:"))
        from urllib.request import HTTPCookieProcessor, build_opener

        deadline = time.monotonic() + 30
        opener = build_opener(HTTPCookieProcessor())
        while True:
            try:
                page = opener.open(address, timeout=10).read()
                break
            except OSError:
                assert time.monotonic() < deadline
        assert b"<title" in page
    finally:
        viewer.send_signal(2)
        _, errors = viewer.communicate(timeout=30)
    assert "Traceback" not in errors


def test_reading_and_viewing_need_no_torch(recorded: Path) -> None:
    """With torch hidden: info works, demo says which extra to install."""
    hide = (
        "import sys; sys.modules['torch'] = None\n"
        "from huelapse.cli import main\n"
        "sys.argv = ['huelapse', *sys.argv[1:]]\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", hide, "info", str(recorded)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "SmallNet" in done.stdout
    demo = [sys.executable, "-c", hide, "demo", "--no-view"]
    refused = subprocess.run(demo, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "pip install 'huelapse[torch]'" in refused.stderr
    code = "import sys, huelapse.viewer.server, huelapse.run; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_huelapse_alone_loads_no_library() -> None:
    code = (
        "import sys, huelapse\n"
        "heavy = {'numpy', 'torch', 'tensorstore', 'scipy', 'starlette', 'rich', 'typer'}\n"
        "sys.exit(', '.join(heavy & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_demo_tells_its_story(demo_run: Trained) -> None:
    run = huelapse.open(demo_run.run)
    output = [run.strength(int(s), "output").mean() for s in run.steps]
    first = [run.strength(int(s), run.layers[0].path).mean() for s in run.steps]
    assert output[0] < 0.15
    assert output[-1] > 0.8
    assert max(first) < 0.3
    assert 38 <= len(run.steps) <= 42
    assert run.steps[0] == 0
    assert demo_run.accuracy > 0.85
    assert run.accuracy()[-1] == pytest.approx(demo_run.accuracy, abs=1e-6)


def test_the_demo_has_pictures_of_every_kind(demo_run: Trained) -> None:
    run = huelapse.open(demo_run.run)
    convolutions = [layer for layer in run.layers if len(layer.shape) == 3]
    assert len(convolutions) == 6
    for layer in convolutions:
        assert run.maps(layer.path).shape[:2] == (10, layer.units)
        assert run.watched(layer.path).shape[:2] == (3, layer.units)
    assert run.first_weights().shape == (16, 1, 3, 3)
    assert len(run.thumbnails()) == 2000
    assert run.superclasses == {}  # its ten hues are those of classes


@pytest.mark.parametrize(("told", "place"), [([], "demo-shuffled"), (["--out", "mine"], "mine")])
def test_the_demos_control_is_one_option_away(told, place, tmp_path: Path, monkeypatch) -> None:
    from typer.testing import CliRunner

    from huelapse.cli import app
    from huelapse.demo import training

    asked: list[tuple[Path, bool]] = []

    def train(out: Path, *, shuffle_labels: bool, **_: object) -> training.Trained:
        asked.append((out, shuffle_labels))
        return training.Trained(out, None, 0.1, {"snapshots": 41, "probe_share": 0.1})

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(training, "train", train)
    done = CliRunner().invoke(app, ["demo", "--shuffle-labels", "--no-view", *told])
    assert done.exit_code == 0, done.output
    assert "all labels permuted" in " ".join(done.output.split())
    assert [(out.name, shuffled) for out, shuffled in asked] == [(place, True)]


@pytest.mark.parametrize(
    ("steps", "snapshots"), [(300, 16), pytest.param(800, 41, marks=pytest.mark.slow)]
)
def test_with_permuted_labels_nothing_is_tuned(tmp_path: Path, steps: int, snapshots: int) -> None:
    from huelapse.demo.training import train

    trained = train(tmp_path / "control", steps=steps, snapshots=snapshots, shuffle_labels=True)
    run = huelapse.open(trained.run)
    tuned = sum(int((run.state(int(s)) == huelapse.State.TUNED).sum()) for s in run.steps)
    assert tuned / (len(run.steps) * run.units) <= 0.0005
    assert trained.accuracy < 0.2
