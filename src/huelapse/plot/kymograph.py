"""One layer through training: a row per unit, a column per snapshot."""

from typing import Any

import numpy as np

from huelapse.painting import HELD, SILENT, TIED
from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown, counted, hatch_unknown, order
from huelapse.plot.key import class_key
from huelapse.plot.words import layer_words, title


def kymograph(shown: Shown, path: str) -> Any:
    layer = shown.run.layer(path)
    pictures = shown.pictures(layer.slice)
    last = {name: values[-1] for name, values in pictures.items()}
    with shown.style.figure(height=1.15) as picture:
        curve, cells = picture.subplots(2, 1, height_ratios=[1, 4.2], sharex=True)
        draw_cells(cells, shown, pictures)
        if not ax.accuracy(curve, shown):
            curve.set_axis_off()
        curve.spines["bottom"].set_visible(False)
        curve.tick_params(axis="x", length=0, labelbottom=False)
        ax.snapshots(cells, shown)
        title(picture, shown, layer_words(shown, layer, last, len(shown.steps) - 1))
        of_class = counted(last, len(shown.classes))
        class_key(picture, shown, of_class, notes=notes_of(pictures["state"]))
    return picture


def draw_cells(axes: Any, shown: Shown, pictures: dict[str, np.ndarray]) -> None:
    """Cells of [snapshot, unit] pictures, units in the order of the last snapshot."""
    rows = order({name: values[-1] for name, values in pictures.items()}, slice(None))
    colors = shown.colors(pictures)[:, rows].swapaxes(0, 1)
    axes.imshow(colors, aspect="auto", interpolation="nearest")
    hatch_unknown(axes, pictures["state"][:, rows].T, shown.style)
    units = len(rows)
    axes.set_yticks([])
    axes.set_ylabel(f"{units:,} {'unit' if units == 1 else 'units'}")
    ax.bare(axes)


def notes_of(state: np.ndarray) -> tuple[str, ...]:
    """What is to be seen beside hues."""
    notes = ["neutral"]
    if (state == SILENT).any():
        notes.append("silent")
    if (~np.isin(state, (HELD, TIED, SILENT))).any():
        notes.append("no data")
    return tuple(notes)
