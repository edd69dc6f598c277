"""A replay beside a bare evaluation, two workers beside one, and a model of what more would take."""

import math
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import psutil
import torch
from models import ResNet18, SmallCNN

import huelapse
from huelapse.replaying.asked import Asked
from huelapse.replaying.engines import Engine, Job, Progress, Result, Task
from huelapse.replaying.engines.local import InProcess, Pool
from huelapse.replaying.engines.ray import RayActors
from huelapse.replaying.gathering import commit
from huelapse.replaying.working import Worker

if "--quick" in sys.argv:
    os.environ.setdefault("HUELAPSE_BENCH_SAMPLES", "128")  # and so for the workers
SAMPLES = int(os.environ.get("HUELAPSE_BENCH_SAMPLES", "512"))
BATCH = 32
BANDWIDTH = 1e9
"""Bytes a second that the modeled cluster's shared disk gives to all machines together."""
MODELED_CHECKPOINTS, MODELED_SAMPLES = 100, 10_000


def resnet() -> torch.nn.Module:
    torch.manual_seed(0)
    return ResNet18(10)


def small() -> torch.nn.Module:
    torch.manual_seed(0)
    return SmallCNN(10)


def data() -> tuple[torch.Tensor, torch.Tensor]:
    """Random pictures: what is in them changes nothing of what they cost."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(SAMPLES) % 10
    return torch.randn(SAMPLES, 3, 32, 32, generator=generator), labels


def save(folder: Path, build: Any, checkpoints: int) -> list[Path]:
    """Checkpoints as a training might leave them."""
    model = build()
    paths: list[Path] = []
    for step in range(checkpoints):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 1e-3 * torch.randn_like(parameter)
        paths.append(folder / f"step={step}.pt")
        torch.save(model.state_dict(), paths[-1])
    return paths


def bare(paths: list[Path], build: Any) -> float:
    """Accuracy of each checkpoint, as a plain script evaluates them: samples decoded once."""
    inputs, labels = data()
    model = build().eval()
    right = 0
    for path in paths:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        with torch.no_grad():
            for start in range(0, SAMPLES, BATCH):
                logits = model(inputs[start : start + BATCH])
                right += int((logits.argmax(1) == labels[start : start + BATCH]).sum())
    return right / (SAMPLES * len(paths))


def replayed(paths: list[Path], build: Any, run: Path) -> None:
    report = huelapse.replay(
        paths, run, model=build, data=data, classes=10, batch=BATCH, keep_responses=False
    )
    assert not report.failed, report.failed


def against_bare(folder: Path, build: Any, checkpoints: int, rounds: int) -> harness.Numbers:
    """In turns, whole runs of both: model, samples, checkpoints and all; imports are done before."""
    paths = save(folder, build, checkpoints)
    bare(paths[:1], build)
    replayed(paths[:1], build, folder / "warm")
    walls: list[float] = []
    cpus: list[float] = []
    seconds: list[float] = []
    for number in range(rounds):
        times: dict[str, tuple[float, float]] = {}
        for which in ("bare", "replay") if number % 2 else ("replay", "bare"):
            wall, cpu = time.perf_counter(), time.process_time()
            if which == "bare":
                bare(paths, build)
            else:
                replayed(paths, build, folder / f"run{number}")
            times[which] = time.perf_counter() - wall, time.process_time() - cpu
        walls.append(times["bare"][0] / times["replay"][0])
        cpus.append(times["bare"][1] / times["replay"][1])
        seconds.append(times["replay"][0])
    return {
        "checkpoints": float(checkpoints),
        "samples": float(SAMPLES),
        "samples_per_second": SAMPLES * checkpoints / harness.median(seconds),
        "of_bare": harness.median(walls),
        "of_bare_per_cpu_second": harness.median(cpus),
    }


class Watched:
    """An engine, and when what came of it came."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.begun = self.started = 0.0
        self.ends: list[float] = []

    def run(self, tasks: Sequence[Task], progress: Progress) -> Iterator[Result]:
        """As `Engine.run`."""
        self.started = time.perf_counter()

        def counted(samples: int) -> None:
            if samples and not self.begun:
                self.begun = time.perf_counter()
            progress(samples)

        for result in self._engine.run(tasks, counted):
            self.ends.append(time.perf_counter())
            yield result

    @property
    def startup(self) -> float:
        """Seconds until the first batches have been forwarded."""
        return self.begun - self.started


