"""The `huelapse` command: parse, call, print; nothing else."""

import json
import os
import sys
import threading
import webbrowser
from dataclasses import replace
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from huelapse.errors import HuelapseError, MissingExtraError
from huelapse.terminal import plain, shown

if TYPE_CHECKING:
    from huelapse.palette import Choice

app = typer.Typer(
    name="huelapse",
    help="See which parts of a PyTorch classifier become tuned to which class, and when.\n\n"
    "Try it first: [bold]huelapse demo[/bold] trains a small network on real images for about a "
    "minute and opens its run. To record your own model, add two lines to its training loop:\n\n"
    '  recorder = huelapse.Recorder(model, "runs/mine", probe=val_loader, classes=names)\n\n'
    "  recorder.step(loss=loss)        # after each optimizer.step()\n\n"
    "and look at it with [bold]huelapse view runs/mine[/bold].",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)


class Terminal(Console):
    """Where text goes. A reader that has seen enough (`huelapse info RUN | head -1`) is no error."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        # what is still buffered must not fail when Python ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        raise SystemExit(0)


out = Terminal(highlight=False, emoji=False)
err = Terminal(stderr=True, highlight=False, emoji=False)

DEMO = Path("runs/demo")

RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, as given to Recorder.")
]
AnyRun = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run directory, a pack (run.hue.zip), "
                   "s3://bucket/key/run or http(s)://host/path/run."),
]  # fmt: skip
Port = Annotated[
    int | None,
    typer.Option(help="Serve on this port; by default the first free one from 8765.", min=1,
                 max=65535),
]  # fmt: skip
Browser = Annotated[
    bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")
]


@app.command()
def demo(
    out_dir: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="Where the run goes; a numbered directory beside "
                     "it if there is one already."),
    ] = DEMO,
    view_after: Annotated[
        bool, typer.Option("--view/--no-view", help="Open the viewer when trained.")
    ] = True,
    shuffle_labels: Annotated[
        bool,
        typer.Option("--shuffle-labels", help="The control: permute all labels first, so that "
                     "whatever takes a color does so by chance."),
    ] = False,
    port: Port = None,
    browser: Browser = True,
) -> None:  # fmt: skip
    """Train a small residual network on Fashion-MNIST, record it, and open the viewer.

    Takes about a minute on two cores: six passes over 8,000 images, some 40 snapshots of 2,000
    held-out ones. Ctrl-C stops the training; what was recorded until then can be viewed.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    try:
        from huelapse.demo import training
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise MissingExtraError(
            "the demo trains a network and needs PyTorch: pip install 'huelapse[torch]'"
        ) from error

    from huelapse.store import free_directory, holds_snapshot

    if shuffle_labels and out_dir == DEMO:
        out_dir = DEMO.with_name("demo-shuffled")
    place = free_directory(out_dir)
    permuted = ", all labels permuted" if shuffle_labels else ""
    out.print(
        f"Training a 9-layer residual network on Fashion-MNIST (8,000 images, 10 classes{permuted})."
    )
    with Progress(
        TextColumn("step {task.completed:>4.0f} of {task.total:.0f}"),
        BarColumn(),
        TextColumn("loss {task.fields[loss]:.3f}"),
        TimeRemainingColumn(),
        console=out,
    ) as bar:
        task = bar.add_task("training", total=training.STEPS, loss=float("nan"))

        def advance(step: int, loss: float) -> None:
            bar.update(task, completed=step, loss=loss)

        try:
            trained = training.train(place, shuffle_labels=shuffle_labels, progress=advance)
        except KeyboardInterrupt:
            bar.stop()
            where = shown(place)
            recorded = f"What was recorded is in {where}: huelapse view {where}"
            out.print(f"Stopped. {recorded if holds_snapshot(place) else 'Nothing was recorded.'}")
            raise typer.Exit(130) from None
    cost = trained.cost
    out.print(
        f"Accuracy on the 2,000 held-out images: {trained.accuracy:.1%}. "
        f"{cost['snapshots']:.0f} snapshots in {shown(place)}.",
        soft_wrap=True,
    )
    out.print(
        f"The probes took {cost['probe_share']:.0%} of the training time: the demo records densely, "
        f"with no budget. In your own training the default keeps it under 5 %."
    )
    if view_after:
        _serve(place, port, browser)
    else:
        out.print(f"Look at it with: huelapse view {shown(place)}", soft_wrap=True)


