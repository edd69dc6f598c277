"""Titles: sentences computed from what is shown."""

import textwrap
from typing import Any

import numpy as np

from huelapse.painting import HELD, NO_CLASS
from huelapse.plot.cells import Shown, tuned
from huelapse.schema import Layer


def title(picture: Any, shown: Shown, text: str, below: str = "") -> None:
    """A bold sentence at the top left, with what it is about beneath."""
    style = shown.style
    wrapped = textwrap.fill(_plain(text), style.letters())
    picture.suptitle(
        wrapped, x=0.012, ha="left", fontsize=style.size.title, fontweight="bold",
        color=style.inks.ink, linespacing=1.15,
    )  # fmt: skip
    if below:
        line = textwrap.fill(_plain(below), style.letters(style.size.text))
        picture.text(
            0.012, 0, line, ha="left", va="bottom", fontsize=style.size.text, color=style.inks.quiet
        )


def percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def step_words(shown: Shown, index: int) -> str:
    return f"Step {int(shown.steps[index]):,}"


def layer_words(shown: Shown, layer: Layer, picture: dict[str, np.ndarray], index: int) -> str:
    """How many of a layer's units are tuned, and to which class most."""
    held = tuned(picture)
    share = f"{percent(held.mean())} of {layer.path}'s {layer.units:,} units are tuned"
    of = picture["preferred"][held]
    of = of[of != NO_CLASS]
    if len(of) == 0:
        known = (picture["state"] == HELD).any()
        return f"{step_words(shown, index)}: " + (
            share if known else f"no unit of {layer.path} is tuned to a class"
        )
    most = int(np.bincount(of).argmax())
    return f"{step_words(shown, index)}: {share}, most to {shown.classes[most]}"


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("$", r"\$")
