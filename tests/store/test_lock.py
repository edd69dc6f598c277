"""One writer: by the system's lock where there is one, else by a lease that its holder renews."""

import json
import logging
import os
import threading
import time
from pathlib import Path
from typing import Any

import extra_run
import pytest

from huelapse.errors import RunLockedError
from huelapse.store import StoreReader, check_resumable, lease, lock
from huelapse.store.lock import WriterLock, is_locked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def leave(file: Path, *, age: float = 0.0, **says: Any) -> None:
    """A record as another writer, on another machine, has left it."""
    own = {"host": "far", "machine": "another", "pids": "1", "pid": 7, "token": "theirs",
           "started": 0.0, "held": True}  # fmt: skip
    file.write_text(json.dumps({**own, **says}))
    os.utime(file, (time.time() - age,) * 2)


def test_a_living_writer_on_another_machine_is_left_alone(file: Path) -> None:
    leave(file, age=20)
    assert is_locked(file)
    with pytest.raises(RunLockedError, match=r"host far, pid 7, last renewed 2\d s ago.*in \d+ s"):
        WriterLock(file).acquire()
    assert json.loads(file.read_text())["token"] == "theirs"


def test_a_lease_that_nobody_renewed_is_taken_over(file: Path) -> None:
    leave(file, age=lease.LEASE + 10)
    assert not is_locked(file)
    own = WriterLock(file)
    own.acquire()
    assert is_locked(file)
    own.release()
    assert not is_locked(file)


