"""huelapse's page and TensorBoard's histograms, of the same training.

    python benchmarks/beside.py [--quick] [--json FILE]

The demo's network on its images. At every snapshot TensorBoard gets a histogram of each layer's
responses to the probe: all classes together, as its histograms are used. It comes from
requirements-peers.txt, and numbers that begin with `peer_` are left out where it is not installed.
"""

import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import browsing
import harness
import torch

import huelapse
from huelapse.demo.model import FashionNet
from huelapse.demo.training import load_data
from huelapse.viewer.server import in_background
from huelapse.viewer.shelf import Shelf
from store import folder

BATCH = 64
PORT = 6123
DRAWN = """() => {
    const within = (root) => [...root.querySelectorAll('*')].reduce(
        (sum, e) => sum + e.matches('g.histogram') + (e.shadowRoot ? within(e.shadowRoot) : 0), 0);
    return within(document);
}"""
"""How many histograms TensorBoard's page has drawn."""


def train(place: Path, steps: int, snapshots: int, peer: bool) -> int:
    """Train, record, and log; how many layers there are."""
    torch.manual_seed(0)
    data = load_data()
    model = FashionNet()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    every = max(1, steps // (snapshots - 1))
    board = None
    if peer:
        from torch.utils.tensorboard import SummaryWriter

        board = SummaryWriter(str(place / "board"))
    recorder = huelapse.Recorder(
        model,
        place / "run",
        probe=(data.test_images, data.test_labels),
        classes=data.classes,
        schedule=every,
        probe_budget=None,
    )
    layers: list[str] = []
    with recorder:
        for step in range(steps + 1):
            if step:
                picked = torch.randint(len(data.train_images), (BATCH,))
                loss = torch.nn.functional.cross_entropy(
                    model(data.train_images[picked]), data.train_labels[picked]
                )
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                recorder.step(loss=loss)
            if board is not None and step % every == 0:
                layers = log(board, model, data.test_images, step)
    if board is not None:
        board.close()
    return len(layers)


def log(board: Any, model: Any, images: Any, step: int) -> list[str]:
    """A histogram of each ReLU's responses: means over positions, as huelapse takes them."""
    seen: dict[str, list[Any]] = {}
    hooks = [
        module.register_forward_hook(
            lambda _, __, out, name=name: seen.setdefault(name, []).append(
                out.mean((2, 3)) if out.ndim == 4 else out
            )
        )
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.ReLU)
    ]
    model.eval()
    with torch.no_grad():
        for part in images.split(500):
            model(part)
    model.train()
    for hook in hooks:
        hook.remove()
    for name, parts in seen.items():
        board.add_histogram(f"responses/{name}", torch.cat(parts), step)
    return list(seen)


def disk_mb(place: Path) -> float:
    return sum(file.stat().st_size for file in place.rglob("*") if file.is_file()) / 1e6


@contextmanager
def tensorboard(place: Path) -> Iterator[str]:
    """Its page's address, once it answers."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(place)]
    command += ["--port", str(PORT), "--host", "127.0.0.1", "--load_fast=false"]
    told = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": os.environ}
    with subprocess.Popen(command, **told) as serving:
        address = f"http://127.0.0.1:{PORT}/"
        try:
            deadline = time.monotonic() + 90
            while True:
                try:
                    found = urlopen(f"{address}data/plugin/histograms/tags", timeout=5).read()
                    if len(found) > 5:  # it has read the file
                        break
                except (URLError, OSError):
                    pass
                if time.monotonic() > deadline:
                    raise TimeoutError("TensorBoard does not answer")
                time.sleep(0.2)
            yield address
        finally:
            serving.terminate()


def looked_at(browser: Any, address: str, drawn: str, prefix: str) -> harness.Numbers:
    """From the address to the picture; what came over the wire, and what the page holds."""
    numbers: harness.Numbers = {}
    context = browser.new_context(viewport=browsing.SIZE)  # nothing is kept from before
    page = context.new_page()
    began = time.perf_counter()
    page.goto(address)
    browsing.until(page, drawn)
    numbers[f"{prefix}first_picture_seconds"] = time.perf_counter() - began
    time.sleep(3)
    numbers[f"{prefix}transferred_mb"] = browsing.transferred_mb(page)
    numbers[f"{prefix}heap_mb"] = browsing.Heap(page).mb()[0]
    context.close()
    return numbers


def measure(quick: bool) -> harness.Numbers:
    steps, snapshots = (40, 5) if quick else (800, 41)
    peer = importlib.util.find_spec("tensorboard") is not None
    numbers: harness.Numbers = {"steps": steps}
    with folder() as path, browsing.chromium() as browser:
        layers = train(path, steps, snapshots, peer)
        run = huelapse.open(path / "run")
        numbers |= {"snapshots": len(run.steps), "layers": len(run.layers), "units": run.units}
        numbers["disk_mb"] = disk_mb(path / "run")
        run.keep_series()
        with in_background(Shelf([run])) as address:
            numbers |= looked_at(browser, address, browsing.READY, "cold_")
            numbers |= looked_at(browser, address, browsing.READY, "")
        if peer:
            numbers["peer_tensorboard_disk_mb"] = disk_mb(path / "board")
            shown = f"() => ({DRAWN})() >= {min(layers, 12) * len(run.steps)}"
            with tensorboard(path / "board") as address:
                where = f"{address}?darkMode=true#histograms"
                numbers |= looked_at(browser, where, shown, "peer_tensorboard_")
    return numbers


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
