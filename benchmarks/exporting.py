"""What the page in one file costs to make, and what there is no room for.

    python benchmarks/exporting.py [--quick] [--json FILE]

Runs are synthetic: one of the demo's size, and one of 1,000 classes × 27,000 units. Each is exported by
a process of its own, with nothing derived ahead of time.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import harness
import runs

import huelapse
from huelapse.viewer.standalone import BUDGET, write_page
from store import folder

STRETCH = 30
"""Steps between two snapshots: by the last one units are tuned."""


def peak() -> float:
    """Bytes of memory that this process held at most. What `getrusage` says begins with the most that
    the process held that started it: here the run's own writer."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return 1024 * float(line.split()[1])
    return float("nan")


def exported(path: Path, to: Path) -> dict[str, Any]:
    """An export in this process, and what it took."""
    began, worked = time.perf_counter(), time.process_time()
    found = write_page(huelapse.open(path), to)
    return {
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - worked,
        "peak_gb": peak() / 1e9,
        "mb": found.bytes / 1e6,
        "left_out": found.left_out,
    }


def one(
    name: str, *, classes: int, units: int, snapshots: int, groupings: tuple[str, ...] = ("true",)
) -> harness.Numbers:
    with folder() as path:
        source = runs.Synthetic(units, classes, groupings)
        store = runs.begin(path / "run", source)
        for i in range(snapshots):
            store.commit(source.snapshot(STRETCH * i))
        store.close()
        command = [sys.executable, __file__, "--export", str(path / "run"), str(path / "x.html")]
        found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    left_out = found.pop("left_out")
    print(f"{name}: left out are {', '.join(left_out) or 'none'}")
    size = {"classes": classes, "units": units, "snapshots": snapshots}
    told = {**size, **found, "budget_mb": BUDGET / 1e6, "left_out": len(left_out)}
    return {f"{name}_{key}": float(value) for key, value in told.items()}


def measure(quick: bool) -> harness.Numbers:
    both = ("true", "predicted")
    units, snapshots = (200, 10) if quick else (426, 41)
    small = one("demo", classes=10, units=units, snapshots=snapshots, groupings=both)
    large = (200, 2000, 2) if quick else (1000, 27_000, 10)
    classes, units, snapshots = large
    return small | one("large", classes=classes, units=units, snapshots=snapshots)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["--export", path, to]:
            print(json.dumps(exported(Path(path), Path(to))))
        case _:
            harness.main(__doc__ or "", measure)
