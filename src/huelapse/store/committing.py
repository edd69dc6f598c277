"""Rank 0: the one writer of the run, which merges all ranks' shares of a moment into its snapshot.

All of this happens in its writer thread. A moment is committed once every rank's part is there; after a
deadline without those that are missing, marked. Parts of a moment that is not whole stay where they
are: what comes late is merged when the recording ends, or by `huelapse merge`.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from huelapse.errors import HuelapseError, PartialError
from huelapse.schema import Layer, RunState, Split
from huelapse.snapshot import Share, Snapshot
from huelapse.store.disk import disk_fault
from huelapse.store.joining import Part, digest_of, forwarded_twice, merge_parts, samples_of
from huelapse.store.ledger import entries_with
from huelapse.store.meeting import Answer, Meeting
from huelapse.store.merging import Merging
from huelapse.store.partial import PARTIAL, SUFFIX, Partial, write_partial
from huelapse.store.partial_file import PartialFile
from huelapse.store.sharing import SharedStore, part_name, part_of
from huelapse.store.writer import StoreWriter

logger = logging.getLogger(__name__)

DEADLINE = 60.0
"""Seconds after rank 0's own share for which the others' are waited for. No training waits."""
POLL = 0.1
"""Seconds between looks for parts that are waited for, of up to 16 ranks; of more, longer."""
MEET = 1.0
"""Seconds between looks at what other ranks say of themselves; likewise."""
IDLE = 5.0
"""The same once all of them are known, and nothing is waited for."""
LATE = 1.0
"""Seconds that merging late parts may take at the end."""


@dataclass(slots=True)
class _Moment:
    """One that rank 0 has given its share to."""

    split: str
    step: int
    until: float
    own: Partial
    parts: dict[int, Part]
    again: float = 0.0
    """When to try once more, after a fault of the disk."""
    refused: dict[int, str] = field(default_factory=dict[int, str])


class Committer(SharedStore):
    """Rank 0's store. What it records alone it commits as `StoreWriter` does."""

    def __init__(
        self,
        store: StoreWriter,
        meeting: Meeting,
        *,
        layers: Sequence[Layer],
        groupings: Sequence[str],
        output: str,
        committed: Callable[[str, int], None] | None = None,
    ) -> None:
        """
        Args:
            store: of the run.
            meeting: with the other ranks.
            layers: of the run.
            groupings: of its splits.
            output: what the model's output was taken for.
            committed: called with (split, step) for each merged snapshot that is safe.
        """
        self._store = store
        self._meeting = meeting
        self._ranks = meeting.ranks
        self._committed = committed
        self._layers = tuple((layer.path, layer.units) for layer in layers)
        self._answer = Answer(
            directory=store.directory.name,
            training=meeting.training,
            run=store.id,
            segment=store.segment,
            layers=self._layers,
            groupings=tuple(groupings),
            output=output,
        )
        self._entries: list[dict[str, Any]] = store.merged
        self._described: set[str] = set()
        self._moments: dict[tuple[str, int], _Moment] = {}
        self._last: dict[str, int] = {}
        self._answered: set[str] = set()
        self._seen: set[int] = {0}
        self._over: set[int] = set()
        self._living: set[str] = set()
        self._own_gaps: list[dict[str, Any]] = []
        self._unmerged: list[dict[str, Any]] = []
        self._their_gaps: dict[int, list[dict[str, Any]]] = {}
        self._met = 0.0
        self._until: float | None = None
        self._warned = False
        self._incomplete = False
        self._closed = False

    # --- what it records alone ---------------------------------------------------------------------

    @property
    def id(self) -> str:
        return self._store.id

    @property
    def durable(self) -> bool:
        return self._store.durable

    def check_split(self, split: Split) -> None:
        self._store.check_split(split)

    def add_split(self, split: Split, static: Mapping[str, np.ndarray] | None = None) -> None:
        self._store.add_split(split, static)

    def note(self, **attributes: Any) -> None:
        if "gaps" in attributes:
            self._own_gaps = list(attributes["gaps"])
            attributes["gaps"] = self._gaps()
        self._store.note(**attributes)

    def _gaps(self) -> list[dict[str, Any]]:
        theirs = [gap for rank in sorted(self._their_gaps) for gap in self._their_gaps[rank]]
        return [*self._own_gaps, *self._unmerged, *theirs]

    def write_attributes(self) -> None:
        self._store.write_attributes()

    def commit(self, snapshot: Snapshot) -> None:
        if not isinstance(snapshot, Share):
            self._store.commit(snapshot)
            return
        if snapshot.step <= self._last.get(snapshot.split, -1):
            self.notice = (
                f"split {snapshot.split!r} came twice at step {snapshot.step}; of several ranks' "
                f"evaluations the first of a step counts. Give others another name"
            )
            return
        part = part_of(
            snapshot,
            rank=0,
            ranks=self._ranks,
            run=self._answer.run,
            segment=self._answer.segment,
            layers=self._layers,
            groupings=self._store.split(snapshot.split).groupings,
        )
        path = write_partial(self._store.directory, part)
        with PartialFile(path) as file:
            own = Part(path, file.about, file.digest)
        self._last[snapshot.split] = snapshot.step
        plain = replace(part, moments={}, peaks={}, confusion=None, ids=None, apart=None)
        self._moments[snapshot.split, snapshot.step] = _Moment(
            split=snapshot.split,
            step=snapshot.step,
            until=time.monotonic() + DEADLINE,
            own=plain,
            parts={0: own},
        )
        self.look()

    # --- what the others give ----------------------------------------------------------------------

    def waits(self) -> float:
        if self._moments:
            return POLL * self._many
        return MEET * self._many if len(self._seen) < self._ranks else IDLE

    @property
    def _many(self) -> float:
        """Looking takes as long as there are files to look at, and must take no time to speak of."""
        return max(1.0, self._ranks / 16)

    def end_by(self, until: float) -> None:
        self._until = until

    def look(self) -> None:
        """Answer ranks that have come, and commit moments that are whole or overdue."""
        now = time.monotonic()
        if now - self._met >= (POLL if self._until is not None else MEET * self._many):
            self._meet()
            self._met = now
        for moment in sorted(self._moments.values(), key=lambda one: (one.step, one.split)):
            if now < moment.again:
                continue
            self._gather(moment)
            missing = set(range(self._ranks)) - moment.parts.keys()
            if not missing - self._over - moment.refused.keys() or now >= moment.until:
                self._merge(moment)

    def _meet(self) -> None:
        changed = False
        for told in self._meeting.told():
            if told.nonce not in self._answered:
                try:
                    self._meeting.reply(told, self._answer)
                except OSError:  # it is tried again
                    logger.debug("rank %d could not be answered", told.rank, exc_info=True)
                    continue
                self._answered.add(told.nonce)
                self._over.discard(told.rank)
            changed |= told.rank not in self._seen
            self._seen.add(told.rank)
            if told.state == "recording":
                self._living.add(told.nonce)
            elif told.nonce not in self._living:
                continue  # an earlier training's, started in the same way and ended since
            if told.state != "recording":
                self._over.add(told.rank)
            gaps = [{**gap, "rank": told.rank} for gap in told.gaps]
            changed |= self._their_gaps.get(told.rank, []) != gaps
            self._their_gaps[told.rank] = gaps
        if changed:
            self._store.note(ranks=self._told(), gaps=self._gaps())

    def _told(self) -> dict[str, Any]:
        return {"expected": self._ranks, "seen": sorted(self._seen)}

    def _gather(self, moment: _Moment) -> None:
        """Take up the parts that have come since."""
        for rank in range(1, self._ranks):
            if rank in moment.parts or rank in moment.refused:
                continue
            named = replace(moment.own, part=part_name(rank))
            path = self._store.directory / PARTIAL / named.file_name
            if not path.exists():
                continue
            try:
                with PartialFile(path) as file:
                    about = file.about
                    if (about.run, about.segment) != (self._answer.run, self._answer.segment):
                        continue  # of a training that has made this step before; its own will come
                    self._check(moment, file)
                    about = replace(about, layers=self._layers, groupings=moment.own.groupings)
                    moment.parts[rank] = Part(path, about, file.digest)
            except PartialError as error:
                moment.refused[rank] = str(error)
                logger.warning("rank %d's part of step %d: %s", rank, moment.step, error)

    def _check(self, moment: _Moment, file: PartialFile) -> None:
        """
        Raises:
            PartialError: it is no part of this moment, or damaged.
        """
        about, own = file.about, moment.own
        if (about.expected, about.layers) != (own.expected, own.layers):
            raise PartialError("it is of other layers, or of another number of ranks")
        if about.groupings != own.groupings:
            raise PartialError("it has other groupings or classes")
        with PartialFile(moment.parts[0].path) as first:
            if (file.peaks, file.has_confusion) != (first.peaks, first.has_confusion):
                raise PartialError("it holds other statistics")
        file.verify()

    # --- a moment becomes a snapshot -----------------------------------------------------------------

    def _merge(self, moment: _Moment) -> None:
        """
        Raises:
            OSError, ValueError: as `StoreWriter.commit`; it is tried again later.
        """
        parts = sorted(moment.parts.values(), key=lambda part: part.about.part)
        try:
            twice = forwarded_twice(parts)
            merged = merge_parts(parts)
        except PartialError as error:
            self._give_up(moment, error)
            return
        try:
            self._describe(moment.split, parts, twice)
            entries = entries_with(
                self._entries,
                split=moment.split,
                index=self._store.length(moment.split),
                names=[part.about.part for part in parts],
                expected=self._ranks,
                digest=digest_of(parts),
                twice=twice,
            )
            self._store.note(merged=entries, ranks=self._told())
            try:
                self._store.commit(merged)
            except BaseException:
                self._store.note(merged=self._entries)
                raise
        except Exception as error:
            if disk_fault(error) is None:
                del self._moments[moment.split, moment.step]
            moment.again = time.monotonic() + IDLE
            raise
        self._entries = entries
        del self._moments[moment.split, moment.step]
        if len(parts) == self._ranks:
            if self._store.durable:
                self._remove(parts)
        else:
            self._incomplete = True
            self._say_missing(moment)
        if self._committed is not None and self._store.durable:
            try:
                self._committed(moment.split, moment.step)
            except BaseException:  # sys.exit() in it would end this thread, unseen
                logger.warning("on_commit raised", exc_info=True)

    def _describe(self, name: str, parts: Sequence[Part], twice: int | None) -> None:
        """What the first merged snapshot of a split shows of it."""
        if name in self._described:
            return
        self._described.add(name)
        facts: dict[str, Any] = {"samples": samples_of(parts)} if len(parts) == self._ranks else {}
        if twice is None:
            facts["padding"] = (
                "nobody told samples apart (ids): one that a sampler forwards on two ranks, to "
                "give all as many, counts twice"
            )
        self._store.tell(name, facts)

    def _give_up(self, moment: _Moment, error: Exception) -> None:
        """Its files stay, for `huelapse merge`."""
        del self._moments[moment.split, moment.step]
        reason = f"the ranks' parts were not merged: {error}"
        self._unmerged.append(
            {"step": moment.step, "until": moment.step, "snapshots": 1, "reason": reason}
        )
        self._store.note(gaps=self._gaps())

    def _say_missing(self, moment: _Moment) -> None:
        """Once, what is missing and why it may be."""
        if self._warned:
            return
        self._warned = True
        missing = [rank for rank in range(self._ranks) if rank not in moment.parts]
        unseen = [rank for rank in missing if rank not in self._seen]
        ranks = ", ".join(str(rank) for rank in missing[:8]) + (" …" if len(missing) > 8 else "")
        why = (
            f"is {self._meeting.given} on a disk that all ranks share, and does each make the same "
            f"recorder?"
            if unseen
            else "what comes late is merged when the recording ends, or by `huelapse merge`"
        )
        if moment.refused:
            why = f"{next(iter(moment.refused.values()))}"
        self.notice = (
            f"the snapshot of {moment.split!r} at step {moment.step} lacks rank {ranks} of "
            f"{self._ranks}, and is marked so"
            + (
                f" (and so are others); {len(unseen)} were never seen: {why}"
                if unseen
                else f": {why}"
            )
        )

    def _remove(self, parts: Sequence[Part]) -> None:
        for part in parts:
            with suppress(OSError):
                part.path.unlink(missing_ok=True)

    # --- the end -------------------------------------------------------------------------------------

    def close(self, state: RunState) -> None:
        """Wait for what is missing until the time given by `end_by`, and end the run.

        Raises:
            OSError: as `StoreWriter.close`.
        """
        until = self._until or 0.0
        while self._moments and time.monotonic() < until:
            self.look()
            if self._moments:
                time.sleep(POLL / 2)
        self._meet()
        for moment in list(self._moments.values()):
            self._gather(moment)
            self._merge(moment)
        self._store.note(ranks=self._told(), gaps=self._gaps())
        self._store.close(state)
        self._merge_late()
        self._meeting.end(dict.fromkeys(self._answered, self._answer))

    def _merge_late(self) -> None:
        """Parts of moments that had been committed without them."""
        directory = self._store.directory / PARTIAL
        if not self._incomplete or not any(directory.glob(f"*{SUFFIX}")):
            return
        until = time.monotonic() + LATE
        try:
            for _ in Merging(self._store.directory).steps():
                if time.monotonic() > until:
                    break
        except (HuelapseError, OSError, ValueError):
            logger.warning("late parts were not merged; `huelapse merge` does", exc_info=True)

    def abandon(self) -> None:
        self._store.abandon()
