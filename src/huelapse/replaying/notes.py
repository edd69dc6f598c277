"""Notes in a bucket of what has been committed of a replay, whose parts are gone from it therefore.

Without them a job that is given again could not tell what was done long ago from what was never done.
"""

import json
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huelapse.errors import PartialError, ReplayError
from huelapse.replaying.committing import Committer, Standing
from huelapse.store import StoreReader, holds_run
from huelapse.store.pieces import FilesInBucket

NOTE = re.compile(r"\.replay-([0-9a-f]{16})-committed\.json")
NOTE_BYTES = 2**26


@dataclass(frozen=True, kw_only=True, slots=True)
class Noted:
    """What has been committed of a replay, and whose parts are gone from the bucket therefore."""

    split: str
    run: str
    """The run's id."""
    place: str
    """Where it stood."""
    standing: Standing


class Notes:
    """Of each replay whose parts wait at one place."""

    def __init__(self, files: FilesInBucket, place: str) -> None:
        """
        Args:
            files: those in the bucket.
            place: its address, for messages.
        """
        self._files, self._place = files, place
        self._noted: dict[str, Noted] = {}

    @property
    def all(self) -> list[Noted]:
        """Those that were read or written."""
        return list(self._noted.values())

    def of(self, digest: str) -> Noted | None:
        """That of one replay."""
        return self._noted.get(digest)

    def read(self, names: Iterable[str]) -> None:
        """Those among some files that were not read yet; one that is damaged says nothing.

        Raises:
            PlaceError: the bucket cannot be reached.
        """
        for name in names:
            match = NOTE.fullmatch(name)
            if match is None or match[1] in self._noted:
                continue
            with suppress(PartialError, ValueError, KeyError, TypeError, AttributeError):
                told: Any = json.loads(self._files.read(name, NOTE_BYTES) or b"")
                keys = {int(step): str(key) for step, key in told["checkpoints"].items()}
                self._noted[match[1]] = Noted(
                    split=str(told["split"]),
                    run=str(told["run"]),
                    place=str(told["place"]),
                    standing=Standing(
                        asked=dict(told["asked"]),
                        digest=match[1],
                        keys=keys,
                        keeps_responses=told["keeps_responses"] is True,
                    ),
                )

    def check_run(self, run: Path) -> None:
        """Whether nothing has been committed into another run, which this one would lack.

        Raises:
            ReplayError: something has.
        """
        own = StoreReader(run).attributes.get("id", "") if holds_run(run) else None
        for noted in self._noted.values():
            if noted.run != own and noted.standing.keys:
                raise ReplayError(
                    f"{len(noted.standing.keys)} snapshots of parts at {self._place} were committed "
                    f"into the run {noted.place}, and are not in {run}: commit into that one. If it is "
                    f"gone, remove {self._place}/{_note_of(noted.standing.digest)}/, and replay again"
                )

    def write(self, committer: Committer) -> None:
        """What is in the run by now.

        Raises:
            PlaceError: the bucket cannot be reached, or refuses.
        """
        noted = Noted(
            split=committer.split,
            run=committer.run_id,
            place=committer.place,
            standing=committer.standing,
        )
        if self._noted.get(noted.standing.digest) == noted:
            return
        told = {
            "split": noted.split,
            "run": noted.run,
            "place": noted.place,
            "asked": dict(noted.standing.asked),
            "checkpoints": {str(step): key for step, key in noted.standing.keys.items()},
            "keeps_responses": noted.standing.keeps_responses,
        }
        self._files.write(_note_of(noted.standing.digest), json.dumps(told).encode())
        self._noted[noted.standing.digest] = noted


def is_note(name: str) -> bool:
    """Whether a file is called as one."""
    return NOTE.fullmatch(name) is not None


def _note_of(digest: str) -> str:
    return f".replay-{digest}-committed.json"
