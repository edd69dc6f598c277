"""Searches ten hues that stay apart: `python tools/find_hues.py standard dark`.

Simulated annealing over lightness and hue of each class; chroma is what sRGB reaches, 0.17 at most.
What is made as large as possible is the least of found ÷ floor, over all floors of the palette: the
least CIEDE2000 between any two classes at full and at half strength, as each kind of eye sees it, and
the number of steps of 5 from neutral to the full color. Every number is of the rounded sRGB bytes.
The winners stand in tools/bake_palettes.py.
"""

import argparse

import numpy as np
from bake_palettes import HUES
from coloraide.filters.cvd import BRETTEL_TRITAN, LRGB_TO_LMS

from huelapse.palette.ramps import linear, ramps
from huelapse.palette.seeing import difference, lab, seen

CHROMA = 0.17
LIGHTNESS = {
    ("standard", "dark"): (0.64, 0.80),
    ("standard", "light"): (0.50, 0.70),
    ("tritan", "dark"): (0.60, 0.86),
    ("tritan", "light"): (0.42, 0.70),
}
FLOORS = {
    ("standard", "dark"): {"normal": (18, 9), "deutan": (11, 4.5), "protan": (10.9, 6)},
    ("standard", "light"): {"normal": (20, 9), "deutan": (12.5, 4.5), "protan": (13, 6)},
    ("tritan", "dark"): {"normal": (16, 9), "tritan": (14, 7), "brettel": (14, 7)},
    ("tritan", "light"): {"normal": (16, 8), "tritan": (14, 6), "brettel": (14, 6)},
}
"""Least CIEDE2000 at full and at half strength."""

STEPS = {"dark": 8, "light": 6}
PAIRS = np.triu_indices(10, 1)


def brettel(rgb: np.ndarray) -> np.ndarray:
    """CIELAB as a tritanope sees it, by Brettel, Viénot and Mollon 1997: Machado's own tritan model is
    said to be an approximation, so a palette for tritan eyes is held to both."""
    one, other, side = (np.array(part) for part in BRETTEL_TRITAN)
    cones = linear(rgb) @ np.array(LRGB_TO_LMS).T
    seen_ = np.where((cones @ side > 0)[..., None], cones @ other.T, cones @ one.T)
    return lab(np.clip(seen_, 0, 1))


class Class:
    """What one class's ramp gives to the score."""

    def __init__(self, lightness: float, hue: float, theme: str, visions: list[str]) -> None:
        ramp = ramps(np.array([[lightness, CHROMA, hue]]), theme)[0, :, :3]
        ends = ramp[[100, 50]]
        self.seen = np.stack([brettel(ends) if v == "brettel" else seen(ends, v) for v in visions])
        colors, count, last = seen(ramp), 0, 0
        while (further := difference(colors[last], colors[last:]) >= 5).any():
            last, count = last + int(further.argmax()), count + 1
        self.steps = count + float(difference(colors[last], colors[-1])) / 5


def score(classes: list[Class], floors: np.ndarray, steps: int) -> tuple[float, np.ndarray, float]:
    """Least of found ÷ floor and a little of their mean; the least distances; the fewest steps."""
    colors = np.stack([c.seen for c in classes])
    least = difference(colors[PAIRS[0]], colors[PAIRS[1]]).min(0)
    fewest = min(c.steps for c in classes)
    ratios = np.append(least / floors, min(fewest / steps, 1.15))
    return float(ratios.min() + 0.02 * np.minimum(ratios, 1.6).mean()), least, fewest


def anneal(
    start: np.ndarray, name: str, theme: str, *, rounds: int, heat: float, seed: int
) -> tuple[float, np.ndarray, np.ndarray, float]:
    """The best of one search: score, [class, (lightness, hue)], least distances, fewest steps."""
    random = np.random.default_rng(seed)
    visions = list(FLOORS[name, theme])
    floors = np.array(list(FLOORS[name, theme].values()), float)
    low, high = LIGHTNESS[name, theme]
    points = start.copy()
    classes = [Class(*p, theme, visions) for p in points]
    now, *found = score(classes, floors, STEPS[theme])
    best = (now, points.copy(), *found)
    for done in range(rounds):
        warm = heat * (1 - done / rounds) ** 2
        k = int(random.integers(10))
        tried = points[k] + random.normal(size=2) * (0.06, 16) * (0.08 + warm)
        tried = np.array([round(np.clip(tried[0], low, high), 3), round(tried[1] % 360, 1)])
        before = classes[k]
        classes[k] = Class(*tried, theme, visions)
        then, *found = score(classes, floors, STEPS[theme])
        if then >= now or random.random() < np.exp((then - now) / (1e-4 + 0.04 * warm)):
            points[k], now = tried, then
            if now > best[0]:
                best = (now, points.copy(), *found)
        else:
            classes[k] = before
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=["standard", "tritan"])
    parser.add_argument("theme", choices=["dark", "light"])
    parser.add_argument("--rounds", type=int, default=6000)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--near", action="store_true", help="start at what is shipped")
    arguments = parser.parse_args()
    name, theme = arguments.name, arguments.theme
    best = None
    for seed in range(arguments.restarts):
        random = np.random.default_rng(1000 + seed)
        if arguments.near:
            start, heat = np.array(HUES[name][theme])[:, [0, 2]], 0.1
        else:
            hues = np.sort((np.arange(10) * 36 + random.uniform(0, 36, 10)) % 360)
            start = np.stack([random.uniform(*LIGHTNESS[name, theme], 10), hues], -1)
            heat = 1.0
        found = anneal(start, name, theme, rounds=arguments.rounds, heat=heat, seed=seed)
        print(seed, f"{found[0]:.4f}", found[2].round(2).tolist(), f"{found[3]:.2f}", flush=True)
        if best is None or found[0] > best[0]:
            best = found
    points = best[1][best[1][:, 1].argsort()] if not arguments.near else best[1]
    print(dict(zip(FLOORS[name, theme], best[2].round(2).tolist(), strict=True)), f"{best[3]:.2f}")
    for lightness, hue in points:
        print(f"({lightness:.3f}, {CHROMA}, {hue:.1f}),")


if __name__ == "__main__":
    main()
