"""Which optimizer step a checkpoint is of: from its name, from what it holds, or by the user's word."""

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from huelapse.errors import CheckpointError
from huelapse.replaying.named import Named, call

StepFrom = Literal["auto", "name", "checkpoint"] | Named

ENDINGS = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")
FILES = re.compile(r"(model|pytorch_model|adapter_model|weights|checkpoint)(-\d+-of-\d+)?")
"""Names of files that say nothing: their folder is what is named."""
SAID = re.compile(r"(?:step|steps|iter|iters|iteration|checkpoint|ckpt)[-_=.]?(\d+)", re.IGNORECASE)
EPOCH = re.compile(r"(?:epoch|ep)[-_=.]?(\d+)", re.IGNORECASE)
NUMBER = re.compile(r"(?<![\d.A-Za-z])(\d+)(?![\d.]*\d|[A-Za-z])")
"""One that stands alone: not of "resnet18", "32x32" or "loss=0.23"."""
KEYS = ("global_step", "step", "steps", "iteration", "iter", "global_iteration", "num_updates")
GREATEST = 10**12


def name_of(place: str) -> str:
    """What a checkpoint is called: its file without ending, or its folder."""
    path = PurePosixPath(unquote(urlsplit(place).path) if "://" in place else place)
    stem = path.name
    for ending in (*ENDINGS, ".index.json"):
        stem = stem.removesuffix(ending)
    return path.parent.name if FILES.fullmatch(stem) and path.parent.name else stem


def said_by_name(place: str) -> int | None:
    """The step a name speaks of: the greatest of `step=1200`, `checkpoint-1200`, `iter_1200`."""
    return _greatest(SAID.findall(name_of(place)))


def numbered_by_name(place: str) -> int | None:
    """The greatest number that stands alone in a name, or its epoch."""
    name = name_of(place)
    alone = _greatest(NUMBER.findall(name))
    epoch = _greatest(EPOCH.findall(name))
    found = [number for number in (alone, epoch) if number is not None]
    return max(found, default=None)


def epoch_by_name(place: str) -> int | None:
    return _greatest(EPOCH.findall(name_of(place)))


def said_inside(content: Any) -> int | None:
    """What a checkpoint says of its step: `global_step`, `step` … as a whole number."""
    for key in KEYS:
        number = _whole(content.get(key)) if isinstance(content, Mapping) else None
        if number is not None:
            return number
    return None


def step_of(place: str, how: StepFrom, inside: Any) -> int:
    """
    Args:
        place: of the checkpoint.
        how: "auto" (a name that speaks of steps, else what the checkpoint says, else a number in
            its name), "name", "checkpoint", or a function of the place.
        inside: called without arguments for what the checkpoint says of itself, a mapping.

    Raises:
        CheckpointError: nobody says.
        FactoryError: the function fails.
    """
    if how == "name":
        found = _first(said_by_name(place), lambda: numbered_by_name(place))
    elif how == "checkpoint":
        found = said_inside(inside())
    elif how == "auto":
        found = said_by_name(place)
        found = _first(found, lambda: said_inside(inside()))
        found = _first(found, lambda: numbered_by_name(place))
    else:
        given = call(how, "step", place)
        found = _whole(given)
        if found is None:
            raise CheckpointError(f"the step function gave {given!r:.60}, expected a whole number")
    if found is None:
        raise CheckpointError(
            f"nothing says which step it is of: neither its name ({name_of(place)!r}) nor "
            f"{' or '.join(KEYS[:2])} inside. Name it like step=1200.pt, or say how to tell: "
            f"--step module:function, which is given the path"
        )
    return found


def _first(found: int | None, otherwise: Any) -> int | None:
    return otherwise() if found is None else found


def _greatest(found: list[str]) -> int | None:
    return max((int(n) for n in found if int(n) <= GREATEST), default=None)


def _whole(value: Any) -> int | None:
    try:
        number = int(value)
        same = float(value) == number
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if same and not isinstance(value, bool) and 0 <= number <= GREATEST else None
