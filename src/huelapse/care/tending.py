"""What the commands `compact` and `prune` print, and what they end with."""

from pathlib import Path

from rich.console import Console

from huelapse.care.pruning import bytes_of, plan_pruning, prune
from huelapse.care.showing import agreed, readable_size
from huelapse.compacting import bytes_to_keep, compact, remove_stale
from huelapse.run import Run, open_run
from huelapse.store.places import size_of
from huelapse.terminal import STOPPED, progress, shown


def compact_run(out: Console, err: Console, run: Run, *, units: bool) -> int:
    """Compact with a progress bar.

    Returns:
        what the command ends with.

    Raises:
        OptionError, FormatError, OSError: as `compact`.
    """
    missing = bytes_to_keep(run) if units else 0
    if missing > 2**30:
        out.print(f"Histories of up to {readable_size(missing)} before compression are to be kept.")
    with progress(err) as bar:
        task = bar.add_task("compacting", total=1.0)
        try:
            for done in compact(run, units=units):
                bar.update(task, completed=done.share, description=done.what)
        except KeyboardInterrupt:
            bar.stop()
            out.print("Stopped. What was made is kept; the same command goes on from there.")
            return STOPPED
    freed = remove_stale(run)
    directory = run.cache.directory
    assert directory is not None
    kept = size_of(directory)
    said = f", {readable_size(freed)} that had become useless removed" if freed else ""
    out.print(
        f"{shown(run.place)}: {readable_size(kept)} kept in {shown(directory)}{said}",
        soft_wrap=True,
    )
    return 0


def prune_run(
    out: Console,
    err: Console,
    path: Path,
    *,
    every: int | None,
    keep: int | None,
    replaced: bool,
    dry_run: bool,
    yes: bool,
) -> int:
    """Say what would go, ask, give it away.

    Returns:
        0; 1 where the answer was no.

    Raises:
        OptionError, NotARunError, FormatError, RunLockedError, OSError: as `plan_pruning`, `prune`.
    """
    plan = plan_pruning(path, every=every, keep=keep, replaced=replaced)
    going = sum(int(one.gone.sum()) for one in plan)
    for one in plan:
        out.print(
            f"{shown(one.split)}: {int(one.gone.sum()):,} snapshots go, {one.stays:,} stay",
            soft_wrap=True,
        )
    unfinished = any(one.before.any() for one in plan)
    if dry_run or not (going or unfinished):
        out.print(f"{readable_size(bytes_of(path, plan))} would be freed. Nothing was changed.")
        return 0
    question = f"Give {going:,} snapshots, {readable_size(bytes_of(path, plan))}, away for good?"
    if going and not yes and not agreed(out, err, question):
        err.print("Nothing was changed.")
        return 1
    freed = prune(path, plan) + remove_stale(open_run(path))
    out.print(
        f"{shown(path)}: {going:,} snapshots given away, {readable_size(freed)} freed.",
        soft_wrap=True,
    )
    return 0
