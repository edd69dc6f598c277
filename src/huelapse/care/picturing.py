"""What `huelapse export RUN -o run.png` prints, and what it ends with."""

from pathlib import Path

from rich.console import Console

from huelapse.run import Run
from huelapse.terminal import STOPPED, progress, shown


def export_picture(
    out: Console,
    err: Console,
    run: Run,
    to: Path,
    *,
    picture: str,
    step: int | None,
    since: int | None,
    layer: str | None,
    unit: int | None,
    preset: str,
    theme: str,
    split: str | None,
    grouping: str,
    force: bool,
) -> int:
    """Write a picture, or a moving one, with a progress bar.

    Returns:
        what the command ends with.

    Raises:
        ExportError, ExportExistsError, OptionError, SelectionError: as `write_picture`.
        MissingExtraError: Matplotlib is not installed, or of an MP4 PyAV.
    """
    plot = run.plot(preset=preset, theme=theme, split=split, grouping=grouping)
    from huelapse.plot.writing import MOVING, write_picture

    steps = [int(one) for one in run.coordinate("step", split)]
    with progress(err, "drawing") as bar:
        task = bar.add_task("drawing", total=1.0)
        try:
            number = write_picture(
                plot,
                steps,
                to,
                picture=picture,
                step=step,
                since=since,
                layer=layer,
                unit=unit,
                force=force,
                done=lambda share: bar.update(task, completed=share),
            )
        except KeyboardInterrupt:
            bar.stop()
            out.print("Stopped. Nothing was written.")
            return STOPPED
    what = "snapshot" if number == 1 else "snapshots"
    less = f" of {len(steps):,}" if to.suffix.lower() in MOVING and number < len(steps) else ""
    out.print(
        f"{shown(to)}: {number:,}{less} {what}, {to.stat().st_size / 1e6:.1f} MB", soft_wrap=True
    )
    return 0
