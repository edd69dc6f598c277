"""Checkpoints as a user names them: paths, globs, folders, addresses, a list in a file."""

import glob
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from huelapse.errors import CheckpointError, ReplayError
from huelapse.replaying.files import IN_FOLDER, PICKLED, SAFE
from huelapse.replaying.steps import StepFrom, step_of

LISTED = "@"
"""Before the name of a text file that names checkpoints, one a line."""

Places = str | PathLike[str] | Iterable[str | PathLike[str]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Saved weights, and the optimizer steps that had been made."""

    place: str
    """Path, or an address that a fetching function knows."""
    step: int

    @property
    def remote(self) -> bool:
        return is_address(self.place)


@dataclass(frozen=True, slots=True)
class Unusable:
    """A checkpoint that was named, and why it cannot be replayed."""

    place: str
    why: str
    step: int | None = None


def is_address(place: str) -> bool:
    return "://" in place


def places_of(given: Places) -> list[str]:
    """Every checkpoint that was named, once, in order of names within each.

    Raises:
        ReplayError: a path or glob names nothing, a list cannot be read.
    """
    several = [given] if isinstance(given, str | PathLike) else list(given)
    found = [place for one in several for place in _named(fspath(one))]
    if not found:
        raise ReplayError("no checkpoint is named: give paths, or a glob such as 'ckpts/*.pt'")
    return list(dict.fromkeys(found))


def _named(given: str) -> Iterator[str]:
    if given.startswith(LISTED):
        try:
            lines = Path(given[1:]).read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise ReplayError(f"the list {given[1:]} cannot be read: {error}") from error
        for line in lines:
            if line.strip() and not line.lstrip().startswith("#"):
                yield from _named(line.strip())
    elif is_address(given):
        yield given
    elif Path(given).exists():
        yield from _inside(Path(given))
    else:
        pattern = str(Path(given).expanduser())
        matched = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 # with folders before it
        if not matched:
            raise ReplayError(f"no checkpoint matches {given!r}; put a glob between quotes")
        for path in matched:
            yield from _inside(Path(path))


def _inside(path: Path) -> Iterator[str]:
    """A file, a folder that is one checkpoint, or all that a folder holds."""
    if not path.is_dir() or any((path / name).is_file() for name in IN_FOLDER):
        yield str(path)
        return
    files = [p for p in sorted(path.iterdir()) if p.suffix in (SAFE, *PICKLED)]
    folders = [
        p
        for p in sorted(path.iterdir())
        if p.is_dir() and any((p / name).is_file() for name in IN_FOLDER)
    ]
    inside = [str(p) for p in (*folders, *files)]
    yield from inside or [str(path)]


def with_steps(
    places: Sequence[str],
    how: StepFrom,
    told: Callable[[str], Mapping[str, Any]],
) -> tuple[list[Checkpoint], list[Unusable]]:
    """The checkpoints by step, and those of which nobody knows it.

    Args:
        places: of them.
        how: as in `steps.step_of`.
        told: what the checkpoint of a place says of itself.

    Raises:
        ReplayError: two of them are of the same step.
        FactoryError: the user's function of steps fails.
    """
    known: dict[int, Checkpoint] = {}
    unusable: list[Unusable] = []
    for place in places:
        try:
            step = step_of(place, how, lambda place=place: told(place))
        except CheckpointError as error:
            unusable.append(Unusable(place, str(error)))
            continue
        if step in known:
            raise ReplayError(
                f"{known[step].place} and {place} are both of step {step}: a run has one snapshot a "
                f"step. Name one of them, or say how steps are told: --step module:function"
            )
        known[step] = Checkpoint(place, step)
    return [known[step] for step in sorted(known)], unusable
