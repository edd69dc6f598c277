"""Commands that take care of runs: ls, verify, compact, prune, rm, merge."""

from pathlib import Path
from typing import Annotated

import typer

from huelapse.cli.app import AnyRun, RunPath, app, err, out


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
