"""Any order of write, crash, resume, read, compact, prune, merge leaves what a list would hold."""

import shutil
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import hypothesis.strategies as st
import numpy as np
import pytest
from extra_run import CLASSES, LAYERS
from hypothesis import HealthCheck, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from test_through_time import begin, snapshot

import huelapse
from huelapse.care import verify
from huelapse.care.pruning import plan_pruning, prune
from huelapse.compacting import compact, remove_stale
from huelapse.moments import Moments
from huelapse.schema import Grouping
from huelapse.snapshot import Snapshot
from huelapse.store import StoreWriter
from huelapse.store.merging import merge
from huelapse.store.partial import Partial, write_partial

Where = str
"""At which of a commit's moments a crash comes."""

MOMENTS: dict[Where, str] = {
    "before anything is written": "huelapse.store.writer.values_of",
    "before the split's file is renamed": "huelapse.store.root.Root.write_split",
    "before the root is renamed": "huelapse.store.root.Root.write",
}


class Crash(BaseException):
    """Not an Exception: nothing tidies up after a process that is gone."""


class Stores(RuleBasedStateMachine):
    """The run on disk, and beside it a list of what was committed and still stands."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="huelapse-states-"))
        self.path = self.folder / "run"
        self.writer: StoreWriter | None = None
        self.shown: list[tuple[int, int]] = []
        """(step, samples) of each snapshot that is to be seen, by step."""
        self.samples = 30

    def teardown(self) -> None:
        if self.writer is not None:
            self.writer.abandon()
        shutil.rmtree(self.folder)

    @initialize()
    def start(self) -> None:
        self.writer = begin(self.path)

    def _next(self) -> Snapshot:
        self.samples += 1  # so that a step made again has other numbers
        step = self.shown[-1][0] + 1 if self.shown else 0
        return snapshot(step, samples=self.samples)

    @precondition(lambda self: self.writer is not None)
    @rule(n=st.integers(1, 25))
    def commit(self, n: int) -> None:
        assert self.writer is not None
        for _ in range(n):
            taken = self._next()
            self.writer.commit(taken)
            self.shown.append((taken.step, self.samples))

    @precondition(lambda self: self.writer is not None)
    @rule()
    def close(self) -> None:
        assert self.writer is not None
        self.writer.close()
        self.writer = None

    @precondition(lambda self: self.writer is not None)
    @rule(where=st.sampled_from(sorted(MOMENTS)))
    def crash(self, where: Where) -> None:
        """The process is gone in the middle of a commit."""
        assert self.writer is not None

        def gone(*_: Any, **__: Any) -> None:
            raise Crash

        with mock.patch(MOMENTS[where], gone), pytest.raises(Crash):
            self.writer.commit(self._next())
        self.writer.abandon()
        self.writer = None

    @precondition(lambda self: self.writer is None)
    @rule(back=st.integers(0, 5))
    def resume(self, back: int) -> None:
        """The training goes on from a checkpoint some snapshots ago."""
        last = self.shown[-1][0] if self.shown else 0
        first = max(0, last - back)
        self.writer = begin(self.path, first_step=first, resume=True)
        self.shown = [one for one in self.shown if one[0] <= first]

    @rule()
    def compact_all(self) -> None:
        run = huelapse.open(self.path)
        for _ in compact(run):
            pass
        remove_stale(run)

    @precondition(lambda self: self.writer is None)
    @rule(every=st.integers(2, 5))
    def thin_out(self, every: int) -> None:
        prune(self.path, plan_pruning(self.path, every=every))
        self.shown = [
            one for i, one in enumerate(self.shown) if i % every == 0 or i == len(self.shown) - 1
        ]

    @precondition(lambda self: self.writer is None)
    @rule(ahead=st.integers(1, 3), late=st.booleans(), incomplete=st.booleans())
    def merge_parts(self, ahead: int, late: bool, incomplete: bool) -> None:
        """Ranks have left their parts of a moment; of some the last comes after a merge."""
        self.samples += 1
        last = max((step for step, _ in self.shown), default=-1)
        moment = last + ahead, self.samples
        first, second = parts_of(*moment)
        write_partial(self.path, first)
        if late:
            merge(self.path, incomplete=incomplete)
            told = huelapse.open(self.path).incomplete()
            assert [one.step for one in told if one.step == moment[0]] == [moment[0]] * incomplete
        write_partial(self.path, second)
        merge(self.path)
        merge(self.path)
        assert not huelapse.open(self.path).incomplete()
        self.shown.append(moment)

    @invariant()
    def reads_as_the_list(self) -> None:
        if not (self.path / "run.zarr/zarr.json").exists():
            return
        run = huelapse.open(self.path)
        assert run.steps.tolist() == [step for step, _ in self.shown]
        if not self.shown:
            return
        histories = run.history(4)
        for i, (step, samples) in enumerate(self.shown):
            expected = snapshot(step, samples=samples).moments["true"]
            found = run.moments(i)
            n = expected.n > 0
            assert np.array_equal(found.count, expected.count)
            for name in ("mean", "m2"):
                one = getattr(expected, name).astype(np.float32)
                assert np.array_equal(getattr(found, name)[n], one[n])
                assert np.array_equal(getattr(histories[i], name)[:, 0], getattr(found, name)[:, 4])

    @precondition(lambda self: self.writer is None)
    @rule()
    def is_whole(self) -> None:
        assert verify(self.path).whole


def parts_of(step: int, samples: int) -> tuple[Partial, Partial]:
    """A snapshot as two ranks have recorded it: all of it, and nothing at all, so that no rounding
    tells it from one that was taken as a whole."""
    taken = snapshot(step, samples=samples)
    whole = taken.moments["true"]
    nothing = Moments.empty(*whole.mean.shape)
    classes = tuple(Grouping(name=name, classes=CLASSES) for name in ("true", "predicted"))
    own: dict[str, Any] = {
        "split": "val",
        "step": step,
        "expected": 2,
        "layers": tuple((layer.path, layer.units) for layer in LAYERS),
        "groupings": classes,
        "wall_time": taken.wall_time,
    }
    made = [
        Partial(
            part=f"rank-{rank}",
            samples=int(moments.count.sum()),
            moments={one.name: moments for one in classes},
            confusion=np.diag(moments.count),
            **own,
        )
        for rank, moments in enumerate((whole, nothing))
    ]
    return made[0], made[1]


def run_machine(examples: int, steps: int) -> None:
    run_state_machine_as_test(
        Stores,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_a_run_holds_what_a_list_would() -> None:
    run_machine(5, 12)


@pytest.mark.slow
def test_a_run_holds_what_a_list_would_for_long() -> None:
    run_machine(60, 25)
