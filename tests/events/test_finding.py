"""Events on pictures made by hand, on noise, and on a run."""

import numpy as np
import pytest

from huelapse.events import Finder, Found, each
from huelapse.events.expected import false_switches, false_tunings
from huelapse.measures import read
from huelapse.moments import Moments
from huelapse.painting import (
    ALWAYS_ON,
    HELD,
    NO_CLASS,
    NO_DATA,
    NOT_FINITE,
    SILENT,
    SUPPRESSED,
    TIED,
    on_wire,
)
from huelapse.schema import Layer

N = np.full(4, 50)


def layers(*units: int) -> list[Layer]:
    made, offset = [], 0
    for i, many in enumerate(units):
        made.append(
            Layer(
                path=f"l{i}", kind="ReLU", shape=(many,), unit_axis=1, units=many,
                offset=offset, signed=False,
            )
        )  # fmt: skip
        offset += many
    return made


def pictures(story: list[tuple]) -> list[dict[str, np.ndarray]]:
    """Of one unit: (class, level) or (state, class that is first where tied) at each snapshot;
    a negative class is one it is suppressed by."""
    made = []
    for what, level in story:
        held = what not in ("tied", "silent", "no data", "nan")
        state = {"tied": TIED, "silent": SILENT, "no data": NO_DATA, "nan": NOT_FINITE}
        suppressed = held and what < 0
        made.append(
            {
                "preferred": np.array(
                    [abs(what) if held else level if what == "tied" else NO_CLASS]
                ),
                "level": np.array([level if held else 0], np.uint8),
                "state": np.array([HELD if held else state[what]], np.uint8),
                "flags": np.array([(SUPPRESSED if suppressed else 0) | ALWAYS_ON], np.uint8),
            }
        )
    return made


def found(story: list[tuple]) -> list[tuple]:
    """(snapshot, kind, before, after) of a layer with one unit, without what befell the layer."""
    finder = Finder(layers(1))
    events: list[Found] = []
    for picture in pictures(story):
        events += each(finder.feed(picture, N))
    return [(e.snapshot, e.kind, e.before, e.after) for e in events if e.unit >= 0]


def test_a_unit_is_tuned_once_three_snapshots_say_so() -> None:
    assert found([(1, 20), (1, 50), (1, 45), (1, 60)]) == [(1, "tuned", -1, 1)]
    assert found([(1, 20), (1, 50), (1, 45)]) == []
    assert found([(1, 20), (1, 50), (1, 39), (1, 49), (1, 49)]) == []
    assert found([(1, 50), (2, 50), (1, 50), (2, 50), (1, 50)]) == []


def test_a_dip_that_comes_back_is_no_loss() -> None:
    tuned = [(1, 60)] * 3
    assert found([*tuned, (1, 39), (1, 49), (1, 49)]) == [(0, "tuned", -1, 1), (3, "lost", 1, -1)]
    assert found([*tuned, (1, 39), (1, 49), (1, 50), (1, 45)]) == [(0, "tuned", -1, 1)]
    assert found([*tuned, ("tied", 0), ("tied", 0), ("tied", 0)])[1:] == [(3, "lost", 1, -1)]
    assert found([*tuned, (1, 41), (1, 41), (1, 41), (1, 41)])[1:] == []


def test_a_switch_needs_the_other_class_three_times_in_a_row() -> None:
    first = [(1, 30)] * 3
    assert found([*first, (2, 30), (2, 30), (2, 30)]) == [(3, "switched", 1, 2)]
    assert found([*first, (2, 30), (2, 30), ("tied", 0), (2, 30), (2, 30)]) == []
    assert found([*first, ("tied", 0), *[(2, 30)] * 4]) == [(4, "switched", 1, 2)]
    # not sure yet, but first: that is where it is dated
    assert found([*first, ("tied", 2), (1, 30), ("tied", 2), *[(2, 30)] * 3]) == [
        (5, "switched", 1, 2)
    ]
    assert found([*first, (-1, 30), (-1, 30), (-1, 30)]) == [(3, "switched", 1, 1)]
    assert found([(2, 30), (2, 30), *first]) == []


def test_strength_is_that_at_the_date_and_of_a_switch_that_at_which_it_was_sure() -> None:
    finder, events = Finder(layers(1)), []
    for picture in pictures([(1, 55), (1, 45), (1, 47), ("tied", 2), (2, 20), (2, 21), (2, 22)]):
        events += [e for e in each(finder.feed(picture, N)) if e.unit >= 0]
    told = [(e.kind, e.level) for e in events]
    assert told == [("tuned", 55), ("lost", 0), ("switched", 22)]


def test_a_unit_dies_and_comes_back() -> None:
    silent = [("silent", 0)] * 3
    assert found([(1, 20), *silent]) == [(1, "died", -1, -1)]
    assert found(silent) == []
    assert found([*silent, *[("tied", 0)] * 3]) == [(3, "revived", -1, -1)]
    assert found([(1, 60)] * 3 + silent) == [(0, "tuned", -1, 1), (3, "died", 1, -1)]


