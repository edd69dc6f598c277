"""Pins: up to eight of many classes are named by their hue, all others are grey by strength."""

from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Int64

from huelapse.palette.ramps import Theme, ramps
from huelapse.palette.seeing import EYES, difference, seen
from huelapse.palette.tables import Palette, ten

PINS = 8

GREY: dict[Theme, tuple[float, float, float]] = {
    "dark": (0.55, 0.006, 265.0),
    "light": (0.585, 0.004, 265.0),
}
"""OKLCH at level 100 of classes beside those that are pinned: strength is still seen, no hue is."""

THEMES: tuple[Theme, Theme] = ("dark", "light")


def pins(name: str, taken: tuple[bytes, ...] = ()) -> Palette:
    """The hues of pins, [8, level, 4]: the i-th pinned class takes the i-th, whatever comes after.

    Eight of the ten hues of a palette, in an order in which the first two, three … stay far apart:
    at least 0.9 of what as many could at best, where nothing is taken.

    Args:
        taken: red, green and blue of the user's own colors, that pins keep away from.
    """
    return ten(name).of(_order(name, taken))


@lru_cache(maxsize=1)
def grey() -> Palette:
    """One class, [1, level, 4]: without hue, lighter (dark page) or darker with strength."""
    dark, light = (ramps(np.array([GREY[theme]]), theme) for theme in THEMES)
    return Palette(dark=dark, light=light)


class Distances:
    """How far the ten hues of a palette are from one another and from colors that are taken.

    CIEDE2000, the least over both themes and the palette's eyes, each by its weight.
    """

    def __init__(self, name: str, taken: tuple[bytes, ...]) -> None:
        own = np.frombuffer(b"".join(taken), np.uint8).reshape(-1, 3)
        self.among, self.beside = np.full((10, 10), np.inf), np.full(10, np.inf)
        for theme in THEMES:
            hues = ten(name).table(theme)[:, -1, :3]
            for vision, weight in EYES[name].items():
                ours = seen(hues, vision)
                among = weight * difference(ours[:, None], ours[None])
                self.among = np.minimum(self.among, among)
                if len(own):
                    to_own = difference(ours[:, None], seen(own, vision)[None]).min(1)
                    self.beside = np.minimum(self.beside, weight * to_own)

    def least(self, subset: tuple[int, ...]) -> float:
        """The least distance within a subset of the hues, and from it to what is taken."""
        pairs = (self.among[i, j] for i, j in combinations(subset, 2))
        return min([*pairs, *(self.beside[i] for i in subset)])

    def farthest(self, count: int) -> tuple[int, ...]:
        """The subset with the greatest least distance. All are tried, 252 at most."""
        return max(combinations(range(10), count), key=self.least)


@lru_cache
def _order(name: str, taken: tuple[bytes, ...]) -> Int64[np.ndarray, " pin"]:
    """From each pair of hues on, always the one next that is farthest from those before: of these
    orders the one whose worst start, against the best of as many hues, is best."""
    distances = Distances(name, taken)
    counts = range(1 if taken else 2, PINS + 1)
    best = {n: distances.least(distances.farthest(n)) for n in counts}
    found: tuple[float, list[int]] = (-1.0, [])
    for pair in combinations(range(10), 2):
        order = sorted(pair, key=lambda i: -distances.beside[i])
        while len(order) < PINS:
            left = [k for k in range(10) if k not in order]
            order.append(max(left, key=lambda k: distances.least((k, *order))))
        worst = min(distances.least(tuple(order[:n])) / max(best[n], 1e-9) for n in counts)
        found = max(found, (worst, order), key=lambda one: one[0])
    return np.array(found[1], np.int64)
