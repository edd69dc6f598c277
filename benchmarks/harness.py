"""What every benchmark shares: --json FILE, --quick, the machine's name, a printed table."""

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

Numbers = dict[str, float]


def machine() -> str:
    """Processor, cores, system: what a number was measured on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return (
        f"{model}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
    )


def main(description: str, measure: Callable[[bool], Numbers]) -> None:
    """Run `measure(quick)` and print, or write, one flat object of named numbers."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    arguments = parser.parse_args()
    started = time.perf_counter()
    numbers = measure(arguments.quick)
    print(machine())
    width = max(map(len, numbers))
    for name, value in numbers.items():
        print(f"  {name:<{width}}  {value:.4g}")
    print(f"  ({time.perf_counter() - started:.0f} s)")
    if arguments.json:
        arguments.json.write_text(json.dumps(numbers, indent=1))


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]
