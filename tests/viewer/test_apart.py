"""A page served by the process that trains must not keep the training from running."""

import subprocess
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save

from huelapse.palette import by_similarity
from huelapse.viewer import apart, encoding
from huelapse.viewer.encoding import encode


def likeness(classes: int) -> np.ndarray:
    found = np.random.default_rng(0).random((classes, classes))
    return (found + found.T) / 2


def test_many_classes_are_ordered_by_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    alike = likeness(apart.FEW + 20)
    expected = by_similarity(alike)

    def ordered_here(_: np.ndarray) -> None:
        pytest.fail("ordered in this process")

    monkeypatch.setattr(apart, "by_similarity", ordered_here)
    assert np.array_equal(apart.places_of(alike), expected)


def test_few_classes_are_not_worth_a_process(monkeypatch: pytest.MonkeyPatch) -> None:

    def begun(*_: Any, **__: Any) -> None:
        pytest.fail("a process was begun")

    monkeypatch.setattr(subprocess, "run", begun)
    alike = likeness(12)
    assert np.array_equal(apart.places_of(alike), by_similarity(alike))


@pytest.mark.parametrize(
    "trouble",
    [OSError("none"), subprocess.TimeoutExpired("x", 1), subprocess.CalledProcessError(1, "x")],
)
def test_without_another_process_they_are_ordered_here(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise trouble

    monkeypatch.setattr(subprocess, "run", refused)
    alike = likeness(apart.FEW + 20)
    assert np.array_equal(apart.places_of(alike), by_similarity(alike))


@pytest.mark.parametrize("size", [0, 1, 5, 64, 1000])
def test_pieces_make_the_librarys_own_bytes(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(encoding, "LARGE", 64)
    rng = np.random.default_rng(0)
    arrays = {
        "wide": rng.random((3, size)).astype(np.float32),
        "é": rng.integers(0, 200, (size, 2)).astype(np.uint8),
        "turned": rng.random((7, 5)).T,
        "counts": rng.integers(0, 9, (2, 4, 3)).astype(np.uint32),
        "none": np.zeros((0, 4), np.uint16),
        "long": np.arange(40),
    }
    whole = save({name: np.ascontiguousarray(array) for name, array in arrays.items()})
    assert encode(arrays) == whole
