"""From strength to pixels: one rounding, exact neutrals, palettes as baked."""

from itertools import combinations

import numpy as np
import pytest
from coloraide import Color

from huelapse.color import paint
from huelapse.palette import LEVELS, NAMES, level, palette
from huelapse.palette.seeing import EYES

NEUTRAL = {"dark": "#363738", "light": "#d9dadc"}


def hexes(table: np.ndarray) -> list[str]:
    return ["#{:02x}{:02x}{:02x}".format(*color[:3]) for color in table]


def test_strength_is_rounded_down_and_hundredths_are_exact() -> None:
    assert level(np.array([0, 0.004, 0.01, 0.29, 0.4999, 0.5, 0.999, 1.0, np.nan, -0.2])).tolist() == [
        0, 0, 1, 29, 49, 50, 99, 100, 0, 0,
    ]  # fmt: skip
    hundredths = np.arange(LEVELS) / 100
    assert level(hundredths).tolist() == list(range(LEVELS))


@pytest.mark.parametrize("classes", [2, 3, 7, 10, 11, 100, 1000])
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_level_zero_of_every_class_is_the_one_neutral(classes: int, theme: str) -> None:
    table = palette(classes).table(theme)
    assert table.shape == (classes, LEVELS, 4)
    assert len(np.unique(table[:, 0], axis=0)) == 1
    assert (table[..., 3] == 255).all()
    assert len(np.unique(table[:, -1], axis=0)) == min(classes, 120)


def test_the_ten_class_palettes_are_the_measured_ones() -> None:
    colors = palette(10)
    dark = "#e05860 #db6700 #f0a100 #6bda78 #00a47e #00d9d4 #62c5ff #708dff #c55fba #ff91b8"
    light = "#af283f #c44805 #d88600 #00bc76 #007a5f #00adaf #0099f0 #5163d1 #9b3187 #e15f96"
    assert hexes(colors.dark[:, -1]) == dark.split()
    assert hexes(colors.light[:, -1]) == light.split()


def test_units_without_strength_or_class_are_exactly_neutral() -> None:
    colors = palette(10)
    painted = paint(np.array([3, -1, 5]), np.array([0.0, 0.9, 0.005]), colors, "dark")
    assert (painted == colors.dark[0, 0]).all()
    assert (paint(np.array([3]), np.array([0.77]), colors, "light")[0] == colors.light[3, 77]).all()


def test_color_grows_with_strength() -> None:
    table = palette(10).dark.astype(int)[..., :3]
    saturation = (table.max(-1) - table.min(-1))[:, 1:]  # the neutral has a hue of its own
    assert (np.diff(saturation, axis=1) >= -1).all()  # to within rounding to 8 bits
    assert (saturation[:, -1] > 100).all()


FLOORS = {
    ("standard", "dark", 100): {"normal": 18.0, "deutan": 11.0, "protan": 10.9},
    ("standard", "light", 100): {"normal": 20.0, "deutan": 12.5, "protan": 13.0},
    ("standard", "dark", 50): {"normal": 9.0, "deutan": 4.5, "protan": 6.0},
    ("standard", "light", 50): {"normal": 9.0, "deutan": 4.5, "protan": 6.0},
    ("tritan", "dark", 100): {"normal": 18.0, "tritan": 15.0, "tritan by brettel": 14.9},
    ("tritan", "light", 100): {"normal": 19.0, "tritan": 16.0, "tritan by brettel": 16.0},
    ("tritan", "dark", 50): {"normal": 12.0, "tritan": 8.5, "tritan by brettel": 8.5},
    ("tritan", "light", 50): {"normal": 9.5, "tritan": 8.0, "tritan by brettel": 8.0},
}
"""Least CIEDE2000 between any two of ten classes at level 100 and 50, as each kind of eye sees it:
Machado et al. 2009 at severity 1, and for tritan eyes Brettel et al. 1997 too."""

STEPS = {"dark": 8, "light": 6}
"""Steps of CIEDE2000 5 from neutral to full color, of the class that has fewest."""


def as_seen(rgb: np.ndarray, vision: str) -> Color:
    """A baked color as an eye of this kind sees it."""
    color = Color("srgb", [int(byte) / 255 for byte in rgb[:3]])
    if vision == "normal":
        return color
    kind, _, method = vision.partition(" by ")
    return color.filter(kind, 1, method=method or "machado").clip("srgb")


def steps(ramp: np.ndarray) -> int:
    colors = [as_seen(rgb, "normal") for rgb in ramp]
    count, last = 0, colors[0]
    for color in colors[1:]:
        if last.delta_e(color, method="2000") >= 5:
            count, last = count + 1, color
    return count


@pytest.mark.parametrize(("name", "theme", "at"), FLOORS)
def test_ten_colors_stay_apart_for_every_eye(name: str, theme: str, at: int) -> None:
    baked = palette(10, name=name).table(theme)[:, at]
    for vision, floor in FLOORS[name, theme, at].items():
        colors = [as_seen(rgb, vision) for rgb in baked]
        least = min(a.delta_e(b, method="2000") for a, b in combinations(colors, 2))
        assert least >= floor, (vision, least)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("theme", ["dark", "light"])
def test_strength_is_told_apart_in_steps_of_every_class(name: str, theme: str) -> None:
    found = [steps(ramp) for ramp in palette(10, name=name).table(theme)]
    assert min(found) >= STEPS[theme], found


@pytest.mark.parametrize("name", NAMES)
def test_fewer_classes_are_farther_apart(name: str) -> None:
    """Least over both themes and the palette's eyes, each by what it weighs; by coloraide."""
    least: list[float] = []
    for classes in range(2, 11):
        colors = palette(classes, name=name)
        distances = [
            weight * a.delta_e(b, method="2000")
            for theme in ("dark", "light")
            for vision, weight in EYES[name].items()
            for a, b in combinations([as_seen(c, vision) for c in colors.table(theme)[:, -1]], 2)
        ]
        least.append(min(distances))
    assert least == sorted(least, reverse=True)
    assert least[0] > 20
    assert least[1] > 1.5 * least[-1]


WHEEL = {"normal": 17.0, "deutan": 4.0, "protan": 7.0, "tritan": 3.0}
"""Least CIEDE2000 between hues that are a tenth of the wheel apart, or more."""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_wheel_is_a_loop_for_every_eye(theme: str) -> None:
    """No far-off hue looks like another one, as red and green of one lightness would."""
    every = palette(60).table(theme)[:, -1]
    for vision, floor in WHEEL.items():
        colors = [as_seen(rgb, vision) for rgb in every]
        least = min(
            a.delta_e(b, method="2000")
            for (i, a), (j, b) in combinations(enumerate(colors), 2)
            if 6 <= j - i <= 54
        )
        assert least >= floor, (vision, least)


@pytest.mark.parametrize("classes", [20, 100])
def test_many_classes_are_about_equally_far_from_their_neighbours(classes: int) -> None:
    for theme in ("dark", "light"):
        colors = [as_seen(rgb, "normal") for rgb in palette(classes).table(theme)[:, -1]]
        around = zip(colors, [*colors[1:], colors[0]], strict=True)
        links = [a.delta_e(b, method="2000") for a, b in around]
        assert min(links) > 0.55 * np.mean(links), (theme, min(links), np.mean(links))
