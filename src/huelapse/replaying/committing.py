"""Parts become snapshots of the run, in whatever order they come. Needs neither the model nor torch."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huelapse.errors import HuelapseError, PartialError, ReplayError
from huelapse.replaying.beginning import Beginning, of_all_parts
from huelapse.replaying.naming import key_in, named_part
from huelapse.schema import TRUE, RunState
from huelapse.store import StoreReader, StoreWriter, holds_run, layout
from huelapse.store.atomic import sync_directory
from huelapse.store.joining import Part, forwarded_twice, merge_parts
from huelapse.store.partial import PARTIAL, SUFFIX
from huelapse.store.partial_file import PartialFile
from huelapse.store.unfinished import remove_unfinished
from huelapse.superclasses import check_superclasses

REPLAYED = "replayed"
"""Attribute of the root: of each replayed split, what was asked, and which checkpoints are in."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a run has of a replay so far."""

    asked: Mapping[str, Any]
    digest: str
    keys: Mapping[int, str]
    """Step → key of the checkpoint whose snapshot stands there."""
    keeps_responses: bool


def standing(run: Path, split: str) -> Standing | None:
    """What was replayed into a split; None where there is none.

    Raises:
        ReplayError: a training has recorded it.
        FormatError: the run is damaged.
    """
    if not holds_run(run):
        return None
    reader = StoreReader(run)
    known: Mapping[str, Any] = reader.attributes.get(REPLAYED) or {}
    there = {one.name: one for one in reader.splits}
    if split not in there:
        return None
    told: Any = known.get(split)
    if not isinstance(told, Mapping):
        raise ReplayError(
            f"{run} has a split {split!r} that a training has recorded; give the replay another name "
            f"(--split {split}-replayed), or another run"
        )
    try:
        digest, asked = str(told["digest"]), dict(told["asked"])
        keys = {int(step): str(key) for step, key in told["checkpoints"].items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReplayError(f"{run}: what its root says of the replay is damaged") from error
    steps = {int(step) for step in reader.read(f"{split}/step")}
    return Standing(
        asked=asked,
        digest=digest,
        keys={step: key for step, key in keys.items() if step in steps},
        keeps_responses=any(extra.path == "responses" for extra in there[split].extras),
    )


class Committer:
    """Commits checkpoints of one replay; holds the run's lock from the first one on."""

    def __init__(self, run: Path, split: str, digest: str, parts: int, *, name: str) -> None:
        """
        Args:
            run: the run's directory; made if it is not there.
            split: what is replayed.
            digest: of what was asked.
            parts: how many each checkpoint has.
            name: of a run that is begun.
        """
        self._run, self._split, self._digest, self._parts = run, split, digest, parts
        self._name = name
        self.split, self.place = split, str(run)
        self._writer: StoreWriter | None = None
        self._own = True
        self._beginning: Beginning | None = None
        self._replayed: dict[str, Any] = {}
        self.committed = 0

    def commit(self, paths: Sequence[Path]) -> None:
        """One checkpoint.

        Args:
            paths: files of all its parts.

        Raises:
            PartialError: one is damaged, or not of this replay.
            ReplayError, ResumeError, RunLockedError: the run is of something else, or in use.
            OSError: it cannot be written; what was committed is safe.
        """
        parts = self._verified(paths)
        writer = self.begin()
        if self._parts > 1:
            twice = forwarded_twice(parts)
            if twice:
                raise PartialError(f"{twice} samples stand in two of its parts")
        self._check(parts)
        snapshot = merge_parts(parts)
        key = key_in(parts[0].about.part, self._digest)
        if key is None or any(key_in(part.about.part, self._digest) != key for part in parts):
            raise PartialError(f"{parts[0].path.name} is no part of this replay")
        own = self._replayed[self._split]
        checkpoints = {**own["checkpoints"], str(snapshot.step): key}
        replayed = {**self._replayed, self._split: {**own, "checkpoints": checkpoints}}
        writer.note(**{REPLAYED: replayed})
        try:
            writer.commit(snapshot)
        except BaseException:
            writer.note(**{REPLAYED: self._replayed})
            raise
        self._replayed = replayed
        self.committed += 1
        if writer.durable:
            for path in paths:
                path.unlink(missing_ok=True)

    def begin(self) -> StoreWriter:
        """The run's writer; the run is begun, or gone on with, where it is not yet.

        Raises:
            ReplayError, ResumeError, RunLockedError: the run is of something else, or in use.
        """
        if self._writer is None:
            self._writer = self._begun()
        return self._writer

    @property
    def durable(self) -> bool:
        """Whether what was committed outlives a power cut: only then may its parts go."""
        return self._writer is not None and self._writer.durable

    @property
    def run_id(self) -> str:
        return "" if self._writer is None else self._writer.id

    @property
    def standing(self) -> Standing:
        """What the run has of this replay, once it is begun."""
        told, beginning = self._replayed[self._split], self._beginning
        assert beginning is not None
        return Standing(
            asked=told["asked"],
            digest=self._digest,
            keys={int(step): str(key) for step, key in told["checkpoints"].items()},
            keeps_responses=any(one.path == "responses" for one in beginning.split.extras),
        )

    def close(self, state: RunState) -> None:
        """End it. A run that a training has begun keeps its own state.

        Args:
            state: of a run that is a replay.
        """
        if self._writer is None:
            return
        try:
            if self._own:
                self._writer.close(state)
        finally:
            self._writer.abandon()
            self._writer = None

    def _verified(self, paths: Sequence[Path]) -> list[Part]:
        parts: list[Part] = []
        for path in paths:
            with PartialFile(path) as file:
                file.verify()
                parts.append(Part(path, file.about, file.digest))
        parts.sort(key=lambda part: part.about.part)
        return parts

    def _check(self, parts: Sequence[Part]) -> None:
        """
        Raises:
            PartialError: parts that are not those of one checkpoint of this replay.
        """
        beginning = self._beginning
        assert beginning is not None
        layers = tuple((layer.path, layer.units) for layer in beginning.layers)
        for part in parts:
            about = part.about
            fits = (
                about.split == self._split
                and about.step == parts[0].about.step
                and about.expected == self._parts == len(parts)
                and about.layers == layers
                and about.groupings == beginning.split.groupings
            )
            if not fits:
                raise PartialError(
                    f"{part.path.name} is of another replay: its layers, classes or number of parts "
                    f"are others"
                )

    def _begun(self) -> StoreWriter:
        beginning = self._beginning = of_all_parts(self._run, self._digest, self._parts)
        if beginning is None:
            raise ReplayError(
                f"what the parts in {self._run}/partial were recorded of is not there: the hidden "
                f"files .replay-{self._digest}-… belong to them. Replay again"
            )
        there = holds_run(self._run)
        before: Mapping[str, Any] = StoreReader(self._run).attributes if there else {}
        facts = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            **beginning.facts,
            "replay": True,
            "config": {},
        }
        writer = StoreWriter(
            self._run,
            name=self._name,
            layers=beginning.layers,
            responses=beginning.responses,
            graph=beginning.graph,
            superclasses=_superclasses(beginning),
            facts=facts,
            first_step=None if there else 0,
            resume=True,
        )
        try:
            self._replayed = dict(before.get(REPLAYED) or {})
            told = {"asked": dict(beginning.asked), "digest": self._digest, "checkpoints": {}}
            self._replayed.setdefault(self._split, told)
            self._own = not there or bool((before.get("facts") or {}).get("replay"))
            writer.note(**{REPLAYED: self._replayed})
            if self._own:
                writer.note(state="recording")
            writer.add_split(beginning.split, beginning.static)
        except BaseException:
            writer.abandon()
            raise
        return writer


