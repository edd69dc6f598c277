"""Commands that give a run to other programs and people: export, pack."""

import os
from pathlib import Path
from typing import Annotated

import typer

from huelapse.cli.app import AnyRun, RunPath, app, err, out
from huelapse.errors import ExportError
from huelapse.terminal import shown


@app.command()
def export(
    run: AnyRun,
    to: Annotated[
        str,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; its suffix says the format: "
                     ".parquet, .csv, .nc (netCDF); .html: the viewer in one file; .png, .svg, .pdf: a "
                     "picture; .gif, .mp4: one per snapshot. A name that ends with '/' is a folder "
                     "for a web server."),
    ],
    split: Annotated[str | None, typer.Option(help="Of this split; default: the first.")] = None,
    grouping: Annotated[str, typer.Option(help="By this grouping.")] = "true",
    layer: Annotated[str | None, typer.Option(help="Of this layer alone, by its path.")] = None,
    step: Annotated[int | None, typer.Option(help="The snapshot at this step alone.")] = None,
    since: Annotated[
        int | None, typer.Option(metavar="STEP", help="Of .gif and .mp4: from this step on.")
    ] = None,
    response: Annotated[
        str | None, typer.Option(help="mean or peak; default: the first that was recorded.")
    ] = None,
    per: Annotated[
        str,
        typer.Option(metavar="class|unit", help="Statistics per class and unit, or what follows "
                     "from them per unit: preferred class, strength, state."),
    ] = "class",
    picture: Annotated[
        str,
        typer.Option(help="Of a picture or film: network, layer, kymograph, unit, classes or "
                     "timeline."),
    ] = "network",
    unit: Annotated[int | None, typer.Option(help="Of the picture: index in the layer.")] = None,
    preset: Annotated[str, typer.Option(help="Of a picture: column, double or slide.")] = "double",
    theme: Annotated[str, typer.Option(help="Of a picture: light or dark.")] = "light",
    budget: Annotated[
        float | None,
        typer.Option(metavar="MB", help="Of an .html file (10) or a folder (none); what has no room "
                     "is named."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:  # fmt: skip
    """Write a run as a table or as arrays, for DuckDB, Polars, pandas, R, spreadsheets, xarray.

    A part of a snapshot is in memory at a time. Of a run that is being recorded, what is committed
    now is written. Ctrl-C leaves nothing behind. Parquet and netCDF need 'huelapse[export]'.

    As .html it is the viewer and the run in one file, which opens from disk without a server; as a
    folder, what any web server of files can show. Pictures need 'huelapse[plot]', an .mp4
    'huelapse[video]'.
    """
    path = Path(to)
    if path.suffix.lower() in (".png", ".svg", ".pdf", ".gif", ".mp4"):
        from huelapse.care.picturing import export_picture
        from huelapse.run import open_run

        raise typer.Exit(
            export_picture(
                out, err, open_run(run), path, picture=picture, step=step, since=since, layer=layer,
                unit=unit,
                preset=preset, theme=theme, split=split, grouping=grouping, force=force,
            )
        )  # fmt: skip
    if path.suffix.lower() == ".html" or to.endswith(("/", os.sep)):
        from huelapse.run import open_run
        from huelapse.viewer.exporting import export_page

        tables = (split, layer, step, response)
        if any(one is not None for one in tables) or grouping != "true" or per != "class":
            raise ExportError(
                "a page holds the whole run: leave out options that choose a part of it"
            )
        raise typer.Exit(export_page(out, err, open_run(run), path, budget, force=force))
    from huelapse.export import showing
    from huelapse.export.rows import select
    from huelapse.run import open_run

    found = open_run(run)
    chosen = select(
        found, per=per, split=split, grouping=grouping, layer=layer, step=step, response=response
    )
    try:
        showing.export(out, found, path, chosen, force=force)
    except KeyboardInterrupt:
        out.print("Stopped. Nothing was written.")
        raise typer.Exit(130) from None
    out.print(
        f"{shown(path)}: {len(chosen.snapshots)} snapshots of {chosen.size:,} units by "
        f"{len(chosen.grouping.classes)} classes, {path.stat().st_size / 1e6:.1f} MB",
        soft_wrap=True,
    )


@app.command()
def pack(
    run: RunPath,
    to: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where to, as run.hue.zip."),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:
    """Put a run into one file, to send or to publish: huelapse opens it without unpacking.

    What is committed now goes in, and nothing else. Ctrl-C leaves nothing behind.
    """
    from rich.progress import BarColumn, Progress, TextColumn

    from huelapse.store.pack import pack_run

    with Progress(
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} arrays"), BarColumn(), console=err,
        transient=True,
    ) as bar:  # fmt: skip
        task = bar.add_task("packing", total=1)
        try:
            files = pack_run(
                run, to, force=force,
                progress=lambda done, all_: bar.update(task, completed=done, total=all_),
            )  # fmt: skip
        except KeyboardInterrupt:
            bar.stop()
            out.print("Stopped. Nothing was written.")
            raise typer.Exit(130) from None
    out.print(
        f"{shown(to)}: {files:,} files, {to.stat().st_size / 1e6:.1f} MB. "
        f"Look at it with: huelapse view {shown(to)}",
        soft_wrap=True,
    )
