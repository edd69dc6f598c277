"""What a replay is asked, as a user says it: checked, and put into words that other processes read."""

import os
from collections.abc import Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from huelapse.errors import OptionError, ReplayError
from huelapse.recording.options import whole
from huelapse.replaying.asked import ALL, PRECISIONS, PROBE, Asked, Data
from huelapse.replaying.beginning import find
from huelapse.replaying.committing import Standing
from huelapse.store import holds_run
from huelapse.superclasses import check_superclasses


def data_of(
    data: Any,
    *,
    image_size: int | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    arrays: tuple[str, str] | None,
) -> Data:
    kind, source = "given", data
    if isinstance(data, str | PathLike):
        path = Path(os.fspath(data)).expanduser()
        if path.suffix == ".npz":
            kind, source = "npz", str(path.absolute())
        elif path.is_dir():
            kind, source = "folder", str(path.absolute())
        elif isinstance(data, str) and ":" in data:
            kind = "factory"
        if kind == "given" or (kind == "npz" and not path.is_file()):
            raise OptionError(
                f"data is {str(data)!r}, expected package.module:function, an .npz, or a folder of "
                f"images; there is no such file"
            )
    elif callable(data) and not hasattr(data, "__len__") and not hasattr(data, "__iter__"):
        kind = "factory"
    return Data(
        kind=kind,
        source=source,
        arrays=arrays,
        image_size=whole("image_size", image_size),
        mean=None if mean is None else tuple(float(x) for x in mean),
        std=None if std is None else tuple(float(x) for x in std),
    )


def as_plain(classes: Any) -> Any:
    from huelapse.grouping import check_classes

    return None if classes is None else list(check_classes(classes))


def as_checked(superclasses: Any, classes: Any) -> Any:
    """Where classes are for the data to say, the worker that reads them checks."""
    if superclasses is None or classes is None:
        return superclasses
    return check_superclasses(superclasses, as_plain(classes))


def check(asked: Asked) -> None:
    """
    Raises:
        OptionError, LayerError …: an option that cannot be.
    """
    if asked.samples not in (ALL, PROBE):
        whole("samples", asked.samples)
    if asked.autocast not in (None, *PRECISIONS):
        raise OptionError(f"autocast is {asked.autocast!r}, expected {' or '.join(PRECISIONS)}")
    single = {
        "keep_responses": asked.keep_responses not in ("auto", False),
        "maps": asked.maps is not False,
        "watch": asked.watch != 0,
        "first_weights": asked.first_weights,
        "thumbnails": asked.thumbnails is not False,
    }
    wanted = [name for name, is_wanted in single.items() if is_wanted]
    if asked.parts > 1 and wanted:
        raise OptionError(
            f"{wanted[0]} is kept of whole checkpoints alone: leave out parts={asked.parts}"
        )


def like_before(asked: Asked, run: Path, there: Standing | None) -> Asked:
    """The same, where there is a choice, as what the run has.

    Raises:
        ReplayError: something else was replayed there.
    """
    if there is not None and there.digest != asked.digest:
        what = asked.difference(there.asked) or "it was another version of huelapse"
        raise ReplayError(
            f"{run} has replayed {asked.split!r} otherwise: {what}. Replay into another run, or "
            f"give it a name of its own: --split …"
        )
    if asked.keep_responses != "auto":
        return asked
    keeps = there.keeps_responses if there is not None and holds_run(run) else None
    if keeps is None:
        begun = find(run, asked.digest, 0, asked.parts)
        if begun is None:
            return asked
        keeps = any(extra.path == "responses" for extra in begun.split.extras)
    return replace(asked, keep_responses=keeps and asked.parts == 1)
