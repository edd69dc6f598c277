"""How the ranks of one training find each other: by files in the run's directory, never by a call
that waits for another rank.

Each rank above 0 lays down a file that says of which training it is, and keeps it up to date. Rank 0,
once its run is begun, answers each with the run's id, its segment, and what is recorded. So a rank
never takes an earlier run for its own, and one whose answer never comes knows that the path it was
given is not the one rank 0 sees.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from huelapse.store.atomic import replace_file
from huelapse.store.lease import here

MEETING = "ranks"
"""Where they meet, in the run's directory while it is recorded."""
FORGOTTEN = 86_400.0
"""Seconds after which what a training that was killed has left there is removed."""
MOST = 2**20
"""Bytes of a file that is looked at."""
NAMES = ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID")
"""What launchers tell all ranks of a training alike."""
NONCE = re.compile(r"[0-9a-f]{16}")


def training() -> str:
    """The same in all ranks of one training, as far as the environment tells, and not in another's."""
    told = {name: os.environ.get(name, "") for name in NAMES}
    local = os.environ.get("LOCAL_WORLD_SIZE")
    launched = any(told.values())
    if not launched or (local is not None and local == os.environ.get("WORLD_SIZE")):
        told["machine"] = here()[0]  # "localhost" is the address of many
    if not launched:
        told["parent"] = str(os.getppid())  # who has spawned them all
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What a rank says of itself."""

    rank: int
    nonce: str
    """Of this process alone."""
    training: str
    state: str = "recording"
    """`recording`; `complete` or `interrupted` once it will give nothing more."""
    gaps: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What rank 0 says to one."""

    directory: str
    """Name of the run's directory: the one that was given, or its sibling."""
    training: str
    run: str
    segment: int
    layers: tuple[tuple[str, int], ...]
    """Path and number of units of each, in order."""
    groupings: tuple[str, ...]
    output: str


@dataclass
class Meeting:
    """One rank's side of it."""

    given: Path
    """The run's directory as all ranks were given it; with exist="new" rank 0 may have another."""
    rank: int
    ranks: int
    training: str = field(default_factory=training)
    nonce: str = field(default_factory=lambda: uuid4().hex[:16])
    answered: bool = False
    """Whether an answer has come."""
    _made: bool = False

    @property
    def place(self) -> Path:
        return self.given / MEETING

    # --- ranks above 0 ---------------------------------------------------------------------------

    def tell(self, state: str, gaps: Sequence[Mapping[str, Any]] = ()) -> None:
        """Say how it stands with this rank.

        Raises:
            OSError: it cannot be written.
        """
        if self.answered and not self.place.is_dir():
            return  # rank 0 has ended the run and cleared up
        self._made = self._made or not self.given.exists()
        self.place.mkdir(parents=True, exist_ok=True)
        told = Told(
            rank=self.rank,
            nonce=self.nonce,
            training=self.training,
            state=state,
            gaps=tuple(gaps),
        )
        replace_file(self._own, json.dumps(asdict(told)).encode())

    def answer(self) -> Answer | None:
        """What rank 0 has answered, if it has."""
        found = _read(self._answer_to(self.rank, self.nonce))
        if found is None:
            return None
        try:
            answer = Answer(
                directory=Path(str(found["directory"])).name,
                training=str(found["training"]),
                run=str(found["run"]),
                segment=int(found["segment"]),
                layers=tuple((str(path), int(units)) for path, units in found["layers"]),
                groupings=tuple(map(str, found["groupings"])),
                output=str(found["output"]),
            )
        except (KeyError, TypeError, ValueError):
            return None
        self.answered = True
        return answer

    def leave(self) -> None:
        """Take back what was laid down where nobody has seen it, or nobody will look any more."""
        answer = self._answer_to(self.rank, self.nonce)
        found = _read(answer)
        if self.answered and (found is None or not found.get("ended")):
            return  # rank 0 will see how it ended here, and clear up
        with suppress(OSError):
            self._own.unlink(missing_ok=True)
            answer.unlink(missing_ok=True)
            self.place.rmdir()
            if self._made and not self.answered:
                self.given.rmdir()

    @property
    def _own(self) -> Path:
        return self.place / f"rank-{self.rank}-{self.nonce}.json"

    # --- rank 0 ----------------------------------------------------------------------------------

    def told(self) -> list[Told]:
        """What the other ranks of this training have laid down so far, by rank."""
        newest: dict[int, tuple[float, Told]] = {}
        for path in self._files("rank-"):
            found = _read(path)
            try:
                assert found is not None
                told = Told(
                    rank=int(found["rank"]),
                    nonce=_nonce(found["nonce"]),
                    training=str(found["training"]),
                    state=str(found["state"]),
                    gaps=tuple(_gap(one) for one in found["gaps"]),
                )
                written = path.stat().st_mtime
            except (AssertionError, KeyError, TypeError, ValueError, AttributeError, OSError):
                continue
            if told.training != self.training or not 0 < told.rank < self.ranks:
                continue
            if told.rank not in newest or newest[told.rank][0] < written:
                newest[told.rank] = written, told
        return [newest[rank][1] for rank in sorted(newest)]

    def reply(self, told: Told, answer: Answer) -> None:
        """
        Raises:
            OSError: it cannot be written.
        """
        replace_file(self._answer_to(told.rank, told.nonce), json.dumps(asdict(answer)).encode())

    def end(self, answers: Mapping[str, Answer]) -> None:
        """Clear up what this training has laid down, and what others have forgotten.

        Ranks that have not ended yet keep their answer: what they still give can be merged later.

        Args:
            answers: nonce → what was answered.
        """
        left = {told.nonce: told for told in self.told() if told.state == "recording"}
        for told in left.values():
            if told.nonce in answers:
                ended = {**asdict(answers[told.nonce]), "ended": True}
                with suppress(OSError):
                    replace_file(self._answer_to(told.rank, told.nonce), json.dumps(ended).encode())
        for path in self._files(""):
            found = _read(path)
            ours = found is not None and found.get("training") == self.training
            ours &= not any(nonce in path.name for nonce in left)
            with suppress(OSError):
                if ours or time.time() - path.stat().st_mtime > FORGOTTEN:
                    path.unlink(missing_ok=True)
        with suppress(OSError):  # another training's ranks meet here too, or nobody ever came
            self.place.rmdir()

    def _files(self, prefix: str) -> list[Path]:
        try:
            found = [entry.name for entry in os.scandir(self.place)]
        except OSError:
            return []
        own = (name for name in found if name.startswith(prefix) and not name.startswith("."))
        return [self.place / name for name in sorted(own)]

    def _answer_to(self, rank: int, nonce: str) -> Path:
        return self.place / f"answer-{rank}-{nonce}.json"


def _read(path: Path) -> dict[str, Any] | None:
    """A small file of JSON; None where it is none."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > MOST:
            return None
        found: Any = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _nonce(given: Any) -> str:
    if not isinstance(given, str) or not NONCE.fullmatch(given):
        raise ValueError("no nonce")  # it becomes part of a file's name
    return given


def _gap(found: Any) -> dict[str, Any]:
    """What is missing of a rank, as a run's root tells it."""
    own: dict[str, Any] = {"step": int(found["step"]), "reason": str(found["reason"])}
    return own | {name: int(found[name]) for name in ("until", "snapshots") if name in found}
