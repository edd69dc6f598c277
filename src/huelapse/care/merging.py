"""What `huelapse merge` prints, and what it ends with."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from huelapse.store.merging import Merged, MergeReport, Merging, Waiting
from huelapse.terminal import STOPPED, progress, shown

Moment = TypeVar("Moment", Merged, Waiting)

NAMED = 20
"""Files and moments that are named; --json names all."""


def merge(
    out: Console,
    err: Console,
    path: Path,
    *,
    incomplete: bool,
    keep: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Merge a run's parts and print what came of it.

    Returns:
        0; 1 where a file is damaged or of something else; 130 where Ctrl-C ended it before the end.

    Raises:
        NotARunError, FormatError, RunLockedError, OSError: as `huelapse.store.merging.Merging`.
    """
    merging = Merging(path, incomplete=incomplete, keep=keep, dry=dry_run)
    report = merging.report
    stopped = False
    with progress(err, "{task.completed:,.0f} of {task.total:,.0f} moments") as bar:
        task = bar.add_task("merging", total=1)
        try:
            for done in merging.steps():
                bar.update(task, completed=done, total=report.moments)
        except KeyboardInterrupt:
            stopped = True
    if as_json:
        out.out(json.dumps(report.as_json(), indent=2))
    else:
        _print(out, report, stopped=stopped)
    if stopped:
        return STOPPED
    return 1 if report.left else 0


def _print(out: Console, report: MergeReport, *, stopped: bool) -> None:
    for split, moments in _by_split(report.merged).items():
        _print_merged(out, split, moments, dry=report.dry_run)
    for split, moments in _by_split(report.waiting).items():
        for one in moments[:NAMED]:
            out.print(f"{shown(split)}, step {one.step}: {_waits(one)}", soft_wrap=True)
        if len(moments) > NAMED:
            out.print(f"… and {len(moments) - NAMED} more; --json names all")
    for left in report.left[:NAMED]:
        word = "[red]damaged[/red]" if left.damaged else "[red]refused[/red]"
        out.print(f"{word}  partial/{shown(left.file)}: {shown(left.why)}", soft_wrap=True)
    if len(report.left) > NAMED:
        out.print(f"… and {len(report.left) - NAMED} more files; --json names all")
    if report.already:
        out.print(f"{report.already:,} files had been merged before.")
    if report.removed:
        out.print(f"{report.removed:,} files are in the run now and were removed.")
    if stopped:
        out.print("Stopped. What was merged until then is committed; merge again for the rest.")
    elif not (report.merged or report.waiting or report.left or report.already):
        out.print("There is nothing to merge.")
    elif report.dry_run:
        out.print("Nothing was changed.")


def _print_merged(out: Console, split: str, moments: Sequence[Merged], *, dry: bool) -> None:
    word = "would be merged" if dry else "merged"
    steps = [one.step for one in moments]
    number = f"{len(steps):,} {'snapshot' if len(steps) == 1 else 'snapshots'}"
    where = f"step {steps[0]}" if len(steps) == 1 else f"steps {min(steps)} to {max(steps)}"
    out.print(f"{shown(split)}: {number} {word}, {where}", soft_wrap=True)
    odd = [one for one in moments if not one.complete or one.again or one.twice]
    for one in odd[:NAMED]:
        said = [f"{one.parts} of {_number(one.expected)} parts"]
        if one.missing:
            said.append(f"without {_names(one.missing)}")
        if one.again:
            said.append("in place of the snapshot there was")
        if one.twice:
            said.append(f"{one.twice:,} samples were forwarded twice, and count so")
        out.print(f"  step {one.step}: {', '.join(said)}", soft_wrap=True)
    if len(odd) > NAMED:
        out.print(f"  … and {len(odd) - NAMED} more; --json names all")


def _waits(one: Waiting) -> str:
    missing = _names(one.missing) if one.missing else "others"
    there = f"{len(one.parts)} of {_number(one.expected)} parts"
    if one.committed:
        return f"{there} are committed, and marked; waits for {missing}"
    return f"waits for {missing}; there are {there} (--incomplete commits those, marked)"


def _names(names: Sequence[str]) -> str:
    told = ", ".join(shown(name) for name in names[:5])
    return told if len(names) <= 5 else f"{told} and {len(names) - 5} more"


def _number(expected: int | None) -> str:
    return "nobody knows how many" if expected is None else f"{expected:,}"


def _by_split(moments: Sequence[Moment]) -> dict[str, list[Moment]]:
    found: dict[str, list[Moment]] = defaultdict(list)
    for one in moments:
        found[one.split].append(one)
    return found
