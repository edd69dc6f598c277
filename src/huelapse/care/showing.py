"""What the commands `ls`, `verify` and `rm` print, and what they end with."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from pathlib import Path

from rich.console import Console
from rich.table import Table

from huelapse.care.removing import Removal, parse_age, plan_removal
from huelapse.care.removing import remove as remove_run
from huelapse.care.verifying import Report, Verification
from huelapse.errors import HuelapseError
from huelapse.listing import Listed, is_bucket
from huelapse.listing import list_runs as found_runs
from huelapse.terminal import STOPPED, progress, shown

DAMAGES = 20
"""Damages that are named; --json names all."""
WIDE = 92
"""Columns of a terminal from which dates have room."""


def readable_size(number: int) -> str:
    """Bytes in words: 1.2 GB."""
    for unit, of in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= of:
            return f"{number / of:.1f} {unit}"
    return f"{number} B"


# --- ls -----------------------------------------------------------------------------------------


def list_runs(out: Console, err: Console, directory: str, *, as_json: bool) -> None:
    """A table of the runs in a directory or bucket, or JSON.

    Raises:
        NotARunError, PlaceError: as `huelapse.care.list_runs`.
    """
    with err.status(f"Listing {shown(directory)} …") if err.is_terminal else nullcontext():
        runs = found_runs(directory)
    if as_json:
        out.out(json.dumps([run.as_json() for run in runs], indent=2))
        return
    if not runs:
        out.print(f"No run in {shown(directory)}.", soft_wrap=True)
        return
    readable = [run for run in runs if run.error is None]
    if readable:
        out.print(_table(readable, directory, dated=out.width >= WIDE))
    for run in runs:
        if run.error is not None:
            text = f"{_within(run, directory)}: [red]{shown(run.error)}[/red]"
            out.print(text, soft_wrap=True)
    sizes = [run.bytes for run in runs if run.bytes is not None]
    weight = f", {readable_size(sum(sizes))}" if sizes else ""
    out.print(f"{len(runs)} {_plural('run', len(runs))}{weight}")


def _table(runs: Sequence[Listed], directory: str, *, dated: bool) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("run", overflow="fold", min_width=14)
    for column in ("classes", "snapshots", "step", "accuracy", "size"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    if dated:
        table.add_column("created", no_wrap=True)
    for run in runs:
        table.add_row(
            _within(run, directory) + _named(run),
            "–" if run.classes is None else f"{run.classes:,}",
            f"{run.snapshots:,}",
            "–" if run.last_step is None else f"{run.last_step:,}",
            "–" if run.accuracy is None else f"{run.accuracy:.1%}",
            "–" if run.bytes is None else readable_size(run.bytes),
            shown(run.state),
            *([shown((run.created or "–")[:10])] if dated else []),
        )
    return table


def _named(run: Listed) -> str:
    """A run's name, where it says more than the path."""
    return "" if run.name == Path(run.path).absolute().name else f" ({shown(run.name)})"


def _within(run: Listed, directory: str) -> str:
    if is_bucket(directory):
        return shown(run.path.removeprefix(f"{directory.rstrip('/')}/"))
    inside = Path(run.path).relative_to(directory)
    return shown(run.path if inside == Path() else inside)


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"


# --- verify -------------------------------------------------------------------------------------


def verify(out: Console, err: Console, path: Path, *, as_json: bool) -> int:
    """Verify a run and print what was found.

    Returns:
        0 where all is whole, 1 where something is damaged, 130 where Ctrl-C ended it before.

    Raises:
        NotARunError, FormatError: as `huelapse.care.verify`.
    """
    verification = Verification(path)
    report = verification.report
    with (
        suppress(KeyboardInterrupt),
        progress(err) as bar,
    ):
        task = bar.add_task("reading", total=report.total)
        for place in verification.steps():
            said = f"{shown(place.split)}, snapshot {place.snapshot} of {place.snapshots}"
            bar.update(task, completed=report.checked, description=said)
    if as_json:
        out.out(json.dumps(report.as_json(), indent=2))
    else:
        _print_report(out, report)
    if report.damages:
        return 1
    return 0 if report.finished else STOPPED