def _superclasses(beginning: Beginning) -> dict[str, str] | None:
    given: Any = beginning.asked.get("superclasses")
    classes = beginning.split.grouping(TRUE).classes
    return None if given is None else check_superclasses(given, classes)


def explained(error: Exception) -> str:
    """Why a checkpoint's snapshot could not be committed."""
    told = str(error) if isinstance(error, HuelapseError) else f"{type(error).__name__}: {error}"
    return f"its snapshot could not be committed: {told}"


def clear(run: Path, split: str, digest: str) -> None:
    """Remove what parts were recorded of, once all parts there are are in the run. Parts that are, and
    which a process that was killed after its commit could not remove, go too.

    Args:
        run: its directory.
        split: what was replayed.
        digest: of what was asked.
    """
    directory = run / PARTIAL
    remove_unfinished(directory)
    parts = list(directory.glob(f"*-replay-{digest[:8]}*{SUFFIX}"))
    there = standing(run, split) if parts else None
    keys = there.keys if there is not None and there.digest == digest else {}
    left = [path for path in parts if not _is_removed(path, keys, run)]
    if left:
        return
    for path in directory.glob(f".replay-{digest}-*"):
        with suppress(OSError):
            path.unlink()
    with suppress(OSError):
        directory.rmdir()


def _is_removed(path: Path, keys: Mapping[int, str], run: Path) -> bool:
    """Whether a part is in the run, and has been removed therefore.

    Args:
        keys: step → key of the checkpoint that stands there.
    """
    part = named_part(path.name)
    if part is None or keys.get(part.step) != part.key:
        return False
    with suppress(OSError):
        sync_directory(run / layout.ROOT)  # whoever was killed may not have come to it
        path.unlink(missing_ok=True)
    return not path.exists()
