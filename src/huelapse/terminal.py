"""What others have written, made fit for a terminal; progress that a pipe does not see."""

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

STOPPED = 130
"""What a command that Ctrl-C ended ends with."""


def plain(text: object) -> str:
    """What a run or a path says, without what a terminal would obey: escapes, line ends."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def shown(text: object) -> str:
    """The same for a text with markup."""
    return escape(plain(text))


def progress(err: Console, told: str = "{task.description}") -> Progress:
    """A bar with the time that is left, gone when it is done; nothing where nobody looks."""
    return Progress(
        TextColumn(told),
        BarColumn(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
