"""A reader in a loop while another process commits: it sees whole snapshots, and soon."""

import os
import subprocess
import sys
import time
from pathlib import Path

import extra_run
import numpy as np
import pytest

from huelapse.errors import NotARunError
from huelapse.store.reader import StoreReader
from huelapse.store.values import values_of

WRITER = """
import sys, time
from pathlib import Path
import extra_run
store = extra_run.begin(Path(sys.argv[1]))
store.add_split(extra_run.split(), extra_run.static())
for step in range(int(sys.argv[2])):
    store.commit(extra_run.snapshot(step))
    print(time.time(), flush=True)
store.close()
"""


def check_newest(reader: StoreReader, index: int) -> int:
    """Compare every array of one snapshot with what it must hold; returns how many were."""
    values = values_of(extra_run.snapshot(index), ("mean", "peak"))
    for path, value in values.items():
        np.testing.assert_array_equal(reader.read(path, index), value, err_msg=path)
    return len(values)


def watch(run: Path, commits: int) -> tuple[int, list[float]]:
    """Follow a writer to its end: snapshots that were compared, and delays until one was noticed, s."""
    command = [sys.executable, "-c", WRITER, str(run), str(commits)]
    above = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    writer = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=above)
    try:
        reader: StoreReader | None = None
        compared, seen = 0, 0
        noticed: list[tuple[int, float]] = []
        ending = time.monotonic() + 60 + commits
        while seen < commits:
            assert time.monotonic() < ending, f"{seen} of {commits} commits were seen"
            try:
                reader = StoreReader(run) if reader is None else reader.refreshed()
            except NotARunError:
                time.sleep(0.01)
                continue
            length = reader.stored("val") if reader.has("val/step") else 0
            if length > seen:
                noticed.append((length, time.time()))
                seen = length
                check_newest(reader, seen - 1)
                compared += 1
            time.sleep(0.005)
        told, _ = writer.communicate(timeout=60)
    finally:
        with writer:
            writer.kill()
    committed = [float(line) for line in told.split()]
    return compared, [max(0.0, when - committed[n - 1]) for n, when in noticed]


@pytest.mark.parametrize("commits", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_a_reader_during_commits_sees_only_whole_snapshots(run_path: Path, commits: int) -> None:
    compared, delays = watch(run_path, commits)
    late = np.quantile(delays, 0.99)
    print(
        f"{compared} compared; delay {np.median(delays):.3f} s, of 99 % below {late:.3f} s, "
        f"at most {max(delays):.3f} s, each with comparing the one before"
    )
    assert compared > commits / 20
    if commits == 1000:
        assert late < 0.5


def test_looking_for_a_commit_touches_the_root_alone(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = StoreReader(extra_run.record(run_path, steps=2))
    touched: list[str] = []
    watching = True

    def note(event: str, arguments: tuple[object, ...]) -> None:
        if watching and event in ("open", "os.listdir", "os.scandir"):
            touched.append(f"{event} {arguments[0]}")

    real = os.stat

    def stat(path: object, *more: object, **how: object) -> object:
        touched.append(f"stat {path}")
        return real(path, *more, **how)  # type: ignore[arg-type]

    sys.addaudithook(note)
    monkeypatch.setattr(os, "stat", stat)
    same = reader.refreshed()
    watching = False
    monkeypatch.undo()
    assert same is reader
    assert touched == [f"stat {run_path / 'run.zarr' / 'zarr.json'}"]
