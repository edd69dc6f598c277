"""What recording costs: hooks and folds as a share of the step, whole processes, memory, and peers.

All numbers are processor time of one thread (--threads), ratios within this run, medians.
"""

import argparse
import itertools
import json
import math
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import harness
import torch
from bench import Bench, Case, HookClock, one_read, paired
from models import MODELS
from peers import PEERS, ClassMeans, NotInstalledError, leaves
from rich.console import Console
from rich.table import Table
from training import at_once

console = Console(width=120, highlight=False)


# --- hooks and folds -------------------------------------------------------------------------------


def cases(arguments: argparse.Namespace) -> Iterator[Case]:
    """Every batch of an evaluation; every batch and every 8th of a training."""
    for model, mode in itertools.product(arguments.models, ("train", "eval")):
        for layers, k in itertools.product(("all", "default"), arguments.classes):
            for every in (1, 8) if mode == "train" and not arguments.quick else (1,):
                yield Case(model, mode, layers, k, every)


def hooks_and_folds(case: Case, arguments: argparse.Namespace) -> harness.Numbers:
    """Shares of the bare step; see README.md."""
    repeats = 2 if arguments.quick else arguments.repeats
    # of an evaluation the first batch pays for what the others share
    batches = case.every if case.mode == "train" else 2 if arguments.quick else 8
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(case, arguments.batch, Path(folder))
        clock = HookClock(bench.model)
        bench.recorded_forwards(1)  # traces
        before = bench.cost()
        found: list[float] = []
        bare: list[float] = []
        forwards = 0
        for _ in range(repeats):
            started = time.process_time()
            bench.step()
            bare.append(time.process_time() - started)
            found.append(bench.recorded_forwards(batches, clock) / batches)
            forwards += batches
        after = bench.cost()
        step = harness.median(bare)
        limit = one_read(bench.recorder.layers, arguments.batch, 3 if arguments.quick else 9)
        units = sum(layer.units for layer in bench.recorder.layers)
        bench.recorder.close()
    inside = harness.median(found)
    numbers = {
        "share": inside / step,
        "one_read_share": limit / case.every / step,
        "of_one_read": inside * case.every / limit,
        "step_ms": 1e3 * step,
        "units": float(units),
    }
    if case.mode == "train":  # as the recorder tells it, in wall time
        for name in ("hook", "fold"):
            told = after[f"{name}_seconds"] - before[f"{name}_seconds"]
            numbers[f"{name}_ms_told"] = 1e3 * told / (forwards / case.every)
    return {f"{case.name}_{name}": value for name, value in numbers.items()}


