"""Stopped, killed, crashed: what is committed stays, and what is missing alone is done again."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, build, data, replay, same, train

import huelapse
import huelapse.errors
from huelapse.care import verify
from huelapse.replaying.gathering import commit
from huelapse.replaying.report import Happening
from huelapse.store.unfinished import beside

MANY = tuple(range(0, 24, 2))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("saved"), live=False, steps=MANY)


@pytest.fixture(scope="module")
def whole(saved: Path) -> Path:
    """What a replay gives that nothing disturbs."""
    run = saved.parent / "whole"
    replay(saved, run, batch=20)
    return run


def stop_after(tasks: int, *, within: bool = True) -> Any:
    """Ctrl-C once so many tasks are done: within the next one, or as soon as that is known."""

    def progress(happening: Happening) -> None:
        if happening.done >= tasks and (happening.samples % 300 or not within):
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("workers", [1, 2])
def test_ctrl_c_keeps_what_is_done_and_the_rest_is_done_later(
    saved: Path, whole: Path, run_path: Path, workers: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        replay(
            saved, run_path, batch=20, workers=workers, progress=stop_after(2, within=workers == 1)
        )
    done = huelapse.open(run_path)
    assert done.status == "interrupted"
    assert 1 <= len(done.steps) < len(MANY)
    before = {p: p.stat().st_mtime_ns for p in (run_path / "run.zarr").rglob("c.*.0.0")}
    report = replay(saved, run_path, batch=20)
    assert report.already == len(done.steps)
    assert sorted(report.committed) == sorted(set(MANY) - set(done.steps.tolist()))
    assert report.samples <= 300 * (len(MANY) - len(done.steps))
    assert {p: p.stat().st_mtime_ns for p in before} == before  # nothing was written anew
    assert huelapse.open(run_path).status == "complete"
    same(run_path, whole)
    assert replay(saved, run_path, batch=20).samples == 0


def test_parts_that_are_there_are_not_made_again(saved: Path, whole: Path, run_path: Path) -> None:
    first = replay(saved, run_path, batch=20, shard="0/2", parts=1)
    assert first.samples == 300 * len(MANY) // 2
    again = replay(saved, run_path, batch=20, shard="0/2", parts=1)
    assert again.samples == 0
    assert again.recorded == first.recorded
    victim = next((run_path / "partial").glob("val-*.npz"))
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes(bytes(content))
    rest = replay(saved, run_path, batch=20)
    assert rest.samples == 300 * (len(MANY) // 2 + 1)
    same(run_path, whole)


# --- killed --------------------------------------------------------------------------------------


def children(pid: int) -> list[int]:
    """Worker processes of a driver."""
    found: list[int] = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


def slow_build() -> Any:
    """A model that takes its time, so that it can be killed in the middle."""
    model = build()
    model.register_forward_pre_hook(lambda *_: time.sleep(0.01))
    return model


DRIVER = """
import sys
sys.path[:0] = {path!r}
import huelapse, test_going_on
report = huelapse.replay(
    {saved!r}, {run!r}, model=test_going_on.slow_build, data=test_going_on.data, classes=3,
    batch=20, workers={workers},
)
print(report.as_json())
"""


def drive(saved: Path, run: Path, workers: int) -> subprocess.Popen[str]:
    path = [str(HERE.parent), str(HERE.parent.parent)]
    script = DRIVER.format(path=path, saved=str(saved), run=str(run), workers=workers)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def committed(run: Path) -> int:
    try:
        return len(huelapse.open(run).steps)
    except huelapse.HuelapseError:
        return 0


def wait_for(process: subprocess.Popen[str], ready: Any, seconds: float = 120.0) -> bool:
    """Whether something has come to be before the process ended."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if ready():
            return True
        if process.poll() is not None:
            return False
        time.sleep(0.01)
    raise AssertionError("it takes too long")


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def gone(pids: list[int], seconds: float = 20.0) -> bool:
    """Whether processes end by themselves."""
    end = time.monotonic() + seconds
    while any(alive(pid) for pid in pids) and time.monotonic() < end:
        time.sleep(0.05)
    return not any(alive(pid) for pid in pids)


