"""What the parts of a resource's path name."""

from huelapse.errors import SelectionError
from huelapse.run import Run


def number(text: str) -> int:
    """
    Raises:
        SelectionError: it is no plain number, or too great.
    """
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise SelectionError(f"{text[:20]!r} is not a number")
    return int(text)


def snapshot(run: Run, split: str, text: str) -> int:
    """Which snapshot the last or another part of a path names.

    Raises:
        SelectionError: the split has no such snapshot.
    """
    at, total = number(text.removesuffix(".st")), len(run.coordinate("step", split))
    if at >= total:
        raise SelectionError(f"no snapshot {at}: the run has {total}")
    return at
