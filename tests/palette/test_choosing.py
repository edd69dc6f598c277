"""Which colors classes get: farthest apart, the user's, pinned, on the wheel."""

from itertools import combinations

import numpy as np
import pytest

from huelapse.errors import PaletteError
from huelapse.palette import Palette, by_superclass, palette, pins
from huelapse.palette.ramps import neutral
from huelapse.palette.seeing import EYES, apart, difference, seen, steps
from huelapse.palette.tables import ten, wheel

PETS = ("cat", "dog", "fish", "bird")
HUNDRED = [f"class {k}" for k in range(100)]
THEMES = ("dark", "light")


def full(colors: Palette, theme: str = "dark") -> list[list[int]]:
    return colors.table(theme)[:, -1, :3].tolist()


def same(one: Palette, other: Palette) -> bool:
    return np.array_equal(one.dark, other.dark) and np.array_equal(one.light, other.light)


def test_names_of_classes_do_not_matter_where_nothing_is_said_of_them() -> None:
    assert same(palette(PETS), palette(4))
    assert same(palette(HUNDRED), palette(100))


def test_what_is_given_out_can_be_changed_without_harm() -> None:
    for classes in (3, 30):
        before = palette(classes).dark.copy()
        palette(classes).dark[:] = 0
        assert np.array_equal(palette(classes).dark, before)
    with pytest.raises(ValueError, match="read-only"):
        ten("standard").dark[:] = 0


def test_a_users_color_is_the_color_at_full_strength_in_both_themes() -> None:
    found = palette(PETS, colors={"dog": "#aa3300", "bird": "#08F"})
    for theme in THEMES:
        assert full(found, theme)[1] == [0xAA, 0x33, 0]
        assert full(found, theme)[3] == [0, 0x88, 0xFF]
        assert (found.table(theme)[:, 0, :3] == neutral(theme)).all()
        ours = {tuple(c) for c in full(ten("standard"), theme)}
        assert tuple(full(found, theme)[0]) in ours
        assert tuple(full(found, theme)[2]) in ours


def test_the_others_take_the_hues_farthest_from_the_users_colors() -> None:
    """As good as the best of all ways to choose, each looked at."""
    own = "#db6700"  # the second of the ten hues itself
    found = palette(PETS, colors={"dog": own})

    def least(colors: Palette) -> float:
        return min(
            weight * float(apart(colors.table(theme)[:, -1, :3], vision).min())
            for theme in THEMES
            for vision, weight in EYES["standard"].items()
        )

    hues = ten("standard")
    given = palette(["dog"], colors={"dog": own})
    ways = [
        Palette(*(np.concatenate([given.table(t), hues.of(np.array(s)).table(t)]) for t in THEMES))
        for s in combinations(range(10), 3)
    ]
    assert least(found) == pytest.approx(max(map(least, ways)))
    assert [219, 103, 0] not in [full(found)[k] for k in (0, 2, 3)]


def test_all_classes_may_have_colors_and_two_may_share_one() -> None:
    found = palette(["a", "b"], colors={"a": "#f00", "b": "#f00"})
    assert full(found) == [[255, 0, 0]] * 2
    many = palette(HUNDRED, colors={"class 7": "#ff0000"})
    assert full(many)[7] == [255, 0, 0]
    assert np.array_equal(np.delete(many.dark, 7, 0), np.delete(palette(100).dark, 7, 0))


@pytest.mark.parametrize("color", ["#363738", "#d9dadc", "#fff", "#000000", "#3a3a40"])
def test_a_color_like_neutral_is_refused(color: str) -> None:
    with pytest.raises(PaletteError, match="hardly be told from the neutral"):
        palette(["a", "b"], colors={"a": color})


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("name", ["standard", "tritan"])
def test_pinned_classes_take_hues_of_the_ten_and_all_others_are_grey(count: int, name: str) -> None:
    pinned = [f"class {k}" for k in (70, 3, 99, 40, 41, 42, 0, 12)[:count]]
    indices = [int(c.split()[1]) for c in pinned]
    found = palette(HUNDRED, name=name, pinned=pinned)
    for theme in THEMES:
        assert np.array_equal(found.table(theme)[indices], pins(name).table(theme)[:count])
        others = np.delete(found.table(theme), indices, 0)
        assert len(np.unique(others, axis=0)) == 1
        assert np.ptp(others[0, -1, :3].astype(int)) <= 5
        assert steps(others[0]) >= 4
        assert (found.table(theme)[:, 0, :3] == neutral(theme)).all()