def torture(saved: Path, whole: Path, run: Path, kills: int, seed: int) -> int:
    """Kill a worker or the driver at random moments until so many died; then let it end.

    One time in three soon, while workers start; in three later; in three once a further snapshot has
    been committed, so that work goes on at all where starting takes long.
    """
    chance = random.Random(seed)
    killed = 0
    acknowledged: set[int] = set()
    process = drive(saved, run, 2)
    while killed < kills:
        if not wait_for(process, lambda pid=process.pid: children(pid)):
            process.communicate()
            if committed(run) == len(MANY):  # all is done, and nobody is left to be killed
                break
            process = drive(saved, run, 2)
            continue
        moment = chance.random()
        if moment < 1 / 3:
            done = committed(run)
            wait_for(process, lambda done=done: committed(run) > done, 600)
        time.sleep(chance.uniform(0, 6 if moment > 2 / 3 else 0.6))
        if committed(run):
            acknowledged |= set(huelapse.open(run).steps.tolist())
        workers = children(process.pid)
        if chance.random() < 0.6 and workers:
            os.kill(chance.choice(workers), signal.SIGKILL)
        elif process.poll() is None:
            process.kill()
            process.communicate()
            assert gone(workers), "workers outlived their driver"
        else:
            continue
        killed += 1
        if committed(run):
            assert acknowledged <= set(huelapse.open(run).steps.tolist())
        if process.poll() is not None:
            if committed(run) == len(MANY):  # all is done: begin anew with the next
                break
            process = drive(saved, run, 2)
    if process.poll() is None:
        process.communicate(timeout=300)
    report = huelapse.replay(
        str(saved), run, model=slow_build, data=data, classes=3, batch=20, workers=1
    )
    assert report.finished
    assert not report.failed
    assert list(huelapse.open(run).steps) == list(MANY)
    same(run, whole)
    assert not verify(run).damages
    assert huelapse.open(run).status == "complete"
    assert not (run / "partial").exists()  # nor what was half written
    return killed


@pytest.fixture
def leaving_none() -> Iterator[None]:
    yield
    left = [pid for pid in children(os.getpid()) if "replaying.engines.process" in command(pid)]
    assert not left


