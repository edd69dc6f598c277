"""What `huelapse export RUN -o run.html` (or `site/`) prints, and what it ends with."""

import math
from pathlib import Path

from rich.console import Console

from huelapse.errors import ExportError
from huelapse.run import Run
from huelapse.terminal import STOPPED, progress, shown
from huelapse.viewer.collecting import Done
from huelapse.viewer.site import write_site
from huelapse.viewer.standalone import BUDGET, Exported, write_page


def export_page(
    out: Console, err: Console, run: Run, to: Path, budget: float | None, *, force: bool
) -> int:
    """Write the page with a progress bar: a file where its name ends with .html, else a folder.

    Args:
        budget: in MB; by default 10 of a file, and none of a folder.

    Returns:
        what the command ends with.

    Raises:
        ExportError, ExportExistsError, ServerError: as `write_page`.
    """
    if budget is not None and not (budget > 0 and math.isfinite(budget)):
        raise ExportError(f"the budget is {budget:g} MB, expected a finite number above 0")
    if not to.absolute().parent.is_dir():
        raise ExportError(f"{to.parent} does not exist; name a place in a directory that is there")
    with progress(err) as bar:
        task = bar.add_task("begin", total=1.0)

        def done(share: float, what: str) -> None:
            bar.update(task, completed=share, description=shown(what))

        try:
            found = _write(run, to, budget, force=force, done=done)
        except KeyboardInterrupt:
            bar.stop()
            out.print("Stopped. Nothing was written.")
            return STOPPED
    left = f"; left out: {', '.join(found.left_out)} (--budget)" if found.left_out else ""
    if found.unreadable:
        left += f"; damaged, and left out: {', '.join(found.unreadable)} (huelapse verify)"
    out.print(f"{shown(to)}: {found.bytes / 1e6:.1f} MB{shown(left)}", soft_wrap=True)
    return 0


def _write(run: Run, to: Path, budget: float | None, *, force: bool, done: Done) -> Exported:
    room = None if budget is None else int(budget * 1e6)
    if to.suffix.lower() == ".html":
        return write_page(run, to, budget=BUDGET if room is None else room, force=force, done=done)
    return write_site(run, to, budget=room, done=done)
