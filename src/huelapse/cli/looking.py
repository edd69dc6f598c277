"""Commands that show: demo, view, info, events."""

import json
import os
import platform
import threading
import webbrowser
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from huelapse.cli.app import AnyRun, AnyRuns, app, out
from huelapse.errors import MissingExtraError
from huelapse.terminal import shown

if TYPE_CHECKING:
    from huelapse.palette import Choice

DEMO = Path("runs/demo")

FOUND = "found"
"""In place of a file of superclasses."""

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
        _serve([place], port, browser)
    else:
        out.print(f"Look at it with: huelapse view {shown(place)}", soft_wrap=True)


@app.command()
def view(
    runs: AnyRuns,
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
    hosts: Annotated[
        list[str] | None,
        typer.Option("--allow-host", metavar="NAME", help="Answer under this name too: that of a "
                     "proxy which passes it on. May be said several times."),
    ] = None,
    superclasses: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="What classes belong to: a file of lines \"parent child\", "
                     "such as WordNet's is-a relation; or the word found: by how alike they are to the "
                     "network at the last snapshot."),
    ] = None,
) -> None:  # fmt: skip
    """Show a run in the browser, also while it is being recorded; or several, or those of a folder.

    In a run that still grows the page offers new snapshots as they come; nothing moves by itself.

    Serves on this machine only (127.0.0.1), to whoever has the printed address with its token.
    Ctrl-C stops it. Nothing that was recorded is ever changed; what is derived from it is kept beside
    it, in the run's cache directory, so that it is fast the next time.
    """
    _serve(runs, port, browser, _choice(palette, colors, superclasses), hosts or [])


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


def _choice(
    name: str | None, file: Path | None, superclasses: str | None = None
) -> "Choice | None":
    """What the options of `view` say of colors; None where they say nothing."""
    if name is None and file is None and superclasses is None:
        return None
    from huelapse.hierarchy import parents_in
    from huelapse.palette import Choice

    choice = Choice() if file is None else Choice.read(file)
    if superclasses == FOUND:
        choice = replace(choice, found=True)
    elif superclasses is not None:
        choice = replace(choice, taxonomy=parents_in(superclasses))
    return choice if name is None else replace(choice, palette=name)


def _serve(
    runs: Sequence[str | Path],
    port: int | None,
    browser: bool,
    colors: "Choice | None" = None,
    hosts: Sequence[str] = (),
) -> None:
    from huelapse.viewer.server import serve

    def ready(address: str) -> None:
        named = ", ".join(shown(run) for run in runs)
        out.print(f"Viewing {named} at [bold]{address}[/bold]  (Ctrl-C stops)", soft_wrap=True)
        if hosts:
            query = address[address.index("?") :]
            out.print(f"Through the proxy: its address, then [bold]{query}[/bold]", soft_wrap=True)
        if os.environ.get("SSH_CONNECTION"):
            number = urlsplit(address).port
            out.print(
                f"On your own machine: ssh -L {number}:localhost:{number} {platform.node()}, then "
                f"open the address above there. If {number} is taken there, put another port first, "
                f"in the address too.",
                soft_wrap=True,
            )
        elif browser:
            # beside the server: a browser in the terminal would hold it up
            threading.Thread(target=webbrowser.open, args=[address], daemon=True).start()

    serve(*runs, port=port, ready=ready, colors=colors, hosts=hosts)
