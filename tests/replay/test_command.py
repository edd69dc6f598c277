"""`huelapse replay`, as a user types it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, STEPS, replay, same, train
from typer.testing import CliRunner, Result

import huelapse
from huelapse.cli import app
from huelapse.errors import HuelapseError, ReplayError, RunPathError
from huelapse.replaying.shards import Shard, shard_of

MODEL, DATA = "replayed:build", "replayed:data"


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(tmp_path_factory.mktemp("saved"), live=False)


def typed(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["replay", *map(str, arguments)], env={"COLUMNS": "200"})


def never() -> object:
    raise AssertionError("the model was made though nothing can be written")


@pytest.mark.parametrize("options", [{}, {"shard": "0/2"}, {"workers": 2}])
def test_a_place_that_cannot_be_written_is_told_before_anything_is_computed(
    saved: Path, tmp_path: Path, options: dict[str, Any]
) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file/run", Path("/proc/none/run"), Path("/dev/null/run")):
        with pytest.raises(RunPathError, match=f"{place}.*give another directory"):
            replay(saved, place, model=never, **options)
    with pytest.raises(ReplayError, match="no checkpoint matches"):
        replay(tmp_path / "*.pt", tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()


def test_one_command_makes_a_run(saved: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    asked = ("--out", run, "--model", MODEL, "--data", DATA, "--classes", "x,y,z")
    done = typed(f"{saved}/*.pt", *asked)
    assert done.exit_code == 0, done.output
    assert "val: 4 snapshots committed, steps 0 to 6." in done.output
    assert f"huelapse view {run}" in done.output
    assert "15 units in 3 layers" in done.output
    assert huelapse.open(run).classes == ("x", "y", "z")
    again = typed(f"{saved}/*.pt", *asked)
    assert again.exit_code == 0
    assert "4 had been replayed before" in again.output
    replay(saved, tmp_path / "plain")
    same(run, tmp_path / "plain")


def test_the_options_reach_the_replay(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text("a\nb\nc\n")
    (tmp_path / "above.txt").write_text("first a\nfirst b\nc c\n")
    done = typed(
        *(saved, "--out", tmp_path / "run", "--model", f"{HERE}:build", "--data", DATA),
        *("--classes", f"@{tmp_path}/names.txt", "--split", "held-out", "--samples", 90),
        *("--layers", "relu1", "--layers", "relu2", "--response", "mean,peak", "--batch", 30),
        *("--superclasses", tmp_path / "above.txt"),
        *("--no-keep-responses", "--maps", "--name", "mine", "--json"),
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["committed"] == list(STEPS)
    assert told["samples"] == 360
    run = huelapse.open(tmp_path / "run")
    assert run.name == "mine"
    assert run.classes == ("a", "b", "c")
    assert run.superclasses == {"a": "first", "b": "first", "c": "c"}
    assert [layer.path for layer in run.layers] == ["relu1", "relu2", "output"]
    assert run.response_names == ("mean", "peak")
    (split,) = run.splits
    assert split.name == "held-out"
    assert not any(extra.path == "responses" for extra in split.extras)
    assert any(extra.path.startswith("true/maps/") for extra in split.extras)


def test_shards_are_committed_by_a_command_that_knows_the_run_alone(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    asked = (saved, "--out", run, "--model", MODEL, "--data", DATA, "--classes", 3, "--parts", 2)
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_COUNT", "2")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "1")
    first = typed(*asked, "--shard", "env")
    assert first.exit_code == 0, first.output
    assert "4 tasks done" in first.output
    early = typed("--commit", "--out", run)
    assert early.exit_code == 1
    assert "4 checkpoints wait for parts: step 0, 2, 4, 6" in early.output
    assert typed(*asked, "--shard", "1/2").exit_code == 0
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            "import sys\n"
            "from huelapse.cli import app\n"
            f"sys.argv = ['huelapse', 'replay', '--commit', '--out', {str(run)!r}]\n"
            "try:\n    app()\nexcept SystemExit as end:\n    assert not end.code\n"
            "assert 'torch' not in sys.modules",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 snapshots committed" in done.stdout
    assert list(huelapse.open(run).steps) == list(STEPS)
    assert typed("--commit", "--out", run).output.startswith("There was nothing to do")
    replay(saved, tmp_path / "plain", parts=2)
    same(run, tmp_path / "plain")


def test_a_checkpoint_that_cannot_be_replayed_ends_with_one(saved: Path, tmp_path: Path) -> None:
    bad = tmp_path / "step=9[bold].pt"
    bad.write_bytes(b"none")
    done = typed(
        *(saved, bad, "--out", tmp_path / "run", "--model", MODEL, "--data", DATA),
        *("--classes", 3),
    )
    assert done.exit_code == 1
    assert "4 snapshots committed" in done.output
    assert f"failed  {bad}: step=9[bold].pt" in done.output
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ((), "no run is named: --out"),
        (("--out", "run"), "missing: checkpoints, such as 'ckpts/*.pt'; --model"),
        (("none/*.pt", "--out", "run", "--model", MODEL, "--data", DATA), "no checkpoint matches"),
        (("--commit", "--out", "nowhere"), "holds no parts of a replay"),
        (("--commit", "--out", "run", "--model", MODEL), "--commit needs nothing but --out"),
        (("CKPTS", "--shard", "3/3"), "shard is '3/3', expected i/n"),
        (("CKPTS", "--shard", "env"), "nothing says which of how many"),
        (("CKPTS", "--mean", "a,b"), "expected numbers"),
        (("CKPTS", "--arrays", "one"), "expected two names"),
        (("CKPTS", "--autocast", "int8"), "expected bfloat16 or float16"),
        (("CKPTS", "--parts", "2", "--maps"), "maps is kept of whole checkpoints alone"),
        (("CKPTS", "--samples", "many"), "samples is 'many'"),
        (("CKPTS", "--device", "cuda:77"), "device 'cuda:77' cannot be used"),
        (("CKPTS", "--data", "nowhere"), "data is 'nowhere'"),
        (("CKPTS", "--split", "a/b"), "split"),
    ],
)
def test_slips_are_told_before_anything_is_made(
    arguments: tuple[str, ...],
    why: str,
    saved: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    given = list(arguments)
    if given[:1] == ["CKPTS"]:
        given[:1] = [str(saved), "--out", "run", "--model", MODEL, "--classes", "3"]
        given += [] if "--data" in given else ["--data", DATA]
    done = typed(*given)
    assert isinstance(done.exception, HuelapseError), done.output
    assert why in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it_cleanly(saved: Path, tmp_path: Path) -> None:
    many = tmp_path / "many"
    many.mkdir()
    for step in range(60):
        torch.save(torch.load(saved / "step=4.pt", weights_only=True), many / f"step={step}.pt")
    run = tmp_path / "run"
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "huelapse", "replay", str(many), "--out", str(run)),
            *("--model", "test_going_on:slow_build", "--data", DATA, "--classes", "3"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            **os.environ,
            "PYTHONPATH": f"{HERE.parent}{os.pathsep}{HERE.parent.parent}",
            "OMP_NUM_THREADS": "1",
        },
    )
    end = time.monotonic() + 120
    while not (run / "run.zarr/val").exists() and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    printed, complained = process.communicate(timeout=60)
    assert process.returncode == 130, complained
    assert "Stopped. What is committed is safe; the same command does the rest." in printed
    assert "Traceback" not in complained
    assert huelapse.open(run).status == "interrupted"
    assert 1 <= len(huelapse.open(run).steps) < 60


def test_shards_share_every_task_once() -> None:
    tasks = list(range(11))
    own = [Shard(i, 4).own(tasks) for i in range(4)]
    assert sorted(task for one in own for task in one) == tasks
    assert shard_of("2/5") == Shard(2, 5)
    assert shard_of((0, 1)) == Shard(0, 1)
    assert shard_of(None) is None


def test_a_replay_goes_on_with_its_own_superclasses_alone(saved: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    (tmp_path / "first.txt").write_text("first a\nfirst b\nc c\n")
    (tmp_path / "other.txt").write_text("a a\nlast b\nlast c\n")
    (tmp_path / "wrong.txt").write_text("first a\nfirst d\nc c\n")
    asked = (saved, "--out", run, "--model", MODEL, "--data", DATA, "--classes", "a,b,c")
    wrong = typed(*asked, "--superclasses", tmp_path / "wrong.txt")
    assert isinstance(wrong.exception, HuelapseError)
    assert "'d', which is none of the 3 classes" in str(wrong.exception)
    assert typed(*asked, "--superclasses", tmp_path / "first.txt").exit_code == 0
    for other in ((), ("--superclasses", tmp_path / "other.txt")):
        refused = typed(*asked, *other)
        assert isinstance(refused.exception, HuelapseError)
        assert "otherwise: superclasses was" in str(refused.exception)
    assert huelapse.open(run).superclasses == {"a": "first", "b": "first", "c": "c"}
