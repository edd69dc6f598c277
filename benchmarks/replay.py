"""A replay against a bare evaluation of the same checkpoints, and two workers against one."""

import os
import sys
import tempfile
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import harness
import psutil
import torch
from models import ResNet18, SmallCNN

import huelapse
from huelapse.replaying.asked import Asked, Data
from huelapse.replaying.engines import Job, Task
from huelapse.replaying.engines.local import Pool
from huelapse.replaying.engines.ray import RayActors

if "--quick" in sys.argv:
    os.environ.setdefault("HUELAPSE_BENCH_SAMPLES", "128")  # and so for the workers
SAMPLES = int(os.environ.get("HUELAPSE_BENCH_SAMPLES", "512"))
BATCH = 32


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


def crew(folder: Path, paths: list[Path], name: str, kind: str, workers: int) -> harness.Numbers:
    """Tasks through workers of one thread each, of the pool or of Ray; the clock starts when all of
    them forward."""
    asked = Asked(
        model=f"{Path(__file__).resolve()}:{name}",
        data=Data(kind="factory", source=f"{Path(__file__).resolve()}:data"),
        classes=10,
        batch=BATCH,
        keep_responses=False,
    )
    job = Job(
        run=str(folder / f"{kind}{workers}"),
        asked=asked.as_json(),
        checkpoints=len(paths),
        memory=2**30,
        path=tuple(p for p in sys.path if p),
    )
    engine = Pool(job, workers) if kind == "pool" else RayActors(job, workers)
    tasks = [Task(place=str(path), step=step) for step, path in enumerate(paths)]
    started = time.perf_counter()
    begun: list[float] = []
    peaks: list[float] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            peaks.extend(peak_bytes(WORKERS[kind]))

    def progress(_: int) -> None:
        begun.append(time.perf_counter())

    watcher = threading.Thread(target=watch)
    watcher.start()
    ends: list[float] = []
    try:
        for result in engine.run(tasks, progress):
            assert result.error is None, result.error
            ends.append(time.perf_counter())
    finally:
        stop.set()
        watcher.join()
    # from the first results of all workers on: what came before is start-up
    first = ends[workers - 1]
    name = f"{kind}{workers}"
    return {
        f"{name}_startup_seconds": begun[0] - started,
        f"{name}_samples_per_second": SAMPLES * (len(ends) - workers) / (ends[-1] - first),
        f"{name}_worker_mb": max(peaks) / 1e6,
    }


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
        numbers = against_bare(folder, build, 3 if quick else 6, 2 if quick else 7)
        paths = save(folder, build, 4 if quick else 12)
        for kind in ("pool", "ray"):
            own = (2,) if quick and kind == "ray" else (1, 2)  # a cluster takes long to start
            for workers in own:
                numbers |= crew(folder, paths, name, kind, workers)
            rates = [numbers[f"{kind}{workers}_samples_per_second"] for workers in own]
            if len(rates) == 2:
                numbers[f"{kind}2_of_{kind}1"] = rates[1] / rates[0]
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