def test_without_locks_the_lease_refuses_a_second_writer_here_too(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_try_lock", lambda *_, **__: None)
    first = WriterLock(file)
    first.acquire()
    assert is_locked(file)
    with pytest.raises(RunLockedError, match=f"pid {os.getpid()}"):
        WriterLock(file).acquire()
    first.release()
    second = WriterLock(file)
    second.acquire()
    second.release()


def test_a_run_that_was_taken_over_is_not_written_any_more(run_path: Path) -> None:
    store = extra_run.begin(run_path)
    store.add_split(extra_run.split(), extra_run.static())
    store.commit(extra_run.snapshot(0))
    before = (run_path / "run.zarr/zarr.json").read_bytes()
    leave(run_path / "lock")
    for write in (lambda: store.commit(extra_run.snapshot(1)), store.write_attributes, store.close):
        with pytest.raises(RunLockedError, match=r"taken over by another process .host far"):
            write()
    store.abandon()
    assert (run_path / "run.zarr/zarr.json").read_bytes() == before
    assert json.loads((run_path / "lock").read_text())["held"]
    assert StoreReader(run_path).shape("val/step") == (1,)


def test_a_holder_renews_and_leaves_no_thread_behind(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "RENEW", 0.02)
    before = set(threading.enumerate())
    own = WriterLock(file)
    own.acquire()
    (ours,) = set(threading.enumerate()) - before
    os.utime(file, (1, 1))
    deadline = time.monotonic() + 10
    while file.stat().st_mtime < 100:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    own.release()
    ours.join(10)
    assert not ours.is_alive()


def test_an_empty_lock_is_taken_as_ever(file: Path) -> None:
    file.touch()
    own = WriterLock(file)
    own.acquire()
    own.release()


def test_a_record_that_cannot_be_written_is_no_reason_to_stop(
    run_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_path.mkdir()
    leave(run_path / "lock", age=lease.LEASE + 10)  # and it stays there

    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(lock, "write_record", full)
    store = extra_run.begin(run_path)
    store.add_split(extra_run.split(), extra_run.static())
    store.commit(extra_run.snapshot(0))
    store.close()
    assert StoreReader(run_path).shape("val/step") == (1,)


def test_a_writer_that_died_here_without_locks_is_followed_at_once(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_try_lock", lambda *_, **__: None)
    machine, pids = lock.here()
    leave(file, machine=machine, pids=pids, pid=2**22 + 1)  # more than there can be
    assert not is_locked(file)
    own = WriterLock(file)
    own.acquire()
    own.release()
    leave(file, machine=machine, pids=pids, pid=os.getppid())
    with pytest.raises(RunLockedError):
        WriterLock(file).acquire()


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE", 1.0)
    for name, seconds in (("MARGIN", 0.5), ("LOOK", 0.05), ("PATIENCE", 0.1)):
        monkeypatch.setattr(lock, name, seconds)


@pytest.mark.usefixtures("short")
def test_a_resume_waits_for_the_lease_of_a_writer_that_died_elsewhere_and_says_so_once(
    run_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    extra_run.begin(run_path).close()
    leave(run_path / "lock")
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, "huelapse"):
        check_resumable(run_path)
    assert 0.7 < time.monotonic() - began < 5
    (told,) = caplog.messages
    assert "host far, pid 7" in told
    assert "waiting up to" in told
    assert not is_locked(run_path / "lock")


@pytest.mark.usefixtures("short")
def test_a_holder_that_renews_while_it_is_waited_for_is_left_alone(file: Path) -> None:
    leave(file)
    renewing = threading.Timer(0.4, os.utime, (file,))
    renewing.start()
    with pytest.raises(RunLockedError, match=r"is being written by another process .host far"):
        WriterLock(file).acquire(wait=True)
    renewing.join()
    assert json.loads(file.read_text())["token"] == "theirs"


@pytest.mark.usefixtures("short")
@pytest.mark.parametrize("locks", [True, False])
def test_of_two_that_wait_for_one_lease_one_gets_it(
    file: Path, monkeypatch: pytest.MonkeyPatch, locks: bool
) -> None:
    if not locks:
        monkeypatch.setattr(lock, "_try_lock", lambda *_, **__: None)
    leave(file)
    own, refused = [WriterLock(file), WriterLock(file)], list[RunLockedError]()

    def take(one: WriterLock) -> None:
        try:
            one.acquire(wait=True)
        except RunLockedError as error:
            refused.append(error)

    takers = [threading.Thread(target=take, args=(one,)) for one in own]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(20)
    assert len(refused) == 1
    assert is_locked(file)
    for one in own:
        one.release()
    assert not is_locked(file)


def test_of_two_that_see_a_lapsed_lease_at_once_one_gets_it(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks both go on to write their record: whoever wrote first notices the other's."""
    monkeypatch.setattr(lock, "_try_lock", lambda *_, **__: None)
    monkeypatch.setattr(lock, "SETTLE", 0.5)
    leave(file, age=lease.LEASE + 10)
    both, is_living = threading.Barrier(2, timeout=20), lock.is_living

    def seen(before: Any, locked: Any) -> bool:
        living = is_living(before, locked)
        if not living:
            both.wait()
        return living

    monkeypatch.setattr(lock, "is_living", seen)
    own, refused = [WriterLock(file), WriterLock(file)], list[WriterLock]()

    def take(one: WriterLock) -> None:
        try:
            one.acquire()
        except RunLockedError:
            refused.append(one)

    takers = [threading.Thread(target=take, args=(one,)) for one in own]
    for taker in takers:
        taker.start()
    for taker in takers:
        taker.join(30)
    assert len(refused) == 1
    monkeypatch.setattr(lock, "is_living", is_living)
    assert is_locked(file)
    for one in own:
        one.release()
    assert not is_locked(file)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_child_neither_keeps_the_lock_nor_lets_go_of_it(file: Path) -> None:
    own = WriterLock(file)
    own.acquire()
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover
        own.release()
        os.write(told, b"x")
        time.sleep(30)
        os._exit(0)
    try:
        os.read(ready, 1)
        assert is_locked(file)
        assert json.loads(file.read_text())["held"]
        own.release()
        assert not is_locked(file)  # though the child lives
    finally:
        os.kill(child, 9)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(told)
