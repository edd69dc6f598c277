"""Class → hue: tables of sRGB by class and level, for a dark and a light page.

Up to ten classes take hues of a palette that color-blind eyes can tell apart; more take places on a
hue wheel, where a hue is a neighbourhood, not a name (docs/decisions/0011).
"""

from huelapse.palette.choice import Choice, chosen, palette_for
from huelapse.palette.choosing import NAMED, NAMES, of_groups, own_colors, palette
from huelapse.palette.pins import grey, pins
from huelapse.palette.places import by_similarity, by_superclass
from huelapse.palette.ramps import LEVELS, Theme
from huelapse.palette.tables import Palette, level

__all__ = [
    "LEVELS",
    "NAMED",
    "NAMES",
    "Choice",
    "Palette",
    "Theme",
    "by_similarity",
    "by_superclass",
    "chosen",
    "grey",
    "level",
    "of_groups",
    "own_colors",
    "palette",
    "palette_for",
    "pins",
]
