"""One unit: its response to each class now, and through training."""

from typing import Any

import numpy as np

from huelapse.errors import SelectionError
from huelapse.measures import NO_CLASS, find_measure, interval, read
from huelapse.plot import axes as ax
from huelapse.plot.cells import Shown, hatch_unknown
from huelapse.plot.words import shortened, step_words, title

MOST = 20
"""Bars of classes that are drawn; of more, those it responds to most."""


def unit(shown: Shown, path: str, number: int, index: int) -> Any:
    layer, style, run = shown.run.layer(path), shown.style, shown.run
    if not isinstance(number, int | np.integer) or not 0 <= number < layer.units:  # pyright: ignore[reportUnnecessaryIsInstance]
        raise SelectionError(
            f"layer {path!r} has no unit {number!r}: they are counted from 0 to {layer.units - 1}"
        )
    at = layer.offset + number
    moments = run.moments(index, shown.grouping, shown.split, slice(at, at + 1))
    reading = read(moments, signed=run.signed[at : at + 1], measure=find_measure(shown.measure))
    mean = np.where(moments.n > 0, moments.mean, np.nan)[:, 0]
    low, high = (end[:, 0] for end in interval(moments))
    rows = np.arange(len(mean))
    if len(rows) > MOST:
        rows = np.sort(np.argsort(-np.nan_to_num(mean, nan=-np.inf), kind="stable")[:MOST])
    pictures = shown.pictures(slice(at, at + 1))
    history = _history(shown, at)
    with style.figure(height=1.1) as picture:
        bars, lines, code = picture.subplots(3, 1, height_ratios=[3, 3, 0.35])
        bars.bar(np.arange(len(rows)), mean[rows], color=[shown.hue(k) for k in rows], width=0.75)
        error = np.nan_to_num(np.stack([mean - low, high - mean])[:, rows])
        bars.errorbar(
            np.arange(len(rows)), mean[rows], yerr=error, fmt="none", ecolor=style.inks.ink,
            elinewidth=style.size.line * 0.8,
        )  # fmt: skip
        names = [shortened(shown.classes[k], 14) for k in rows]
        turned = len(rows) * (max(map(len, names)) + 1) > style.letters(style.size.text)
        bars.set_xticks(
            np.arange(len(rows)), names,
            rotation=40 if turned else 0, ha="right" if turned else "center",
            rotation_mode="anchor",
        )  # fmt: skip
        bars.tick_params(axis="x", length=0)
        bars.set_ylabel("mean response")
        p = int(reading.preference.preferred[0])
        for k in sorted(range(history.shape[1]), key=lambda k: k == p):
            lines.plot(
                history[:, k], color=shown.hue(k),
                linewidth=style.size.line * (2.2 if k == p else 0.9), solid_capstyle="round",
            )  # fmt: skip
        lines.axvline(index, color=style.inks.faint, linewidth=style.size.line * 0.8, zorder=0)
        lines.set_ylabel("mean response")
        ax.snapshots(lines, shown, labelled=False)
        code.imshow(shown.colors(pictures).swapaxes(0, 1), aspect="auto", interpolation="nearest")
        hatch_unknown(code, pictures["state"].T, style)
        code.set_yticks([])
        ax.snapshots(code, shown)
        ax.bare(code)
        title(picture, shown, _sentence(shown, path, number, index, reading, p))
    return picture


def _history(shown: Shown, at: int) -> np.ndarray:
    """Class means [snapshot, class] of one unit; NaN without samples."""
    found = np.full((len(shown.steps), len(shown.classes)), np.nan)
    for snapshots, moments in shown.run.through_time(at, shown.grouping, shown.split):
        found[snapshots] = np.where(moments.n > 0, moments.mean, np.nan).T
    return found


def _sentence(shown: Shown, path: str, number: int, index: int, reading: Any, p: int) -> str:
    lead = f"{step_words(shown, index)}: unit {number} of {path}"
    if p == NO_CLASS:
        return f"{lead} has no data to be judged by"
    if reading.silent[0]:
        return f"{lead} is silent"
    name = shown.classes[p]
    if not reading.preference.held[0]:
        return f"{lead} surely prefers no class"
    how = "is suppressed by" if reading.preference.suppressed[0] else "prefers"
    strength = reading.strength[0]
    if not np.isfinite(strength):
        return f"{lead} {how} {name}; {shown.measure} is not defined for it"
    return f"{lead} {how} {name}, strength {strength:.2f}"