@pytest.mark.parametrize("name", ["standard", "tritan"])
def test_one_more_pin_leaves_those_before_as_they_are_and_nearly_as_far_apart(name: str) -> None:
    def least(hues: Palette) -> float:
        return min(
            weight * apart(hues.table(theme)[:, -1, :3], vision).min()
            for theme in THEMES
            for vision, weight in EYES[name].items()
        )

    order = pins(name)
    assert len(np.unique(order.dark[:, -1], axis=0)) == 8
    for count in range(2, 9):
        some = order.of(np.arange(count))
        assert least(some) >= 0.89 * least(palette(count, name=name)), count
        classes = HUNDRED[:count]
        assert np.array_equal(palette(HUNDRED, name=name, pinned=classes).dark[:count], some.dark)


@pytest.mark.parametrize("name", ["standard", "tritan"])
@pytest.mark.parametrize("theme", THEMES)
def test_every_hue_stands_out_from_the_grey_of_what_is_not_pinned(name: str, theme: str) -> None:
    grey = palette(HUNDRED, pinned=["class 0"]).table(theme)[1, -1, :3]
    for vision in EYES[name]:
        hues = seen(ten(name).table(theme)[:, -1, :3], vision)
        assert difference(hues, seen(grey, vision)).min() >= 9, vision


def test_pinned_classes_may_stand_among_those_on_the_wheel() -> None:
    found = palette(HUNDRED, pinned=["class 5", "class 6"], rest="wheel")
    others = [k for k in range(100) if k not in (5, 6)]
    assert np.array_equal(found.dark[others], palette(100).dark[others])
    assert np.array_equal(found.dark[[5, 6]], pins("standard").dark[:2])


def test_up_to_ten_classes_keep_their_own_hue_when_pinned() -> None:
    found = palette(PETS, pinned=["fish"])
    assert np.array_equal(found.dark[2], palette(4).dark[2])
    assert len(np.unique(found.dark[[0, 1, 3], -1], axis=0)) == 1
    assert same(palette(PETS, pinned=["fish"], rest="wheel"), palette(4))


def test_a_users_color_goes_before_a_pin_and_pins_keep_away_from_it() -> None:
    colors = {"class 1": "#62c5ff"}  # one of the ten hues
    found = palette(HUNDRED, colors=colors, pinned=["class 1", "class 2", "class 3"])
    assert full(found)[1] == [0x62, 0xC5, 0xFF]
    ours = full(ten("standard"))
    assert full(found)[2] in ours and full(found)[3] in ours
    between = apart(found.dark[[1, 2, 3], -1, :3])
    assert between.min() > 30


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"name": "rainbow"}, "standard and tritan"),
        ({"colors": {"cow": "#f00"}}, "no class 'cow'.*cat, dog, fish, bird"),
        ({"colors": {"cat": "red"}}, "write #rrggbb"),
        ({"pinned": ["cow"]}, "no class 'cow'"),
        ({"pinned": ["cat", "cat"]}, "pinned twice"),
        ({"pinned": ["cat"], "rest": "blue"}, "grey or wheel"),
    ],
)
def test_what_cannot_be_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(PaletteError, match=says):
        palette(PETS, **wrong)  # pyright: ignore[reportArgumentType]


def test_more_than_eight_pins_are_refused() -> None:
    with pytest.raises(PaletteError, match="9 classes are pinned, at most 8"):
        palette(HUNDRED, pinned=HUNDRED[:9])


def test_places_say_where_on_the_wheel_classes_stand() -> None:
    places = np.linspace(0, 0.999, 30)[::-1].copy()
    found = palette(30, places=places)
    assert np.array_equal(found.light, wheel().light[np.floor(places * 120).astype(int)])
    assert same(palette(4, places=np.zeros(4)), palette(4))  # up to ten, a hue is a name
    last = palette(11, places=np.full(11, np.nextafter(1, 0)))
    assert np.array_equal(last.dark[0], wheel().dark[0])


@pytest.mark.parametrize("places", [np.zeros(3), np.full(30, 1.0), np.full(30, np.nan)])
def test_places_beside_the_wheel_are_refused(places: np.ndarray) -> None:
    with pytest.raises(PaletteError, match="one for each of 30 classes"):
        palette(30, places=places)


def test_a_thousand_classes_of_a_hierarchy_are_told_by_superclass() -> None:
    of = np.repeat(np.arange(8), 125)
    colors = palette(1000, places=by_superclass(of.tolist()))
    lab = seen(colors.dark[:, -1, :3])
    means = np.stack([lab[of == k].mean(0) for k in range(8)])
    nearest = ((lab[:, None] - means) ** 2).sum(-1).argmin(1)
    assert (nearest == of).mean() > 0.95
