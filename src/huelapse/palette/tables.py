"""Tables of sRGB by class and level, for a dark and a light page, and the one rounding of strength.

The shipped tables are made by `tools/bake_palettes.py` (coloraide, OKLCH); nothing of them is computed
here.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from huelapse.palette.ramps import LEVELS, Theme


@dataclass(frozen=True, slots=True)
class Palette:
    """RGBA by class and level for each theme. Level 0 of every class is the theme's neutral."""

    dark: UInt8[np.ndarray, "class level 4"]
    light: UInt8[np.ndarray, "class level 4"]

    def table(self, theme: Theme) -> UInt8[np.ndarray, "class level 4"]:
        return self.dark if theme == "dark" else self.light

    def of(self, classes: Int64[np.ndarray, " chosen"]) -> "Palette":
        """The palette of these classes, in this order."""
        return Palette(dark=self.dark[classes], light=self.light[classes])


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


def ten(name: str) -> Palette:
    """The ten hues of a palette, in order of hue."""
    baked = _baked()
    return Palette(dark=baked[f"{name}_dark"], light=baked[f"{name}_light"])


def farthest(name: str, count: int) -> Int64[np.ndarray, " count"]:
    """Which `count` of a palette's ten hues are farthest apart, in both themes."""
    return _baked()[f"{name}_subsets"][count, :count]


def wheel() -> Palette:
    """120 hues around the wheel, each equally far from the next (CIEDE2000, mean of both themes)."""
    baked = _baked()
    return Palette(dark=baked["wheel_dark"], light=baked["wheel_light"])


@lru_cache
def _baked() -> dict[str, np.ndarray]:
    with (
        files("huelapse.palettes").joinpath("palettes.npz").open("rb") as file,
        np.load(file, allow_pickle=False) as baked,
    ):
        tables = {name: baked[name] for name in baked.files}
    for table in tables.values():
        table.flags.writeable = False
    return tables
