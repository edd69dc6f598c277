"""Where a recorder's snapshots go: the directory, the run begun in it, the splits in the run."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huelapse.capture import Capture, Captured, ScalarMeans, means
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, RunState, Split, SplitKind
from huelapse.snapshot import PendingSnapshot, Snapshot
from huelapse.store import StoreWriter, WriterThread, check_free, free_directory


def take_directory(run: Path, exist: str) -> Path:
    """The absolute directory a run will be written to; nothing is made yet unless `exist` is "new".

    Raises:
        RunExistsError: it holds a run, and `exist` is "error".
    """
    if exist not in ("error", "new"):
        raise ValueError(f'exist is {exist!r}, expected "error" or "new"')
    run = run.absolute()  # the loop may change its working directory
    if exist == "error":
        check_free(run)
        return run
    run = free_directory(run)
    run.mkdir(parents=True, exist_ok=True)
    (run / "lock").touch()  # taken: a second recorder goes on to the next number
    return run


class Filing:
    """Files snapshots under their splits; the run begins with the first of them."""

    def __init__(
        self,
        run: Path,
        *,
        name: str,
        classes: Sequence[str],
        config: Any,
        facts: Mapping[str, Any],
        on_commit: Callable[[str, int], None] | None,
    ) -> None:
        """
        Args:
            run: the directory.
            name: what people call the run.
            classes: names of the true and predicted classes.
            config: the user's own, plain JSON values.
            facts: more provenance of the run.
            on_commit: called with (split, step) in the writer's thread once a snapshot is safe.
        """
        self.run = run
        self.scalars = ScalarMeans()
        self.taken: dict[str, int] = {}
        """Snapshots handed over, of each split."""
        self._name = name
        self._classes = tuple(classes)
        self._config = config
        self._facts = dict(facts)
        self._on_commit = on_commit
        self._writer: WriterThread | None = None

    @property
    def error(self) -> Exception | None:
        """What kept the writer from writing."""
        return self._writer.error if self._writer is not None else None

    @property
    def dropped(self) -> int:
        return self._writer.dropped if self._writer is not None else 0

    @property
    def waiting_bytes(self) -> int:
        """Of snapshots that wait to be written."""
        return self._writer.waiting_bytes if self._writer is not None else 0

    @property
    def bytes_written(self) -> int:
        """Of snapshots so far, before compression."""
        return self._writer.bytes_written if self._writer is not None else 0

    def hand_over(
        self,
        captured: Captured,
        *,
        capture: Capture,
        split: str,
        kind: SplitKind,
        step: int,
        epoch: float,
        seconds: float,
        facts: Mapping[str, Any],
        attributes: Mapping[str, Any],
    ) -> None:
        """One snapshot to the writer; dropped, counted, where too many wait already."""
        writer = self._writer = self._writer or self._begin(capture)
        if split not in self.taken:
            writer.add_split(self._describe(split, kind, captured, capture, facts))
            self.taken[split] = 0
        scalars = self.scalars.take(split)
        now = time.time()

        def finish() -> Snapshot:
            captured.check()
            first, *second = capture.responses
            return Snapshot(
                split=split,
                step=step,
                epoch=epoch,
                wall_time=now,
                seconds=seconds,
                moments=captured.moments(first),
                peaks=captured.moments(second[0]) if second else {},
                confusion=captured.confusion(),
                metrics=means(scalars),
            )

        pending = PendingSnapshot(split=split, step=step, nbytes=captured.nbytes, finish=finish)
        if writer.put(pending, dict(attributes)):
            self.taken[split] += 1
        else:
            self.scalars.give_back(split, scalars)

    def note(self, attributes: Mapping[str, Any]) -> None:
        """Attributes of the root to be written now: a gap, for one."""
        if self._writer is not None:
            self._writer.note(dict(attributes))

    def finish(
        self,
        seconds: float,
        state: RunState,
        attributes: Mapping[str, Any],
        *,
        leaving: bool = False,
    ) -> bool:
        """Write what waits and end the run; False if that takes longer than `seconds`.

        With `leaving`, as the program is about to end, what cannot be written by then is dropped.
        """
        if self._writer is None:
            return True
        return self._writer.finish(seconds, state, dict(attributes), leaving=leaving)

    def _begin(self, capture: Capture) -> WriterThread:
        store = StoreWriter(
            self.run,
            name=self._name,
            layers=capture.layers,
            responses=capture.responses,
            facts={
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "huelapse": VERSION,
                **capture.facts(),
                **self._facts,
                "config": self._config,
            },
        )
        return WriterThread(store, self._on_commit)

    def _describe(
        self,
        name: str,
        kind: SplitKind,
        captured: Captured,
        capture: Capture,
        facts: Mapping[str, Any],
    ) -> Split:
        """A split as its first snapshot shows it."""
        modes = {True: "train", False: "eval", None: "mixed"}
        own = capture.groupings.values()
        return Split(
            name=name,
            kind=kind,
            groupings=(
                *(Grouping(name=g, classes=self._classes) for g in (TRUE, PREDICTED)),
                *own,
            ),
            multilabel=capture.multilabel,
            facts={
                "samples": captured.samples,
                "mode": modes[captured.training],
                "measures": {"version": 1},
                **facts,
            },
        )
