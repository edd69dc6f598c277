"""Pictures of a run as files: one, or one for each snapshot in a moving GIF."""

import io
import os
from collections.abc import Callable
from pathlib import Path

from huelapse.errors import ExportError, OptionError, SelectionError
from huelapse.plot import Plot
from huelapse.plot.style import Picture
from huelapse.store.atomic import check_place

STILL = (".png", ".svg", ".pdf")
MOVING = ".gif"
PICTURES = ("network", "layer", "kymograph", "unit", "classes", "timeline")
THROUGH_TIME = ("kymograph", "classes", "timeline")
"""Pictures that show all snapshots at once: they do not move."""

FRAMES = 200
"""The most of a GIF; of more snapshots some are left out, evenly."""
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
    if path.suffix.lower() == MOVING and picture in THROUGH_TIME:
        raise ExportError(
            f"the {picture} shows all snapshots at once and does not move; name the file "
            f"{', '.join(STILL)}"
        )
    check_place(path, force=force)


def write_picture(
    plot: Plot,
    steps: list[int],
    path: Path,
    *,
    picture: str = "network",
    step: int | None = None,
    layer: str | None = None,
    unit: int | None = None,
    force: bool = False,
    done: Callable[[float], None] = lambda share: None,
) -> int:
    """Write one picture, or, as .gif, one for each snapshot.

    Args:
        plot: with its preset, theme, split, grouping and measure.
        steps: of the snapshots of the split.
        path: its suffix says the form; written beside and renamed at the end.
        picture: as the methods of `Plot` are called.
        step: of the snapshot; default: the last. A GIF ends there.
        layer, unit: what it is of.
        force: replace a file that is there.
        done: called with the share of the work that is done.

    Returns:
        how many snapshots are shown.

    Raises:
        ExportError, ExportExistsError, OptionError: as `check`.
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
        if path.suffix.lower() == MOVING:
            number = _write_gif(at, frames_of(steps, step), beside, done)
        else:
            at(step).savefig(beside)
            number = len(steps) if picture in THROUGH_TIME else 1
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return number


def frames_of(steps: list[int], last: int | None) -> list[int]:
    """Steps of a GIF's frames: all up to the last, or `FRAMES` of them, evenly, both ends included.

    Raises:
        SelectionError: there is none.
    """
    until = [step for step in steps if last is None or step <= last]
    if not until:
        raise SelectionError(
            f"there is no snapshot up to step {last}; the first is at {steps[0]}"
            if steps
            else "the run has no snapshot yet"
        )
    if len(until) <= FRAMES:
        return until
    return [until[round(i * (len(until) - 1) / (FRAMES - 1))] for i in range(FRAMES)]


def _write_gif(
    at: Callable[[int], Picture], steps: list[int], path: Path, done: Callable[[float], None]
) -> int:
    from PIL import Image

    frames: list[Image.Image] = []
    for i, step in enumerate(steps):
        content = io.BytesIO()
        at(step).savefig(content, dpi=DOTS, format="png")
        whole = Image.open(content).convert("RGB")
        # A frame has 256 colors of its own. The usual choice joins hues that few pixels have; this one
        # keeps every color within a few steps of 255. Dithering would speckle cells.
        kept = whole.quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        frames.append(kept)
        done((i + 1) / len(steps))
    times = [MILLISECONDS] * (len(frames) - 1) + [LAST]
    frames[0].save(
        path, "GIF", save_all=True, append_images=frames[1:], duration=times, loop=0, optimize=False
    )
    return len(frames)
