"""A worker elsewhere: it uses a run only if it is the same directory, and ends with nothing."""

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from replayed import HERE, build, data, train

from huelapse.replaying.asked import Asked, Data
from huelapse.replaying.engines import Job, Result, Task
from huelapse.replaying.engines.remote import Mark, Remote, unseen
from huelapse.schema import VERSION


def test_a_mark_is_seen_in_the_same_directory_alone(tmp_path: Path) -> None:
    mark = Mark(tmp_path / "run")
    assert unseen(mark.path, mark.content, 0) is None
    assert [p.name for p in mark.path.parent.iterdir()] == [mark.path.name]
    other = tmp_path / "other" / "partial" / mark.path.name
    assert "other does not exist there" in str(unseen(other, mark.content, 0))
    other.parent.mkdir(parents=True)
    assert "other is another directory there than here" in str(unseen(other, mark.content, 0))
    other.write_text("another mark")
    assert "other is another directory there than here" in str(unseen(other, mark.content, 0))
    mark.remove()
    assert not list((tmp_path / "run" / "partial").iterdir())


def test_a_directory_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = Mark(tmp_path / "run")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_text", refuse)
    assert "run cannot be written there: Permission denied" in str(
        unseen(mark.path, mark.content, 0)
    )


def test_marks_of_drivers_that_were_killed_are_removed(tmp_path: Path) -> None:
    living = Mark(tmp_path)
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    left = living.path.with_name(living.path.name.replace(f"-{os.getpid()}-", f"-{child}-"))
    shutil.copy(living.path, left)
    foreign = left.with_name(".shared-ffffffff-" + left.name.split("-", 2)[2])
    shutil.copy(living.path, foreign)  # of another machine, where that process may live
    other = Mark(tmp_path)
    assert set(other.path.parent.iterdir()) == {living.path, foreign, other.path}


def remote(run: Path, model: str = f"{HERE}:build", **changed: Any) -> Remote:
    asked = Asked(model=model, data=Data(kind="factory", source=f"{HERE}:data"), classes=3)
    job = Job(run=str(run), asked=asked.as_json(), checkpoints=1, memory=2**30)
    mark = Mark(run)
    told = {**job.as_json(), "version": VERSION, **changed}
    return Remote(told, str(Path.cwd()), (str(mark.path), mark.content), "cpu")


def test_a_task_is_done_and_counted(tmp_path: Path) -> None:
    saved = train(tmp_path, live=False, steps=(0, 2))
    worker = remote(tmp_path / "run")
    assert worker.greet()["unfit"] is None
    told = worker.do(Task(place=str(saved / "step=2.pt"), step=2).as_json(), None)
    result = Result.from_json(told["result"])
    assert Path(str(result.path)).is_file()
    assert told["samples"] == result.samples == len(data()[1])
    again = worker.do(Task(place=str(saved / "step=2.pt"), step=2).as_json(), None)
    assert again["result"]["samples"] == 0
    assert again["samples"] == told["samples"]
    worker.close()


def test_a_checkpoint_that_this_machine_lacks_may_be_done_by_another(tmp_path: Path) -> None:
    worker = remote(tmp_path / "run")
    result = worker.do(Task(place="/not/here/step=2.pt", step=2).as_json(), None)["result"]
    assert not result["lasting"]
    assert "/not/here/step=2.pt is not there for the worker" in result["error"]


def flickering() -> Any:
    """Fails at first, as a network does."""
    if len(CALLS) < 2:
        CALLS.append(1)
        raise OSError("the network is away")
    return build()


def failing() -> Any:
    raise RuntimeError("no such layer")


CALLS: list[int] = []


def test_a_model_that_cannot_be_had_is_asked_for_again_and_then_left_to_other_machines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.replaying.engines.remote.PAUSE", 0.0)
    saved = train(tmp_path, live=False, steps=(0, 2))
    task = Task(place=str(saved / "step=2.pt"), step=2).as_json()
    CALLS.clear()
    told = remote(tmp_path / "run", model=f"{__name__}:flickering").do(task, None)
    assert told["result"]["error"] is None
    worker = remote(tmp_path / "other", model=f"{__name__}:failing")
    for _ in range(2):
        told = worker.do(task, None)
        assert "result" not in told
        assert "failing raised RuntimeError: no such layer" in told["unfit"]


def test_what_is_not_a_checkpoint_is_so_everywhere(tmp_path: Path) -> None:
    bad = tmp_path / "step=2.pt"
    bad.write_bytes(b"nothing")
    result = remote(tmp_path / "run").do(Task(place=str(bad), step=2).as_json(), None)["result"]
    assert result["lasting"]


def test_a_worker_of_another_version_or_without_the_run_does_nothing(tmp_path: Path) -> None:
    worker = remote(tmp_path / "run", version="0.0.1")
    assert f"it has huelapse {VERSION}, and 0.0.1 is asking" in worker.greet()["unfit"]
    worker = remote(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("huelapse.replaying.engines.remote.SEEN", 0.0)
        told = worker.do(Task(place="x.pt", step=1).as_json(), None)
    assert "run does not exist there" in told["unfit"]
    assert not (tmp_path / "run").exists()