def here(job: Job) -> InProcess:
    """One worker in this process, with as many threads as it has."""
    asked = Asked.from_json(job.asked)
    return InProcess(Worker(asked, Path(job.run), checkpoints=job.checkpoints, memory=job.memory))


def crew(folder: Path, paths: list[Path], name: str, kind: str, workers: int) -> harness.Numbers:
    """A whole replay by workers of one thread each, of the pool or of Ray, or in this process."""
    engines: dict[str, Callable[[Job], Engine]] = {
        "pool": lambda job: Pool(job, workers),
        "ray": lambda job: RayActors(job, workers),
        "threads": here,
    }
    made: list[Watched] = []

    def watched(job: Job) -> Watched:
        made.append(Watched(engines[kind](job)))
        return made[-1]

    peaks: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        # each process says its own peak; to look more often would take from two cores what is measured
        while not stop.wait(1.0):
            peaks.extend(peak_bytes(WORKERS[kind]) if kind in WORKERS else [0.0])

    watcher = threading.Thread(target=watch)
    watcher.start()
    torch.set_num_threads(workers if kind == "threads" else 1)
    began = time.perf_counter()
    try:
        report = huelapse.replay(
            paths,
            folder / f"{kind}{workers}",
            model=f"{Path(__file__).resolve()}:{name}",
            data=f"{Path(__file__).resolve()}:data",
            classes=10,
            batch=BATCH,
            keep_responses=False,
            engine=watched,
        )
    finally:
        stop.set()
        watcher.join()
        torch.set_num_threads(1)
    assert not report.failed, report.failed
    seconds = time.perf_counter() - began
    own = workers if kind != "threads" else 1
    ends = made[0].ends
    # from the first results of all workers on: what came before is start-up
    steady = SAMPLES * (len(ends) - own) / (ends[-1] - ends[own - 1])
    numbers = {
        f"{kind}{workers}_seconds": seconds,
        f"{kind}{workers}_samples_per_second": steady,
    }
    if kind in WORKERS:
        numbers[f"{kind}{workers}_startup_seconds"] = made[0].startup
        numbers[f"{kind}{workers}_worker_mb"] = max(peaks) / 1e6
    return numbers


# --- what it would take --------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What the model is made of, as it was measured here."""

    rate: float
    """Samples a second of one worker of one thread."""
    load: float
    """Seconds to read a checkpoint and put it into the model."""
    commit: float
    """Seconds to commit a snapshot of one part."""
    merge: float
    """Seconds more for each further part."""
    checkpoint_bytes: float
    part_bytes: float
    snapshot_bytes: float

    def seconds(
        self, *, workers: int, checkpoints: int, samples: int, startup: float, parts: int = 1
    ) -> float:
        """Of a whole replay: as long as the slowest of workers, commits and the shared disk takes.

        Tasks are as long as each other; workers start at once; each reads its checkpoints; commits are
        one after the other, while workers go on; nothing but the disk is shared.
        """
        task = self.load + samples / parts / self.rate
        commit = self.commit + (parts - 1) * self.merge
        rounds = math.ceil(checkpoints * parts / workers)
        moved = checkpoints * (
            min(parts, workers) * self.checkpoint_bytes
            + 3 * parts * self.part_bytes  # written once, read twice: verified, and merged
            + self.snapshot_bytes
        )
        slowest = max(rounds * task + commit, task + checkpoints * commit, moved / BANDWIDTH)
        return startup + slowest