@app.command()
def view(
    run: AnyRun,
    port: Port = None,
    browser: Browser = True,
    palette: Annotated[
        str | None,
        typer.Option(help="Ten hues for your eyes: standard (also for those that lack red or green "
                     "cones) or tritan (blue cones)."),
    ] = None,
    colors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Colors of classes by name, in JSON: "
                     '{"colors": {"cat": "#aa3300"}, "pinned": ["dog"], "superclasses": '
                     '{"cat": "animal"}}; every part may be left out.'),
    ] = None,
) -> None:  # fmt: skip
    """Show a run in the browser, also while it is being recorded.

    In a run that still grows the page offers new snapshots as they come; nothing moves by itself.

    Serves on this machine only (127.0.0.1), to whoever has the printed address with its token.
    Ctrl-C stops it. Nothing that was recorded is ever changed; what is derived from it is kept beside
    it, in the run's cache directory, so that it is fast the next time.
    """
    _serve(run, port, browser, _choice(palette, colors))


@app.command()
def info(
    run: AnyRun,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """What a run holds: model, layers, classes, snapshots, what it cost, gaps.

    A row per layer says how strongly its units were tuned at the first and the last snapshot.
    """
    from huelapse.care.info import print_summary, summary
    from huelapse.run import open_run

    found = summary(open_run(run))
    if as_json:
        out.out(json.dumps(found, indent=2))
    else:
        print_summary(out, found)


@app.command("events")
def list_events(
    run: AnyRun,
    split: Annotated[str | None, typer.Option(help="Of this split; default: the first.")] = None,
    grouping: Annotated[str, typer.Option(help="By true or predicted class.")] = "true",
    measure: Annotated[str, typer.Option(help="By this measure of selectivity.")] = "margin",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: every event.")] = False,
) -> None:
    """What happened to units, and when: tuned, switched, lost, died, revived.

    Each event was confirmed by three snapshots. How many noise alone would give stands beside them.
    """
    from huelapse.care.happening import events
    from huelapse.run import open_run

    events(out, open_run(run), split=split, grouping=grouping, measure=measure, as_json=as_json)


@app.command("ls")
def list_runs(
    directory: Annotated[
        str,
        typer.Argument(metavar="DIR", help="A folder that holds runs, at most 4 deep; or one in a "
                       "bucket, s3://bucket/folder."),
    ] = "runs",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:  # fmt: skip
    """List the runs in a folder: classes, snapshots, last step and its accuracy, size, state.

    A run that cannot be read is listed with the reason. Symbolic links are not followed.

    In a bucket everything below the folder is listed, a thousand names at a time: name the folder of
    the runs. After two minutes it gives up. A web server cannot be asked what it has.
    """
    from huelapse.care import showing

    showing.list_runs(out, err, directory, as_json=as_json)


@app.command()
def verify(
    run: RunPath,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:
    """Read everything of a run back and say which snapshots are damaged, if any are.

    Every checksum is compared, and what the numbers must fulfil among each other. Nothing is ever
    changed. Ends with 0 where all is whole, with 1 where something is damaged.
    """
    from huelapse.care import showing

    raise typer.Exit(showing.verify(out, err, run, as_json=as_json))


@app.command()
def compact(
    run: AnyRun,
    units: Annotated[
        bool,
        typer.Option("--units/--no-units", help="Keep each unit's history too: about as many bytes "
                     "as the run itself."),
    ] = True,
) -> None:  # fmt: skip
    """Make a run fast to look at: derive its pictures, curves and unit histories once, and keep them.

    They go into the run's own cache directory, or into yours where that can't be written. Nothing that
    was recorded is changed, and a cache may be deleted at any time. Ctrl-C keeps what is made; the
    same command goes on from there, and later adds what was recorded since.
    """
    from huelapse.care import tending
    from huelapse.run import open_run

    raise typer.Exit(tending.compact_run(out, err, open_run(run), units=units))


@app.command()
def prune(
    run: RunPath,
    every: Annotated[
        int | None, typer.Option(metavar="N", help="Keep every N-th snapshot.")
    ] = None,
    keep: Annotated[
        int | None, typer.Option(metavar="N", help="Keep N snapshots, evenly spread.")
    ] = None,
    replaced: Annotated[
        bool,
        typer.Option("--superseded", help="Give away those that a resumed training made again."),
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Thin a run out: give snapshots away for good, after asking, to free their space.

    The first and the last of each split stay. What stays is not touched. Refused while the run is being
    written. An interrupted prune is finished by the same command.
    """
    from huelapse.care import tending

    raise typer.Exit(
        tending.prune_run(
            out, err, run, every=every, keep=keep, replaced=replaced, dry_run=dry_run, yes=yes
        )
    )


@app.command("rm")
def remove(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Run directories; with --older-than also folders of "
                       "runs."),
    ],
    older_than: Annotated[
        str | None,
        typer.Option(metavar="AGE", help="Only runs last written longer ago: 30d, 12h, 4w."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:  # fmt: skip
    """Remove runs for good, after asking.

    Only what is a run, and nothing else, is removed: not a run that is being written, a symbolic
    link, or a directory that holds other files too.
    """
    from huelapse.care import showing

    raise typer.Exit(showing.remove(out, err, runs, older_than, dry_run=dry_run, yes=yes))


@app.command()
def export(
    run: AnyRun,
    to: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="FILE", help="Where to; its suffix says the format: "
                     ".parquet, .csv or .nc (netCDF)."),
    ],
    split: Annotated[str | None, typer.Option(help="Of this split; default: the first.")] = None,
    grouping: Annotated[str, typer.Option(help="By this grouping.")] = "true",
    layer: Annotated[str | None, typer.Option(help="Of this layer alone, by its path.")] = None,
    step: Annotated[int | None, typer.Option(help="The snapshot at this step alone.")] = None,
    response: Annotated[
        str | None, typer.Option(help="mean or peak; default: the first that was recorded.")
    ] = None,
    per: Annotated[
        str,
        typer.Option(metavar="class|unit", help="Statistics per class and unit, or what follows "
                     "from them per unit: preferred class, strength, state."),
    ] = "class",
    force: Annotated[bool, typer.Option("--force", help="Replace a file that is there.")] = False,
) -> None:  # fmt: skip
    """Write a run as a table or as arrays, for DuckDB, Polars, pandas, R, spreadsheets, xarray.

    A part of a snapshot is in memory at a time. Of a run that is being recorded, what is committed
    now is written. Ctrl-C leaves nothing behind. Parquet and netCDF need 'huelapse[export]'.
    """
    from huelapse.export import showing
    from huelapse.export.rows import select
    from huelapse.run import open_run

    found = open_run(run)
    chosen = select(
        found, per=per, split=split, grouping=grouping, layer=layer, step=step, response=response
    )
    try:
        showing.export(out, found, to, chosen, force=force)
    except KeyboardInterrupt:
        out.print("Stopped. Nothing was written.")
        raise typer.Exit(130) from None
    out.print(
        f"{shown(to)}: {len(chosen.snapshots)} snapshots of {chosen.size:,} units by "
        f"{len(chosen.grouping.classes)} classes, {to.stat().st_size / 1e6:.1f} MB",
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


@app.command()
def merge(
    run: RunPath,
    incomplete: Annotated[
        bool,
        typer.Option("--incomplete", help="Commit also moments of which parts are missing, marked. "
                     "A part that comes late still takes its place."),
    ] = False,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave the files of what is merged where they are.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
) -> None:  # fmt: skip
    """Merge what ranks and workers have left in a run's partial/ into snapshots.

    Each rank, or task of a replay, writes one file per moment. Once all of a moment's are there they
    become a snapshot, exact and whole, and are removed; merging again changes nothing.

    Files that are damaged, or of another run, are left and named: then it ends with 1. Ctrl-C keeps
    what is merged by then.
    """
    from huelapse.care import merging

    ended = merging.merge(
        out, err, run, incomplete=incomplete, keep=keep, dry_run=dry_run, as_json=as_json
    )
    raise typer.Exit(ended)


def _choice(name: str | None, file: Path | None) -> "Choice | None":
    """What the options of `view` say of colors; None where they say nothing."""
    if name is None and file is None:
        return None
    from huelapse.palette import Choice

    choice = Choice() if file is None else Choice.read(file)
    return choice if name is None else replace(choice, palette=name)


def _serve(
    run: str | Path, port: int | None, browser: bool, colors: "Choice | None" = None
) -> None:
    from huelapse.viewer.server import serve

    def ready(address: str) -> None:
        out.print(f"Viewing {shown(run)} at [bold]{address}[/bold]  (Ctrl-C stops)", soft_wrap=True)
        if os.environ.get("SSH_CONNECTION"):
            number = address.split(":")[2].split("/")[0]
            out.print(
                f"On your own machine: ssh -L {number}:localhost:{number} {os.uname().nodename}, "
                f"then open the address above there.",
                soft_wrap=True,
            )
        elif browser:
            # beside the server: a browser in the terminal would hold it up
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    serve([run], port=port, ready=ready, colors=colors)


def main() -> None:
    """Run the command; an error of ours is one line, not a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a letter is no error
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
    except HuelapseError as error:
        err.print(f"[red]huelapse:[/red] {type(error).__name__}:", end=" ")
        err.print(plain(error), markup=False, soft_wrap=True)
        sys.exit(2)
    except OSError as error:
        err.print("[red]huelapse:[/red]", end=" ")
        err.print(plain(error), markup=False, soft_wrap=True)
        sys.exit(2)


if __name__ == "__main__":
    main()
