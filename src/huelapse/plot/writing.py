"""Pictures of a run as files: one, or one for each snapshot in a film, GIF or MP4."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from huelapse.errors import ExportError, OptionError, SelectionError
from huelapse.plot import Plot, film
from huelapse.plot.style import Picture
from huelapse.store.atomic import check_place

if TYPE_CHECKING:
    from PIL import Image

STILL = (".png", ".svg", ".pdf")
MOVING = (".gif", ".mp4")
PICTURES = ("network", "layer", "kymograph", "unit", "classes", "timeline")
THROUGH_TIME = ("kymograph", "classes", "timeline")
"""Pictures that show all snapshots at once: they do not move."""

FRAMES = {".gif": 200, ".mp4": 2000}
"""The most of a film; of more snapshots some are left out, evenly."""
MILLISECONDS, LAST = 220, 1800
"""How long each frame stands, and the last one."""
DOTS = 110
"""Per inch of a frame."""


def check(path: Path, picture: str, layer: str | None, unit: int | None, *, force: bool) -> None:
    """
    Raises:
        ExportError: no place for a file, or a picture that cannot be written so.
        ExportExistsError: there is a file, and it is not to be replaced.
        OptionError: a picture there is not, or one that lacks what it is of.
    """
    if picture not in PICTURES:
        raise OptionError(f"no picture {picture!r}; there are {', '.join(PICTURES)}")
    if picture in ("layer", "kymograph", "unit") and layer is None:
        raise OptionError(f"which layer the {picture} is of must be said: --layer")
    if picture == "unit" and unit is None:
        raise OptionError("which unit of the layer must be said: --unit")
    if path.suffix.lower() in MOVING and picture in THROUGH_TIME:
        raise ExportError(
            f"the {picture} shows all snapshots at once and does not move; name the file "
            f"{', '.join(STILL)}"
        )
    check_place(path, force=force)
    if path.suffix.lower() == ".mp4":
        film.check()


def write_picture(
    plot: Plot,
    steps: list[int],
    path: Path,
    *,
    picture: str = "network",
    step: int | None = None,
    since: int | None = None,
    layer: str | None = None,
    unit: int | None = None,
    force: bool = False,
    done: Callable[[float], None] = lambda share: None,
) -> int:
    """Write one picture, or, as .gif or .mp4, one for each snapshot.

    Args:
        plot: with its preset, theme, split, grouping and measure.
        steps: of the snapshots of the split.
        path: its suffix says the form; written beside and renamed at the end.
        picture: as the methods of `Plot` are called.
        step: of the snapshot; default: the last. A film ends there.
        since: step of a film's first snapshot.
        layer, unit: what it is of.
        force: replace a file that is there.
        done: called with the share of the work that is done.

    Returns:
        how many snapshots are shown.

    Raises:
        ExportError, ExportExistsError, OptionError: as `check`.
        MissingExtraError: an MP4, and no encoder is installed.
        SelectionError: no such step, layer or unit.
    """
    check(path, picture, layer, unit, force=force)

    def at(when: int | None) -> Picture:
        match picture:
            case "layer":
                return plot.layer(str(layer), when)
            case "unit":
                return plot.unit(str(layer), int(unit or 0), when)
            case "kymograph":
                return plot.kymograph(str(layer))
            case "classes":
                return plot.classes()
            case "timeline":
                return plot.timeline()
            case _:
                return plot.network(when)

    beside = path.with_name(f".{path.stem[:100]}.{os.getpid()}.tmp{path.suffix.lower()}")
    try:
        suffix = path.suffix.lower()
        if suffix in MOVING:
            shown = frames_of(steps, step, since, FRAMES[suffix])
            write = _write_gif if suffix == ".gif" else film.write
            number = write(_drawn(at, shown, done), beside)
        else:
            at(step).savefig(beside)
            number = len(steps) if picture in THROUGH_TIME else 1
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return number


def frames_of(
    steps: list[int], last: int | None, first: int | None = None, most: int = FRAMES[".gif"]
) -> list[int]:
    """Steps of a film's frames: all from the first to the last, or `most` of them, evenly, both ends
    included.

    Raises:
        SelectionError: there is none.
    """
    if not steps:
        raise SelectionError("the run has no snapshot yet")
    since, until = steps[0] if first is None else first, steps[-1] if last is None else last
    within = [step for step in steps if since <= step <= until]
    if not within:
        raise SelectionError(
            f"there is no snapshot from step {since} to {until}; "
            f"the first is at {steps[0]}, the last at {steps[-1]}"
        )
    if len(within) <= most:
        return within
    return [within[round(i * (len(within) - 1) / (most - 1))] for i in range(most)]


def _drawn(
    at: Callable[[int], Picture], steps: list[int], done: Callable[[float], None]
) -> Iterator[Image.Image]:
    """The frames one after the other, in the colors as they are."""
    from PIL import Image

    for i, step in enumerate(steps):
        content = io.BytesIO()
        at(step).savefig(content, dpi=DOTS, format="png")
        yield Image.open(content).convert("RGB")
        done((i + 1) / len(steps))


def _write_gif(frames: Iterator[Image.Image], path: Path) -> int:
    from PIL import Image

    # A frame has 256 colors of its own. The usual choice joins hues that few pixels have; this one
    # keeps every color within a few steps of 255. Dithering would speckle cells.
    kept = [
        frame.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        for frame in frames
    ]
    times = [MILLISECONDS] * (len(kept) - 1) + [LAST]
    kept[0].save(
        path, "GIF", save_all=True, append_images=kept[1:], duration=times, loop=0, optimize=False
    )
    return len(kept)
