"""The recipe of colors in numpy, and how far apart they are: both as coloraide has them."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from coloraide import Color
from hypothesis import given
from hypothesis import strategies as st

from huelapse.errors import PaletteError
from huelapse.palette import LEVELS, palette
from huelapse.palette.ramps import neutral, oklch, parsed, ramps, within
from huelapse.palette.seeing import VISIONS, apart, difference, seen, steps
from huelapse.palette.tables import wheel

RANDOM = np.random.default_rng(0).integers(0, 256, (40, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def bake() -> Iterator[ModuleType]:
    """The script that bakes the shipped tables, by coloraide."""
    file = Path(__file__).parents[2] / "tools/bake_palettes.py"
    spec = importlib.util.spec_from_file_location("bake_palettes", file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module


def of_bytes(rgb: np.ndarray) -> Color:
    return Color("srgb", [int(byte) / 255 for byte in rgb])


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("name", ["standard", "tritan"])
def test_the_recipe_at_run_time_gives_the_baked_tables(
    bake: ModuleType, name: str, theme: str
) -> None:
    found = ramps(np.array(bake.HUES[name][theme]), theme).astype(int)
    assert found.shape == (10, LEVELS, 4)
    assert np.abs(found - palette(10, name=name).table(theme)).max() <= 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_recipe_at_run_time_gives_the_baked_wheel(bake: ModuleType, theme: str) -> None:
    full = np.array([bake.on_wheel(theme, hue) for hue in bake.wheel_hues()])
    assert np.abs(ramps(full, theme).astype(int) - wheel().table(theme)).max() <= 1


@pytest.mark.parametrize("theme", ["dark", "light"])
@pytest.mark.parametrize("color", ["#ff0000", "#00f", "#ffff00", "#7f3c8d", "#000000", "#fafafa"])
def test_a_users_color_grows_as_coloraide_has_it(bake: ModuleType, color: str, theme: str) -> None:
    full = Color(color).convert("oklch").coords(nans=False)
    expected = bake.ramp(theme, *full).astype(int)
    assert np.abs(ramps(oklch(parsed(color))[None], theme)[0] - expected).max() <= 1


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_ramp_goes_from_neutral_to_exactly_its_color(theme: str) -> None:
    found = ramps(oklch(RANDOM), theme)
    assert (found[:, 0, :3] == neutral(theme)).all()
    assert (found[:, -1, :3] == RANDOM).all()
    assert (found[..., 3] == 255).all()


def test_chroma_is_lowered_to_what_srgb_reaches_and_no_further() -> None:
    lightness, hue = np.full(36, 0.7), np.arange(36) * 10.0
    held = within(lightness, np.full(36, 0.4), hue)
    for chroma, degrees in zip(held, hue, strict=True):
        assert Color("oklch", [0.7, chroma, degrees]).in_gamut("srgb", tolerance=1e-6)
        assert not Color("oklch", [0.7, chroma + 1e-4, degrees]).in_gamut("srgb", tolerance=0)
    assert (within(lightness, np.full(36, 0.05), hue) == 0.05).all()


def test_colors_are_written_with_three_or_six_digits() -> None:
    assert parsed("#aa3300").tolist() == parsed("#A30").tolist() == [0xAA, 0x33, 0]


@pytest.mark.parametrize("text", ["aa3300", "#aa330", "red", "#aa3300ff", "#ggg", "", "#a30\n"])
def test_what_is_no_color_is_refused(text: str) -> None:
    with pytest.raises(PaletteError, match="write #rrggbb"):
        parsed(text)


@pytest.mark.parametrize("vision", VISIONS)
def test_differences_are_those_of_coloraide(vision: str) -> None:
    colors = [of_bytes(rgb) for rgb in RANDOM]
    if vision != "normal":
        colors = [c.filter(vision, 1, method="machado").clip("srgb") for c in colors]
    expected = [[a.delta_e(b, method="2000") for b in colors] for a in colors]
    np.fill_diagonal(found := apart(RANDOM, vision), 0)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.49, -0.001), (50, -2.49, 0.0011), 7.2195),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_that_sharma_published(
    one: tuple[float, ...], other: tuple[float, ...], expected: float
) -> None:
    pair = np.array(one, float), np.array(other, float)
    assert difference(*pair) == pytest.approx(expected, abs=5e-5)
    assert difference(*pair[::-1]) == pytest.approx(expected, abs=5e-5)


@given(st.lists(st.integers(0, 255), min_size=6, max_size=6))
def test_a_difference_is_symmetric_and_zero_of_a_color_and_itself(six: list[int]) -> None:
    one, other = seen(np.array(six, np.uint8).reshape(2, 3))
    assert difference(one, one) == 0
    assert difference(one, other) == pytest.approx(float(difference(other, one)))


def test_steps_are_counted_one_after_another() -> None:
    """Greys 10 apart in lightness, around 50, where a unit of L* is a unit of difference."""
    greys = np.array([[of_grey(lightness)] * 3 + [255] for lightness in (44, 47, 50, 53, 56)])
    ramp = greys.astype(np.uint8)
    assert steps(ramp) == 2
    assert steps(ramp[:2]) == 0
    assert steps(ramp, least=2.5) == 4


def of_grey(lightness: float) -> int:
    return round(255 * Color("lab-d65", [lightness, 0, 0]).convert("srgb")["red"])
