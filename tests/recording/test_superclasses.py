"""Superclasses are recorded with a run, and nothing that cannot be is taken for one."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from recorded import probed, record
from typer.testing import CliRunner

import huelapse
from conftest import SmallNet
from huelapse.care.info import _belonging
from huelapse.cli import app
from huelapse.errors import HierarchyError, ResumeError
from huelapse.hierarchy import MOST_DEEP, Hierarchy
from huelapse.superclasses import check_superclasses, parents_for, parents_of

CLASSES = ("cat", "dog", "oak")
TOLD = {"cat": "animal", "dog": "animal", "oak": "oak"}


@pytest.mark.parametrize(
    "given",
    [
        {"oak": "oak", "dog": "animal", "cat": "animal"},
        ["animal", "animal", "oak"],
        ("animal", "animal", "oak"),
        np.array(["animal", "animal", "oak"]),
    ],
)
def test_a_run_says_what_its_classes_belong_to(run_path: Path, given: Any) -> None:
    run = probed(run_path, SmallNet(), classes=CLASSES, superclasses=given)
    assert run.superclasses == TOLD
    assert list(run.superclasses) == list(CLASSES)
    hierarchy = Hierarchy.from_parents(run.classes, parents_of(run.superclasses))
    assert hierarchy.levels[0].names == ("animal", "oak")
    leveled = run.finest(hierarchy)
    assert leveled.level.shape == (run.units,)


def test_info_tells_them(run_path: Path) -> None:
    probed(run_path, SmallNet(), classes=CLASSES, superclasses=TOLD)
    told = CliRunner().invoke(app, ["info", str(run_path)]).output
    assert "1 superclass: animal (cat, dog); on their own: oak" in told
    assert (
        json.loads(CliRunner().invoke(app, ["info", "--json", str(run_path)]).output)[
            "superclasses"
        ]
        == TOLD
    )


def test_info_tells_a_few_of_many() -> None:
    members = {f"class {k}": f"group {k % 12}" for k in range(120)}
    told = _belonging(members)
    assert told.startswith("12 superclasses: group 0 (class 0, class 12, class 24")
    assert "class 48 and 5 more), group 1 (" in told
    assert told.endswith("and 2 more")


def test_superclasses_may_be_numbers_or_belong_to_others() -> None:
    numbered = check_superclasses(np.array([1, 0, 1]), CLASSES)
    assert numbered == {"cat": "superclass 1", "dog": "superclass 0", "oak": "superclass 1"}
    five = ("cat", "wolf", "dog", "oak", "car")
    above = {"oak": "plant", "cat": "cats", "wolf": "dogs", "dog": "dogs", "car": "thing"}
    wider = {"cats": "animal", "dogs": "animal"}
    told = check_superclasses({**above, **wider}, five)
    assert list(told) == [*five, *wider]
    levels = Hierarchy.from_parents(five, parents_of(told)).levels
    assert [own.names for own in levels] == [
        ("cats", "dogs", "plant", "thing"),
        ("animal", "plant", "thing"),
    ]


def test_superclasses_are_of_the_classes_that_were_recorded_alone() -> None:
    told = {"cat": "pet", "dog": "pet", "oak": "oak", "pet": "animal"}
    assert parents_for(("dog", "cat", "oak"), told) == {k: v for k, v in told.items() if k != "oak"}
    for others in (("cat", "dog"), ("cat", "dog", "oak", "fir"), ("pet", "oak")):
        assert parents_for(others, told) == {}


def test_a_run_without_superclasses_says_none(run_path: Path) -> None:
    run = probed(run_path, SmallNet(), classes=CLASSES)
    assert run.superclasses == {}
    root = json.loads((run_path / "run.zarr" / "zarr.json").read_bytes())
    assert "superclasses" not in root["attributes"]


BAD: dict[str, tuple[Any, str]] = {
    "an unknown class": ({**TOLD, "dgo": "animal"}, "'dgo', which is none.*did you mean 'dog'"),
    "a ring beside the classes": ({**TOLD, "p": "q", "q": "p"}, "'p', which is none of the 3"),
    "a missing class": ({"cat": "animal", "dog": "animal"}, "leave out 1 of 3 classes.*'oak'"),
    "none": ({}, "leave out 3 of 3"),
    "too many": (["animal", "animal", "plant", "thing"], "has 4 entries, expected 3"),
    "too few": (["animal", "animal"], "has 2 entries, expected 3"),
    "as many as classes": (["a", "b", "c"], "no two share a superclass"),
    "one for all": (["a", "a", "a"], "no level between the classes and all of them"),
    "a number too many": ([0, 1, 2], "that of 'oak' is 2, expected a number from 0 to 1"),
    "a negative number": ([0, -1, 0], "that of 'dog' is -1"),
    "true": ([0, True, 0], "that of 'dog' is True"),
    "names and numbers": (["animal", 1, "oak"], "that of 'cat' is animal"),
    "a key that is no name": ({0: "animal"}, r"the class is '0' \(int\)"),
    "a superclass that is no name": ({**TOLD, "cat": None}, "'cat' belongs to is 'None'"),
    "an empty name": ({**TOLD, "cat": " "}, "'cat' belongs to is ' '"),
    "a text": ("abc", "superclasses is str, expected a dict"),
    "a set": ({"a", "b"}, "superclasses is set"),
    "a number": (2, "superclasses is int"),
    "a table": (np.zeros((3, 2)), r"'cat' belongs to is '\[0.0, 0.0\]' \(list\)"),
    "a class as a superclass": (
        {"cat": "dog", "dog": "animal", "oak": "animal"},
        "'cat' is to belong to 'dog', which is a class itself",
    ),
    "a ring": (
        {"cat": "a", "dog": "a", "oak": "b", "a": "c", "c": "a"},
        "'a' is its own ancestor",
    ),
    "far too deep": (
        {"cat": "a0", "dog": "a0", "oak": "b"} | {f"a{i}": f"a{i + 1}" for i in range(MOST_DEEP)},
        f"more than {MOST_DEEP} superclasses",
    ),
}


@pytest.mark.parametrize("bad", BAD)
def test_superclasses_that_cannot_be_are_refused_before_anything_is_made(
    run_path: Path, bad: str
) -> None:
    given, told = BAD[bad]
    with pytest.raises(HierarchyError, match=told):
        record(run_path, classes=CLASSES, superclasses=given)
    assert not run_path.exists()


def test_a_run_is_gone_on_with_by_its_own_superclasses_alone(run_path: Path) -> None:
    def go_on(superclasses: Any) -> dict[str, str]:
        options = {"exist": "resume", "first_step": 1, "superclasses": superclasses}
        record(run_path, classes=CLASSES, strict=True, **options).close()
        return huelapse.open(run_path).superclasses

    assert go_on(None) == {}
    assert go_on(TOLD) == TOLD  # a run that had none is given some
    assert go_on(None) == TOLD
    assert go_on(["animal", "animal", "oak"]) == TOLD
    before = (run_path / "run.zarr" / "zarr.json").read_bytes()
    with pytest.raises(ResumeError, match=r"'cat' belonged to 'animal', now to 'pet'.*Nothing"):
        go_on({"cat": "pet", "dog": "pet", "oak": "oak"})
    assert (run_path / "run.zarr" / "zarr.json").read_bytes() == before
