"""All layers at one snapshot: every unit a cell of one size."""

import math
from typing import Any

import numpy as np

from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown, counted, defined, hatch_unknown, order, tuned
from huelapse.plot.key import class_key
from huelapse.plot.kymograph import notes_of
from huelapse.plot.words import percent, shortened, step_words, title

GAP = 0.035
"""Between blocks, as a share of the width."""


def network(shown: Shown, index: int) -> Any:
    style, layers = shown.style, shown.run.layers
    picture_now, last = shown.picture(index), shown.picture(len(shown.steps) - 1)
    held = tuned(picture_now)
    with style.figure() as picture:
        axes = picture.subplots()
        ax.bare(axes)
        axes.set_xticks([])
        axes.set_yticks([])
        caption = style.size.text * 2.6 / 72 / style.size.width  # as a share of the width
        names = [shortened(layer.path, 22, keep="end") for layer in layers]
        least = [max(len(name), 9) * style.size.text * 0.56 / 72 / style.size.width
                 for name in names]  # fmt: skip
        cell, places = _fit([layer.units for layer in layers], least, caption)
        lowest = 0.0
        for layer, name, (x, y, rows, columns) in zip(layers, names, places, strict=True):
            own = order(last, layer.slice)
            now = {n: values[layer.slice][own] for n, values in picture_now.items()}
            block = np.zeros((rows * columns, 4), np.uint8)
            block[: layer.units] = shown.colors(now)
            state = np.full(rows * columns, 2, np.uint8)
            state[: layer.units] = now["state"]
            inner = axes.inset_axes(
                (x, 1 - y - rows * cell, columns * cell, rows * cell), transform=axes.transData
            )
            grid = block.reshape(columns, rows, 4).swapaxes(0, 1)
            inner.imshow(grid, aspect="auto", interpolation="nearest")
            hatch_unknown(inner, state.reshape(columns, rows).T, style)
            _lines(inner, rows, columns, cell, style)
            inner.set_axis_off()
            says = (
                f"{percent(held[layer.slice].mean())} tuned"
                if defined(now).any()
                else "not defined"
            )
            axes.text(x, 1 - y - rows * cell - 0.008, f"{name}\n{says}", va="top",
                      color=style.inks.quiet, linespacing=1.1)  # fmt: skip
            lowest = max(lowest, y + rows * cell + caption)
        axes.set_xlim(0, 1)
        axes.set_ylim(1 - lowest, 1.0)
        axes.set_aspect("equal", anchor="NW")
        judged = int(defined(picture_now).sum())  # shares are of units that can be judged
        says = (
            f"{percent(held.sum() / judged)} of {judged:,} units are tuned"
            if judged
            else f"{shown.measure} is not defined for any layer"
        )
        title(picture, shown, f"{step_words(shown, index)}: {says}")
        of_class = counted(picture_now, len(shown.classes))
        class_key(picture, shown, of_class, notes=notes_of(picture_now["state"]))
    return picture


def _fit(
    units: list[int], least: list[float], caption: float, ratio: float = 0.52
) -> tuple[float, list[tuple[float, float, int, int]]]:
    """The greatest cell with which all blocks fit, and (x, y, rows, columns) of each.

    Widths and heights are shares of the picture's width; `ratio` is the height there is.
    """
    best: tuple[float, list[tuple[float, float, int, int]]] | None = None
    for cell in np.geomspace(0.05, 0.0006, 90):
        for rows in {max(1, min(int(h / cell), max(units))) for h in np.linspace(0.03, 0.45, 22)}:
            places, height = _wrapped(units, least, caption, float(cell), rows)
            if places and height <= ratio:
                return float(cell), places
            if places and (best is None or height < best[1][-1][1]):
                best = (float(cell), places)
    assert best is not None
    return best


def _wrapped(
    units: list[int], least: list[float], caption: float, cell: float, rows: int
) -> tuple[list[tuple[float, float, int, int]], float]:
    places: list[tuple[float, float, int, int]] = []
    x = y = tallest = 0.0
    for number, width_least in zip(units, least, strict=True):
        own = min(rows, number)
        columns = math.ceil(number / own)
        width = columns * cell
        if width > 1:
            return [], math.inf
        if x > 0 and x + max(width, width_least) > 1:
            x, y, tallest = 0.0, y + tallest + caption + GAP, 0.0
        places.append((x, y, own, columns))
        x += max(width, width_least) + GAP
        tallest = max(tallest, own * cell)
    return places, y + tallest + caption


def _lines(axes: Any, rows: int, columns: int, cell: float, style: Any) -> None:
    """Gaps between cells that are large enough for them."""
    points = cell * style.size.width * 72
    if points < 3:
        return
    width = min(1.0, points * 0.12)
    for x in range(1, columns):
        axes.axvline(x - 0.5, color=style.inks.page, linewidth=width)
    for y in range(1, rows):
        axes.axhline(y - 0.5, color=style.inks.page, linewidth=width)