def _print_report(out: Console, report: Report) -> None:
    for damage in report.damages[:DAMAGES]:
        place = ""
        if damage.snapshots is not None:
            first, last = damage.snapshots
            place = f" (snapshot {first})" if first == last else f" (snapshots {first} to {last})"
        out.print(
            f"[red]damaged[/red]  {shown(damage.file)}{place}: {shown(damage.what)}",
            soft_wrap=True,
        )
    if len(report.damages) > DAMAGES:
        out.print(f"… and {len(report.damages) - DAMAGES} more; --json names all")
    for name in report.leftovers[:DAMAGES]:
        out.print(f"left over, harmless  {shown(name)}", soft_wrap=True)
    if len(report.leftovers) > DAMAGES:
        out.print(f"… and {len(report.leftovers) - DAMAGES} more left over")
    for split, number in report.snapshots.items():
        lost = report.damaged_snapshots(split)
        if lost:
            out.print(
                f"{shown(split)}: {len(lost)} of {number} snapshots are damaged; what is not named "
                f"above reads as before",
                soft_wrap=True,
            )
    where = f"{report.checked:,} of {report.total:,} parts"
    if not report.finished:
        out.print(f"Stopped: {where} were read, {_found(report)} until then.", soft_wrap=True)
    elif not report.total and report.damages:
        out.print(
            "The root is what everything else is read by: nothing more was read. Each split's own "
            "zarr.json still says what it holds, for other Zarr libraries (docs/care.md).",
            soft_wrap=True,
        )
    else:
        out.print(f"{where} were read back, {_found(report)}.", soft_wrap=True)


def _found(report: Report) -> str:
    number = len(report.damages)
    return f"{number} {_plural('damage', number)} found" if number else "no damage found"


# --- rm -----------------------------------------------------------------------------------------


def remove(
    out: Console,
    err: Console,
    paths: Sequence[Path],
    older_than: str | None,
    *,
    dry_run: bool,
    yes: bool,
) -> int:
    """Say what would go, ask, remove it.

    Returns:
        0; 1 where something was refused, or the answer was no.

    Raises:
        NotARunError, OptionError: a path is not there; the age is none.
        RunLockedError, OSError: a run could not be removed after all.
    """
    plan = plan_removal(paths, None if older_than is None else parse_age(older_than))
    going = [removal for removal in plan if removal.refused is None]
    refused = [removal for removal in plan if removal.refused is not None]
    for removal in refused:
        err.print(f"[red]refused[/red]  {_line(removal)}", soft_wrap=True)
    if refused and older_than is None and not dry_run:
        err.print("Nothing was removed.")
        return 1
    for removal in going:
        out.print(f"{'would remove' if dry_run else 'to remove'}  {_line(removal)}", soft_wrap=True)
    total = readable_size(sum(removal.bytes for removal in going))
    runs = f"{len(going)} {_plural('run', len(going))}"
    if dry_run or not going:
        out.print(f"{runs}, {total}. Nothing was removed.")
        return 1 if refused else 0
    if not yes and not agreed(out, err, f"Remove {runs}, {total}, for good?"):
        err.print("Nothing was removed.")
        return 1
    return _remove_all(out, err, going) or (1 if refused else 0)


def _line(removal: Removal) -> str:
    why = readable_size(removal.bytes) if removal.refused is None else removal.refused
    return f"{shown(removal.path)}: {shown(why)}"


def agreed(out: Console, err: Console, question: str) -> bool:
    """Ask on the terminal; without one, no."""
    if not sys.stdin.isatty():
        err.print("There is no terminal to ask on: pass --yes.")
        return False
    try:
        return out.input(f"{question} \\[y/N] ").strip().lower() in ("y", "yes")
    except (EOFError, KeyboardInterrupt):
        out.print()
        return False


def _remove_all(out: Console, err: Console, going: Sequence[Removal]) -> int:
    freed = done = failed = 0
    try:
        for removal in going:
            try:
                freed += remove_run(removal.path)
                done += 1
            except (HuelapseError, OSError) as error:
                failed += 1
                err.print(f"[red]failed[/red]  {shown(removal.path)}: {shown(error)}")
    except KeyboardInterrupt:
        err.print("Stopped. A run that was half removed is no run any more: delete what is left.")
        failed = STOPPED
    out.print(f"Removed {done} {_plural('run', done)}, freed {readable_size(freed)}.")
    return min(failed, 1) if failed < STOPPED else STOPPED
