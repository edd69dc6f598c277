"""The `huelapse` command: parse, call, print; nothing else."""

import sys
from io import TextIOWrapper

from huelapse.cli import looking, replaying, sharing, tending  # in the order of the help
from huelapse.cli.app import app, err
from huelapse.errors import HuelapseError
from huelapse.terminal import plain

__all__ = ["app", "looking", "main", "replaying", "sharing", "tending"]


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
