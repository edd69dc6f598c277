"""Superclasses given and found, and what units hold at the finest level of them."""

from pathlib import Path

import numpy as np
import pytest

from huelapse.errors import HierarchyError
from huelapse.hierarchy import Hierarchy
from huelapse.measures import NO_CLASS, grouped, read_levels
from huelapse.moments import Moments

CLASSES = ("pug", "beagle", "tabby", "siamese", "car", "truck")
NESTED = {
    "animal": {"dog": ["pug", "beagle"], "cat": ["tabby", "siamese"]},
    "vehicle": ["car", "truck"],
}


def told(hierarchy: Hierarchy) -> list[list[str]]:
    return [[level.names[g] for g in level.group] for level in hierarchy.levels]


EXPECTED = [
    ["dog", "dog", "cat", "cat", "vehicle", "vehicle"],
    ["animal", "animal", "animal", "animal", "vehicle", "vehicle"],
]


def test_nested_superclasses_are_levels() -> None:
    assert told(Hierarchy.from_nested(CLASSES, NESTED)) == EXPECTED


def test_parents_and_files_say_the_same(tmp_path: Path) -> None:
    pairs = [
        ("dog", "pug"), ("dog", "beagle"), ("cat", "tabby"), ("cat", "siamese"),
        ("vehicle", "car"), ("vehicle", "truck"), ("animal", "dog"), ("animal", "cat"),
        ("beast", "cat"),
    ]  # fmt: skip
    file = tmp_path / "is_a.txt"
    file.write_text("# parent child\n\n" + "\n".join(f"{p} {c}" for p, c in pairs))
    assert told(Hierarchy.from_file(CLASSES, file)) == EXPECTED
    parents = {c: p for p, c in pairs[:-1]}
    assert told(Hierarchy.from_parents(CLASSES, parents)) == EXPECTED


def test_a_root_above_everything_is_no_level() -> None:
    rooted = {"thing": NESTED}
    assert told(Hierarchy.from_nested(CLASSES, rooted)) == EXPECTED


