"""How far apart colors are to the eye, also to one that lacks a kind of cone.

The run-time half of what `tests/test_color.py` measures with coloraide, which it is tested against.
"""

from typing import Literal

import numpy as np
from jaxtyping import Float64, UInt8

from huelapse.palette.ramps import XYZ, linear

Vision = Literal["normal", "deutan", "protan", "tritan"]

VISIONS: dict[Vision, np.ndarray] = {
    "normal": np.eye(3),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
"""Linear sRGB → linear sRGB as seen (Machado, Oliveira and Fernandes 2009, severity 1)."""

EYES: dict[str, dict[Vision, float]] = {
    "standard": {"normal": 0.62, "deutan": 1.0, "protan": 1.0},
    "tritan": {"normal": 0.62, "tritan": 1.0},
}
"""Whose eyes a palette is for, and what a difference they see counts for where hues are chosen."""

_WHITE = np.array([0.3127 / 0.3290, 1.0, (1 - 0.3127 - 0.3290) / 0.3290])


def seen(
    rgb: UInt8[np.ndarray, "*any 3"], vision: Vision = "normal"
) -> Float64[np.ndarray, "*any 3"]:
    """CIELAB (D65) of colors as an eye of this kind sees them; simulated ones clipped to sRGB."""
    return lab(np.clip(linear(rgb) @ VISIONS[vision].T, 0.0, 1.0))


def lab(light: Float64[np.ndarray, "*any 3"]) -> Float64[np.ndarray, "*any 3"]:
    """CIELAB (D65) of linear sRGB."""
    xyz = light @ XYZ.T / _WHITE
    bent = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)


def difference(
    one: Float64[np.ndarray, "*#any 3"], other: Float64[np.ndarray, "*#any 3"]
) -> Float64[np.ndarray, "..."]:
    """CIEDE2000 color difference of CIELAB colors, k_L = k_C = k_H = 1; shapes are broadcast.

    Source: Sharma, Wu and Dalal 2005, whose test data this reproduces.
    """
    (l1, a1, b1), (l2, a2, b2) = np.moveaxis(one, -1, 0), np.moveaxis(other, -1, 0)
    mean7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    stretch = 1 + 0.5 * (1 - np.sqrt(mean7 / (mean7 + 25.0**7)))
    c1, c2 = np.hypot(a1 * stretch, b1), np.hypot(a2 * stretch, b2)
    h1 = np.degrees(np.arctan2(b1, a1 * stretch)) % 360
    h2 = np.degrees(np.arctan2(b2, a2 * stretch)) % 360

    grey = c1 * c2 == 0
    turn = np.where(grey, 0.0, (h2 - h1 + 180) % 360 - 180)
    turn = np.where(h2 - h1 == 180, 180.0, turn)
    far = np.abs(h1 - h2) > 180
    hue = np.where(far, (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2, (h1 + h2) / 2)
    hue = np.where(grey, h1 + h2, hue)

    lightness, chroma = (l1 + l2) / 2, (c1 + c2) / 2
    t = (
        1
        - 0.17 * np.cos(np.radians(hue - 30))
        + 0.24 * np.cos(np.radians(2 * hue))
        + 0.32 * np.cos(np.radians(3 * hue + 6))
        - 0.20 * np.cos(np.radians(4 * hue - 63))
    )
    s_l = 1 + 0.015 * (lightness - 50) ** 2 / np.sqrt(20 + (lightness - 50) ** 2)
    s_c, s_h = 1 + 0.045 * chroma, 1 + 0.015 * chroma * t
    rotated = 60 * np.exp(-(((hue - 275) / 25) ** 2))
    chroma7 = chroma**7
    r_t = -2 * np.sqrt(chroma7 / (chroma7 + 25.0**7)) * np.sin(np.radians(rotated))
    d_l, d_c = (l2 - l1) / s_l, (c2 - c1) / s_c
    d_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2)) / s_h
    return np.asarray(np.sqrt(d_l**2 + d_c**2 + d_h**2 + r_t * d_c * d_h))


def apart(
    rgb: UInt8[np.ndarray, "class 3"], vision: Vision = "normal"
) -> Float64[np.ndarray, "class class"]:
    """CIEDE2000 difference of each pair of colors as seen; a color and itself are inf apart."""
    colors = seen(rgb, vision)
    between = difference(colors[:, None], colors[None])
    np.fill_diagonal(between, np.inf)
    return between


def steps(ramp: UInt8[np.ndarray, "level 4"], least: float = 5.0) -> int:
    """How many levels of a ramp are told apart, one after another.

    Counted from level 0: the next is the first level at least `least` (CIEDE2000, normal vision)
    from the one counted last.
    """
    colors = seen(ramp[:, :3])
    count = last = 0
    while True:
        further = difference(colors[last], colors[last + 1 :]) >= least
        if not further.any():
            return count
        last += 1 + int(further.argmax())
        count += 1
