"""The recipe of every color, in OKLCH: from neutral at level 0 to a class's color at level 100.

`tools/bake_palettes.py` bakes the shipped tables by the same recipe with coloraide; here it is in
numpy, for colors that are known only at run time: the user's own, and the grey of classes that are
not pinned. Matrices: OKLab by B. Ottosson (2020) as recomputed for CSS Color 4; IEC 61966-2-1 for
sRGB.
"""

import re
from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8

from huelapse.errors import PaletteError

Theme = Literal["dark", "light"]

LEVELS = 101
"""Levels of strength per class: 0 (neutral) to 100, a hundredth each."""

NEUTRAL: dict[Theme, tuple[float, float, float]] = {
    "dark": (0.335, 0.006, 265.0),
    "light": (0.885, 0.004, 265.0),
}
"""OKLCH of level 0 of every class."""

TONE = 0.9
"""Exponent of strength in chroma: weak colors gain theirs a little sooner than lightness."""

HALVINGS = 18
"""Of chroma, where sRGB does not reach a color."""

_LMS = np.array(
    [
        [0.819022437996703, 0.3619062600528904, -0.1288737815209879],
        [0.03298365393238847, 0.9292868615863434, 0.03614466635064236],
        [0.04817718935962421, 0.2642395317527308, 0.6335478284694309],
    ]
)
"""XYZ (D65) → cone responses."""

_LAB = np.array(
    [
        [0.21045426830931396, 0.7936177747023053, -0.0040720430116192585],
        [1.9779985324311686, -2.42859224204858, 0.450593709617411],
        [0.025904042465547734, 0.7827717124575297, -0.8086757549230774],
    ]
)
"""Cube roots of cone responses → OKLab."""

XYZ = np.array(
    [
        [0.4123907992659593, 0.357584339383878, 0.1804807884018343],
        [0.21263900587151024, 0.715168678767756, 0.07219231536073371],
        [0.01933081871559182, 0.11919477979462598, 0.9505321522496607],
    ]
)
"""Linear sRGB → XYZ (D65)."""

_ROOTS = np.linalg.inv(_LAB)
_RGB = np.linalg.inv(_LMS @ XYZ)

_HEX = re.compile(r"#(?:[0-9a-fA-F]{3}|[0-9a-fA-F]{6})")


def parsed(color: str) -> UInt8[np.ndarray, " 3"]:
    """Red, green and blue of `#rgb` or `#rrggbb`.

    Raises:
        PaletteError: it is written in another way.
    """
    if not _HEX.fullmatch(color):
        raise PaletteError(
            f"the color {color[:40]!r} is not one that is known here: write #rrggbb or #rgb, "
            f"as #aa3300"
        )
    digits = color[1:] if len(color) == 7 else "".join(2 * digit for digit in color[1:])
    return np.frombuffer(bytes.fromhex(digits), np.uint8)


def linear(rgb: UInt8[np.ndarray, "*any 3"]) -> Float64[np.ndarray, "*any 3"]:
    """Linear light, 0 … 1, of sRGB bytes (IEC 61966-2-1)."""
    coded = rgb / 255.0
    return np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)


def coded(light: Float64[np.ndarray, "*any 3"]) -> UInt8[np.ndarray, "*any 3"]:
    """sRGB bytes of linear light, rounded; what is outside 0 … 1 is clipped."""
    held = np.clip(light, 0.0, 1.0)
    curved = 1.055 * held ** (1 / 2.4) - 0.055
    return np.rint(255 * np.where(held <= 0.0031308, 12.92 * held, curved)).astype(np.uint8)


def oklch(rgb: UInt8[np.ndarray, "*any 3"]) -> Float64[np.ndarray, "*any 3"]:
    """Lightness 0 … 1, chroma and hue in degrees of sRGB bytes."""
    lab = np.cbrt(linear(rgb) @ (_LMS @ XYZ).T) @ _LAB.T
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    hue = np.degrees(np.arctan2(lab[..., 2], lab[..., 1])) % 360
    return np.stack([lab[..., 0], chroma, hue], -1)


def light(
    lightness: Float64[np.ndarray, "*any"],
    chroma: Float64[np.ndarray, "*any"],
    hue: Float64[np.ndarray, "*any"],
) -> Float64[np.ndarray, "*any 3"]:
    """Linear sRGB of OKLCH, outside 0 … 1 where sRGB does not reach it."""
    turn = np.radians(hue)
    lab = np.stack([lightness, chroma * np.cos(turn), chroma * np.sin(turn)], -1)
    return (lab @ _ROOTS.T) ** 3 @ _RGB.T


def within(
    lightness: Float64[np.ndarray, "*any"],
    chroma: Float64[np.ndarray, "*any"],
    hue: Float64[np.ndarray, "*any"],
) -> Float64[np.ndarray, "*any"]:
    """The chroma, lowered as far as sRGB asks for at this lightness and hue: by halving, never by
    clipping, which would turn the hue."""
    outside = ~_in_srgb(light(lightness, chroma, hue))
    low, high = np.zeros(np.count_nonzero(outside)), chroma[outside]
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        fits = _in_srgb(light(lightness[outside], middle, hue[outside]))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle)
    held = chroma.copy()
    held[outside] = low
    return held


def _in_srgb(rgb: np.ndarray) -> np.ndarray:
    """[*any] whether linear light [*any, 3] is all of 0 … 1."""
    return np.asarray(((rgb >= 0) & (rgb <= 1)).all(-1))


def neutral(theme: Theme) -> UInt8[np.ndarray, " 3"]:
    """sRGB of level 0."""
    lightness, chroma, hue = np.array(NEUTRAL[theme])[:, None]
    return coded(light(lightness, chroma, hue))[0]


def ramps(
    colors: Float64[np.ndarray, "class 3"], theme: Theme
) -> UInt8[np.ndarray, "class level 4"]:
    """RGBA of every level of classes whose full color in OKLCH is given.

    With s = level/100, neutral (L_n, C_n, h_n) and full color (L, C, h): lightness
    L_n + (L − L_n)·s, chroma C·s^0.9, hue h; level 0 is neutral itself. C is first lowered to what
    sRGB reaches at L and h, so that chroma grows all the way.
    """
    strength = np.arange(LEVELS) / (LEVELS - 1)
    begin = NEUTRAL[theme][0]
    lightness = begin + (colors[:, None, 0] - begin) * strength
    full = within(colors[:, 0], colors[:, 1], colors[:, 2])
    chroma = full[:, None] * strength**TONE
    hue = np.broadcast_to(colors[:, None, 2], chroma.shape)
    rgb = coded(light(lightness, within(lightness, chroma, hue), hue))
    rgb[:, 0] = neutral(theme)
    return np.concatenate([rgb, np.full_like(rgb[..., :1], 255)], -1)
