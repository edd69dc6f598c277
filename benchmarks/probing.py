"""What a snapshot costs: the probe against a bare evaluation, and what comes after it."""

import os
import tempfile
import time
from pathlib import Path

import harness
import numpy as np
import torch

import huelapse
from huelapse.capture import Capture, ProbeSet, run_probe
from huelapse.demo.model import FashionNet
from huelapse.demo.training import load_data
from huelapse.schema import Grouping, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter


def measure(quick: bool) -> harness.Numbers:
    samples = 200 if quick else 2000
    if quick:  # several threads wait for each other where the cores are shared
        torch.set_num_threads(1)
    torch.manual_seed(0)
    data = load_data()
    model = FashionNet()
    probe = ProbeSet((data.test_images, data.test_labels), classes=10, samples=samples)
    capture = Capture(model, classes=10)
    captured = run_probe(capture, probe)
    batches = list(probe.batches())

    def bare() -> None:
        model.eval()
        with torch.no_grad():
            for batch in batches:
                model(batch.inputs)

    ratios: list[float] = []
    seconds: list[float] = []
    for _ in range(3 if quick else 20):
        started = time.process_time()
        bare()
        middle = time.process_time()
        wall = time.perf_counter()
        run_probe(capture, probe)
        seconds.append(time.perf_counter() - wall)
        ratios.append((time.process_time() - middle) / (middle - started))

    with tempfile.TemporaryDirectory() as folder:
        return {
            "units": float(capture.units),
            "probe_samples": float(probe.samples),
            "probe_seconds": harness.median(seconds),
            "probe_cpu_of_bare_evaluation": harness.median(ratios),
            **commits(Path(folder), capture, captured, 10 if quick else 50),
            **hand_over(Path(folder), model, data, samples, 3 if quick else 20),
        }


def commits(folder: Path, capture: Capture, captured, repeats: int) -> harness.Numbers:
    """A commit against one np.save + fsync of the same float32 and uint32 bytes."""
    groupings = tuple(
        Grouping(name=name, classes=tuple("0123456789")) for name in ("true", "predicted")
    )
    store = StoreWriter(folder / "run", name="run", layers=capture.layers, facts={})
    store.add_split(Split(name="val", kind="probe", groupings=groupings, facts={}))
    moments, confusion = captured.moments("mean"), captured.confusion()
    arrays = [
        a
        for m in moments.values()
        for a in (m.mean.astype("f4"), m.m2.astype("f4"), m.active.astype("u4"))
    ]
    raw = sum(a.nbytes for a in arrays)
    whole = np.concatenate([a.view(np.uint8).ravel() for a in arrays])
    commit, save = [], []
    for step in range(repeats):
        snapshot = Snapshot(
            split="val",
            step=step,
            epoch=0.0,
            wall_time=0.0,
            seconds=0.0,
            moments=moments,
            confusion=confusion,
        )
        started = time.perf_counter()
        store.commit(snapshot)
        commit.append(time.perf_counter() - started)
        started = time.perf_counter()
        with (folder / f"{step}.npy").open("wb") as file:
            np.save(file, whole)
            file.flush()
            os.fsync(file.fileno())
        save.append(time.perf_counter() - started)
    store.close()
    shards = (p for p in (folder / "run/run.zarr").rglob("c.*") if p.is_file())
    return {
        "commit_ms": 1e3 * harness.median(commit),
        "commit_of_npsave_fsync": harness.median(commit) / harness.median(save),
        "raw_kb_per_snapshot": raw / 1e3,
        "stored_kb_per_snapshot": sum(p.stat().st_size for p in shards) / repeats / 1e3,
    }


def hand_over(folder: Path, model, data, samples: int, repeats: int) -> harness.Numbers:
    """Milliseconds of the training thread per snapshot beside the probe itself, and per step."""
    recorder = huelapse.Recorder(
        model,
        folder / "loop",
        probe=(data.test_images, data.test_labels),
        probe_samples=samples,
        classes=10,
        schedule="manual",
        probe_budget=None,
    )
    loss = torch.tensor(0.5)
    steps = 2000
    started = time.perf_counter()
    for _ in range(steps):
        recorder.step(loss=loss)
    idle = (time.perf_counter() - started) / steps
    taken = []
    for _ in range(repeats):
        before = recorder.cost()["waiting_seconds"]
        recorder.snapshot()
        taken.append(recorder.cost()["waiting_seconds"] - before)
        recorder.step(loss=loss)
    recorder.close()
    return {"step_without_snapshot_us": 1e6 * idle, "hand_over_ms": 1e3 * harness.median(taken)}


if __name__ == "__main__":
    harness.main(__doc__ or "", measure)
