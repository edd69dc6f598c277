"""From strength to pixels: one rounding, exact neutrals, palettes as baked."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from huelapse.color import paint
from huelapse.palette import LEVELS, level, palette

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
    dark = "#e25966 #d67000 #d3b600 #5adc83 #01a480 #00d9d2 #6ec2ff #8587fd #c65fb8 #ff94ba"
    light = "#af2841 #b95800 #cd9200 #00b879 #00785e #01b4be #0098f2 #645fd1 #9a3289 #df5e97"
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


def test_ten_hues_stay_apart_for_color_blind_eyes() -> None:
    spec = importlib.util.spec_from_file_location(
        "bake_palettes", Path(__file__).parents[1] / "tools/bake_palettes.py"
    )
    assert spec is not None and spec.loader is not None
    bake = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bake)
    from coloraide import Color

    for theme in ("dark", "light"):
        colors = [Color(text) for text in hexes(palette(10).table(theme)[:, -1])]
        for vision, least in ((None, 17.5), ("deutan", 10.5), ("protan", 10.5)):
            seen = [
                c if vision is None else c.filter(vision, 1, method="machado").clip("srgb")
                for c in colors
            ]
            distances = [
                seen[i].delta_e(seen[j], method="2000") for i in range(10) for j in range(i)
            ]
            assert min(distances) >= least, (theme, vision)
