"""What others have written, made fit for a terminal."""

from rich.markup import escape


def plain(text: object) -> str:
    """What a run or a path says, without what a terminal would obey: escapes, line ends."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text)
    )


def shown(text: object) -> str:
    """The same for a text with markup."""
    return escape(plain(text))