def test_classes_are_found_together_by_similarity() -> None:
    similarity = np.eye(6)
    for a, b, s in ((0, 1, 0.9), (2, 3, 0.8), (4, 5, 0.7), (0, 2, 0.4), (1, 3, 0.4)):
        similarity[a, b] = similarity[b, a] = s
    found = Hierarchy.from_similarity(CLASSES, similarity, groups=(3, 2))
    three, two = found.levels
    assert len(three.names) == 3
    assert three.group[0] == three.group[1] != three.group[2] == three.group[3]
    assert two.group[0] == two.group[2] != two.group[4]
    assert "pug … beagle (2)" in three.names


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda tmp: Hierarchy.from_parents(("a", "b"), {"a": "c", "c": "a"}), "own ancestor"),
        (lambda tmp: Hierarchy.from_parents(("a", "b"), {"a": "c", "b": "c"}), "no level"),
        (lambda tmp: Hierarchy.from_nested(("a", "b"), {"x": ["a"], "y": ["a"]}), "in one only"),
        (lambda tmp: Hierarchy.from_nested(("a", "b"), {"x": [1]}), "found 1"),
        (lambda tmp: Hierarchy.from_file(("a", "b"), tmp), "line 1"),
        (lambda tmp: Hierarchy.from_similarity(("a", "b", "c"), np.ones((2, 2))), "symmetric"),
    ],
)
def test_what_is_no_hierarchy_is_refused(make, match: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.txt"
    file.write_text("only-one-name\n")
    with pytest.raises(HierarchyError, match=match):
        make(file)


def test_a_file_of_other_classes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "other.txt"
    file.write_text("x y\n")
    with pytest.raises(HierarchyError, match="names none of the 6 classes"):
        Hierarchy.from_file(CLASSES, file)


def data(rng, lift: dict[int, list[int]], units: int = 20) -> Moments:
    """Units of which number u responds more to classes lift[u]."""
    labels = np.repeat(np.arange(6), 100)
    responses = rng.standard_normal((600, units))
    for unit, classes in lift.items():
        responses[np.isin(labels, classes), unit] += 4.0
    return Moments.from_samples(np.maximum(responses, 0), labels, 6)


def test_moments_of_groups_are_those_of_their_samples_together(rng) -> None:
    labels = rng.integers(0, 6, 500)
    responses = 1e4 + rng.standard_normal((500, 7))
    responses[3, 2] = np.nan
    group = Hierarchy.from_nested(CLASSES, NESTED).levels[0].group
    found = grouped(Moments.from_samples(responses, labels, 6), group)
    direct = Moments.from_samples(responses, group[labels], 3)
    np.testing.assert_array_equal(found.count, direct.count)
    np.testing.assert_array_equal(found.nonfinite, direct.nonfinite)
    np.testing.assert_array_equal(found.active, direct.active)
    np.testing.assert_allclose(found.mean, direct.mean, rtol=1e-14)
    np.testing.assert_allclose(found.m2, direct.m2, rtol=1e-9)


def test_a_unit_has_the_finest_level_that_holds(rng) -> None:
    hierarchy = Hierarchy.from_nested(CLASSES, NESTED)
    kinds = ([1], [0, 1], [0, 1, 2, 3], [4, 5])
    moments = data(rng, {u: kinds[u % 4] for u in range(400)}, 400)
    found = read_levels(moments, hierarchy, signed=np.zeros(400, bool))
    names = [CLASSES, *(level.names for level in hierarchy.levels)]
    expected = [(0, "beagle"), (1, "dog"), (2, "animal"), (1, "vehicle")]
    for kind, (level, name) in enumerate(expected):
        own = slice(kind, None, 4)
        right = found.level[own] == level
        assert right.mean() >= 0.95  # the others are held at a finer level by chance
        of = {names[level][g] for g in found.group[own][right]}
        assert of == {name}
        assert (found.strength[own][right] > 0.8).all()


def test_noise_is_not_colored_by_being_looked_at_more_often(rng) -> None:
    hierarchy = Hierarchy.from_nested(CLASSES, NESTED)
    found = read_levels(data(rng, {}, 4000), hierarchy, signed=np.zeros(4000, bool))
    assert (found.level >= 0).mean() <= 0.05
    assert np.array_equal(found.strength > 0, (found.level >= 0) & (found.strength > 0))


def test_without_data_there_is_no_level() -> None:
    hierarchy = Hierarchy.from_nested(CLASSES, NESTED)
    found = read_levels(Moments.empty(6, 2), hierarchy, signed=np.zeros(2, bool))
    assert found.level.tolist() == [-1, -1]
    assert np.isnan(found.strength).all()


def test_classes_in_another_order_are_the_same_hierarchy() -> None:
    hierarchy = Hierarchy.from_nested(CLASSES, NESTED).ordered(CLASSES[::-1])
    assert told(hierarchy) == [level[::-1] for level in EXPECTED]


def test_of_many_levels_those_stay_that_differ_most_in_size() -> None:
    classes = [f"class {k}" for k in range(64)]
    parents = {c: f"a{k // 2}" for k, c in enumerate(classes)}
    for one, other, by in (("a", "b", 2), ("b", "c", 2), ("c", "d", 2), ("d", "e", 2)):
        number = 64 // 2 ** ("abcd".index(one) + 1)
        parents |= {f"{one}{k}": f"{other}{k // by}" for k in range(number)}
    deep = Hierarchy.from_parents(classes, parents)
    assert deep.sizes == (64, 32, 16, 8, 4, 2)
    _, finest, middle, widest = deep.at_most(3).sizes
    assert finest in (32, 16) and middle == 8 and widest in (4, 2)
    assert deep.at_most(1).sizes == (64, 8)
    assert deep.at_most(5) is deep


def test_one_reading_is_that_of_the_finest_level_that_holds() -> None:
    hierarchy = Hierarchy.from_nested(CLASSES, NESTED)
    rng = np.random.default_rng(0)
    units, n = 6, 60
    means = np.zeros((6, units))
    means[4, 0] = 4  # a car
    means[:2, 1] = 4  # a dog
    means[:4, 2] = 4  # an animal
    means[:, 4] = np.nan  # never seen
    means[:, 5] = 0  # silent
    x = means[None] + rng.normal(size=(n, 6, units))
    x[:, :, 5] = 0.25
    count = np.full(6, n)
    seen = np.isfinite(x)
    moments = Moments(
        count=count,
        mean=np.nan_to_num(x.mean(0)),
        m2=np.nan_to_num(((x - x.mean(0)) ** 2).sum(0)),
        active=(x > 0).sum(0),
        nonfinite=(~seen).sum(0),
    )
    leveled = read_levels(moments, hierarchy, signed=np.zeros(units, bool))
    one = leveled.as_one(hierarchy.sizes)
    assert hierarchy.sizes == (6, 3, 2)
    assert leveled.level.tolist() == [0, 1, 2, NO_CLASS, NO_CLASS, NO_CLASS]
    first = {0: 0, 1: 6, 2: 9}  # where the groups of each level begin
    names = [*CLASSES, *hierarchy.levels[0].names, *hierarchy.levels[1].names]
    assert [names[k] for k in one.preference.preferred[:3]] == ["car", "dog", "animal"]
    assert one.preference.preferred[2] == first[2] + leveled.group[2]
    assert one.preference.held.tolist() == [True] * 3 + [False] * 3
    assert np.array_equal(one.strength[:3], leveled.strength[:3])
    assert one.strength[3] == 0 and one.strength[5] == 0
    assert one.silent.tolist() == [False] * 5 + [True]
    assert one.not_finite[4] and one.preference.preferred[4] == NO_CLASS
    assert not one.unreliable[3:].any()


def test_what_no_class_has_data_for_may_hold_for_a_superclass() -> None:
    """Two samples of each class are too few; those of a superclass together are not."""
    hierarchy = Hierarchy.from_parents(
        [f"c{k}" for k in range(20)], {f"c{k}": f"g{k % 2}" for k in range(20)}
    )
    x = np.where(np.arange(20) % 2 == 0, 5.0, 0.0)[None, :, None] + np.random.default_rng(0).normal(
        size=(2, 20, 1)
    )
    moments = Moments(
        count=np.full(20, 2),
        mean=x.mean(0),
        m2=((x - x.mean(0)) ** 2).sum(0),
        active=(x > 0).sum(0),
        nonfinite=np.zeros((20, 1), np.int64),
    )
    leveled = read_levels(moments, hierarchy, signed=np.zeros(1, bool))
    assert leveled.readings[0].preference.no_data.all()
    one = leveled.as_one(hierarchy.sizes)
    assert one.preference.held.all() and not one.preference.no_data.any()
    assert one.preference.preferred[0] == 20 + hierarchy.levels[0].names.index("g0")
