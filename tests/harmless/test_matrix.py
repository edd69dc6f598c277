"""Training with a recorder is, bit for bit, training without one."""

import gc
from collections.abc import Iterator
from pathlib import Path

import kinds  # noqa: F401
import loops  # noqa: F401
import pytest
import rare  # noqa: F401
import wrapped
from matrix import CASES, LOOPS, differences, in_memory  # noqa: F401
from torch.multiprocessing import spawn

SLOW = ("inductor",)
"""Words in the names of loops that a compiler in C++ is needed for, and some time."""


@pytest.fixture(scope="module", autouse=True)
def _thawed() -> Iterator[None]:
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("name", "way"),
    [
        pytest.param(*case, marks=[pytest.mark.slow] if any(w in case[0] for w in SLOW) else [])
        for case in CASES
    ],
)
def test_a_recorder_changes_nothing(name: str, way: str, place: Path) -> None:
    assert differences(LOOPS[name], way, place) == []


def test_a_recorder_changes_nothing_in_a_training_of_two_processes(place: Path) -> None:
    spawn(wrapped.train_rank, (2, str(place.parent / "meeting"), str(place.parent)), nprocs=2)
    assert [(place.parent / f"found{rank}").read_text() for rank in (0, 1)] == ["[]", "[]"]
