"""Ranks above 0: each writes its shares as parts into the run that rank 0 records."""

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from huelapse.errors import RankError
from huelapse.schema import RunState, Split
from huelapse.snapshot import Share, Snapshot
from huelapse.store.meeting import Answer, Meeting
from huelapse.store.partial import write_partial
from huelapse.store.sharing import SharedStore, part_of

logger = logging.getLogger(__name__)

POLL = 0.1
"""Seconds between looks for rank 0's answer."""
PATIENCE = 60.0
"""Seconds without an answer after which the user is told. It is waited for all the same."""
IDLE = 5.0


class PartWriter(SharedStore):
    """The store of a rank above 0. Used by its writer thread alone, which may wait for rank 0."""

    def __init__(self, meeting: Meeting) -> None:
        self._meeting = meeting
        self._answer: Answer | None = None
        self._splits: dict[str, Split] = {}
        self._gaps: list[dict[str, Any]] = []
        self._last: dict[str, int] = {}
        self._until: float | None = None
        self._told = False
        self._warned = False

    @property
    def id(self) -> str:
        return self._answer.run if self._answer is not None else ""

    def check_split(self, split: Split) -> None:
        """Rank 0 has checked it."""

    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        self._splits[split.name] = split

    def commit(self, snapshot: Snapshot) -> None:
        """Write this rank's share.

        Raises:
            RankError: rank 0's run was not found until the recording ended, or is of another model.
            OSError: it cannot be written.
        """
        assert isinstance(snapshot, Share)
        if snapshot.step <= self._last.get(snapshot.split, -1):
            logger.warning("split %s was evaluated twice at one step", snapshot.split)
            return
        answer = self._answered()
        if snapshot.output != answer.output:
            raise RankError(
                f"the model's output was taken for a {snapshot.output} on rank {self._meeting.rank} "
                f'and for a {answer.output} on rank 0; say what it is: Recorder(output="logits")'
            )
        known = {one.name: one for one in self._splits[snapshot.split].groupings}
        part = part_of(
            snapshot,
            rank=self._meeting.rank,
            ranks=self._meeting.ranks,
            run=answer.run,
            segment=answer.segment,
            layers=answer.layers,
            groupings=[known[name] for name in answer.groupings if name in known],
        )
        write_partial(self._meeting.given.with_name(answer.directory), part)
        self._last[snapshot.split] = snapshot.step

    def note(self, **attributes: Any) -> None:
        self._gaps = list(attributes.get("gaps", self._gaps))

    def write_attributes(self) -> None:
        self._meeting.tell("recording", self._gaps)
        self._told = True

    def close(self, state: RunState) -> None:
        """Tell rank 0 that nothing more will come."""
        if self._told:
            self._meeting.tell(state, self._gaps)
        self.abandon()

    def abandon(self) -> None:
        self._meeting.leave()

    def waits(self) -> float:
        return POLL if self._told and self._answer is None else IDLE

    def look(self) -> None:
        if self._answer is None:
            self._answer = self._meeting.answer()

    def end_by(self, until: float) -> None:
        self._until = until

    def _answered(self) -> Answer:
        """Rank 0's answer, once it is there."""
        began = time.monotonic()
        if not self._told:
            self.write_attributes()
        while self._answer is None:
            self.look()
            now = time.monotonic()
            if self._answer is None and self._until is not None and now >= self._until:
                raise RankError(f"{self._unseen}. Nothing of this rank was recorded")
            if now - began > PATIENCE and not self._warned:
                self._warned = True
                self.notice = f"{self._unseen}. It is looked for until the recording ends"
            if self._answer is None:
                time.sleep(POLL)
        return self._answer

    @property
    def _unseen(self) -> str:
        place: Path = self._meeting.given
        return (
            f"rank {self._meeting.rank} of {self._meeting.ranks} does not find rank 0's run at "
            f"{place}; give all ranks one path on a disk that they share. A process that trains by "
            f"itself, and was only started together with others, says Recorder(ranks=(0, 1))"
        )
