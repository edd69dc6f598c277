"""Where a recorder's snapshots go: the directory, the run begun in it, the splits in the run."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huelapse.capture import Capture, Captured, ScalarMeans, means
from huelapse.errors import HuelapseError, OptionError, RunPathError
from huelapse.schema import PREDICTED, TRUE, VERSION, Grouping, RunState, Split, SplitKind
from huelapse.snapshot import PendingSnapshot, Share, Snapshot
from huelapse.store import (
    StoreWriter,
    WriterThread,
    check_free,
    check_not_forked,
    check_resumable,
    free_directory,
)
from huelapse.store.committing import Committer
from huelapse.store.layout import ROOT
from huelapse.store.meeting import Meeting
from huelapse.store.sending import PartWriter


def take_directory(run: Any, exist: Any, rank: int = 0) -> tuple[Path, Path]:
    """The absolute directory as it was given, and the one a run will be written to; nothing is made yet
    unless `exist` is "new".

    Args:
        run: as the user gave it.
        exist: "error", "resume" or "new", for where there is a run already.
        rank: of this process; what stands there already is rank 0's to judge.

    Raises:
        RunExistsError: it holds a run, and `exist` is "error".
        RunPathError: no run can be made there.
        FormatError, RunLockedError: the run to go on with is damaged, or is being written.
        ForkedError: this process was forked from one that had recorded or read.
    """
    check_not_forked()
    if exist not in ("error", "resume", "new"):
        raise OptionError(f'exist is {exist!r}, expected "error", "resume" or "new"')
    given: Any = os.fspath(run) if isinstance(run, os.PathLike) else run
    if not isinstance(given, str) or not given or "\0" in given:
        raise RunPathError(f'run is {run!r}, expected a directory to be made, such as "runs/mine"')
    try:
        told = place = Path(given).absolute()  # the loop may change its working directory
        if exist == "new" and not rank:
            place = free_directory(place)
        _check_place(place)
        if rank:
            return told, place
        if exist == "resume":
            check_resumable(place)
        else:
            check_free(place)
        if exist == "new":
            place.mkdir(parents=True, exist_ok=True)
            (place / "lock").touch()  # taken: a second recorder goes on to the next number
    except HuelapseError:
        raise
    except (
        OSError,
        ValueError,
    ) as error:  # a name too long, a NUL in it, a place nobody may look at
        raise RunPathError(f"no run can be made at {run!r}: {error}") from error
    return told, place


def leave_directory(place: Path) -> None:
    """Give back a directory that was taken and in which nothing was recorded."""
    with suppress(OSError):  # there is more in it than the mark, or it was never made
        if [path.name for path in place.iterdir()] == ["lock"]:
            (place / "lock").unlink()
            place.rmdir()


def _check_place(place: Path) -> None:
    """
    Raises:
        RunPathError: a directory cannot be made or written there. Told before any training.
    """
    above = next(path for path in (place, *place.parents) if path.exists() or path.is_symlink())
    if not above.is_dir():
        what = "is a file" if above.is_file() else "is no directory"
        raise RunPathError(f"no run can be made at {place}: {above} {what}; give another directory")
    if not os.access(above, os.W_OK | os.X_OK):
        raise RunPathError(
            f"no run can be made at {place}: {above} may not be written by this user, or is on a "
            f"file system that is read-only; give another directory"
        )
    for name in (ROOT, "lock"):
        if (place / name).exists() and (place / name).is_dir() == (name == "lock"):
            raise RunPathError(
                f"no run can be made at {place}: its {name!r} is something else than a run's; give "
                f"another directory"
            )


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
        first_step: int,
        resume: bool,
        superclasses: Mapping[str, str] | None = None,
        meeting: Meeting | None = None,
    ) -> None:
        """
        Args:
            run: the directory.
            name: what people call the run.
            classes: names of the true and predicted classes.
            config: the user's own, plain JSON values.
            facts: more provenance of the run.
            on_commit: called with (split, step) in the writer's thread once a snapshot is safe.
            first_step: optimizer steps made before.
            resume: go on with the run that is there.
            superclasses: of the classes, checked.
            meeting: with the other ranks, where there are several.
        """
        self.run = run
        self._meeting = meeting
        self.scalars = ScalarMeans()
        self.taken: dict[str, int] = {}
        """Snapshots handed over, of each split."""
        self._name = name
        self._classes = tuple(classes)
        self._config = config
        self._facts = dict(facts)
        self._on_commit = on_commit
        self._first_step, self._resume = first_step, resume
        self._superclasses = superclasses
        self._writer: WriterThread | None = None

    def meet(self) -> None:
        """Let rank 0 know that this rank is there, where it is another; nobody waits for an answer."""
        if self._meeting is not None and self._meeting.rank:
            self.note({})

    @property
    def ranks(self) -> int:
        """How many processes record together."""
        return self._meeting.ranks if self._meeting is not None else 1

    def notice(self) -> str | None:
        """What the user is to be told of other ranks, once."""
        return self._writer.notice() if self._writer is not None else None

    @property
    def error(self) -> Exception | None:
        """What kept the writer from writing."""
        return self._writer.error if self._writer is not None else None

    @property
    def trouble(self) -> tuple[int, Exception] | None:
        """Step of the first snapshot that a fault of the disk kept from being written, and the fault.
        Recording goes on."""
        return self._writer.trouble if self._writer is not None else None

    def has_marked(self, error: Exception) -> bool:
        """Whether an error is the writer's, which marks what is missing itself."""
        return error is self.error or (self.trouble is not None and error is self.trouble[1])

    def check(self) -> None:
        """Raises what kept the writer from writing."""
        if self.error is not None:
            raise self.error

    @property
    def id(self) -> str | None:
        """Of the run, once it is begun."""
        return (self._writer.id or None) if self._writer is not None else None

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
        shared: bool = False,
    ) -> None:
        """One snapshot to the writer; dropped, counted, where too many wait already.

        `shared` says that it is this rank's share of what all ranks record.
        """
        writer = self._writer = self._writer or self._begin(capture)
        if split not in self.taken:
            parts = captured.parts
            described = self._describe(split, kind, captured, capture, facts, shared=shared)
            writer.add_split(described, parts.static() if parts is not None else None)
            self.taken[split] = 0
        scalars = self.scalars.take(split)
        now = time.time()

        def finish() -> Snapshot:
            captured.check()
            first, *second = capture.responses
            snapshot = Snapshot(
                split=split,
                step=step,
                epoch=epoch,
                wall_time=now,
                seconds=seconds,
                moments=captured.moments(first),
                peaks=captured.moments(second[0]) if second else {},
                confusion=captured.confusion(),
                metrics=means(scalars),
                extras=captured.parts.result() if captured.parts is not None else {},
            )
            return _share(snapshot, captured, capture) if shared else snapshot

        pending = PendingSnapshot(split=split, step=step, nbytes=captured.nbytes, finish=finish)
        if writer.put(pending, dict(attributes)):
            self.taken[split] += 1
        else:
            self.scalars.give_back(split, scalars)

    def note(self, attributes: Mapping[str, Any]) -> None:
        """Attributes of the root to be written now: a gap, for one."""
        if self._writer is None and self._meeting is not None and self._meeting.rank:
            self._writer = WriterThread(PartWriter(self._meeting))  # rank 0 need not wait for us
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
        if self._meeting is not None and self._meeting.rank:
            return WriterThread(PartWriter(self._meeting))
        facts = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "huelapse": VERSION,
            **capture.facts(),
            **self._facts,
            "config": self._config,
        }
        try:
            store = StoreWriter(
                self.run,
                name=self._name,
                layers=capture.layers,
                responses=capture.responses,
                graph=capture.found.graph,
                superclasses=self._superclasses,
                facts=facts,
                first_step=self._first_step,
                resume=self._resume,
            )
        except HuelapseError:
            raise
        except OSError as error:  # a place that looked as if it could be written
            raise RunPathError(f"no run can be made at {self.run}: {error}") from error
        if self._meeting is None:
            return WriterThread(store, self._on_commit)
        committer = Committer(
            store,
            self._meeting,
            layers=capture.layers,
            groupings=[TRUE, PREDICTED, *capture.groupings],
            output=capture.found.output_kind,
            committed=self._on_commit,
        )
        return WriterThread(committer, self._on_commit)

    def _describe(
        self,
        name: str,
        kind: SplitKind,
        captured: Captured,
        capture: Capture,
        facts: Mapping[str, Any],
        *,
        shared: bool,
    ) -> Split:
        """A split as its first snapshot shows it; how many samples all ranks have, they tell as
        soon as they have met."""
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
            extras=captured.parts.arrays() if captured.parts is not None else (),
            facts={
                "samples": captured.samples * (self.ranks if shared else 1),
                **({"ranks": self.ranks} if shared else {}),
                "mode": modes[captured.training],
                "measures": {"version": 1},
                **facts,
            },
        )


def _share(snapshot: Snapshot, captured: Captured, capture: Capture) -> Share:
    """The snapshot as what one rank gives to it."""
    own: dict[str, Any] = {name: getattr(snapshot, name) for name in Snapshot.__dataclass_fields__}
    return Share(
        **own,
        layers=capture.layers,
        output=capture.found.output_kind,
        samples=captured.samples if captured.held is None else len(captured.ids or ()),
        ids=captured.ids,
        held=captured.held.on_host() if captured.held is not None else None,
    )
