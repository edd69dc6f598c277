"""Bakes the color tables that huelapse ships: `python tools/bake_palettes.py`.

A cell of class k with strength s, in OKLCH (L_n, C_n, h_n is the theme's neutral):

    L = L_n + (L_k − L_n)·s      C = C_k · s^0.9      h = h_k

mapped into sRGB by lowering C at fixed L and h (18 halvings), never by clipping. s = 0 is neutral
itself. The hues were found by search for distance under normal, deutan and protan vision;
docs/decisions/0003-levels-and-palettes.md says what was measured.
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from coloraide import Color

LEVELS = 101
NEUTRAL = {"dark": (0.335, 0.006, 265), "light": (0.885, 0.004, 265)}
TEN = {
    "dark": [
        (0.645, 0.17, 17.8), (0.649, 0.16, 55.7), (0.778, 0.161, 97.3), (0.80, 0.17, 151.1),
        (0.64, 0.127, 169.7), (0.799, 0.138, 191.0), (0.785, 0.12, 241.9), (0.677, 0.17, 280.1),
        (0.64, 0.17, 332.8), (0.789, 0.135, 357.7),
    ],
    "light": [
        (0.50, 0.17, 16), (0.57, 0.149, 51), (0.70, 0.145, 80), (0.69, 0.157, 160),
        (0.51, 0.10, 171), (0.70, 0.119, 202), (0.66, 0.17, 246), (0.55, 0.17, 281),
        (0.50, 0.17, 335), (0.66, 0.17, 355),
    ],
}  # fmt: skip
WHEEL = {"dark": (0.74, 0.15), "light": (0.60, 0.15)}
WHEEL_HUES = 120
OUT = Path(__file__).parents[1] / "src/huelapse/palettes/palettes.npz"


def in_gamut(lightness: float, chroma: float, hue: float) -> Color:
    """The color, with chroma lowered as far as sRGB asks for."""
    color = Color("oklch", [lightness, chroma, hue])
    if color.in_gamut("srgb", tolerance=0):
        return color
    low, high = 0.0, chroma
    for _ in range(18):
        middle = (low + high) / 2
        if Color("oklch", [lightness, middle, hue]).in_gamut("srgb", tolerance=0):
            low = middle
        else:
            high = middle
    return Color("oklch", [lightness, low, hue])


def rgba(color: Color) -> list[int]:
    return [*(round(255 * min(1.0, max(0.0, c))) for c in color.convert("srgb").coords()), 255]


def ramp(theme: str, lightness: float, chroma: float, hue: float) -> np.ndarray:
    """RGBA of all levels of one class."""
    neutral = NEUTRAL[theme]
    colors = [rgba(Color("oklch", list(neutral)))]
    for step in range(1, LEVELS):
        s = step / (LEVELS - 1)
        light = neutral[0] + (lightness - neutral[0]) * s
        colors.append(rgba(in_gamut(light, chroma * s**0.9, hue)))
    return np.array(colors, np.uint8)


def distances(colors: list[Color]) -> np.ndarray:
    """The least CIEDE2000 distance of each pair under normal, deutan and protan vision.

    Simulation: Machado et al. 2009, severity 1. Normal distances weigh 0.62, as in the search.
    """
    n = len(colors)
    least = np.full((n, n), np.inf)
    for vision, weight in ((None, 0.62), ("deutan", 1.0), ("protan", 1.0)):
        seen = [
            c if vision is None else c.filter(vision, 1, method="machado").clip("srgb")
            for c in colors
        ]
        for i, j in combinations(range(n), 2):
            least[i, j] = min(least[i, j], weight * seen[i].delta_e(seen[j], method="2000"))
    return least


def subsets() -> np.ndarray:
    """For K = 2 … 10: which of the ten hues K classes take, farthest apart in both themes."""
    least = np.minimum(
        *(distances([in_gamut(*c).convert("srgb") for c in TEN[theme]]) for theme in TEN)
    )
    chosen = np.zeros((11, 10), np.int64)
    for k in range(2, 11):
        best = max(
            combinations(range(10), k),
            key=lambda s: (min(least[i, j] for i, j in combinations(s, 2)), tuple(-i for i in s)),
        )
        chosen[k, :k] = best
    return chosen


def bake() -> dict[str, np.ndarray]:
    tables = {theme: np.stack([ramp(theme, *c) for c in TEN[theme]]) for theme in TEN}
    hues = (20 + 360 * np.arange(WHEEL_HUES) / WHEEL_HUES) % 360
    for theme, (lightness, chroma) in WHEEL.items():
        tables[f"wheel_{theme}"] = np.stack([ramp(theme, lightness, chroma, h) for h in hues])
    tables["subsets"] = subsets()
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is shipped")
    if parser.parse_args().check:
        with np.load(OUT, allow_pickle=False) as shipped:
            for name, table in bake().items():
                np.testing.assert_array_equal(table, shipped[name], err_msg=name)
        print("the shipped palettes are what this script bakes")
    else:
        np.savez_compressed(OUT, **bake())
        print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
