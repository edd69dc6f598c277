"""A disk that fails: what is committed stays whole, the gap is marked, and recording goes on.

Faults come at the calls of a commit in turn, and in what TensorStore says.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import extra_run
import numpy as np
import pytest

from huelapse.store import StoreReader, WriterThread, arrays

STEPS = 4


def taken(step: int, name: str) -> Any:
    one = extra_run.snapshot(step, name=name, kept_too=step != 2)
    return replace(one, metrics={"loss": 1 / step} if step in (1, 3) else {})


def record(run: Path, *, steps: int = STEPS, begun: Callable[[], None] = lambda: None) -> None:
    """Two splits, one of which begins later; metrics that come and go; arrays not always kept."""
    store = extra_run.begin(run)
    begun()
    writing = WriterThread(store)
    for step in range(steps):
        for name in ("val", "own")[: 1 + (step > 0)]:
            if step == (name == "own"):
                writing.add_split(extra_run.split(name), extra_run.static())
            assert writing.put(taken(step, name), {})
    assert writing.finish(60, "complete", {})


def committed(run: Path) -> dict[str, dict[int, dict[str, np.ndarray]]]:
    """Split → step → path below the split → value, of all that is not along snapshot too."""
    reader, found = StoreReader(run), {}
    for split in reader.splits:
        name = split.name
        values = {
            path.removeprefix(f"{name}/"): (
                reader.read(path),
                reader.metadata_of(path)["dimension_names"][0] == "snapshot",
            )
            for path in reader.arrays()
            if path.startswith(f"{name}/")
        }
        found[name] = {
            int(step): {path: x[i] if along else x for path, (x, along) in values.items()}
            for i, step in enumerate(values["step"][0])
        }
    return found


def check_whole(run: Path, undisturbed: dict[str, dict[int, dict[str, np.ndarray]]]) -> None:
    """Everything that is there equals what an undisturbed recording holds, bit for bit."""
    for name, steps in committed(run).items():
        for step, values in steps.items():
            whole = undisturbed[name][step]
            for path in {*whole, *values}:
                absent = np.float64("nan")  # a metric that no snapshot committed so far has
                found, expected = values.get(path, absent), whole.get(path, absent)
                assert np.array_equal(found, expected, equal_nan=True), (name, step, path)


def check_missing_is_marked(run: Path, undisturbed: dict[str, Any]) -> int:
    """Snapshots that are missing, all of them in a gap."""
    found, gaps = committed(run), StoreReader(run).attributes["gaps"]
    missing = [
        step for name, steps in undisturbed.items() for step in steps.keys() - found.get(name, {})
    ]
    for step in missing:
        assert any(gap["step"] <= step <= gap["until"] for gap in gaps), (step, gaps)
    assert sum(gap["snapshots"] for gap in gaps) == len(missing)
    return len(missing)


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Path]:
    """A directory in memory where there is one: hundreds of recordings wait on no disk."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as place:
        yield Path(place)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    run = tmp_path_factory.mktemp("whole") / "run"
    record(run)
    return committed(run)


@dataclass
class Faults:
    """Calls that fail: from the n-th on, so many."""

    error: Callable[[], Exception]
    first: int = 10**9
    lasting: int = 1
    calls: int = -(10**9)
    raised: int = 0
    at_fault: list[Callable[[], None]] = field(default_factory=list)

    def begin(self) -> None:
        self.calls = 0

    def __call__(self) -> None:
        self.calls += 1
        if self.first <= self.calls < self.first + self.lasting:
            self.raised += 1
            for look in self.at_fault:
                look()
            raise self.error()


def full() -> Exception:
    return OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def said_full() -> Exception:
    """As TensorStore 0.1.84 says it."""
    return ValueError(
        'RESOURCE_EXHAUSTED: Error writing local file "val/true/mean/c.1.0.0": Failed to write 315 '
        "bytes to file 9: No space left on device [os_error_code='28']"
    )


@contextmanager
def failing(kind: str, faults: Faults) -> Iterator[None]:
    """Before a file is opened, synced or renamed; after TensorStore has done its part of a commit."""
    with pytest.MonkeyPatch.context() as patch:
        if kind == "library":
            whole = arrays._all

            def all_of(futures: Any) -> Any:
                results = whole(futures)
                faults()
                return results

            patch.setattr(arrays, "_all", all_of)
        elif kind == "open":
            opened = Path.open

            def spied_open(self: Path, mode: str = "r", *args: Any, **options: Any) -> Any:
                if "w" in mode:
                    faults()
                return opened(self, mode, *args, **options)

            patch.setattr(Path, "open", spied_open)
        else:
            whole = getattr(os, kind)

            def spied(*args: Any) -> Any:
                faults()
                return whole(*args)

            patch.setattr(os, kind, spied)
        yield


ERRORS: dict[str, Callable[[], Exception]] = {
    "fsync": lambda: OSError(errno.EIO, os.strerror(errno.EIO)),
    "replace": full,
    "open": full,
    "library": said_full,
}


def torture(
    kind: str, place: Path, undisturbed: dict[str, Any], *, lasting: int, every: int
) -> int:
    """A recording for every n-th call that fails; how many snapshots are missing in all."""
    counted = Faults(full)
    with failing(kind, counted):
        record(place / "counted", begun=counted.begin)
    missing = 0
    for first in range(1, counted.calls - 3 * lasting, every):
        run = place / f"run{first}"
        faults = Faults(ERRORS[kind], first=first, lasting=lasting)
        faults.at_fault.append(lambda run=run: check_whole(run, undisturbed))
        with failing(kind, faults):
            record(run, begun=faults.begin)
        assert faults.raised == lasting
        check_whole(run, undisturbed)
        missing += check_missing_is_marked(run, undisturbed)
        assert StoreReader(run).state == "complete"
        went_on = STEPS - 1 in committed(run)["val"]
        assert went_on or first + lasting > counted.calls / 3
        shutil.rmtree(run)
    return missing


@pytest.mark.parametrize("lasting", [1, 2])
@pytest.mark.parametrize("kind", ERRORS)
def test_after_a_fault_what_is_committed_is_whole_and_recording_goes_on(
    kind: str, lasting: int, quick: Path, undisturbed: dict[str, Any]
) -> None:
    assert torture(kind, quick, undisturbed, lasting=lasting, every=7) > 0


@pytest.mark.slow
@pytest.mark.parametrize("lasting", [1, 2])
@pytest.mark.parametrize("kind", ERRORS)
def test_after_a_fault_at_each_call_what_is_committed_is_whole_and_recording_goes_on(
    kind: str, lasting: int, quick: Path, undisturbed: dict[str, Any]
) -> None:
    assert torture(kind, quick, undisturbed, lasting=lasting, every=1) > 0
