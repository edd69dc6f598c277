"""Titles: sentences computed from what is shown."""

import textwrap
from typing import Any

import numpy as np

from huelapse.painting import HELD
from huelapse.plot.cells import Shown, counted, defined, tuned
from huelapse.schema import Layer


def title(picture: Any, shown: Shown, text: str) -> None:
    """A bold sentence at the top left."""
    style = shown.style
    picture.suptitle(
        textwrap.fill(plain(text), style.letters()), x=0.012, ha="left",
        fontsize=style.size.title, fontweight="bold", color=style.inks.ink, linespacing=1.15,
    )  # fmt: skip


def plain(text: str) -> str:
    """Without what Matplotlib would take for mathematics, on one line."""
    return " ".join(text.split()).replace("$", r"\$")


def shortened(name: str, most: int, *, keep: str = "start") -> str:
    """A name of so many letters at most; of a path the end says more: keep="end"."""
    flat = " ".join(name.split())
    if len(flat) > most:
        flat = flat[: most - 1] + "…" if keep == "start" else "…" + flat[-most + 1 :]
    return plain(flat)


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def step_words(shown: Shown, index: int) -> str:
    return f"Step {int(shown.steps[index]):,}"


def layer_words(shown: Shown, layer: Layer, picture: dict[str, np.ndarray], index: int) -> str:
    """How many of a layer's units are tuned, and to which class most."""
    if not defined(picture).any():
        return f"{step_words(shown, index)}: {shown.measure} is not defined for {layer.path}"
    held = tuned(picture)
    share = f"{percent(held.mean())} of {layer.path}'s {layer.units:,} units are tuned"
    of = counted(picture, len(shown.classes))
    if not of.any():
        known = (picture["state"] == HELD).any()
        return f"{step_words(shown, index)}: " + (
            share if known else f"no unit of {layer.path} is tuned to a class"
        )
    most = int(of.argmax())
    return f"{step_words(shown, index)}: {share}, most to {shown.classes[most]}"
