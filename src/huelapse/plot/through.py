"""All layers through training: which classes they are tuned to, and how strongly."""

import textwrap
from typing import Any

import numpy as np

from huelapse.curves import curves_of
from huelapse.events import events_of
from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown
from huelapse.plot.words import percent, shortened, step_words, title

MOST_ROWS = 12
MOST_COLUMNS = {"column": 4, "double": 9, "slide": 7}


def classes(shown: Shown) -> Any:
    """Small multiples: of each layer (column), the share of units tuned to each class (row)."""
    run, style = shown.run, shown.style
    found = curves_of(shown.painter, shown.split, shown.grouping, shown.measure)
    of_class = np.nan_to_num(found.to_class).max((0, 1))
    rows = np.sort(np.argsort(-of_class, kind="stable")[:MOST_ROWS])
    layers = list(run.layers)
    most_columns = MOST_COLUMNS[style.preset]
    picked = np.unique(
        np.linspace(0, len(layers) - 1, min(len(layers), most_columns)).round().astype(int)
    )
    top = max(float(np.nan_to_num(found.to_class[:, picked][:, :, rows]).max()), 0.01)
    with style.figure(height=max(0.7, 0.1 * len(rows))) as picture:
        grid = picture.subplots(len(rows), len(picked), sharex=True, sharey=True, squeeze=False)
        for r, k in enumerate(rows):
            for c, i in enumerate(picked):
                axes, values = grid[r, c], found.to_class[:, i, k]
                axes.fill_between(np.arange(len(values)), values, color=shown.hue(k), linewidth=0)
                if len(values) == 1:
                    axes.bar([0], np.nan_to_num(values), color=shown.hue(k))
                axes.set_ylim(0, top)
                axes.set_xlim(0, max(len(values) - 1, 1))
                axes.set_xticks([])
                axes.set_yticks([])
                axes.spines["left"].set_visible(False)
            grid[r, 0].set_ylabel(
                shortened(shown.classes[k], 15), rotation=0, ha="right", va="center",
                color=style.inks.ink,
            )  # fmt: skip
        for c, i in enumerate(picked):
            # only the ends carry their steps
            grid[-1, c].set_xlabel(
                shortened(layers[i].path, 11, keep="end"), color=style.inks.quiet
            )
        last = found.to_class[-1] if len(found.step) else np.zeros((len(layers), 1))
        share = np.nan_to_num(last * np.array([[layer.units] for layer in layers])).sum(0)
        most = int(share.argmax())
        units = sum(layer.units for layer in layers)
        sentence = (
            f"{step_words(shown, len(found.step) - 1)}: most units are tuned to "
            f"{shown.classes[most]}, {percent(share[most] / units)} of {units:,}"
            if share[most] > 0
            else f"{step_words(shown, len(found.step) - 1)}: no unit is tuned to a class"
        )
        title(picture, shown, sentence)
        about = (
            f"share of each layer's units (0 … {percent(top)}) tuned to the class, "
            f"steps {int(found.step[0]):,} … {int(found.step[-1]):,}"
        )
        picture.supxlabel(
            textwrap.fill(about, style.letters(style.size.text)),
            fontsize=style.size.text,
            color=style.inks.quiet,
        )
    return picture


def timeline(shown: Shown) -> Any:
    """Accuracy and loss, each layer's mean strength, and where it became half tuned."""
    run, style = shown.run, shown.style
    found = curves_of(shown.painter, shown.split, shown.grouping, shown.measure)
    layers = run.layers
    names = [shortened(layer.path, 18, keep="end") for layer in layers]
    tall = max(1.0, 0.55 + 0.04 * len(layers))
    with style.figure(height=tall) as picture:
        curve, strip = picture.subplots(
            2, 1, height_ratios=[2, max(2.0, min(6.0, 0.35 * len(layers)))], sharex=True
        )
        there = ax.accuracy(curve, shown)
        if "loss" in run.metrics(shown.split):
            loss = run.coordinate("metric.loss", shown.split).astype(float)
            scale = np.nanmax(loss) if np.isfinite(loss).any() else 1.0
            curve.plot(loss / scale, color=style.inks.quiet, zorder=0)
            curve.annotate(
                f"loss {loss[-1]:.2g}", (len(loss) - 1, loss[-1] / scale),
                xytext=(style.size.text * 0.5, 0), textcoords="offset points", va="center",
                color=style.inks.quiet, annotation_clip=False,
            )  # fmt: skip
        elif not there:
            curve.set_axis_off()
        curve.tick_params(axis="x", length=0, labelbottom=False)
        curve.spines["bottom"].set_visible(False)
        strip.imshow(
            np.ma.masked_invalid(found.mean_strength.T), aspect="auto", interpolation="nearest",
            cmap="gray_r" if style.theme == "light" else "gray", vmin=0, vmax=1,
        )  # fmt: skip
        shown_names = np.arange(len(layers))
        if len(layers) > 40:
            shown_names = np.unique(np.linspace(0, len(layers) - 1, 20).astype(int))
        strip.set_yticks(shown_names, [names[i] for i in shown_names])
        for event in events_of(shown.painter, shown.split, shown.grouping, shown.measure):
            if event.kind == "half_tuned":
                row = [layer.path for layer in layers].index(event.layer)
                strip.plot(
                    event.snapshot, row, marker="D", markersize=style.size.text * 0.5,
                    markerfacecolor=style.inks.page, markeredgecolor=style.inks.ink,
                    markeredgewidth=style.size.line * 0.8,
                )  # fmt: skip
        for row, value in enumerate(found.mean_strength[-1]):
            if row in shown_names and np.isfinite(value):
                strip.annotate(
                    f"{value:.2f}", (1.0, row), xycoords=("axes fraction", "data"),
                    xytext=(style.size.text * 0.5, 0), textcoords="offset points", va="center",
                    color=style.inks.quiet, annotation_clip=False,
                )  # fmt: skip
        ax.snapshots(strip, shown)
        ax.bare(strip)
        title(picture, shown, _strip_words(shown, found.mean_strength[-1]))
    return picture


def _strip_words(shown: Shown, last: np.ndarray) -> str:
    lead = f"{step_words(shown, len(shown.steps) - 1)}: "
    hidden = [i for i, layer in enumerate(shown.run.layers) if not layer.output]
    known = [i for i in hidden if np.isfinite(last[i])]
    if not known:
        return f"{lead}no layer has data to be judged by"
    best = max(known, key=lambda i: float(last[i]))
    of = "hidden layers" if len(hidden) < len(last) else "layers"
    path = shown.run.layers[best].path
    return f"{lead}of the {of}, {path} is tuned most, {last[best]:.2f} on average"
