"""Superclasses as the page reads them: by level, by the finest that holds, and their colors."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from many_classes import parents, write
from safetensors.numpy import load

import huelapse
from huelapse.errors import PaletteError, SelectionError
from huelapse.hierarchy import Hierarchy, parents_in
from huelapse.measures import NO_CLASS, grouped, read
from huelapse.painting import HELD, on_wire
from huelapse.palette import Choice, palette, pins
from huelapse.plot.cells import Shown
from huelapse.plot.style import Style
from huelapse.viewer.parts import Parts
from huelapse.viewer.resources import Resources

LAST = 3
CHOICE = Choice(superclasses=parents(100))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("runs") / "many"
    write(path)
    return huelapse.open(path)


@pytest.fixture(scope="module")
def resources(run: huelapse.Run) -> Resources:
    return Resources(run, colors=CHOICE)


@pytest.fixture(scope="module")
def hierarchy(run: huelapse.Run) -> Hierarchy:
    return Hierarchy.from_parents(run.classes, parents(100))


def grouping(resources: Resources, i: int = 0) -> dict[str, object]:
    return json.loads(resources.get("manifest.json")[0])["splits"][0]["groupings"][i]


def painted(resources: Resources, name: str) -> dict[str, np.ndarray]:
    return load(resources.get(f"val/{name}/margin/paint/0.st")[0])


def test_the_manifest_says_what_classes_belong_to(
    resources: Resources, hierarchy: Hierarchy, run: huelapse.Run
) -> None:
    (level,) = hierarchy.levels
    expected = {"names": list(level.names), "group": level.group.tolist()}
    for i in (0, 1):
        assert grouping(resources, i)["superclasses"] == {"found": False, "levels": [expected]}
    assert "superclasses" not in grouping(Resources(run))


def test_a_level_is_painted_as_a_grouping_by_superclass_would_be(
    resources: Resources, run: huelapse.Run, hierarchy: Hierarchy
) -> None:
    moments = grouped(run.moments(LAST), hierarchy.levels[0].group)
    expected = on_wire(read(moments, signed=run.signed))
    found = painted(resources, "true~1")
    for name, array in expected.items():
        assert np.array_equal(found[name][LAST], array), name
    bins = load(resources.get("val/true~1/margin/classes.st")[0])["bins"][LAST]
    held = expected["state"] == HELD
    assert np.array_equal(bins.sum(1), np.bincount(expected["preferred"][held], minlength=10))


def test_the_finest_level_that_holds_is_what_python_says(
    resources: Resources, run: huelapse.Run, hierarchy: Hierarchy
) -> None:
    found = painted(resources, "true~finest")
    leveled = run.finest(hierarchy)
    holds = leveled.level != NO_CLASS
    assert np.array_equal(found["state"][LAST] == HELD, holds)
    numbered = np.where(leveled.level > 0, 100 + leveled.group, leveled.group)
    assert np.array_equal(found["preferred"][LAST][holds], numbered[holds])
    assert np.array_equal(found["level"][LAST][holds], palette_level(leveled.strength[holds]))
    by_class = painted(resources, "true")
    coarser = holds & (leveled.level > 0)
    assert coarser.sum() > 50
    assert (holds & (leveled.level == 0)).sum() > 50
    # a superclass shows only where no class holds, or none surely enough for two looks
    sure = run.sure()[coarser & (by_class["state"][LAST] == HELD)]
    assert (1 - sure > (1 - 0.975) / 2).all()


def palette_level(strength: np.ndarray) -> np.ndarray:
    from huelapse.palette import level

    return level(strength)


def test_a_unit_has_its_class_means_and_what_holds_of_it(
    resources: Resources, run: huelapse.Run, hierarchy: Hierarchy
) -> None:
    leveled = run.finest(hierarchy)
    unit = int(np.flatnonzero(leveled.level == 1)[0])
    own = load(resources.get(f"val/true/margin/unit/{unit}.st")[0])
    found = load(resources.get(f"val/true~finest/margin/unit/{unit}.st")[0])
    assert np.array_equal(found["mean"], own["mean"])
    assert np.array_equal(found["low"], own["low"])
    assert found["preferred"][LAST] == 100 + leveled.group[unit]
    assert found["strength"][LAST] == np.float32(leveled.strength[unit])
    by_level = load(resources.get(f"val/true~1/margin/unit/{unit}.st")[0])
    assert by_level["mean"].shape == (LAST + 1, 10)
    assert by_level["n"][LAST].tolist() == [400] * 10


def test_what_is_not_there_is_refused(resources: Resources, run: huelapse.Run) -> None:
    for path in (
        "val/true~finest/margin/events.st",  # nothing happens across levels
        "val/true~2/margin/summary.st",
        "val/true~/margin/summary.st",
        "val/true~finest~1/margin/summary.st",
        "val/none~1/margin/summary.st",
    ):
        with pytest.raises(SelectionError):
            resources.get(path)
    with pytest.raises(SelectionError):
        Resources(run).get("val/true~1/margin/summary.st")
    assert len(load(resources.get("val/true~1/margin/events.st")[0])["kind"]) > 0


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> huelapse.Run:
    path = tmp_path_factory.mktemp("runs") / "recorded"
    write(path, superclasses=parents(100))
    return huelapse.open(path)


def test_recorded_superclasses_are_as_those_that_are_told_to_the_viewer(
    recorded: huelapse.Run, resources: Resources
) -> None:
    assert recorded.superclasses == parents(100)
    found = Resources(recorded)
    for i in (0, 1):
        assert grouping(found, i) == grouping(resources, i)
    assert np.array_equal(painted(found, "true~1")["level"], painted(resources, "true~1")["level"])
    colors, told = (load(one.get("palette.st")[0]) for one in (found, resources))
    assert colors.keys() == told.keys()
    assert all(np.array_equal(colors[name], told[name]) for name in colors)
    # pictures without a browser have the colors of the page
    shown = Shown.of(recorded.painter, None, "true", "margin", Style.of("column", "dark"), None)
    assert np.array_equal(shown.palette.dark, colors["dark/val/true"])


def test_what_the_viewer_is_told_goes_before_what_was_recorded(recorded: huelapse.Run) -> None:
    def levels(colors: Choice | None) -> list[int]:
        told: Any = grouping(Resources(recorded, colors=colors)).get("superclasses")
        return [len(level["names"]) for level in told["levels"]]

    other = {name: f"group {k % 4}" for k, name in enumerate(recorded.classes)}
    assert levels(None) == levels(Choice(palette="tritan", pinned=("class 001",))) == [10]
    assert levels(Choice(superclasses=other)) == levels(Choice(taxonomy=other)) == [4]
    assert levels(Choice(found=True)) == [10, 5]


def test_recorded_superclasses_that_cannot_be_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    own = parents(20)
    deep = {f"group {k}": f"group {k + 1}" for k in range(100_000)}
    strange: dict[str, dict[str, str]] = {
        "ring": {**own, "group 0": "group 1", "group 1": "group 0"},
        "deep": {**dict.fromkeys(own, "group 0"), **deep},
        "others": {"cat": "animal"},
        "all in one": dict.fromkeys(own, "all"),
    }
    for name, superclasses in strange.items():
        sizes = {"classes": 20, "units": 40, "snapshots": 2, "hidden": 2}
        write(tmp_path / name, **sizes, superclasses=superclasses)
        resources = Resources(huelapse.open(tmp_path / name))
        assert "superclasses" not in grouping(resources)
        assert len(painted(resources, "true")["state"]) == 2
        assert "dark/val/true~1" not in load(resources.get("palette.st")[0])
    assert "the superclasses are not used" in caplog.text


def test_other_superclasses_are_painted_anew(run: huelapse.Run, resources: Resources) -> None:
    before = painted(resources, "true~1")
    other = {name: f"group {k % 4}" for k, name in enumerate(run.classes)}
    found = painted(Resources(run, colors=Choice(superclasses=other)), "true~1")
    assert found["preferred"][LAST].max() < 4
    assert before["preferred"][LAST].max() == 9
    assert np.array_equal(
        painted(Resources(run, colors=CHOICE), "true~1")["level"], before["level"]
    )


def test_superclasses_are_found_if_asked_for_and_stay_as_they_were(run: huelapse.Run) -> None:
    first = Resources(run, colors=Choice(found=True))
    told = grouping(first)["superclasses"]
    assert told["found"] is True  # pyright: ignore[reportIndexIssue, reportCallIssue, reportArgumentType]
    group = np.array(told["levels"][0]["group"])  # pyright: ignore
    assert [len(set((np.flatnonzero(group == g) % 10).tolist())) for g in range(10)] == [1] * 10
    assert grouping(Resources(run, first))["superclasses"] == told


def test_the_order_by_likeness_puts_those_of_a_superclass_side_by_side(
    resources: Resources,
) -> None:
    order = load(resources.get("val/alike.st")[0])["order"]
    assert sorted(order.tolist()) == list(range(100))
    assert (order % 10 == np.roll(order % 10, 1)).sum() >= 90


def test_the_palette_has_what_pins_and_superclasses_are_made_of(
    run: huelapse.Run, resources: Resources
) -> None:
    found = load(resources.get("palette.st")[0])
    assert np.array_equal(found["dark.pins"], pins("standard").dark)
    pinned = [run.classes[k] for k in (70, 3)]
    mixed = np.repeat(found["light.grey"], 100, 0)
    mixed[[70, 3]] = found["light.pins"][:2]
    assert np.array_equal(mixed, palette(run.classes, pinned=pinned).light)
    groups, own = found["dark/val/true~1"], found["dark/val/true"]
    assert groups.shape == (10, 101, 4)
    assert (groups[:, 0] == own[0, 0]).all()
    for g in range(10):  # in the middle of the hues of its classes
        assert (groups[g, -1] == own[g::10, -1]).all(1).any()


def test_pins_of_the_run_are_told_and_can_be_taken_away(run: huelapse.Run) -> None:
    choice = Choice(pinned=("class 007",), colors={"class 003": "#0088ff"})
    resources = Resources(run, colors=choice)
    told = grouping(resources)
    assert (told["pinned"], told["rest"], told["colored"]) == ([7], "grey", [3])
    found = load(resources.get("palette.st")[0])
    assert np.array_equal(found["dark/val/true"], choice.of(run.classes).dark)
    unpinned = Choice(colors=choice.colors).of(run.classes)
    assert np.array_equal(found["dark.unpinned/val/true"], unpinned.dark)
    own = pins("standard", (bytes([0, 0x88, 0xFF]),))
    assert np.array_equal(found["dark.pins/val/true"], own.dark)


def test_superclasses_that_tell_nothing_apart_are_left_out(run: huelapse.Run) -> None:
    for superclasses in (dict.fromkeys(run.classes, "all"), {"class 001": "alone"}):
        resources = Resources(run, colors=Choice(superclasses=superclasses))
        assert "superclasses" not in grouping(resources)
        assert "dark/val/true~1" not in load(resources.get("palette.st")[0])


def test_a_taxonomy_may_name_more_but_must_name_some_class(tmp_path: Path) -> None:
    file = tmp_path / "is-a.txt"
    file.write_text("animal cat\nanimal dog\nplant oak\nthing animal\nthing plant\n")
    choice = Choice(taxonomy=parents_in(file))
    choice.check([("cat", "dog", "house")])
    with pytest.raises(PaletteError, match="name none of the run's classes, such as 'house'"):
        choice.check([("house", "car")])
    Choice(superclasses={"cat": "animal", "animal": "thing"}).check([("cat", "dog")])


def test_an_export_holds_superclasses_where_there_is_room(tmp_path: Path) -> None:
    sizes = {"classes": 20, "units": 40, "snapshots": 2, "hidden": 2}
    write(tmp_path / "run", **sizes, superclasses=parents(20))
    parts = Parts(huelapse.open(tmp_path / "run"), None)
    parts.parts = tuple(part for part in parts.parts if not part.name.startswith("measure"))
    whole = parts.collect(None, bytes)
    assert "superclasses" in whole.manifest["splits"][0]["groupings"][0]
    for key in ("true~finest/margin/paint/0.st", "predicted~1/margin/events.st", "alike.st"):
        assert f"val/{key}" in whole.content
    assert "val/true~finest/heat/0/0.st" in whole.content
    first = [key for part in parts.parts[:2] for key in part.paths(whole.manifest)]
    room = sum(len(whole.content[key]) + len(key) + 80 for key in first) + 100
    small = parts.collect(room, bytes)
    assert "superclasses of true label" in small.left_out
    assert "superclasses" not in small.manifest["splits"][0]["groupings"][0]
    assert not any("~" in key for key in small.content)
