"""One training in a process of its own, bare or recorded: its processor time and peak memory.

recording.py starts two of these at a time and compares them; alone it prints what it measured.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from models import MODELS
from torch.nn import functional as F  # noqa: N812

import huelapse

POOL = 2_000
"""Samples trained on; as many others are the probe's."""


def options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", choices=list(MODELS), default="resnet18")
    parser.add_argument("--record", choices=["nothing", "probe", "windows", "both"], default="both")
    parser.add_argument("--layers", choices=["default", "all"], default="default")
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--probe-samples", type=int, default=None)
    parser.add_argument("--window", type=int, default=None, help="samples; default the recorder's")
    parser.add_argument("--quick", action="store_true", help="the small CNN and a small probe")
    return parser


def recorder_for(
    arguments: argparse.Namespace, model: torch.nn.Module, probe: Any, folder: str
) -> huelapse.Recorder | None:
    if arguments.record == "nothing":
        return None
    windows = arguments.record in ("windows", "both")
    return huelapse.Recorder(
        model,
        Path(folder) / "run",
        classes=arguments.classes,
        layers="all" if arguments.layers == "all" else None,
        probe=probe if arguments.record in ("probe", "both") else None,
        probe_samples=arguments.probe_samples,
        window=(arguments.window or True) if windows else None,
        window_schedule=1,
        total_steps=arguments.steps,
        strict=True,
    )


def train(arguments: argparse.Namespace) -> dict[str, float]:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    model = MODELS[arguments.model](arguments.classes)
    images = torch.randn(POOL, 3, 32, 32)
    labels = torch.randint(0, arguments.classes, (POOL,))
    n = max(POOL, 20 * arguments.classes)  # whoever records or not has held-out samples
    probe = (torch.randn(n, 3, 32, 32), torch.arange(n) % arguments.classes)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        started, wall = time.process_time(), time.perf_counter()
        recorder = recorder_for(arguments, model, probe, folder)
        for step in range(arguments.steps):
            own = torch.arange(step * arguments.batch, (step + 1) * arguments.batch) % POOL
            x, y = images[own], labels[own]
            if recorder is not None and arguments.record != "probe":
                with recorder.window(y):
                    output = model(x)
            else:
                output = model(x)
            loss = F.cross_entropy(output, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if recorder is not None:
                recorder.step(loss=loss)
        numbers: dict[str, float] = {}
        if recorder is not None:
            recorder.close()
            numbers = {name: float(value) for name, value in recorder.cost().items()}
            assert recorder.forecast is not None
            numbers["forecast_bytes"] = float(recorder.forecast.memory_bytes)
        numbers["cpu_seconds"] = time.process_time() - started
        numbers["wall_seconds"] = time.perf_counter() - wall
    numbers["peak_bytes"] = float(peak_bytes())
    return numbers


def peak_bytes() -> int:
    """The most memory this program has had. `ru_maxrss` would count the one that started it too."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # macOS says bytes


def at_once(*commands: list[str]) -> list[dict[str, float]]:
    """Trainings side by side, so that what slows one down slows the other too."""
    started = [
        subprocess.Popen([sys.executable, __file__, *command], stdout=subprocess.PIPE)
        for command in commands
    ]
    results: list[dict[str, float]] = []
    for process in started:
        output, _ = process.communicate()
        if process.returncode:
            raise RuntimeError(f"{process.args} ended with {process.returncode}")
        results.append(json.loads(output))
    return results


if __name__ == "__main__":
    given = options().parse_args()
    if given.quick:
        given.model, given.probe_samples = "cnn", 100
    print(json.dumps(train(given)))
