"""Options that are typed as text, as values; an OptionError says what cannot be read."""

from pathlib import Path

from huelapse.errors import OptionError


def names(given: str | None) -> list[str] | int | None:
    """Class names with commas between, how many there are, or `@file` with one a line."""
    if given is None:
        return None
    if given.startswith("@"):
        try:
            lines = Path(given[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise OptionError(f"--classes {given}: it cannot be read: {error}") from error
        return [line.strip() for line in lines if line.strip()]
    return int(given) if given.isdigit() else [name.strip() for name in given.split(",")]


def numbers(option: str, given: str | None) -> list[float] | None:
    """Numbers with commas between."""
    if given is None:
        return None
    try:
        return [float(number) for number in given.split(",")]
    except ValueError as error:
        raise OptionError(
            f"--{option} is {given!r}, expected numbers with commas between"
        ) from error


def pair(option: str, given: str | None) -> tuple[str, str] | None:
    """Two names with a comma between."""
    if given is None:
        return None
    first, comma, second = given.partition(",")
    if not comma or not first or not second:
        raise OptionError(f"--{option} is {given!r}, expected two names: images,labels")
    return first, second


def parents(file: Path | None) -> dict[str, str] | None:
    """Class or superclass → what it belongs to, from lines "parent child"."""
    from huelapse.hierarchy import parents_in

    return None if file is None else parents_in(file)
