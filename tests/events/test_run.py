"""Events of stored runs: by `Run.events`, by a log that goes on, and by the command."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

import huelapse
from huelapse.cli import app
from huelapse.errors import SelectionError
from huelapse.events import KINDS, Finder, Log, finding
from huelapse.moments import Moments
from huelapse.painting import NO_CLASS, Painter
from huelapse.schema import Grouping, Layer, Split
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter
from huelapse.viewer.happened import events

CLASSES = ("cat", "dog", "owl")
LABELS = np.repeat(np.arange(3), 60)
LAYERS = (
    Layer(path="early", kind="ReLU", shape=(5,), unit_axis=1, units=5, offset=0, signed=False),
    Layer(path="late", kind="Linear", shape=(2,), unit_axis=1, units=2, offset=5, signed=True),
)
SNAPSHOTS = 40


def responses(t: int) -> np.ndarray:
    """Unit 0 is tuned to cat from 10 on; 1 goes from dog to owl at 20; 2 dies at 25; 6 is noise."""
    rng = np.random.default_rng(t)
    x = np.abs(rng.standard_normal((len(LABELS), 7))) * 0.2 + 0.5
    x[LABELS == 0, 0] += 2.0 * (t >= 10)
    x[(1 if t < 20 else 2) == LABELS, 1] += 2.0
    x[:, 2] *= t < 25
    x[LABELS == 2, 5] -= 3.0 * (t >= 30)
    return x


def snapshot(t: int) -> Snapshot:
    return Snapshot(
        split="val",
        step=10 * t,
        epoch=float("nan"),
        wall_time=1e9 + t,
        seconds=0.0,
        moments={"true": Moments.from_samples(responses(t), LABELS, 3)},
        confusion=None,
    )


def record(path: Path, snapshots: range) -> Path:
    grouping = Grouping(name="true", classes=CLASSES)
    began = snapshots.start == 0
    how = {"resume": not began, "first_step": 10 * snapshots.start}
    store = StoreWriter(path, name="animals", layers=LAYERS, facts={}, **how)
    if began:
        store.add_split(Split(name="val", kind="probe", groupings=(grouping,), facts={}))
    for t in snapshots:
        store.commit(snapshot(t))
    store.close()
    return path


@pytest.fixture
def run(run_path: Path) -> huelapse.Run:
    return huelapse.open(record(run_path, range(SNAPSHOTS)))


def told(events) -> list[tuple]:
    return [(e.step, e.kind, e.layer, e.unit, e.before, e.after) for e in events]


def test_the_story_of_a_run_is_told_in_its_own_words(run: huelapse.Run) -> None:
    events = run.events()
    assert told(events) == [
        (0, "tuned", "early", 1, None, "dog"),
        (100, "tuned", "early", 0, None, "cat"),
        (200, "switched", "early", 1, "dog", "owl"),
        (250, "died", "early", 2, None, None),
        (300, "half_tuned", "late", None, None, None),
        (300, "tuned", "late", 0, None, "owl"),
    ]
    suppressed = [e for e in events if e.kind == "tuned" and e.layer == "late"]
    assert suppressed[0].suppressed
    assert suppressed[0].strength > 0.9
    assert events.expected_false["switched"] < 0.01
    assert events.snapshots == SNAPSHOTS


def test_a_log_that_goes_on_with_a_growing_run_says_what_a_new_one_says(
    run_path: Path, monkeypatch
) -> None:
    record(run_path, range(17))
    first = huelapse.open(run_path)
    log = Log(Painter(first), "val", "true", "margin")
    before = told(log.events())
    record(run_path, range(17, SNAPSHOTS))
    grown = huelapse.open(run_path)
    fed = []
    feed = Finder.feed
    monkeypatch.setattr(Finder, "feed", lambda self, *a: fed.append(1) or feed(self, *a))
    later = Log(Painter(grown), "val", "true", "margin", before=log)
    assert len(fed) == SNAPSHOTS - 17
    assert told(log.events()) == before
    assert told(later.events()) == told(grown.events())
    assert told(later.events())[: len(before)] == before


def test_a_log_of_a_run_that_went_another_way_is_read_anew(run_path: Path, tmp_path) -> None:
    log = Log(Painter(huelapse.open(record(run_path, range(20)))), "val", "true", "margin")
    other = huelapse.open(record(tmp_path / "other", range(SNAPSHOTS)))
    again = Log(Painter(other), "val", "true", "margin", before=log)
    assert told(again.events()) == told(other.events())


def test_the_page_is_answered_without_an_object_for_each(
    run: huelapse.Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    each = run.events()

    def none(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(finding, "Found", none)
    arrays = events(Log(Painter(run), "val", "true", "margin"))
    names = run.classes
    assert arrays["snapshot"].tolist() == [one.snapshot for one in each]
    assert [KINDS[k] for k in arrays["kind"]] == [one.kind for one in each]
    assert [run.layers[i].path for i in arrays["layer"]] == [one.layer for one in each]
    for name in ("before", "after"):
        told = [None if k == NO_CLASS else names[k] for k in arrays[name]]
        assert told == [getattr(one, name) for one in each]
    assert (arrays["level"] / 100).tolist() == [one.strength for one in each]
    assert (arrays["flags"] > 0).tolist() == [one.suppressed for one in each]


def test_the_command_lists_them_and_gives_them_to_programs(run: huelapse.Run) -> None:
    shown = CliRunner().invoke(app, ["events", str(run.path)])
    assert shown.exit_code == 0, shown.output
    assert "dog → owl" in shown.output
    assert "suppressed by owl" in shown.output
    assert "1 switched (hardly any of them by noise)" in shown.output
    machine = CliRunner().invoke(app, ["events", str(run.path), "--json"])
    assert json.loads(machine.output) == run.events().as_json()


def test_of_what_a_run_does_not_have_there_are_no_events(run: huelapse.Run) -> None:
    with pytest.raises(SelectionError, match="nothing"):
        run.events(measure="nothing")
    with pytest.raises(SelectionError, match="predicted"):
        run.events(grouping="predicted")


def test_curves_are_the_shares_of_units_at_each_snapshot(run: huelapse.Run) -> None:
    curves = run.curves()
    assert curves.step.tolist() == list(range(0, 10 * SNAPSHOTS, 10))
    for t in (0, 15, 30):
        strength, state = run.strength(10 * t), run.state(10 * t)
        preferred = run.preferred(10 * t)
        for i, layer in enumerate(LAYERS):
            own = layer.slice
            assert curves.mean_strength[t, i] == pytest.approx(strength[own].mean(), rel=1e-6)
            assert curves.tuned[t, i] == (state[own] == huelapse.State.TUNED).mean()
            assert curves.silent[t, i] == (state[own] == huelapse.State.SILENT).mean()
            for k in range(3):
                tuned = (state[own] == huelapse.State.TUNED) & (preferred[own] == k)
                assert curves.to_class[t, i, k] == tuned.mean()
            magnitude = np.sqrt((responses(t)[:, own] ** 2).mean())
            assert curves.magnitude[t, i] == pytest.approx(magnitude, rel=1e-5)
    np.testing.assert_allclose(curves.to_class.sum(2), curves.tuned)
    assert curves.silent[39, 0] == 0.2
    assert curves.magnitude[39, 0] < curves.magnitude[20, 0]


def test_where_a_measure_is_not_defined_no_share_is_told(run: huelapse.Run) -> None:
    curves = run.curves(measure="class_selectivity")
    late = [layer.signed for layer in LAYERS].index(True)
    for shares in (curves.tuned, curves.to_class, curves.mean_strength):
        assert np.isnan(shares[:, late]).all()
        assert np.isfinite(shares[:, 0]).all()
    assert (curves.silent[:, late] == 0).all()
