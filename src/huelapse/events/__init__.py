"""What happened to units, and when: `Run.events`, `huelapse events`."""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from huelapse.events.expected import false_switches, false_tunings
from huelapse.events.finding import EVENT, KINDS, NONE, Batch, Finder, Found, Kind, each
from huelapse.measures import DEFAULT
from huelapse.painting import CHUNK, PICTURE, Painter
from huelapse.schema import TRUE

__all__ = ["KINDS", "NONE", "Event", "Events", "Finder", "Found", "Kind", "Log", "each"]


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a unit, or to a layer where `unit` is None.

    `step` and `snapshot` are the first at which it was so; `confirmed` is the step from which on it was
    sure, the last of three snapshots. `before` and `after` are names of classes; `strength` is the
    unit's there (of a switch: when it was confirmed, since at first it may not be sure), of a layer the
    share of its units that are tuned.
    """

    step: int
    snapshot: int
    kind: Kind
    layer: str
    unit: int | None
    before: str | None
    after: str | None
    strength: float
    suppressed: bool
    confirmed: int

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Events(Sequence[Event]):
    """Events in order of time, and how many of them noise alone would give at most.

    `expected_false` is told for "switched" and, of the margin, for "tuned": if no unit preferred any
    class, and each snapshot had fresh noise. The others follow from what came before.
    """

    events: tuple[Event, ...]
    expected_false: dict[str, float]
    snapshots: int

    def __len__(self) -> int:
        return len(self.events)

    def __getitem__(self, index: Any) -> Any:
        return self.events[index]

    def as_json(self) -> dict[str, Any]:
        return {
            "snapshots": self.snapshots,
            "expected_false": self.expected_false,
            "events": [event.as_json() for event in self.events],
        }


class Log:
    """The events of one split, grouping and measure of a run, gone on with as it grows."""

    def __init__(
        self, painter: Painter, split: str, grouping: str, measure: str, before: "Log | None" = None
    ) -> None:
        """
        Args:
            before: the log of an earlier state of the run; what it has read is not read again, unless
                its snapshots are no longer those of the run.
        """
        self._run, self._split, self._grouping = painter.run, split, grouping
        self._measure = measure
        self._identity = self._run.identity(split, slice(None))
        total = len(self._run.coordinate("step", split))
        self._finder, self.found = Finder(self._run.layers), np.empty(0, EVENT)
        """Events, in order of time; of one snapshot by layer and unit."""
        self._n: list[np.ndarray] = []
        if before is not None and before._is_start_of(self):
            self._finder = deepcopy(before._finder)  # the earlier state may still be asked
            self.found, self._n = before.found, list(before._n)
        new: list[Batch] = []
        for chunk in range(self._finder.snapshots // CHUNK, painter.chunks(split)):
            painted = painter.chunk(split, grouping, measure, chunk)
            start = chunk * CHUNK
            for t in range(max(start, self._finder.snapshots), min(start + CHUNK, total)):
                picture = {name: painted[name][t - start] for name in PICTURE}
                new.append(self._finder.feed(picture, painted["n"][t - start].astype(np.int64)))
                self._n.append(painted["n"][t - start])
        found = np.concatenate([self.found, *new])
        order = np.lexsort([found[name] for name in ("unit", "layer", "snapshot")])
        self.found = found[order]

    def _is_start_of(self, later: "Log") -> bool:
        same = (self._split, self._grouping, self._measure, self._run.layers) == (
            later._split,
            later._grouping,
            later._measure,
            later._run.layers,
        )
        mine, theirs = self._identity, later._identity
        return (
            same
            and mine[0] == theirs[0]
            and all(list(a) == list(b[: len(a)]) for a, b in zip(mine[1:], theirs[1:], strict=True))
        )

    def events(self) -> Events:
        run = self._run
        steps = run.coordinate("step", self._split)
        classes = run.grouping(self._grouping, self._split).classes
        layers = run.layers
        return Events(
            tuple(
                Event(
                    step=int(steps[e.snapshot]),
                    snapshot=e.snapshot,
                    kind=e.kind,
                    layer=layers[e.layer].path,
                    unit=None if e.unit == NONE else e.unit - layers[e.layer].offset,
                    before=None if e.before == NONE else classes[e.before],
                    after=None if e.after == NONE else classes[e.after],
                    strength=e.level / 100,
                    suppressed=e.suppressed,
                    confirmed=int(steps[e.confirmed]),
                )
                for e in each(self.found)
            ),
            self.expected_false(),
            len(self._n),
        )

    def expected_false(self) -> dict[str, float]:
        """Of each kind for which it can be said, how many noise alone would give at most."""
        expected = {"switched": false_switches(len(self._n), self._run.units)}
        if self._measure == DEFAULT and self._n:
            expected["tuned"] = false_tunings(np.array(self._n, np.int64), self._run.units)
        return expected


def events_of(
    painter: Painter, split: str | None = None, grouping: str = TRUE, measure: str = DEFAULT
) -> Events:
    """All events of a run so far."""
    return Log(painter, painter.run.split(split).name, grouping, measure).events()
