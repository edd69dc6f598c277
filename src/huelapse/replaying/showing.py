"""What `huelapse replay` prints, while it runs and in the end."""

import json
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, redirect_stdout

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from huelapse.replaying.report import Failed, Happening, Report, Watch
from huelapse.terminal import STOPPED, shown

NAMED = 20
"""Failures that are named; --json names all."""
EVERY = 30.0
"""Seconds between lines where nobody sees a bar."""

Replaying = Callable[[Watch], Report]


def run(out: Console, err: Console, replaying: Replaying, *, as_json: bool) -> int:
    """Replay, and print how it goes and what came of it.

    Returns:
        0; 1 where checkpoints failed or wait for parts; 130 where Ctrl-C ended it before the end.

    Raises:
        HuelapseError, OSError: it could not begin.
    """
    last: list[Happening] = []
    with _watched(err) as watch:

        def both(happening: Happening) -> None:
            last[:] = [happening]
            watch(happening)

        try:
            with redirect_stdout(sys.stderr):  # of the user's code, and of Ray
                report = replaying(both)
        except KeyboardInterrupt:
            report = last[0].report if last else None
    if report is None:
        out.print("Stopped before anything was replayed.")
        return STOPPED
    if as_json:
        out.out(json.dumps(report.as_json(), indent=2))
    else:
        _print(out, report)
    if not report.finished:
        return STOPPED
    return 1 if report.failed or report.waiting or report.lacking else 0


@contextmanager
def _watched(err: Console) -> Generator[Watch]:
    """A bar on a terminal; elsewhere, as in the log of a job, a line now and then."""
    started = last = time.monotonic()
    told = False

    def forecast(happening: Happening) -> None:
        nonlocal told
        if happening.forecast is not None and not told:
            told = True
            err.print(shown(str(happening.forecast)), soft_wrap=True)

    if not err.is_terminal:

        def line(happening: Happening) -> None:
            nonlocal last
            forecast(happening)
            now = time.monotonic()
            if now - last >= EVERY:
                last = now
                err.print(f"{_tasks(happening)}{_left(happening, now - started)}", soft_wrap=True)

        yield line
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("loading model and samples", total=None, rate="")

        def show(happening: Happening) -> None:
            forecast(happening)
            rate = happening.samples / max(1e-9, time.monotonic() - started)
            bar.update(
                task,
                description=_tasks(happening),
                completed=happening.samples,
                total=happening.expected,
                rate=f"{rate:,.0f} samples/s" if happening.samples else "",
            )

        yield show


def _tasks(happening: Happening) -> str:
    failed = len(happening.report.failed)
    word = "task" if happening.tasks == 1 else "tasks"
    return f"{happening.done:,} of {happening.tasks:,} {word}" + (
        f", {failed:,} failed" if failed else ""
    )


def _left(happening: Happening, seconds: float) -> str:
    rate = happening.samples / max(1e-9, seconds)
    text = f", {rate:,.0f} samples/s"
    if happening.expected and rate:
        left = max(0.0, (happening.expected - happening.samples) / rate)
        text += f", {_time(left)} left"
    return text


def _time(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _print(out: Console, report: Report) -> None:
    run = shown(report.run)
    if report.committed:
        steps = report.committed
        number = f"{len(steps):,} {'snapshot' if len(steps) == 1 else 'snapshots'}"
        where = f"step {steps[0]}" if len(steps) == 1 else f"steps {min(steps)} to {max(steps)}"
        out.print(f"{shown(report.split)}: {number} committed, {where}.", soft_wrap=True)
    if report.already:
        out.print(f"{report.already:,} had been replayed before.")
    if report.recorded:
        at = f" --parts-at {shown(report.parts_at)}" if report.parts_at else ""
        out.print(
            f"{_tasks_of(report)} done. Once all shards have ended: "
            f"huelapse replay --commit --out {run}{at}",
            soft_wrap=True,
        )
    if report.samples:
        out.print(
            f"{report.samples:,} samples in {_time(report.seconds)}, {report.rate:,.0f} a second, "
            f"start-up and all."
        )
    for one in report.failed[:NAMED]:
        out.print(f"[red]failed[/red]  {_failure(one)}", soft_wrap=True)
    if len(report.failed) > NAMED:
        out.print(f"… and {len(report.failed) - NAMED} more; --json names all")
    if report.waiting:
        told = ", ".join(str(step) for step in report.waiting[:NAMED])
        out.print(
            f"{len(report.waiting):,} checkpoints wait for parts: step {told}"
            f"{' …' if len(report.waiting) > NAMED else ''}. Run the shards that are missing, and "
            f"--commit again.",
            soft_wrap=True,
        )
    for told in report.left[:NAMED]:
        out.print(f"[yellow]left[/yellow]  {shown(told)}", soft_wrap=True)
    if len(report.left) > NAMED:
        out.print(f"… and {len(report.left) - NAMED} more; --json names all")
    for told in report.lacking:
        out.print(f"{shown(told[0].upper() + told[1:])}.", soft_wrap=True)
    nothing = not (report.committed or report.recorded or report.already or report.failed)
    if not report.finished:
        out.print("Stopped. What is committed is safe; the same command does the rest.")
    elif nothing and not (report.waiting or report.lacking):
        out.print("There was nothing to do.")
    elif report.committed or report.already:
        out.print(f"Look at it with: huelapse view {run}", soft_wrap=True)


def _tasks_of(report: Report) -> str:
    return f"{report.recorded:,} {'task' if report.recorded == 1 else 'tasks'}"


def _failure(one: Failed) -> str:
    tried = f" (tried {one.tries} times)" if one.tries > 1 else ""
    return f"{shown(one.checkpoint)}: {shown(one.why)}{tried}"
