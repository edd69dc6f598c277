"""What was begun and never finished goes; what somebody is writing stays."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_partial import part

from huelapse.store import unfinished
from huelapse.store.lease import here
from huelapse.store.partial import PARTIAL, write_partial
from huelapse.store.unfinished import STALE, beside, remove_unfinished

WRITING = """
import sys, time
from pathlib import Path
from huelapse.store.unfinished import beside
path = beside(Path(sys.argv[1]))
path.write_bytes(b"half")
print(path.name, flush=True)
time.sleep(600)
"""


def begun_by_another(directory: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, directory / "val-1-rank-0-abc.npz"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_what_a_living_process_writes_stays_and_goes_at_once_when_it_was_killed(
    tmp_path: Path,
) -> None:
    process, name = begun_by_another(tmp_path)
    try:
        assert remove_unfinished(tmp_path) == 0
        assert names(tmp_path) == [name]
    finally:
        process.kill()
        process.communicate()
    assert remove_unfinished(tmp_path) == 1
    assert names(tmp_path) == []


def test_what_this_process_writes_in_another_thread_stays(tmp_path: Path) -> None:
    beside(tmp_path / "a.npz").touch()
    assert remove_unfinished(tmp_path) == 0


def test_another_machines_file_stays_until_nobody_has_written_to_it_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process ids mean nothing here: one that no process here has says nothing of it."""
    process, _ = begun_by_another(tmp_path)
    process.kill()
    process.communicate()
    (left,) = tmp_path.iterdir()
    monkeypatch.setattr(unfinished, "here", lambda: ("elsewhere", here()[1]))
    assert remove_unfinished(tmp_path) == 0
    os.utime(left, (time.time() - STALE + 60,) * 2)
    assert remove_unfinished(tmp_path) == 0
    os.utime(left, (time.time() - STALE - 60,) * 2)
    assert remove_unfinished(tmp_path) == 1
    assert names(tmp_path) == []


def test_its_age_is_told_by_the_clock_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file server whose clock is two hours behind dates what is being written now so."""
    (tmp_path / ".val-1.npz.0123456789ab.tmp").touch()
    for path in tmp_path.iterdir():
        os.utime(path, (time.time() - 7200,) * 2)
    monkeypatch.setattr(unfinished, "_now", lambda _: time.time() - 7200)
    assert remove_unfinished(tmp_path) == 0
    monkeypatch.undo()
    assert remove_unfinished(tmp_path) == 1


def test_nothing_else_is_ever_removed(tmp_path: Path) -> None:
    kept = [
        *("val-1-rank-0-abc.npz", "notes.tmp", ".notes.tmp", ".shared-0123-1-0123456789ab.tmp"),
        *(".replay-0123-0000of0001.safetensors", ".nfs000000000001", ".a.npz.tmp.old"),
    ]
    for name in kept:
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (time.time() - 10 * STALE,) * 2)
    (tmp_path / ".a.npz.0123456789ab.tmp").mkdir()
    os.utime(tmp_path / ".a.npz.0123456789ab.tmp", (time.time() - 10 * STALE,) * 2)
    assert remove_unfinished(tmp_path) == 0
    assert names(tmp_path) == sorted([*kept, ".a.npz.0123456789ab.tmp"])
    assert remove_unfinished(tmp_path / "nowhere") == 0


def test_a_part_that_was_taken_for_given_up_fails_and_can_be_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a machine whose disk was away for an hour: no half of it is ever taken for the whole."""
    sync = os.fsync
    directory = tmp_path / PARTIAL

    def away(descriptor: int) -> None:
        for path in directory.iterdir():
            path.unlink()
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", away)
    with pytest.raises(FileNotFoundError):
        write_partial(tmp_path, part(1, 0))
    assert names(directory) == []
    monkeypatch.undo()
    written = write_partial(tmp_path, part(1, 0))
    assert names(directory) == [written.name]
