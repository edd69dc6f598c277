"""Replays on Ray: a real cluster of this machine, two worker processes, killed and resumed."""

import json
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from replayed import HERE, replay, same, train
from test_equal import float64
from test_going_on import MANY, alive, committed, gone, slow_build

import huelapse
from huelapse.errors import MissingExtraError, OptionError, ReplayError
from huelapse.replaying.engines import Job
from huelapse.replaying.engines.ray import RayActors
from huelapse.replaying.gathering import commit
from served_bucket import Served, served

pytestmark = pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray")

FOUND = [str(HERE.parent), str(HERE.parent.parent)]
"""Where the functions of these tests are found."""


class Cluster:
    """`ray start --head`, and as many nodes more; all its processes carry its token."""

    def __init__(self, *cpus: int) -> None:
        self.token = secrets.token_hex(32)
        # the path of Ray's sockets must be short
        self.folder = Path(tempfile.mkdtemp(prefix="hr-"))
        self.env = {
            **os.environ,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join(FOUND),
            "OMP_NUM_THREADS": "1",
        }
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.address = f"{socket.gethostbyname(socket.gethostname())}:{port}"
        self.nodes = [self._start("--head", f"--port={port}", f"--num-cpus={cpus[0]}")]
        end = time.monotonic() + 60
        while not self._answers():
            assert self.nodes[0].poll() is None, "the cluster did not start"
            assert time.monotonic() < end
            time.sleep(0.1)
        self.nodes += [
            self._start(f"--address={self.address}", f"--num-cpus={more}") for more in cpus[1:]
        ]

    def _start(self, *options: str) -> subprocess.Popen[bytes]:
        ray = Path(sys.executable).with_name("ray")
        memory = "--object-store-memory=80000000"
        head = ["--include-dashboard=false", f"--temp-dir={self.folder}"]
        return subprocess.Popen(
            [ray, "start", *options, *(head if "--head" in options else []), memory, "--block"],
            env=self.env,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def _answers(self) -> bool:
        host, _, port = self.address.partition(":")
        try:
            socket.create_connection((host, int(port)), 1).close()
        except OSError:
            return False
        return True

    def workers(self) -> list[int]:
        return [pid for pid in self.processes() if title(pid).startswith("ray::RayWorker")]

    def processes(self) -> list[int]:
        """All that live, but for this one."""
        return carrying(self.token)

    def end(self) -> None:
        """Nothing may be left behind."""
        for node in reversed(self.nodes):
            node.terminate()
        for node in self.nodes:
            node.wait(60)
        left = [] if gone(self.processes()) else [f"{p} {title(p)}" for p in self.processes()]
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert not left


def carrying(token: str) -> list[int]:
    found: list[int] = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            if token.encode() in environ.read_bytes() and environ.parent.name != str(os.getpid()):
                found.append(int(environ.parent.name))
        except OSError:
            continue
    return [pid for pid in found if alive(pid)]


def title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of S3 that the cluster's machines know."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "bucket").mkdir()
    with pytest.MonkeyPatch.context() as patched, served(folder, patched) as told:
        yield told


@pytest.fixture(scope="module")
def cluster(bucket: Served) -> Iterator[Cluster]:
    """Of two CPUs; this process is connected to it."""
    started = Cluster(2)
    own = {name: started.env[name] for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in own.items():
            patched.setenv(name, value)
        import ray  # which reads them once

        handler = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
            yield started
        finally:
            ray.shutdown()
            signal.signal(signal.SIGTERM, handler)
            started.end()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.set_num_threads(1)
    return train(tmp_path_factory.mktemp("saved"), live=False, steps=MANY)


def on_ray(saved: Any, run: Path, **options: Any) -> Any:
    return replay(saved, run, **{"engine": "ray", "workers": 2, "batch": 20, **options})


class Killer(threading.Thread):
    """Kills workers at random moments, until so many died or it is told to stop."""

    def __init__(self, cluster: Cluster, kills: int, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.cluster, self.left, self.pause = cluster, kills, pause
        self.chance = random.Random(seed)
        self.killed = 0
        self.stop = threading.Event()

    def run(self) -> None:
        while self.left and not self.stop.wait(self.chance.uniform(0, self.pause)):
            workers = self.cluster.workers()
            if workers:
                os.kill(self.chance.choice(workers), signal.SIGKILL)
                self.left -= 1
                self.killed += 1


def test_ray_gives_what_one_process_gives_though_workers_are_killed(
    cluster: Cluster, saved: Path, tmp_path: Path
) -> None:
    for parts in (1, 2):
        replay(saved, tmp_path / f"here{parts}", batch=20, parts=parts, shard="0/1")
    killer = Killer(cluster, 2, seed=3, pause=3.0)
    killer.start()
    heard: list[int] = []
    report = on_ray(
        saved,
        tmp_path / "ray2",
        parts=2,
        shard="0/1",
        model=slow_build,
        progress=lambda happening: heard.append(happening.samples),
    )
    killer.stop.set()
    killer.join()
    assert killer.killed
    assert not report.failed
    assert report.recorded == 2 * len(MANY)
    assert heard == sorted(heard)
    assert heard[-1] >= 300 * len(MANY)  # what was done twice is counted twice
    ours, theirs = float64(tmp_path / "here2"), float64(tmp_path / "ray2")
    assert ours.keys() == theirs.keys()
    assert len(ours) == 2 * len(MANY)
    for key, groupings in ours.items():
        for one, other in zip(groupings, theirs[key], strict=True):
            for name in ("count", "mean", "m2", "active"):
                a, b = getattr(one, name), getattr(other, name)
                assert abs(a - b).max() <= 1e-12 * max(1.0, abs(a).max())
    for where in ("here2", "ray2"):
        assert commit(tmp_path / where).finished
    same(tmp_path / "here2", tmp_path / "ray2")
    assert not (tmp_path / "ray2" / "partial").exists()  # nor what was half written
    assert gone(cluster.workers())


DRIVER = """
import sys
sys.path[:0] = {path!r}
import huelapse, test_going_on
report = huelapse.replay(
    {saved!r}, {run!r}, model=test_going_on.slow_build, data=test_going_on.data, classes=3,
    batch=20, workers=2, engine="ray", address={address!r},
)
print(report.as_json())
"""


def drive(cluster: Cluster, saved: Path, run: Path) -> subprocess.Popen[str]:
    script = DRIVER.format(path=FOUND, saved=str(saved), run=str(run), address=cluster.address)
    return subprocess.Popen(
        [sys.executable, "-c", script],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=cluster.env,
    )


def wait_until(ready: Any, process: subprocess.Popen[str], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_driver_that_is_killed_leaves_no_worker_and_goes_on_later(
    cluster: Cluster, saved: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    process = drive(cluster, saved, run)
    wait_until(lambda: committed(run) > 1, process)
    assert cluster.workers()
    process.kill()
    process.communicate()
    assert gone(cluster.workers()), "workers outlived their driver"
    assert list((run / "partial").glob(".shared-*"))
    done = huelapse.open(run).steps
    left = {step for step, _ in float64(run)} - set(done.tolist())
    assert 1 < len(done) < len(MANY)
    report = on_ray(saved, run, model=slow_build)
    assert report.already == len(done)
    assert sorted(report.committed) == sorted(set(MANY) - set(done.tolist()))
    assert report.samples <= 300 * (len(MANY) - len(done) - len(left))
    assert not list((run / "partial").glob(".shared-*"))  # nor that of the one that was killed
    replay(saved, tmp_path / "whole", batch=20)
    same(run, tmp_path / "whole")


def test_ctrl_c_ends_the_cluster_that_was_started_for_the_replay(
    saved: Path, tmp_path: Path
) -> None:
    token = secrets.token_hex(32)
    here = Path(__file__).with_name("test_going_on.py")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "huelapse", "replay", str(saved / "*.pt")),
            *("--out", str(tmp_path / "run"), "--model", f"{here}:slow_build"),
            *("--data", f"{here}:data", "--classes", "3", "--batch", "20"),
            *("--engine", "ray", "--workers", "1", "--json"),
        ],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"},
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": token,
            "PYTHONPATH": os.pathsep.join(FOUND),
        },
    )
    try:
        wait_until(lambda: committed(tmp_path / "run") > 1, process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, err
    told = json.loads(out)
    assert not told["finished"]
    assert gone(carrying(token))
    run = huelapse.open(tmp_path / "run")
    assert run.status == "interrupted"
    assert set(told["committed"]) <= set(run.steps.tolist())


def bad(saved: Path, folder: Path, which: int) -> Path:
    """A checkpoint by whose weights `misbehaving` knows what to do."""
    content = torch.load(saved / "step=2.pt", weights_only=True)
    content["head.bias"][0] = which
    path = folder / f"step={which}.pt"
    torch.save(content, path)
    return path


KILLS, HANGS, EXITS = 101, 102, 103


def misbehaving() -> Any:
    model = slow_build()

    def hook(own: Any, *_: Any) -> None:
        match own.head.bias[0].item():
            case 101:
                os.kill(os.getpid(), signal.SIGKILL)
            case 102:
                time.sleep(600)
            case 103:
                sys.exit(7)

    model.register_forward_pre_hook(hook)
    return model


def test_tasks_that_kill_or_exit_are_given_up_and_the_others_are_done(
    cluster: Cluster, saved: Path, run_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huelapse.replaying.engines.crew.TRIES", 2)
    own = [bad(saved, tmp_path, which) for which in (KILLS, EXITS)]
    good = [saved / f"step={step}.pt" for step in (0, 2)]
    report = on_ray([*own, *good], run_path, model=misbehaving)
    assert sorted(report.committed) == [0, 2]
    why = {failed.step: failed.why for failed in report.failed}
    assert "its worker was lost" in why[KILLS]
    assert "its code ended the process: sys.exit(7) (on " in why[EXITS]
    assert [failed.tries for failed in report.failed] == [2, 2]
    assert gone(cluster.workers())


def test_a_run_that_workers_cannot_see_is_said_before_anything_is_done(
    cluster: Cluster, saved: Path, tmp_path: Path
) -> None:
    opened = os.open(tmp_path, os.O_RDONLY)
    alone = f"/proc/self/fd/{opened}/run"  # a path that means something else in each process
    try:
        with pytest.raises(ReplayError, match=r"/fd/\d+/run does not exist there.*on a disk that"):
            on_ray(saved, Path(alone))
    finally:
        os.close(opened)
    assert not list((tmp_path / "run" / "partial").iterdir())


def test_workers_that_do_not_see_the_run_hand_their_parts_over_by_a_bucket(
    cluster: Cluster, bucket: Served, saved: Path, tmp_path: Path
) -> None:
    some = [saved / f"step={step}.pt" for step in MANY[:5]]
    replay(some, tmp_path / "here", batch=20)
    opened = os.open(tmp_path, os.O_RDONLY)
    alone = Path(f"/proc/self/fd/{opened}/run")  # as above: nobody else sees it
    killer = Killer(cluster, 1, seed=4, pause=3.0)
    killer.start()
    try:
        report = on_ray(some, alone, model=slow_build, parts_at="s3://bucket/ray/mine")
    finally:
        killer.stop.set()
        killer.join()
        os.close(opened)
    assert killer.killed
    assert report.failed == []
    assert sorted(report.committed) == list(MANY[:5])
    sent = {key.split("/")[2] for key in bucket.written if key.endswith(".npz/whole.json")}
    assert len(sent) == 5
    left = [p.parent.name for p in (bucket.folder / "bucket/ray/mine").rglob("whole.json")]
    assert [name for name in left if "committed" not in name] == []
    assert not (tmp_path / "run/partial").exists()
    same(tmp_path / "run", tmp_path / "here")


# --- without a cluster ---------------------------------------------------------------------------


def job(**asked: Any) -> Job:
    return Job(run="/nowhere", asked={"device": "auto", **asked}, checkpoints=1, memory=1)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1: .*refused.*ray start --head"),
        ("ray://127.0.0.1:1", "no Ray cluster at ray://127.0.0.1:1: .*refused"),
        ("nonsense", "'nonsense', expected auto, host:port or ray://host:port"),
    ],
)
def test_an_address_without_a_cluster_is_said_at_once(address: str, why: str) -> None:
    from huelapse.replaying.engines.ray import _check_answers

    with pytest.raises(ReplayError, match=why):
        _check_answers(address)


def test_options_that_cannot_be_are_refused(saved: Path, run_path: Path) -> None:
    for asked, options, why in (
        ({"device": "cuda:1"}, {}, "sees its own GPU alone: say cuda"),
        ({"device": "cuda"}, {"gpus": 0}, "workers are given no GPU"),
        ({}, {"gpus": 1.5}, "gpus is 1.5, expected a share up to 1, or a whole number"),
    ):
        with pytest.raises(OptionError, match=why):
            RayActors(job(**asked), 1, **options)
    with pytest.raises(OptionError, match="engine ray alone"):
        replay(saved, run_path, address="auto")
    with pytest.raises(OptionError, match="engine is 'dask', expected local, ray"):
        replay(saved, run_path, engine="dask")


def test_without_ray_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'huelapse\[ray\]'"):
        RayActors(job(), 1)


# --- long ----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_killed_very_often(cluster: Cluster, saved: Path, tmp_path: Path) -> None:
    replay(saved, tmp_path / "whole", batch=20)
    killed = drivers = rounds = 0
    chance = random.Random(5)
    while killed + drivers < 30:
        run = tmp_path / f"run{rounds}"
        killer = Killer(cluster, 30, seed=rounds, pause=9.0)
        killer.start()
        process = drive(cluster, saved, run)
        out = err = None
        while out is None:
            try:
                out, err = process.communicate(timeout=chance.uniform(5, 60))
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                drivers += 1
                assert gone(cluster.workers()), "workers outlived their driver"
                process = drive(cluster, saved, run)
        killer.stop.set()
        killer.join()
        killed += killer.killed
        assert process.returncode == 0, err
        report = on_ray(saved, run, model=slow_build)  # what was killed three times
        assert not report.failed, out
        assert list(huelapse.open(run).steps) == list(MANY)
        same(run, tmp_path / "whole")
        rounds += 1
    print(f"\n{killed} workers and {drivers} drivers killed in {rounds} replays: nothing was lost")


@pytest.mark.slow
def test_a_task_that_hangs_is_given_up(
    cluster: Cluster, saved: Path, run_path: Path, tmp_path: Path
) -> None:
    own = [bad(saved, tmp_path, HANGS), saved / "step=0.pt", saved / "step=2.pt"]
    report = on_ray(own, run_path, model=misbehaving, timeout=30)
    assert sorted(report.committed) == [0, 2]
    (failed,) = report.failed
    assert failed.tries == 3
    assert "longer than the time limit" in failed.why
    assert gone(cluster.workers())


@pytest.mark.slow
def test_the_tasks_of_a_node_that_is_lost_are_done_on_another(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = Cluster(1, 1)
    try:
        run = tmp_path / "run"
        process = drive(two, saved, run)
        wait_until(lambda: committed(run) > 2, process)
        assert len(two.workers()) == 2
        node = two.nodes[1]
        for pid in [p for p in two.processes() if ancestor(p, node.pid)]:
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "'failed': []" in out, out
        replay(saved, tmp_path / "whole", batch=20)
        same(run, tmp_path / "whole")
    finally:
        two.end()


def ancestor(pid: int, of: int) -> bool:
    """Whether a process stems from another."""
    while pid > 1:
        if pid == of:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False