def paired_ratio(case: Case, arguments: argparse.Namespace) -> harness.Numbers:
    """Whole-process processor time with the recorder ÷ without, in turns."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(case, arguments.batch, Path(folder))
        bench.recorded_step()
        pairs = 2 if arguments.quick else arguments.pairs
        if case.mode == "train":
            ratio, rough = paired(bench.step, bench.recorded_step, pairs)
        else:  # an evaluation of some batches and its snapshot
            n = 4 if arguments.quick else 32
            ratio, rough = paired(
                lambda: bench.step(n), lambda: bench.recorded_step(n), max(2, pairs // 5)
            )
        bench.recorder.close()
    return {f"{case.name}_cpu_ratio": ratio, f"{case.name}_cpu_ratio_error": rough}


# --- whole processes -------------------------------------------------------------------------------


def memory(arguments: argparse.Namespace) -> harness.Numbers:
    """Peak memory of a recorded training less a bare one's, against the forecast.

    Windows of ten batches, so that one is being written while the next is added up, and none waits:
    snapshots that come faster than the disk takes them may hold 256 MiB more.
    """
    numbers: harness.Numbers = {}
    for classes in (200,) if arguments.quick else (100, 1000):
        common = ["--batch", "8", "--classes", str(classes), "--layers", "all"]
        common += ["--steps", "20" if arguments.quick else "40"]
        common += ["--threads", str(arguments.threads)]
        bare, recorded = at_once(
            [*common, "--record", "nothing"], [*common, "--record", "windows", "--window", "80"]
        )
        added = recorded["peak_bytes"] - bare["peak_bytes"]
        numbers[f"memory_k{classes}_added_mb"] = added / 1e6
        numbers[f"memory_k{classes}_forecast_mb"] = recorded["forecast_bytes"] / 1e6
        numbers[f"memory_k{classes}_of_forecast"] = added / recorded["forecast_bytes"]
    return numbers


def whole_training(arguments: argparse.Namespace) -> harness.Numbers:
    """Processor time of whole trainings, bare and recorded, side by side.

    Fewer than 2,000 steps have as many times fewer probe samples than the default's 2,000, so that the
    probe of step 0 weighs what it does in a whole training.
    """
    steps = 20 if arguments.quick else arguments.steps
    common = ["--steps", str(steps), "--batch", str(arguments.batch)]
    common += ["--threads", str(arguments.threads), "--probe-samples", str(min(2_000, steps))]
    if arguments.quick:
        common += ["--model", "cnn"]
    kinds = {
        "bare": ["--record", "nothing"],
        "default": ["--record", "probe"],
        "everything": ["--record", "both", "--layers", "all"],
    }
    kinds = {name: kinds[name] for name in ("bare", *arguments.trainings)}
    ran = dict(zip(kinds, at_once(*([*common, *kind] for kind in kinds.values())), strict=True))
    bare = ran.pop("bare")
    numbers: harness.Numbers = {"training_steps": float(steps)}
    numbers["training_bare_cpu_seconds"] = bare["cpu_seconds"]
    for name, recorded in ran.items():
        numbers |= {
            f"training_{name}_cpu_ratio": recorded["cpu_seconds"] / bare["cpu_seconds"],
            f"training_{name}_probe_share": recorded["probe_share"],
            f"training_{name}_window_share": recorded["window_share"],
            f"training_{name}_snapshots": recorded["snapshots"],
            f"training_{name}_waiting_seconds": recorded["waiting_seconds"],
        }
    return numbers


# --- peers -----------------------------------------------------------------------------------------


def peers(arguments: argparse.Namespace) -> harness.Numbers:
    """The same evaluation forward, all leaves, by everyone; huelapse in the same turns."""
    case = Case("resnet18", "train", "all", 10, 1)  # by a window, which spans all turns
    numbers: harness.Numbers = {}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, torch.no_grad():
        bench = Bench(case, arguments.batch, Path(folder))
        model = bench.model.eval()

        def bare() -> None:
            model(bench.images)

        def recorded() -> None:
            with bench.recorder.window(bench.labels):
                model(bench.images)

        means = {name: ClassMeans(case.classes) for name in PEERS}
        steps: dict[str, Callable[[], object]] = {"huelapse": recorded}
        for name, make in PEERS.items():
            try:
                step = make(model, list(leaves(model)), means[name])
            except NotInstalledError:
                numbers[f"peer_{name}_cpu_ratio"] = math.nan
            else:
                steps[name] = lambda step=step: step(bench.images, bench.labels)
        for step in steps.values():
            step()
        ratios: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(1 if arguments.quick else arguments.repeats):  # all in turns
            for name, step in steps.items():
                ratios[name].append(paired(bare, step, 2)[0])
        bench.recorder.close()
    for name, found in ratios.items():
        numbers[f"peer_{name}_cpu_ratio"] = harness.median(found)
        numbers[f"peer_{name}_held_mb"] = means[name].held_bytes / 1e6 if name in means else 0.0
    return numbers


# --- telling it ------------------------------------------------------------------------------------


def show(numbers: harness.Numbers, shown: Sequence[Case]) -> None:
    table = Table("network", "mode", "layers", "classes", "batches", "step ms", title="Recording")
    for column in ("hooks + fold", "one read", "× one read", "CPU ratio"):
        table.add_column(column, justify="right")
    for case in shown:
        own = {k.removeprefix(f"{case.name}_"): v for k, v in numbers.items()}
        ratio = "–"
        if "cpu_ratio" in own:
            ratio = f"{own['cpu_ratio']:.3f} ± {own['cpu_ratio_error']:.3f}"
        table.add_row(
            *(case.model, case.mode, case.layers, str(case.classes)),
            *("every" if case.every == 1 else f"every {case.every}th", f"{own['step_ms']:.0f}"),
            *(f"{own['share']:.2%}", f"{own['one_read_share']:.2%}", f"{own['of_one_read']:.1f}"),
            ratio,
        )
    if shown:
        console.print(table)
    table = Table("peer", "CPU ratio", "activations held, MB", title="ResNet-18, evaluation")
    for name in ("huelapse", *PEERS):
        ratio = numbers.get(f"peer_{name}_cpu_ratio")
        if ratio is None:
            continue
        held = numbers.get(f"peer_{name}_held_mb", math.nan)
        told = ("not installed", "") if math.isnan(ratio) else (f"{ratio:.2f}", f"{held:.0f}")
        table.add_row(name, *told)
    if table.row_count:
        console.print(table)
    for name, value in numbers.items():
        if name.startswith(("memory_", "training_")):
            console.print(f"  {name:<40} {value:.4g}")


def measure(arguments: argparse.Namespace) -> tuple[harness.Numbers, list[Case]]:
    torch.set_num_threads(arguments.threads)
    started = time.perf_counter()
    numbers: harness.Numbers = {}
    shown: list[Case] = []
    if "shares" in arguments.parts:
        for case in cases(arguments):
            numbers |= hooks_and_folds(case, arguments)
            shown.append(case)
            if arguments.verbose:
                console.print(
                    case.name,
                    f"{numbers[f'{case.name}_share']:.3%}",
                    f"{time.perf_counter() - started:.0f} s",
                )
    if "ratios" in arguments.parts:
        for case in shown:
            if (case.classes, case.every) == (arguments.classes[0], 1) and not (
                arguments.quick and case.model != "cnn"
            ):
                numbers |= paired_ratio(case, arguments)
    for part, figures in (("peers", peers), ("memory", memory), ("training", whole_training)):
        if part in arguments.parts:
            numbers |= figures(arguments)
            if arguments.verbose:
                console.print(part, f"{time.perf_counter() - started:.0f} s")
    return numbers, shown


PARTS = ("shares", "ratios", "peers", "memory", "training")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers there")
    parser.add_argument("--quick", action="store_true", help="under a minute, rougher")
    parser.add_argument("--batch", type=int, help="samples; default 32, with --quick 8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, default=2_000, help="of the whole training")
    both = ["default", "everything"]
    parser.add_argument(
        "--trainings", nargs="+", choices=both, default=both, help="beside the bare one"
    )
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--pairs", type=int, default=30, help="of steps, for the CPU ratio")
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--classes", type=int, nargs="+", help="default 10 100 1000; quick 10")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    arguments.batch = arguments.batch or (8 if arguments.quick else 32)
    arguments.classes = arguments.classes or ([10] if arguments.quick else [10, 100, 1000])
    started = time.perf_counter()
    numbers, shown = measure(arguments)
    threads = f"{arguments.threads} thread{'s' if arguments.threads > 1 else ''}"
    console.print(
        f"{harness.machine()}, torch {torch.__version__}, {threads}, batch {arguments.batch}"
    )
    show(numbers, shown)
    console.print(f"  ({time.perf_counter() - started:.0f} s)")
    if arguments.json:
        # no number stands for a peer that is not installed
        told = {k: None if math.isnan(v) else v for k, v in numbers.items()}
        arguments.json.write_text(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()
