"""What a user, or a run, says of colors, and what a grouping gets of it."""

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from huelapse.errors import PaletteError
from huelapse.palette import Choice, Palette, by_superclass, palette, palette_for

PETS = ("cat", "dog", "fish", "bird")
TWENTY = tuple(f"c{k}" for k in range(20))
SAID: dict[str, Any] = {
    "palette": "tritan",
    "colors": {"cat": "#aa3300"},
    "pinned": ["dog"],
    "rest": "wheel",
    "superclasses": {"cat": "animal"},
}


def same(one: Palette, other: Palette) -> bool:
    return np.array_equal(one.dark, other.dark) and np.array_equal(one.light, other.light)


def test_a_choice_is_read_from_json(tmp_path: Path) -> None:
    file = tmp_path / "colors.json"
    file.write_text(json.dumps(SAID))
    choice = Choice.read(file)
    assert choice == Choice(
        palette="tritan",
        colors={"cat": "#aa3300"},
        pinned=("dog",),
        rest="wheel",
        superclasses={"cat": "animal"},
    )
    assert Choice.from_json({}) == Choice()


def test_a_grouping_gets_what_is_said_of_its_own_classes() -> None:
    choice = Choice(palette="tritan", colors={"cat": "#aa3300", "no": "#00f"}, pinned=("fish",))
    expected = palette(PETS, name="tritan", colors={"cat": "#aa3300"}, pinned=["fish"])
    assert same(choice.of(PETS), expected)
    assert same(choice.of(("x", "y")), palette(2, name="tritan"))
    among = Choice(pinned=("c3", "cat"), rest="wheel")
    assert same(among.of(TWENTY), palette(TWENTY, pinned=["c3"], rest="wheel"))
    assert not same(among.of(TWENTY), palette(TWENTY, pinned=["c3"]))


def test_superclasses_place_more_than_ten_classes() -> None:
    choice = Choice(superclasses={c: str(k % 4) for k, c in enumerate(TWENTY)})
    places = by_superclass([k % 4 for k in range(20)])
    assert same(choice.of(TWENTY), palette(20, places=places))
    assert same(choice.of(PETS), palette(4))
    assert same(choice.of([f"x{k}" for k in range(20)]), palette(20))
    some = Choice(superclasses={"c3": "c0", "c4": "c0"})  # as a class is named, but none of it
    alone = [100 if k in (3, 4) else k for k in range(20)]
    assert same(some.of(TWENTY), palette(20, places=by_superclass(alone)))


def test_a_run_without_colors_is_shown_in_the_standard_ones() -> None:
    for facts in (None, {}, {"created": "today"}, {"palette": None}):
        assert same(palette_for(PETS, facts), palette(4))


def test_a_run_may_hold_its_colors_and_a_choice_goes_before_them() -> None:
    facts = {"palette": {"colors": {"cat": "#aa3300"}}}
    assert same(palette_for(PETS, facts), palette(PETS, colors={"cat": "#aa3300"}))
    assert same(palette_for(PETS, facts, Choice()), palette(4))


@pytest.mark.parametrize("facts", ["red", {"colors": {"cat": "red"}}, {"colours": {}}, [1]])
def test_colors_of_a_run_that_cannot_be_are_passed_over(
    facts: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert same(palette_for(PETS, {"palette": facts}), palette(4))
    assert "the run's own colors are not used" in caplog.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ([], "expected a JSON object"),
        ({"colours": {}}, "have no 'colours'; they may have palette, colors, pinned"),
        ({"palette": 3}, "'palette' is int, expected text"),
        ({"palette": "rainbow"}, "no palette 'rainbow'"),
        ({"colors": ["#f00"]}, "'colors' is list"),
        ({"colors": {"cat": [1, 2, 3]}}, "'colors of cat' is list"),
        ({"colors": {"cat": "red"}}, "write #rrggbb"),
        ({"colors": {"cat": "#363738"}}, "hardly be told from the neutral"),
        ({"pinned": "cat"}, "'pinned' is str, expected a list"),
        ({"pinned": [str(k) for k in range(9)]}, "at most 8"),
        ({"rest": "blue"}, "grey or wheel"),
        ({"superclasses": {"cat": None}}, "'superclasses of cat' is NoneType"),
    ],
)
def test_what_cannot_be_is_refused_at_once(fields: Any, says: str) -> None:
    with pytest.raises(PaletteError, match=says):
        Choice.from_json(fields)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b""])
def test_a_file_that_is_no_json_is_refused(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "colors.json"
    file.write_bytes(content)
    with pytest.raises(PaletteError, match=r"colors\.json is not JSON"):
        Choice.read(file)


def test_a_name_that_no_grouping_has_is_told_with_what_was_meant() -> None:
    groupings = [PETS, ("pet", "wild")]
    Choice(colors={"cat": "#f00"}, pinned=("wild",), superclasses={"dog": "x"}).check(groupings)
    for choice in (
        Choice(colors={"cst": "#f00"}),
        Choice(pinned=("cst",)),
        Choice(superclasses={"cst": "x"}),
    ):
        with pytest.raises(PaletteError, match="named 'cst'; did you mean 'cat'"):
            choice.check(groupings)
