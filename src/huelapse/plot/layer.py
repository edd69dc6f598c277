"""One layer at one snapshot: what each unit responds to, and what it is called."""

from typing import Any

import numpy as np

from huelapse.painting import HELD
from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown, counted, hatch_unknown, order
from huelapse.plot.key import class_key
from huelapse.plot.kymograph import notes_of
from huelapse.plot.words import layer_words, shortened, title

MOST = 30
"""Rows of classes that are drawn; of more, those with most units tuned to them."""


def layer(shown: Shown, path: str, index: int) -> Any:
    own = shown.run.layer(path)
    now = {name: values[own.slice] for name, values in shown.picture(index).items()}
    columns = order(shown.picture(len(shown.steps) - 1), own.slice)
    moments = shown.run.moments(index, shown.grouping, shown.split, own.slice)
    mean = np.where(moments.n > 0, moments.mean, np.nan)[:, columns]
    of_class = counted(now, len(shown.classes))
    rows = (
        np.sort(np.argsort(-of_class, kind="stable")[:MOST])
        if len(of_class) > MOST
        else np.arange(len(of_class))
    )
    with shown.style.figure(height=1.0 if len(rows) <= 12 else 1.5) as picture:
        heat, cells = picture.subplots(2, 1, height_ratios=[max(len(rows), 4), 1], sharex=True)
        level = np.where(now["state"] == HELD, now["level"], 0)[columns]
        heat.imshow(_heat(mean[rows], level, rows, shown), aspect="auto", interpolation="nearest")
        heat.set_yticks(np.arange(len(rows)))
        heat.set_yticklabels([shortened(shown.classes[k], 16) for k in rows])
        heat.tick_params(axis="x", labelbottom=False)
        ax.bare(heat)
        for row, k in enumerate(rows):
            heat.annotate(
                f"{of_class[k]:,}", (1.0, row), xycoords=("axes fraction", "data"),
                xytext=(shown.style.size.text * 0.5, 0), textcoords="offset points",
                va="center", color=shown.style.inks.quiet, annotation_clip=False,
            )  # fmt: skip
        sorted_now = {name: values[columns] for name, values in now.items()}
        cells.imshow(shown.colors(sorted_now)[None], aspect="auto", interpolation="nearest")
        hatch_unknown(cells, sorted_now["state"][None], shown.style)
        cells.set_yticks([0], ["tuned to"])
        cells.set_xticks([])
        cells.set_xlabel(
            f"{own.units:,} units, each between its least and greatest mean response"
            if shown.style.preset != "column"
            else f"{own.units:,} units"
        )
        ax.bare(cells)
        title(picture, shown, layer_words(shown, own, now, index))
        class_key(picture, shown, of_class, notes=notes_of(now["state"]))
    return picture


def _heat(mean: np.ndarray, level: np.ndarray, rows: np.ndarray, shown: Shown) -> np.ndarray:
    """RGBA of [class, unit]: each unit between its own least and greatest, squared, in class hues; no
    more vivid than its level [unit], which is 0 where no class is surely first."""
    with np.errstate(invalid="ignore", divide="ignore"):
        low = np.nanmin(mean, 0) if np.isfinite(mean).any() else np.zeros(mean.shape[1])
        high = np.nanmax(mean, 0) if np.isfinite(mean).any() else np.zeros(mean.shape[1])
        scaled = np.where(high > low, (mean - low) / (high - low), 0.0) ** 2
    levels = np.nan_to_num(np.rint(scaled * level)).astype(int)
    colors = shown.palette.table(shown.style.theme)[rows[:, None], levels].copy()
    colors[~np.isfinite(mean)] = 0
    return colors