@pytest.mark.parametrize("gap", ["no data", "nan"])
def test_what_is_not_known_confirms_and_ends_nothing(gap: str) -> None:
    tuned = [(1, 60)] * 3
    assert found([*tuned, *[(gap, 0)] * 5, (1, 60)]) == [(0, "tuned", -1, 1)]
    assert found([(1, 60), (1, 60), (gap, 0), (1, 60)]) == []
    assert found([*tuned, (1, 30), (1, 30), (gap, 0), (1, 30)])[1:] == []


def feed_layers(shares: list[float], n: np.ndarray = N) -> list[tuple]:
    finder, events = Finder(layers(10, 5)), []
    for share in shares:
        level = np.where(np.arange(15) < 10 * share, 80, 0).astype(np.uint8)
        picture = {
            "preferred": np.ones(15, np.int64),
            "level": level,
            "state": np.full(15, HELD, np.uint8),
            "flags": np.zeros(15, np.uint8),
        }
        events += each(finder.feed(picture, n))
    return [(e.snapshot, e.kind, e.layer, e.level) for e in events if e.unit < 0]


def test_a_layer_is_half_tuned_and_not_by_few_predicted_classes() -> None:
    assert feed_layers([0.3, 0.5, 0.4, 0.4]) == [(1, "half_tuned", 0, 50)]
    assert feed_layers([0.3, 0.5, 0.3, 0.5]) == []
    assert feed_layers([0.6] * 3 + [0.3] * 3)[1:] == [(3, "half_lost", 0, 30)]
    assert feed_layers([0.6] * 9, np.array([99, 0, 0, 0])) == []
    assert feed_layers([0.6] * 3, np.array([99, 3, 0, 0])) != []


def test_what_is_found_does_not_depend_on_when_one_looks(rng) -> None:
    """Fed in one go, or gone on with from any state: the same events, none taken back."""
    story = noise(rng, 60, 40)
    whole, finder = [], Finder(layers(40))
    for t, picture in enumerate(story):
        before = list(whole)
        whole += each(finder.feed(picture, N))
        assert whole[: len(before)] == before
        assert all(e.snapshot == t - 2 or e.kind == "switched" for e in whole[len(before) :])


def noise(rng, snapshots: int, units: int, classes: int = 2, n: int = 50) -> list[dict]:
    """Pictures of units for which all classes are the same, each snapshot from fresh samples."""
    labels = np.repeat(np.arange(classes), n)
    made = []
    for _ in range(snapshots):
        responses = np.maximum(rng.standard_normal((len(labels), units)), 0)
        moments = Moments.from_samples(responses, labels, classes)
        made.append(on_wire(read(moments, signed=np.zeros(units, bool))))
    return made


def test_two_equal_classes_hardly_ever_switch(rng) -> None:
    units, snapshots = 1500, 100
    finder, events = Finder(layers(units)), []
    for picture in noise(rng, snapshots, units):
        events += each(finder.feed(picture, np.full(2, 50)))
    switches = sum(e.kind == "switched" for e in events)
    assert switches / units <= 0.01
    assert switches <= false_switches(snapshots, units)
    assert not any(e.kind == "tuned" for e in events)


def test_slow_true_switches_are_found_where_they_are(rng) -> None:
    """The means of two classes cross over 40 snapshots; true date: where the other becomes greater."""
    units, snapshots, n = 300, 80, 200
    labels = np.repeat(np.arange(2), n)
    finder, events = Finder(layers(units)), []
    noise_of_probe = rng.standard_normal((len(labels), units))
    for t in range(snapshots):
        lift = np.clip((t - 20) / 40, 0, 1)
        mean = np.where(labels == 0, 1.5 * (1 - lift), 1.5 * lift)[:, None]
        fresh = rng.standard_normal(noise_of_probe.shape)
        moments = Moments.from_samples(mean + 0.8 * noise_of_probe + 0.6 * fresh, labels, 2)
        picture = on_wire(read(moments, signed=np.zeros(units, bool)))
        events += each(finder.feed(picture, np.full(2, n)))
    switches = [e for e in events if e.kind == "switched"]
    dated = [e for e in switches if abs(e.snapshot - 40) <= 3]
    assert len({e.unit for e in switches}) >= 0.9 * units
    assert len(dated) >= 0.9 * units


def test_more_samples_and_fewer_snapshots_give_fewer_false_tunings() -> None:
    few, many = (false_tunings(np.full((50, 2), n), 1000) for n in (10, 40))
    assert few > 100 * many
    assert false_tunings(np.full((50, 2), 10), 1000) == pytest.approx(
        2 * false_tunings(np.full((25, 2), 10), 1000)
    )
    assert false_tunings(np.full((50, 2), 9), 1000) == 0  # fewer than can be held
    assert false_tunings(np.zeros((0, 2), np.int64), 1000) == 0


def test_false_tunings_of_noise_are_no_more_than_expected(rng) -> None:
    units, snapshots = 3000, 30
    finder, events = Finder(layers(units)), []
    labels = np.repeat(np.arange(2), 10)
    for _ in range(snapshots):
        moments = Moments.from_samples(rng.standard_normal((20, units)), labels, 2)
        picture = on_wire(read(moments, signed=np.zeros(units, bool)))
        events += each(finder.feed(picture, np.full(2, 10)))
    expected = false_tunings(np.full((snapshots, 2), 10), units)
    assert sum(e.kind == "tuned" for e in events) <= expected + 3 * np.sqrt(expected + 1)