def command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def test_killed_workers_and_drivers_lose_nothing(
    saved: Path, whole: Path, tmp_path: Path, leaving_none: None
) -> None:
    torture(saved, whole, tmp_path / "run", 3, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_very_often(saved: Path, whole: Path, tmp_path: Path, leaving_none: None) -> None:
    killed = rounds = 0
    while killed < 60:
        killed += torture(saved, whole, tmp_path / f"run{rounds}", 60 - killed, seed=rounds)
        rounds += 1
    print(f"\n{killed} kills of workers and drivers in {rounds} replays: nothing was lost")


def test_a_replay_that_was_killed_once_all_was_committed_is_marked_as_complete(
    saved: Path, whole: Path, run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(own: Any, _: Any) -> None:
        own._writer.abandon()

    monkeypatch.setattr("huelapse.replaying.committing.Committer.close", killed)
    monkeypatch.setattr("huelapse.replaying.replay.clear", lambda *_: None)
    replay(saved, run_path, batch=20)
    monkeypatch.undo()
    assert len(huelapse.open(run_path).steps) == len(MANY)
    assert huelapse.open(run_path).status != "complete"
    assert replay(saved, run_path, batch=20).samples == 0
    assert huelapse.open(run_path).status == "complete"
    assert not (run_path / "partial").exists()
    same(run_path, whole)


def test_a_part_that_a_killed_replay_had_committed_and_not_removed_goes_with_the_next(
    saved: Path, whole: Path, run_path: Path
) -> None:
    replay(saved, run_path, batch=20, shard="0/1")
    kept = shutil.copytree(run_path / "partial", run_path.parent / "kept")
    replay(saved, run_path, batch=20)
    assert not (run_path / "partial").exists()
    part = next(kept.glob("val-4-*.npz"))
    (run_path / "partial").mkdir()
    shutil.copy(part, run_path / "partial")
    other = part.name.replace("val-4-", "val-6-")  # says that it is of another checkpoint
    shutil.copy(part, run_path / "partial" / other)
    assert replay(saved, run_path, batch=20).samples == 0
    assert [path.name for path in (run_path / "partial").iterdir()] == [other]
    same(run_path, whole)


def killed_while_writing(folder: Path) -> Path:
    """What a worker leaves that is killed while it writes a part."""
    script = (
        "import os, signal, sys\nfrom pathlib import Path\n"
        "from huelapse.store.unfinished import beside\n"
        "path = beside(Path(sys.argv[1]))\npath.write_bytes(b'half')\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    before = set(folder.iterdir())
    subprocess.run([sys.executable, "-c", script, folder / "val-0-x.npz"], check=False)
    (left,) = set(folder.iterdir()) - before
    return left


def test_what_killed_workers_had_half_written_goes_and_what_others_write_stays(
    saved: Path, whole: Path, run_path: Path
) -> None:
    partial = run_path / "partial"
    partial.mkdir(parents=True)
    killed_while_writing(partial)
    replay(saved, run_path, batch=20, shard="0/2")
    assert not list(partial.glob("*.tmp"))
    killed_while_writing(partial)
    being_written = beside(partial / "val-0-y.npz")  # by this process, which lives
    being_written.write_bytes(b"half")
    replay(saved, run_path, batch=20, shard="1/2")
    killed_while_writing(partial)
    assert len(commit(run_path).committed) == len(MANY)
    assert list(partial.iterdir()) == [being_written]
    same(run_path, whole)


# --- tasks that kill -----------------------------------------------------------------------------


def deadly() -> Any:
    """Kills its process at the weights of one checkpoint, as a fault in a library would."""
    model = build()
    poison = torch.load(os.environ["POISON"], weights_only=True)["fc.weight"]

    def hook(own: Any, *_: Any) -> None:
        if torch.equal(own.fc.weight, poison):
            os.kill(os.getpid(), signal.SIGKILL)

    model.register_forward_pre_hook(hook)
    return model


def test_a_poisoned_task_is_given_up_and_the_others_are_done(
    saved: Path, run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", str(saved / "step=4.pt"))
    own = [saved / f"step={step}.pt" for step in STEPS]
    report = replay(own, run_path, model=deadly, workers=2)
    assert sorted(report.committed) == [0, 2, 6]
    (failed,) = report.failed
    assert failed.step == 4
    assert failed.tries == 3
    assert "worker was lost: killed by SIGKILL" in failed.why


def hanging() -> Any:
    """Never ends at the weights of one checkpoint."""
    model = build()
    poison = torch.load(os.environ["POISON"], weights_only=True)["fc.weight"]
    model.register_forward_pre_hook(
        lambda own, *_: time.sleep(600) if torch.equal(own.fc.weight, poison) else None
    )
    return model


def test_a_task_that_hangs_is_given_up(
    saved: Path, run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POISON", str(saved / "step=2.pt"))
    monkeypatch.setattr("huelapse.replaying.engines.local.TRIES", 1)
    own = [saved / f"step={step}.pt" for step in (0, 2)]
    report = replay(own, run_path, model=hanging, workers=2, timeout=8)
    assert report.committed == [0]
    assert "longer than the time limit" in report.failed[0].why


CALLS: list[int] = []


def failing() -> Any:
    CALLS.append(1)
    raise RuntimeError("no such layer")


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_factory_that_fails_is_told_of_every_checkpoint(
    saved: Path, run_path: Path, workers: int
) -> None:
    CALLS.clear()
    report = replay(saved, run_path, model=failing, workers=workers)
    assert not report.committed
    assert len(report.failed) == len(MANY)
    assert len(CALLS) <= 3  # and not once for each
    for failed in report.failed:
        assert "model: " in failed.why
        assert "failing raised RuntimeError: no such layer" in failed.why
    assert not (run_path / "run.zarr").exists()


def broken_data() -> Any:
    raise ValueError("no such file")


def test_data_that_fail_are_told(saved: Path, run_path: Path) -> None:
    report = replay(saved / "step=0.pt", run_path, data=broken_data)
    assert "data: " in report.failed[0].why
    assert "raised ValueError: no such file" in report.failed[0].why


def test_what_other_processes_cannot_have_is_refused(saved: Path, run_path: Path) -> None:
    for options, why in (
        ({"model": lambda: build()}, "model is a function that other processes cannot find"),
        ({"data": data()}, "cannot be handed"),
    ):
        with pytest.raises(huelapse.HuelapseError, match=why):
            replay(saved, run_path, workers=2, **options)
        assert not replay(saved / "step=0.pt", run_path, **options, split=why[:5]).failed


def test_a_run_that_is_being_written_is_refused_and_parts_are_kept(
    saved: Path, run_path: Path
) -> None:
    from huelapse.store.lock import WriterLock

    run_path.mkdir()
    lock = WriterLock(run_path / "lock")
    lock.acquire()
    with pytest.raises(huelapse.errors.RunLockedError):
        replay(saved, run_path, batch=20)
    lock.release()
    report = replay(saved, run_path, batch=20)
    assert len(report.committed) == len(MANY)
    assert report.samples < 300 * len(MANY)  # what the other had left was taken


# --- fetched -------------------------------------------------------------------------------------


def fetch(address: str) -> str:
    import shutil

    target = Path(os.environ["FETCHED"]) / address.rpartition("/")[2]
    assert len(list(target.parent.iterdir())) <= 4  # two workers: one in use, one coming, each
    shutil.copy(Path(os.environ["SAVED"]) / target.name, target)
    return str(target)


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_is_fetched_never_fills_the_disk(
    saved: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    (tmp_path / "fetched").mkdir()
    monkeypatch.setenv("FETCHED", str(tmp_path / "fetched"))
    monkeypatch.setenv("SAVED", str(saved))
    addresses = [f"s3://bucket/run/step={step}.pt" for step in MANY]
    with pytest.raises(huelapse.HuelapseError, match="nobody says how to fetch"):
        replay(addresses, tmp_path / "run", batch=20)
    report = replay(
        addresses, tmp_path / "run", batch=20, fetch=fetch, delete_fetched=True, workers=workers
    )
    assert sorted(report.committed) == list(MANY)
    same(tmp_path / "run", whole)
    assert not list((tmp_path / "fetched").iterdir())


def test_reports_are_plain(saved: Path, run_path: Path) -> None:
    report = replay(saved / "step=0.pt", run_path)
    assert json.loads(json.dumps(report.as_json()))["committed"] == [0]
