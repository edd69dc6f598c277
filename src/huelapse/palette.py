"""Class → hue: baked tables of sRGB by class and level, for a dark and a light page.

The tables are made by `tools/bake_palettes.py` (coloraide, OKLCH) and shipped; nothing is computed
here. Up to ten classes take the color-blind-safe ten-class palette; more take places on a hue wheel,
where a hue is a neighbourhood, not a name.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8

Theme = Literal["dark", "light"]

LEVELS = 101
"""Levels of strength per class: 0 (neutral) to 100, a hundredth each."""


@dataclass(frozen=True, slots=True)
class Palette:
    """RGBA by class and level for each theme. Level 0 of every class is the theme's neutral."""

    dark: UInt8[np.ndarray, "class level 4"]
    light: UInt8[np.ndarray, "class level 4"]

    def table(self, theme: Theme) -> UInt8[np.ndarray, "class level 4"]:
        return self.dark if theme == "dark" else self.light


def level(strength: Float64[np.ndarray, "*any"]) -> UInt8[np.ndarray, "*any"]:
    """⌊100 · strength⌋, 0 … 100: strength is a lower bound, so it is only ever rounded down.

    NaN counts as 0. Thresholds that are multiples of 0.05 split levels exactly:
    strength ≥ j/20 is the same as level ≥ 5j, and level 0 is neutral.
    """
    top = LEVELS - 1
    scaled = np.clip(np.nan_to_num(strength, nan=0.0), 0.0, 1.0) * top
    rounded = np.rint(scaled)
    # 0.29 * 100 is 28.999…: what is a hundredth to within float64's own error is that hundredth
    exact = np.abs(scaled - rounded) < 1e-9
    return np.where(exact, rounded, np.floor(scaled)).astype(np.uint8)


@lru_cache
def palette(classes: int) -> Palette:
    """The palette of `classes` classes."""
    dark, light, wheel_dark, wheel_light, subsets = _baked()
    if classes <= len(dark):
        chosen = subsets[classes, :classes]
        return Palette(dark=dark[chosen], light=light[chosen])
    place = (np.arange(classes) * len(wheel_dark)) // classes
    return Palette(dark=wheel_dark[place], light=wheel_light[place])


@lru_cache
def _baked() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    with (
        files("huelapse.palettes").joinpath("palettes.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as baked,
    ):
        return (
            baked["dark"],
            baked["light"],
            baked["wheel_dark"],
            baked["wheel_light"],
            baked["subsets"],
        )
