"""Bakes the color tables that huelapse ships: `python tools/bake_palettes.py`.

A cell of class k with strength s, in OKLCH (L_n, C_n, h_n is the theme's neutral):

    L = L_n + (L_k − L_n)·s      C = C_k · s^0.9      h = h_k

mapped into sRGB by lowering C at fixed L and h (18 halvings), never by clipping: C_k first, so that
chroma grows all the way, and then what is still outside. s = 0 is neutral itself. The hues were found
by tools/find_hues.py, and decision 11 says what was measured.

Everything here is by coloraide; `huelapse.palette.ramps` is the same recipe in numpy, for the user's
own colors, and is tested to give the same bytes.
"""

import argparse
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
from coloraide import Color

from huelapse.palette.ramps import HALVINGS, LEVELS, NEUTRAL, TONE
from huelapse.palette.seeing import EYES

HUES = {
    "standard": {
        "dark": [
            (0.640, 0.17, 19.8), (0.643, 0.17, 50.2), (0.769, 0.17, 74.0), (0.800, 0.17, 146.1),
            (0.640, 0.17, 168.8), (0.799, 0.17, 192.2), (0.788, 0.17, 236.8), (0.676, 0.17, 270.3),
            (0.640, 0.17, 331.6), (0.784, 0.17, 358.0),
        ],
        "light": [
            (0.500, 0.17, 16.9), (0.565, 0.17, 41.5), (0.690, 0.17, 67.8), (0.700, 0.17, 158.0),
            (0.516, 0.17, 170.5), (0.677, 0.17, 196.2), (0.660, 0.17, 245.1), (0.544, 0.17, 272.7),
            (0.500, 0.17, 336.1), (0.664, 0.17, 356.6),
        ],
    },
    "tritan": {
        "dark": [
            (0.600, 0.17, 24.3), (0.758, 0.17, 60.6), (0.623, 0.17, 95.3), (0.860, 0.17, 117.9),
            (0.600, 0.17, 130.3), (0.686, 0.17, 185.0), (0.860, 0.17, 205.2), (0.829, 0.17, 272.3),
            (0.694, 0.17, 301.3), (0.859, 0.17, 324.4),
        ],
        "light": [
            (0.420, 0.17, 28.2), (0.584, 0.17, 41.8), (0.700, 0.17, 79.5), (0.543, 0.17, 97.0),
            (0.700, 0.17, 113.6), (0.422, 0.17, 132.6), (0.700, 0.17, 153.4), (0.533, 0.17, 251.7),
            (0.635, 0.17, 293.4), (0.422, 0.17, 303.7),
        ],
    },
}  # fmt: skip
WHEEL = {"dark": 0.72, "light": 0.60}
"""Mean lightness of the wheel, which is brightest at hue 180 and darkest across from it: to an eye that
lacks a cone a wheel of one lightness is a line, walked there and back, and this makes it a loop."""
WHEEL_SWING, WHEEL_BRIGHTEST = 0.08, 180
WHEEL_CHROMA = 0.15
WHEEL_HUES = 120
WHEEL_BEGINS = 20
OUT = Path(__file__).parents[1] / "src/huelapse/palettes/palettes.npz"


def in_gamut(lightness: float, chroma: float, hue: float) -> Color:
    """The color, with chroma lowered as far as sRGB asks for."""
    color = Color("oklch", [lightness, chroma, hue])
    if color.in_gamut("srgb", tolerance=0):
        return color
    low, high = 0.0, chroma
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if Color("oklch", [lightness, middle, hue]).in_gamut("srgb", tolerance=0):
            low = middle
        else:
            high = middle
    return Color("oklch", [lightness, low, hue])


def rgba(color: Color) -> list[int]:
    """Bytes of sRGB, rounded, and an opaque alpha."""
    return [*(round(255 * min(1.0, max(0.0, c))) for c in color.convert("srgb").coords()), 255]


