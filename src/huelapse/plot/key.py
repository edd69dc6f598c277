"""The key: which hue is which class, and what has none."""

from typing import Any

import numpy as np

from huelapse.plot.cells import Shown
from huelapse.plot.words import shortened

MOST = 12
"""Classes that are named; of more, those with most units."""


def class_key(
    picture: Any, shown: Shown, counted: np.ndarray, *, notes: tuple[str, ...] = ()
) -> None:
    """Name the classes below everything.

    Args:
        counted: units of each class in the picture: the most frequent are named, in order of index.
        notes: what else is to be seen: "neutral", "silent", "no data".
    """
    from matplotlib.patches import Patch

    style, k = shown.style, len(shown.classes)
    named = np.sort(np.argsort(-counted, kind="stable")[:MOST]) if k > MOST else np.arange(k)
    inks = style.inks
    entries = [Patch(facecolor=shown.hue(c), label=shortened(shown.classes[c], 18)) for c in named]
    if k > MOST:
        entries.append(Patch(facecolor="none", edgecolor="none", label=f"+ {k - MOST:,} more"))
    looks = {
        "neutral": Patch(facecolor=shown.neutral, label="not held"),
        "silent": Patch(facecolor=inks.page, edgecolor=inks.faint, label="silent"),
        "no data": Patch(facecolor=inks.page, edgecolor=inks.faint, hatch="////", label="unknown"),
    }
    entries += [looks[note] for note in notes]
    letters = max(len(str(entry.get_label())) for entry in entries) + 5
    columns = max(2, min(len(entries), style.letters(style.size.text) // letters))
    picture.legend(
        handles=entries,
        loc="outside lower left",
        ncols=columns,
        frameon=False,
        handlelength=0.9,
        handleheight=0.9,
        handletextpad=0.45,
        columnspacing=1.2,
        labelspacing=0.35,
        borderpad=0.1,
        fontsize=style.size.text,
        labelcolor=inks.quiet,
    )
