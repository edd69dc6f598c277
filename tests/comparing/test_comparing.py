"""Comparing runs that were made so that the answer is known."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import huelapse
from huelapse.comparing import (
    agreement,
    compare,
    group,
    match,
    other_layers,
    pair,
    pairing,
    same_start,
)
from huelapse.errors import ComparisonError, HuelapseWarning
from huelapse.moments import Moments
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter

CLASSES = ("ant", "bee", "cow", "dog", "eel", "fox")
LABELS = np.repeat(np.arange(6), 40)
UNITS = 12


def responses(t: int, seed: int, order: np.ndarray, speed: float) -> np.ndarray:
    """Unit u prefers class (order[u] mod 6), the more the later; the last two nothing."""
    rng = np.random.default_rng(100 * seed + t)
    lift = speed * t * (order < 10)
    return np.abs(rng.standard_normal((len(LABELS), UNITS))) + lift * (LABELS[:, None] == order % 6)


def record(
    path: Path,
    *,
    seed: int = 0,
    order: np.ndarray | None = None,
    classes: tuple[str, ...] = CLASSES,
    digest: str | None = "same",
    steps: range = range(0, 60, 10),
    speed: float = 1.0,
    paths: tuple[str, str] = ("fc", "output"),
    start: int | None = None,
) -> huelapse.Run:
    order = np.arange(UNITS) if order is None else order
    layers = tuple(
        Layer(path=name, kind="ReLU", shape=(6,), unit_axis=1, units=6, offset=6 * i, signed=False)
        for i, name in enumerate(paths)
    )
    place = np.array([classes.index(name) for name in sorted(classes)])  # ant … in their order
    store = StoreWriter(path, name=path.name, layers=layers, facts={})
    groupings = tuple(Grouping(name=n, classes=classes) for n in ("true", "predicted"))
    facts = {} if digest is None else {"hash": digest}
    for split in ("val", "train"):
        store.add_split(Split(name=split, kind="probe", groupings=groupings, facts=facts))
    for i, step in enumerate(steps):
        x = responses(i, start if step == 0 and start is not None else seed, order, speed)
        predicted = np.where(np.arange(len(LABELS)) % 3 == 0, (LABELS + 1) % 6, LABELS)
        for split in ("val", "train"):
            confusion = np.zeros((6, 6), np.int64)
            confusion[0, 0] = 40 * i
            store.commit(
                Snapshot(
                    split=split, step=step, epoch=step / 10, wall_time=1e9 + step, seconds=0.0,
                    moments={
                        "true": Moments.from_samples(x, place[LABELS], 6),
                        "predicted": Moments.from_samples(x, place[predicted], 6),
                    },
                    confusion=confusion,
                )
            )  # fmt: skip
    store.close()
    return huelapse.open(path)


@pytest.fixture
def runs(tmp_path: Path):
    made = iter(range(100))
    return lambda **how: record(tmp_path / f"run{next(made)}", **how)


def test_a_run_is_like_itself_and_pairs_say_what_was_taken(runs) -> None:
    a, b = runs(), runs(steps=range(0, 60, 4))
    same = compare(a, a)
    np.testing.assert_array_equal(same.strength_a, same.strength_b)
    assert same.gap.tolist() == [0] * 6
    found = compare(a, b)
    assert found.step_a.tolist() == [0, 10, 20, 30, 40, 50]
    assert found.step_b.tolist() == [0, 8, 20, 28, 40, 48]
    assert found.gap.tolist() == [0, 2, 0, 2, 0, 2]
    curves = b.curves()
    np.testing.assert_array_equal(found.tuned_b[1], curves.tuned[2])
    assert compare(a, b, by="epoch").step_b.tolist() == found.step_b.tolist()


def test_by_accuracy_the_faster_run_is_looked_at_earlier(runs) -> None:
    slow, fast = runs(), runs(steps=range(0, 30, 5))
    found = compare(slow, fast, by="accuracy")
    assert found.step_b.tolist() == [0, 5, 10, 15, 20, 25]
    assert found.gap.max() == 0


def test_classes_in_another_order_are_the_same_classes(runs) -> None:
    a, b = runs(), runs(classes=CLASSES[::-1])
    found = compare(a, b)
    np.testing.assert_allclose(found.to_class_a, found.to_class_b)
    assert agreement_is_whole(agreement(a))
    matched = match(a, b, "fc")
    np.testing.assert_array_equal(matched.a, matched.b)


def agreement_is_whole(found) -> bool:
    return found.disagree.sum() == found.only_first.sum() == found.only_second.sum() == 0


def test_what_cannot_be_compared_is_refused_or_warned_of(runs) -> None:
    a = runs()
    with pytest.raises(ComparisonError, match="same samples"):
        compare(a, runs(digest="other"))
    with pytest.raises(ComparisonError, match="no hash"):
        match(a, runs(digest=None), "fc")
    with pytest.warns(HuelapseWarning, match="same samples"):
        compare(a, runs(digest="other"), anyway=True)
    with pytest.raises(ComparisonError, match="'gnu'"):
        compare(a, runs(classes=(*CLASSES[:5], "gnu")))
    with pytest.raises(ComparisonError, match="no layer of the same path"):
        compare(a, runs(paths=("x", "y")))
    with pytest.raises(ComparisonError, match="expected 'step'"):
        compare(a, a, by="time")
    with pytest.raises(ComparisonError, match="at least two"):
        group([a])
    with pytest.raises(ComparisonError, match="other layers"):
        group([a, runs(paths=("x", "y"))])
    with pytest.raises(ComparisonError, match="no step in common"):
        group([a, runs(steps=range(1, 9))])


def test_layers_that_both_have_are_compared(runs) -> None:
    found = compare(runs(), runs(paths=("fc", "other")))
    assert found.layers == ("fc",)
    assert found.strength_b.shape == (6, 1)


def test_splits_and_groupings_of_a_run_agree_unit_by_unit(runs) -> None:
    run = runs()
    found = agreement(run, 50, split="val", other_split="train")
    assert found.agree.tolist() == [6, 4]
    assert found.neither.tolist() == [0, 2]
    assert agreement_is_whole(found)
    by_prediction = agreement(run, 50, other_grouping="predicted")
    held = run.reading(5, "true", "val", "margin").preference
    other = run.reading(5, "predicted", "val", "margin").preference
    both = held.held & other.held
    assert by_prediction.agree.sum() == (both & (held.preferred == other.preferred)).sum()
    total = sum(
        getattr(by_prediction, n)
        for n in ("agree", "disagree", "only_first", "only_second", "neither")
    )
    assert total.tolist() == [6, 6]


def test_units_are_matched_by_their_tuning_and_not_by_their_index(runs, rng) -> None:
    order = rng.permutation(UNITS)
    a, b = runs(), runs(seed=1, order=order)
    found = match(a, b, "output")  # units 6 … 11 of a: classes 0 … 3 and two of noise
    preferred_a, preferred_b = a.preferred(layer="output"), b.preferred(layer="output")
    sure = found.similarity > 0.95
    np.testing.assert_array_equal(preferred_a[found.a[sure]], preferred_b[found.b[sure]])
    assert sorted(found.a.tolist()) == sorted(set(found.a.tolist()))
    assert (np.diff(found.similarity) <= 0).all()
    same = match(a, a, "fc")
    assert same.similarity.min() == pytest.approx(1)
    assert same.similarity.mean() > same.null.max()


def test_the_same_start_is_told_by_every_statistic(runs) -> None:
    a = runs(start=7)
    assert same_start(a, runs(seed=3, start=7))
    assert not same_start(a, runs(start=8))
    assert not same_start(a, runs(start=7, digest="other"))
    assert not same_start(a, runs(start=7, steps=range(10, 60, 10)))


def test_a_group_is_the_mean_over_seeds_with_students_interval(runs) -> None:
    many = [runs(seed=s, speed=0.3) for s in range(4)]
    found = group(many)
    strength = np.stack([run.curves().mean_strength for run in many])
    np.testing.assert_allclose(found.strength, strength.mean(0))
    low, high = stats.t.interval(
        0.95, 3, strength.mean(0), np.maximum(stats.sem(strength, axis=0), 1e-300)
    )
    np.testing.assert_allclose(found.strength - found.strength_half, low, atol=1e-9)
    np.testing.assert_allclose(found.strength + found.strength_half, high, atol=1e-9)
    assert found.runs == 4
    assert found.step.tolist() == list(range(0, 60, 10))


def test_the_nearest_is_found_among_unsorted_values_and_the_earliest_of_several(
    runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    run = runs()
    for _ in range(50):
        a, b = (rng.integers(0, 12, size).astype(float) / 2 for size in rng.integers(1, 20, 2))
        a[rng.random(len(a)) < 0.2] = np.nan
        b[rng.random(len(b)) < 0.2] = np.nan
        if np.isnan(a).all() or np.isnan(b).all():
            continue
        given = iter((a, b))
        monkeypatch.setattr(pairing, "_along", lambda *_, given=given: next(given))
        found = pair(run, run, by="epoch")
        known = np.flatnonzero(~np.isnan(a))
        distance = np.abs(a[known, None] - np.where(np.isnan(b), np.inf, b))
        assert found.a.tolist() == known.tolist()
        assert found.b.tolist() == distance.argmin(1).tolist()
        assert found.gap.tolist() == distance.min(1).tolist()


def test_where_the_layers_of_two_runs_differ_is_told(runs) -> None:
    a = runs()
    assert other_layers(a, runs()) is None
    told = other_layers(a, runs(paths=("fc", "head")))
    assert told is not None
    assert "output with 6 units" in told
    assert "head with 6" in told
