"""An ImageNet in miniature: ResNet-50, 1,000 classes, checkpoints replayed and looked at.

    python benchmarks/rehearsal.py [--quick] [--json FILE]

The net and the classes have their true size; images are synthetic and small, since they change neither
what is stored nor what it takes. Each measurement of memory is a process of its own.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
import torch
from models import ResNet50
from torch import Tensor
from torch.utils.data import Dataset

import huelapse
from huelapse.capture import Capture
from huelapse.recording import taking
from huelapse.replaying import working

QUICK = "--quick" in sys.argv
CLASSES = 50 if QUICK else 1000
IMAGES = int(os.environ.get("HUELAPSE_BENCH_IMAGES", "100" if QUICK else "2000"))
SIZE = int(os.environ.get("HUELAPSE_BENCH_SIZE", "32" if QUICK else "64"))
CHECKPOINTS = 2 if QUICK else 3
BATCH = 50


class Images(Dataset[tuple[Tensor, int]]):
    """Colored noise on a pattern of its class; made when it is asked for."""

    classes = tuple(f"class {k}" for k in range(CLASSES))

    def __len__(self) -> int:
        return IMAGES

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        generator = torch.Generator().manual_seed(i)
        label = i % CLASSES
        pattern = torch.Generator().manual_seed(1_000_000 + label)
        coarse = torch.randn(1, 3, 4, 4, generator=pattern)
        image = torch.nn.functional.interpolate(coarse, (SIZE, SIZE))[0]
        return image + 0.5 * torch.randn(3, SIZE, SIZE, generator=generator), label


def build() -> torch.nn.Module:
    torch.manual_seed(0)
    return ResNet50(CLASSES)


def data() -> Images:
    return Images()


def batch_of(start: int, size: int = BATCH) -> tuple[Tensor, Tensor]:
    pairs = [Images()[i] for i in range(start, min(start + size, IMAGES))]
    return torch.stack([x for x, _ in pairs]), torch.tensor([y for _, y in pairs])


def save(folder: Path) -> None:
    """Checkpoints whose predictions are of many classes, as a trained net's: batch norms and the last
    layer's bias are set by what flows through."""
    model = build()
    norms = [m for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
    inputs, _ = batch_of(0, 100)
    with torch.no_grad():
        model.train()
        model(inputs)
        model.eval()
        features = model.features(inputs)
        model.fc.weight.copy_(features[torch.arange(CLASSES) % len(features)] - features.mean(0))
        model.fc.weight += 0.3 * model.fc.weight.std() * torch.randn_like(model.fc.weight)
        model.fc.bias.copy_(-model.fc.weight @ features.mean(0))
        for step in range(CHECKPOINTS):
            torch.save(model.state_dict(), folder / f"step={step}.pt")
            for parameter in model.parameters():
                parameter += 1e-3 * parameter.std().nan_to_num() * torch.randn_like(parameter)


# --- in a process of their own -------------------------------------------------------------------


def peak() -> float:
    """The most memory this process has had, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024 / 1e6


def bare(folder: Path) -> harness.Numbers:
    """A plain evaluation of one checkpoint; images are made before, and no more than a batch of them
    is held, so that memory is the model's alone."""
    torch.set_num_threads(1)
    model = build().eval()
    model.load_state_dict(torch.load(folder / "step=0.pt", weights_only=True))
    right, cpu, wall = 0, 0.0, 0.0
    for start in range(0, IMAGES, BATCH):
        inputs, labels = batch_of(start)
        began = time.thread_time(), time.perf_counter()
        with torch.no_grad():
            right += int((model(inputs).argmax(1) == labels).sum())
        cpu += time.thread_time() - began[0]
        wall += time.perf_counter() - began[1]
    return {"peak_mb": peak(), "cpu_seconds": cpu, "wall_seconds": wall}


class Timed:
    """Processor time inside of every probe: forwards and what is recorded of them."""

    def __init__(self) -> None:
        self.seconds = 0.0
        run = working.run_probe

        def timed(capture: Capture, probe: Any) -> Any:
            began = time.thread_time()
            try:
                return run(capture, probe)
            finally:
                self.seconds += time.thread_time() - began

        working.run_probe = taking.run_probe = timed


def replay(folder: Path) -> harness.Numbers:
    torch.set_num_threads(1)
    timed = Timed()
    told: list[Any] = []
    began = time.process_time(), time.thread_time(), time.perf_counter()
    report = huelapse.replay(
        folder / "*.pt", folder / "run", model=build, data=data, batch=BATCH, progress=told.append
    )
    process, own, wall = (
        now - then
        for now, then in zip(
            (time.process_time(), time.thread_time(), time.perf_counter()), began, strict=True
        )
    )
    assert not report.failed, report.failed
    print(told[-1].forecast, file=sys.stderr)
    numbers = {
        "peak_mb": peak(),
        "process_cpu_seconds": process,
        "worker_cpu_seconds": own,
        "recorded_cpu_seconds": timed.seconds,
        "wall_seconds": wall,
    }
    forecast = told[-1].forecast
    return numbers | {
        "forecast_mb": forecast.memory_bytes(1) / 1e6,
        "forecast_part_mb": forecast.part_bytes / 1e6,
        "forecast_snapshot_mb": forecast.snapshot_bytes / 1e6,
    }


def live(folder: Path) -> harness.Numbers:
    """The same net recorded as it stands: one probe."""
    torch.set_num_threads(1)
    timed = Timed()
    model = build()
    model.load_state_dict(torch.load(folder / "step=0.pt", weights_only=True))
    recorder = huelapse.Recorder(model, folder / "live", probe=data(), classes=Images.classes)
    until = time.monotonic() + 600
    while not committed(folder / "live") and time.monotonic() < until:
        time.sleep(0.2)  # closing would wait for 5 s alone
    recorder.close()
    forecast = recorder.forecast
    assert forecast is not None
    return {
        "peak_mb": peak(),
        "recorded_cpu_seconds": timed.seconds,
        "forecast_mb": forecast.memory_bytes / 1e6,
    }


def committed(path: Path) -> int:
    try:
        return len(huelapse.open(path).steps)
    except huelapse.HuelapseError:
        return 0


PARTS = {"bare": bare, "replay": replay, "live": live}


def apart(part: str, folder: Path) -> harness.Numbers:
    quick = ["--quick"] if QUICK else []
    done = subprocess.run(
        [sys.executable, __file__, "--part", part, str(folder), *quick],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    print(part, done.stdout.splitlines()[-1], file=sys.stderr)
    return json.loads(done.stdout.splitlines()[-1])


# --- the page ------------------------------------------------------------------------------------


def looked_at(path: Path) -> harness.Numbers:
    """The run as it is the first time anybody opens it, and then again."""
    import browsing

    from huelapse.viewer.server import in_background
    from huelapse.viewer.shelf import Shelf
    from viewer import STEP

    numbers: harness.Numbers = {}
    run = huelapse.open(path)
    with browsing.chromium() as browser, in_background(Shelf([run])) as address:
        for name in ("cold", "warm"):
            page = browser.new_page(viewport=browsing.SIZE)
            began = time.perf_counter()
            page.goto(address)
            browsing.until(page, browsing.READY, 900)
            numbers[f"page_{name}_first_picture_seconds"] = time.perf_counter() - began
            if name == "warm":
                time.sleep(3)  # what is fetched ahead is here
                given = {"steps": 20, "snapshots": len(run.steps), "canvas": "network"}
                page.evaluate(STEP, {**given, "steps": 5})
                step, late, _ = page.evaluate(STEP, given)
                numbers |= {"page_step_ms": step, "page_step_p95_ms": late}
                numbers["page_transferred_mb"] = browsing.transferred_mb(page)
            page.close()
    return numbers


def measure(quick: bool) -> harness.Numbers:
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        save(folder)
        plain, again, once = (apart(part, folder) for part in PARTS)
        run = huelapse.open(folder / "run")
        predicted = run.moments(0, "predicted").count
        disk = sum(p.stat().st_size for p in (folder / "run/run.zarr").rglob("*") if p.is_file())
        each = plain["cpu_seconds"]
        added = again["peak_mb"] - plain["peak_mb"]
        lived = once["peak_mb"] - plain["peak_mb"]
        numbers: harness.Numbers = {
            "units": float(sum(layer.units for layer in run.layers)),
            "classes": float(CLASSES),
            "predicted_classes": float((predicted > 0).sum()),
            "images": float(IMAGES),
            "pixels": float(SIZE),
            "checkpoints": float(CHECKPOINTS),
            "bare_cpu_seconds": each,
            "recorded_share": again["recorded_cpu_seconds"] / CHECKPOINTS / each - 1,
            "live_recorded_share": once["recorded_cpu_seconds"] / each - 1,
            "snapshot_cpu_seconds": again["process_cpu_seconds"] / CHECKPOINTS - each,
            "part_cpu_seconds": (again["worker_cpu_seconds"] - again["recorded_cpu_seconds"])
            / CHECKPOINTS,
            "commit_cpu_seconds": (again["process_cpu_seconds"] - again["worker_cpu_seconds"])
            / CHECKPOINTS,
            "snapshot_wall_seconds": again["wall_seconds"] / CHECKPOINTS,
            "snapshot_mb": disk / 1e6 / CHECKPOINTS,
            "snapshot_forecast_mb": again["forecast_snapshot_mb"],
            "part_forecast_mb": again["forecast_part_mb"],
            "bare_peak_mb": plain["peak_mb"],
            "added_mb": added,
            "forecast_mb": again["forecast_mb"],
            "added_of_forecast": added / again["forecast_mb"],
            "live_added_mb": lived,
            "live_forecast_mb": once["forecast_mb"],
            "live_added_of_forecast": lived / once["forecast_mb"],
        }
        return numbers | looked_at(folder / "run")


if __name__ == "__main__":
    if "--part" in sys.argv:
        at = sys.argv.index("--part")
        print(json.dumps(PARTS[sys.argv[at + 1]](Path(sys.argv[at + 2]))))
    else:
        harness.main(__doc__ or "", measure)
