"""`huelapse export`: the same with a progress bar."""

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from huelapse.export import writing
from huelapse.export.rows import Selection, Source


def export(out: Console, run: Source, path: Path, chosen: Selection, *, force: bool) -> None:
    """As `writing.export`, and raises what that raises."""
    writing.check(path, force=force)  # before a bar is drawn
    with Progress(
        TextColumn("snapshot {task.completed:.0f} of {task.total:.0f}"),
        BarColumn(),
        TimeRemainingColumn(),
        console=out,
        transient=True,
    ) as bar:
        task = bar.add_task("export", total=len(chosen.snapshots))

        def done(snapshots: int) -> None:
            bar.update(task, completed=snapshots)

        writing.export(run, path, chosen, force=force, done=done)