def costs(folder: Path, paths: list[Path], name: str, rate: float) -> Costs:
    build = {"resnet": resnet, "small": small}[name]
    model = build()
    took: list[float] = []
    for path in paths:
        began = time.perf_counter()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
        took.append(time.perf_counter() - began)
    commits: dict[int, float] = {}
    parts = SAMPLES // BATCH
    for number in (1, parts):
        run = folder / f"by{number}"
        options: dict[str, Any] = {"model": build, "data": data, "classes": 10, "batch": BATCH}
        own = paths[:3] if number == 1 else paths[:2]
        report = huelapse.replay(
            own, run, **options, keep_responses=False, parts=number, shard="0/1"
        )
        assert not report.failed, report.failed
        part = max(path.stat().st_size for path in (run / "partial").glob("*.npz"))
        began = time.perf_counter()
        assert len(commit(run).committed) == len(own)
        commits[number] = (time.perf_counter() - began) / len(own)
    disk = sum(p.stat().st_size for p in (run / "run.zarr").rglob("*") if p.is_file())
    return Costs(
        rate=rate,
        load=harness.median(took),
        commit=commits[1],
        merge=(commits[parts] - commits[1]) / (parts - 1),
        checkpoint_bytes=paths[0].stat().st_size,
        part_bytes=part,
        snapshot_bytes=disk / 2,
    )


def modeled(known: Costs, numbers: harness.Numbers, checkpoints: int) -> harness.Numbers:
    """The model beside each whole replay that was measured, and what it says of more workers."""
    told = {
        "load_seconds": known.load,
        "commit_seconds": known.commit,
        "merge_part_seconds": known.merge,
        "checkpoint_mb": known.checkpoint_bytes / 1e6,
        "part_mb": known.part_bytes / 1e6,
        "snapshot_mb": known.snapshot_bytes / 1e6,
    }
    for kind in ("pool", "ray"):
        for workers in (1, 2):
            measured = numbers.get(f"{kind}{workers}_seconds")
            if measured is None:
                continue
            startup = numbers[f"{kind}{workers}_startup_seconds"]
            seconds = known.seconds(
                workers=workers, checkpoints=checkpoints, samples=SAMPLES, startup=startup
            )
            told[f"{kind}{workers}_modeled_of_measured"] = seconds / measured
    for workers in (1, 10, 100, 1000):
        startup = numbers["pool2_startup_seconds"]
        seconds = known.seconds(
            workers=workers,
            checkpoints=MODELED_CHECKPOINTS,
            samples=MODELED_SAMPLES,
            startup=startup,
            parts=max(1, workers // MODELED_CHECKPOINTS),
        )
        told[f"modeled_{workers}_workers_seconds"] = seconds
    return told


WORKERS = {"pool": "huelapse.replaying.engines.process", "ray": "ray::RayWorker"}
"""What tells worker processes from others."""


def peak_bytes(told: str) -> list[float]:
    """Of each process that stems from this one, whose command says so."""
    found: list[float] = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error, OSError, KeyError):
            if told in " ".join(process.cmdline()):
                text = Path(f"/proc/{process.pid}/status").read_text()
                lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
                found.append(1024.0 * int(lines["VmHWM"].split()[0]))
    return found


def measure(quick: bool) -> harness.Numbers:
    torch.set_num_threads(1)
    build, name = (small, "small") if quick else (resnet, "resnet")
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        numbers = against_bare(folder, build, 3 if quick else 4, 2 if quick else 3)
        paths = save(folder, build, 4 if quick else 8)
        numbers |= crew(folder, paths, name, "threads", 2)
        for kind in ("pool", "ray"):
            own = (2,) if quick and kind == "ray" else (1, 2)  # a cluster takes long to start
            for workers in own:
                numbers |= crew(folder, paths, name, kind, workers)
            rates = [numbers[f"{kind}{workers}_samples_per_second"] for workers in own]
            if len(rates) == 2:
                numbers[f"{kind}2_of_{kind}1"] = rates[1] / rates[0]
            numbers[f"{kind}2_of_threads2"] = rates[-1] / numbers["threads2_samples_per_second"]
        known = costs(folder, paths, name, numbers["pool1_samples_per_second"])
        return numbers | modeled(known, numbers, len(paths))


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
