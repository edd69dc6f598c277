"""What the commands `compact` and `prune` print, and what they end with."""

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from huelapse.care.showing import STOPPED, readable_size
from huelapse.compacting import bytes_to_keep, compact, remove_stale, size
from huelapse.run import Run
from huelapse.terminal import shown


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
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=err,
        transient=True,
    ) as bar:
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
    kept = size(directory) if directory.is_dir() else 0
    said = f", {readable_size(freed)} that had become useless removed" if freed else ""
    out.print(
        f"{shown(run.place)}: {readable_size(kept)} kept in {shown(directory)}{said}",
        soft_wrap=True,
    )
    return 0
