"""Places on the hue wheel: by hierarchy, by similarity."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from huelapse.errors import PaletteError
from huelapse.palette import by_similarity, by_superclass

TURN = 360


def gaps_around(places: np.ndarray) -> np.ndarray:
    """Of places in order around the wheel, the distance from each to the next."""
    ordered = np.sort(places)
    return np.diff(np.append(ordered, ordered[0] + 1))


def test_children_stand_side_by_side_in_order_and_superclasses_apart() -> None:
    of = ["animal", "tool", "animal", "plant", "tool", "animal"]
    places = by_superclass(of)
    assert np.argsort(places).tolist() == [0, 2, 5, 1, 4, 3]
    arcs = np.sqrt([3, 2, 1])
    arcs = (1 - 3 * 12 / TURN) * arcs / arcs.sum()
    assert places[2] - places[0] == pytest.approx(arcs[0] / 3)
    assert places[1] - places[5] == pytest.approx(arcs[0] / 6 + 12 / TURN + arcs[1] / 4)
    assert places[3] + arcs[2] / 2 == pytest.approx(1)
    assert places[0] - arcs[0] / 6 == pytest.approx(12 / TURN)


def test_superclasses_may_be_told_by_index() -> None:
    of = [3, 0, 3, 1]
    assert np.array_equal(by_superclass(of), by_superclass([str(k) for k in of]))
    assert by_superclass([]).shape == (0,)


def test_classes_that_are_all_superclasses_are_evenly_spread() -> None:
    np.testing.assert_allclose(gaps_around(by_superclass(list(range(100)))), 0.01)


def test_many_superclasses_have_smaller_gaps() -> None:
    places = by_superclass(np.repeat(np.arange(40), 2).tolist())
    assert (np.diff(places) > 0).all()
    assert places[2] - places[1] == pytest.approx(0.4 / 40 + (0.6 / 40) / 2)


@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_every_superclass_has_an_arc_of_its_own(of: list[int]) -> None:
    places = by_superclass(of)
    assert ((places >= 0) & (places < 1)).all()
    assert len(np.unique(places)) == len(of)
    around = np.array(of)[np.argsort(places)]
    begins = 1 + np.count_nonzero(np.diff(around))
    assert begins == len(set(of))


def blocks(classes: int, size: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of shuffled groups: 1 within, less between groups that are farther apart, noise.
    And the group of each class."""
    random = np.random.default_rng(seed)
    of = random.permutation(np.arange(classes) // size)
    between = np.abs(of[:, None] - of[None]) / of.max()
    noise = random.uniform(0, 0.02, between.shape)
    return 1 - between + (noise + noise.T) / 2, of


def test_classes_that_are_alike_stand_side_by_side() -> None:
    similarity, of = blocks(60, 6)
    around = of[np.argsort(by_similarity(similarity))]
    assert np.count_nonzero(np.diff(around)) == 9  # ten groups, each whole
    assert around.tolist() in (sorted(of), sorted(of)[::-1])  # and beside those they are like


def test_the_wheel_is_cut_at_the_weakest_link() -> None:
    """On a ring of classes with one weak link, whatever index they have."""
    order = np.random.default_rng(1).permutation(20)
    similarity = np.zeros((20, 20))
    for k in range(20):
        one, other = order[k], order[(k + 1) % 20]
        similarity[one, other] = similarity[other, one] = 0.2 if k == 7 else 0.9
    found = np.argsort(by_similarity(similarity))
    ends = {int(found[0]), int(found[-1])}
    assert ends == {int(order[7]), int(order[8])}


@pytest.mark.parametrize("seed", range(8))
def test_no_two_neighbours_are_less_alike_than_those_on_both_sides_of_the_cut(seed: int) -> None:
    noise = np.random.default_rng(seed).uniform(size=(15, 15))
    similarity = (noise + noise.T) / 2
    order = np.argsort(by_similarity(similarity))
    links = similarity[order, np.roll(order, -1)]
    assert links[-1] == links.min()


def test_the_cut_is_a_gap() -> None:
    gaps = gaps_around(by_similarity(blocks(60, 6)[0]))
    assert gaps[-1] == pytest.approx(12 / TURN)
    np.testing.assert_allclose(gaps[:-1], (1 - 12 / TURN) / 59)
    np.testing.assert_allclose(gaps_around(by_similarity(blocks(15, 3)[0])), 1 / 15)


def test_the_same_similarities_always_give_the_same_places() -> None:
    similarity, _ = blocks(40, 4)
    places = by_similarity(similarity)
    assert np.array_equal(places, by_similarity(similarity.copy()))
    assert np.array_equal(places, by_similarity(2 * similarity))
    order = np.argsort(places)
    assert order[0] < order[-1]
    without = similarity.copy()
    np.fill_diagonal(without, np.nan)
    assert np.array_equal(places, by_similarity(without))


@pytest.mark.parametrize("classes", [1, 2])
def test_one_and_two_classes_have_places_too(classes: int) -> None:
    assert by_similarity(np.ones((classes, classes))).tolist() == [0, 0.5][:classes]


def test_classes_that_are_all_alike_have_places_too() -> None:
    assert len(np.unique(by_similarity(np.ones((12, 12))))) == 12


def test_similarities_that_are_none_are_refused() -> None:
    with pytest.raises(PaletteError, match="one row and one column"):
        by_similarity(np.ones((3, 4)))
    lopsided = np.ones((4, 4))
    lopsided[0, 1] = 2
    with pytest.raises(PaletteError, match="not symmetric"):
        by_similarity(lopsided)
    lopsided[1, 0] = lopsided[0, 1] = np.nan
    with pytest.raises(PaletteError, match="not finite"):
        by_similarity(lopsided)
