"""Labels and class names: what can be counted, and what is refused with a reason."""

import numpy as np
import pytest

from huelapse.errors import ClassCountError, LabelError
from huelapse.grouping import check_classes, check_labels, confusion


@pytest.mark.parametrize(
    ("labels", "says"),
    [
        (np.array([0, 1, 3]), "outside 0 … 2"),
        (np.array([0, -1, 2]), "outside 0 … 2"),
        (np.array([0.0, 1.0, 2.0]), "float64, expected integer"),
        (np.array([True, False, True]), "bool, expected integer"),
        (np.array([0, 1]), r"shape \(2,\), expected \(3,\)"),
        (np.zeros((3, 3), int), "expected"),
        (np.array([0, 1, 2**63], np.uint64), "outside"),
    ],
)
def test_labels_that_cannot_be_counted_are_refused(labels: np.ndarray, says: str) -> None:
    with pytest.raises(LabelError, match=says):
        check_labels(labels, classes=3, samples=3)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "uint64"])
def test_integer_labels_of_any_width_are_taken(dtype: str) -> None:
    checked = check_labels(np.array([0, 2, 1], dtype), classes=3, samples=3)
    assert checked.dtype == np.int64
    assert checked.tolist() == [0, 2, 1]


NONE = [1, ["only"], ["a", "a"], "ab", True, None, 2.0, ["a", ""], ["a", " "], ["a", None]]
NO_ORDER = [{"a", "b"}, frozenset("ab"), {"a": 1, "b": 2}, {"a": 0, "b": 0}, {0: "a", 1: "b"}]


@pytest.mark.parametrize("classes", NONE + NO_ORDER)
def test_impossible_classes_are_refused(classes: object) -> None:
    with pytest.raises(ClassCountError):
        check_classes(classes)  # pyright: ignore[reportArgumentType]


def test_a_number_of_classes_names_them() -> None:
    assert check_classes(3) == ("0", "1", "2")


def test_names_with_their_indices_come_in_the_order_of_those() -> None:
    assert check_classes({"b": 1, "a": 2, "c": 0}) == ("c", "b", "a")


def test_confusion_counts_pairs_and_leaves_out_the_unassigned() -> None:
    counts = confusion(np.array([0, 0, 1, 2]), np.array([0, 1, 1, -1]), 3)
    assert counts.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
