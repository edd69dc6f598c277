"""What all commands share: the application, where text goes, how a run is named."""

import os
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

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

RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run directory, as given to Recorder.")
]
AnyRun = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run directory, a pack (run.hue.zip), "
                   "s3://bucket/key/run or http(s)://host/path/run."),
]  # fmt: skip
AnyRuns = Annotated[
    list[str],
    typer.Argument(metavar="RUN…", help="Run directories, packs (run.hue.zip), s3://bucket/key/run "
                   "or http(s)://host/path/run; or folders that hold runs."),
]  # fmt: skip