def ramp(theme: str, lightness: float, chroma: float, hue: float) -> np.ndarray:
    """RGBA of all levels of one class; its chroma is what sRGB reaches at full strength, at most."""
    chroma = in_gamut(lightness, chroma, hue)["chroma"]
    neutral = NEUTRAL[theme]
    colors = [rgba(Color("oklch", list(neutral)))]
    for step in range(1, LEVELS):
        s = step / (LEVELS - 1)
        light = neutral[0] + (lightness - neutral[0]) * s
        colors.append(rgba(in_gamut(light, chroma * s**TONE, hue)))
    return np.array(colors, np.uint8)


def distances(name: str, colors: list[Color]) -> np.ndarray:
    """[color, color] the least weighted CIEDE2000 over the palette's kinds of eyes; above the
    diagonal, elsewhere infinite.

    Simulation: Machado et al. 2009, severity 1.
    """
    n = len(colors)
    least = np.full((n, n), np.inf)
    for vision, weight in EYES[name].items():
        seen = [
            c if vision == "normal" else c.filter(vision, 1, method="machado").clip("srgb")
            for c in colors
        ]
        for i, j in combinations(range(n), 2):
            least[i, j] = min(least[i, j], weight * seen[i].delta_e(seen[j], method="2000"))
    return least


def subsets(name: str) -> np.ndarray:
    """[K, 10] for K = 2 … 10: which of the ten hues K classes take, farthest apart in both themes."""
    themes = HUES[name].values()
    least = np.minimum(
        *(distances(name, [in_gamut(*c).convert("srgb") for c in ten]) for ten in themes)
    )
    chosen = np.zeros((11, 10), np.int64)
    for k in range(2, 11):
        best = max(
            combinations(range(10), k),
            key=lambda s: (min(least[i, j] for i, j in combinations(s, 2)), tuple(-i for i in s)),
        )
        chosen[k, :k] = best
    return chosen


def on_wheel(theme: str, hue: float) -> tuple[float, float, float]:
    """OKLCH of a hue of the wheel at full strength."""
    swing = WHEEL_SWING * np.cos(np.radians(hue - WHEEL_BRIGHTEST))
    return float(WHEEL[theme] + swing), WHEEL_CHROMA, float(hue)


def wheel_hues() -> np.ndarray:
    """[120] hues, each as far from the next: by CIEDE2000 along the wheel at full strength, in shares
    of its whole length, mean of both themes. Rounded to a tenth of a degree."""
    fine = WHEEL_BEGINS + np.linspace(0, 360, 721)
    lengths = np.zeros(len(fine))
    for theme in WHEEL:
        colors = [in_gamut(*on_wheel(theme, hue)).convert("lab-d65") for hue in fine]
        between = [one.delta_e(other, method="2000") for one, other in pairwise(colors)]
        lengths[1:] += np.cumsum(between) / sum(between) / len(WHEEL)
    return np.interp(np.arange(WHEEL_HUES) / WHEEL_HUES, lengths, fine).round(1) % 360


def bake() -> dict[str, np.ndarray]:
    """All that is shipped: tables [hue, level, 4] and subsets [K, 10], by name."""
    tables: dict[str, np.ndarray] = {}
    for name, themes in HUES.items():
        tables[f"{name}_subsets"] = subsets(name)
        for theme, ten in themes.items():
            tables[f"{name}_{theme}"] = np.stack([ramp(theme, *c) for c in ten])
    hues = wheel_hues()
    for theme in WHEEL:
        tables[f"wheel_{theme}"] = np.stack([ramp(theme, *on_wheel(theme, h)) for h in hues])
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with what is shipped")
    if parser.parse_args().check:
        with np.load(OUT, allow_pickle=False) as shipped:
            baked = bake()
            if sorted(baked) != sorted(shipped.files):
                raise SystemExit(f"shipped are {sorted(shipped.files)}, baked {sorted(baked)}")
            for name, table in baked.items():
                np.testing.assert_array_equal(table, shipped[name], err_msg=name)
        print("the shipped palettes are what this script bakes")
    else:
        np.savez_compressed(OUT, **bake())
        print(f"wrote {OUT}")


if __name__ == "__main__":
    main()
