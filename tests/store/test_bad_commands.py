"""Every command on every kind of bad run: one line that says what is wrong, and nothing is touched."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from extra_run import record
from test_bad_runs import FAULTS

from huelapse.cli import main

COMMANDS: dict[str, tuple[str, ...]] = {
    "view": ("view", "RUN", "--no-browser"),
    "info": ("info", "RUN"),
    "info --json": ("info", "RUN", "--json"),
    "events": ("events", "RUN"),
    "verify": ("verify", "RUN"),
    "compact": ("compact", "RUN"),
    "prune": ("prune", "RUN", "--every", "2", "--yes"),
    "rm": ("rm", "RUN", "--yes"),
    "export": ("export", "RUN", "-o", "OUT.csv"),
    "pack": ("pack", "RUN", "-o", "OUT.hue.zip"),
    "merge": ("merge", "RUN"),
}
REMOVED = "newer"
"""A run of ours that this version cannot read: `rm` may remove it."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record(tmp_path_factory.mktemp("whole") / "run", steps=4)


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def arguments(command: str, run: Path) -> list[str]:
    names = {"RUN": str(run), "OUT.csv": str(run.parent / "out.csv")}
    names["OUT.hue.zip"] = str(run.parent / "out.hue.zip")
    return [names.get(word, word) for word in COMMANDS[command]]


def contents(place: Path) -> dict[str, bytes | None]:
    return {
        path.relative_to(place).as_posix(): path.read_bytes() if path.is_file() else None
        for path in place.rglob("*")
        if path.name != "lock"
    }


def ended(monkeypatch: pytest.MonkeyPatch, words: list[str]) -> int:
    monkeypatch.setattr(sys, "argv", ["huelapse", *words])
    with pytest.raises(SystemExit) as exit_:
        main()
    assert isinstance(exit_.value.code, int)
    return exit_.value.code


@pytest.mark.parametrize("fault", FAULTS, ids=lambda f: f.__name__)
@pytest.mark.parametrize("command", COMMANDS)
def test_a_bad_run_is_refused_in_words_and_left_as_it_is(
    command: str,
    fault: Callable[[Path], None],
    run: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fault(run)
    before = contents(run.parent)
    code = ended(monkeypatch, arguments(command, run))
    said = capsys.readouterr()
    told = said.out + said.err
    if command == "rm" and fault.__name__ == REMOVED:
        assert (code, run.exists()) == (0, False)
        return
    assert code in (1, 2), told
    assert run.name in told
    assert "Traceback" not in told
    assert len(told) < 2_000
    assert contents(run.parent) == before


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in ("view", "rm")])
def test_a_run_with_a_damaged_file_is_told_and_no_command_breaks(
    command: str, run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for shard in (run / "run.zarr/val/true/mean").glob("c.*"):
        content = bytearray(shard.read_bytes())
        content[len(content) // 3] ^= 0x10
        shard.write_bytes(content)
    code = ended(monkeypatch, arguments(command, run))
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    if command in ("prune", "merge", "compact"):  # read no responses; compact: of whole blocks only
        assert code == 0
    elif command == "pack":  # copies what there is; who opens it finds what is wrong
        assert code in (0, 1, 2)
    else:
        assert code in (1, 2)
        assert "mean" in said.out + said.err


@pytest.mark.skipif(sys.platform != "linux", reason="modes and capabilities of Linux")
@pytest.mark.parametrize("command", ["info", "verify", "compact", "prune", "rm", "merge", "view"])
@pytest.mark.parametrize("closed", ["run", "run/run.zarr", "run/run.zarr/zarr.json"])
def test_what_may_not_be_read_is_said_by_every_command(
    command: str, closed: str, run: Path
) -> None:
    (run.parent / closed).chmod(0o000)
    # root may read everything, unless it gives that up
    bound = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    done = subprocess.run(
        [
            *(bound if os.geteuid() == 0 else []),
            *(sys.executable, "-m", "huelapse"),
            *arguments(command, run),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    told = done.stdout + done.stderr
    (run.parent / closed).chmod(0o755)
    assert done.returncode in (1, 2), told
    assert "Traceback" not in told
    assert any(word in told for word in ("ermission", "may not", "readable")), told
    assert len(told) < 2_000
    assert (run / "run.zarr/zarr.json").exists()
