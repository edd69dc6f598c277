"""From strength and preferred class to the color of a cell."""

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from huelapse.palette import Palette, Theme, level


def paint(
    preferred: Int64[np.ndarray, " unit"],
    strength: Float64[np.ndarray, " unit"],
    palette: Palette,
    theme: Theme,
) -> UInt8[np.ndarray, "unit 4"]:
    """RGBA of each unit's cell: its class's hue at its level, exactly neutral at level 0."""
    levels = level(strength)
    known = preferred >= 0
    colors = palette.table(theme)[np.where(known, preferred, 0), np.where(known, levels, 0)]
    return colors.astype(np.uint8)
