"""Axes that say what they are."""

from typing import Any

import numpy as np

from huelapse.errors import HuelapseError
from huelapse.plot.cells import Shown


def snapshots(axes: Any, shown: Shown, *, labelled: bool = True) -> None:
    """The x axis of pictures with a column per snapshot: even spacing, labelled with true steps."""
    steps = shown.steps
    total = len(steps)
    most = {"column": 6, "double": 9, "slide": 8}[shown.style.preset]
    at = np.unique(np.linspace(0, total - 1, min(most, total)).round().astype(int))
    axes.set_xlim(-0.5, total - 0.5)
    axes.set_xticks(at)
    axes.set_xticklabels([f"{int(steps[i]):,}" for i in at] if labelled else [])
    if labelled:
        axes.set_xlabel("step (one column per snapshot)")


def bare(axes: Any) -> None:
    """No frame: what is drawn is the frame."""
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def accuracy(axes: Any, shown: Shown) -> bool:
    """The accuracy curve in ink, its last value at its end; whether there is one."""
    run, style = shown.run, shown.style
    try:
        values = run.accuracy(shown.split)
    except HuelapseError:
        return False
    x = np.arange(len(values))
    marked = {"marker": "o", "markersize": style.size.line * 2.5} if len(values) == 1 else {}
    axes.plot(x, values, color=style.inks.ink, clip_on=False, **marked)
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 1], ["0", "100 %"])
    axes.set_ylabel("accuracy")
    if len(values) and np.isfinite(values[-1]):
        axes.annotate(
            f"{100 * values[-1]:.1f} %", (x[-1], values[-1]),
            xytext=(style.size.text * 0.5, 0), textcoords="offset points", va="center",
            color=style.inks.ink, annotation_clip=False,
        )  # fmt: skip
    return True
