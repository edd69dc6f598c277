"""Events: when a unit becomes tuned, switches its class, is lost, dies, or comes back.

Found snapshot by snapshot, each once it is sure: what was found does not change when more snapshots
come, and a run that is being recorded is gone on with where the last reading stopped.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

import numpy as np
from jaxtyping import Bool, Int64

from huelapse.measures import MIN_SAMPLES
from huelapse.painting import (
    HELD,
    NO_CLASS,
    NOT_DEFINED,
    SILENT,
    SUPPRESSED,
    TIED,
)
from huelapse.schema import Layer

Kind = Literal["tuned", "switched", "lost", "died", "revived", "half_tuned", "half_lost"]
KINDS: tuple[Kind, ...] = get_args(Kind)

CONFIRMED = 3
"""Snapshots in a row that make a state."""

TUNED_AT, LOST_BELOW = 50, 40
"""Levels of the hysteresis: tuned from 0.50 on, lost below 0.40."""

NONE = -1


@dataclass(frozen=True, slots=True)
class Found:
    """An event, in indices: a unit of the run, or a layer where `unit` is `NONE`.

    `snapshot` is the first of the three that confirm it, of a switch the one from which on the new
    class was first without interruption, surely or not; `confirmed` is the last of the three.
    `before` and `after` are classes, `NONE` where there was none; `level` is the unit's strength there
    (of a switch, when it was confirmed), of a layer its share of tuned units, both in hundredths.
    """

    snapshot: int
    kind: Kind
    unit: int
    layer: int
    before: int
    after: int
    level: int
    confirmed: int
    suppressed: bool = False


EVENT = np.dtype(
    [(one.name, np.bool_ if one.name == "suppressed" else np.int64) for one in fields(Found)]
)
"""An event as it is kept, `kind` as an index into `KINDS`. Were each an object, tens of thousands would
be made and sorted while other threads of Python wait."""

Batch = np.ndarray
"""Events of `EVENT`, along `event`."""


def each(found: Batch) -> Iterator[Found]:
    """One after the other."""
    for snapshot, kind, *rest in found.tolist():
        yield Found(snapshot, KINDS[kind], *rest)


class Finder:
    """Finds events in pictures that are handed over one after the other.

    - A unit's *class* is the one it held at three snapshots in a row. **switched**: another class
      becomes it. The date is where it took the lead; to be sure of it takes longer the slower it is.
    - **tuned**: strength ≥ 0.50, and at the next two ≥ 0.40, for the same class. **lost**: below
      0.40, and at the next two below 0.50.
    - **died**: silent at three snapshots in a row, after it was not. **revived**: the reverse. A unit
      that dies is not also lost.
    - **half_tuned**, **half_lost**: the same for a layer and the share of its units that are tuned,
      at 0.50 and 0.40; only while at least half of the classes have samples.

    Snapshots at which nothing is known of a unit (no data, not finite) confirm and end nothing.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        units = sum(layer.units for layer in layers)
        self.snapshots = 0
        self._layers = tuple(layers)
        self._offsets = np.array([layer.offset for layer in layers], np.int64)
        self._settled = np.full(units, NONE, np.int64)
        self._candidate = np.full(units, NONE, np.int64)
        self._held_for = np.zeros(units, np.int64)
        self._leader = np.full(units, NONE, np.int64)
        self._leads_since = np.zeros(units, np.int64)
        self._tuned = np.zeros(units, bool)
        self._towards = np.zeros(units, np.int64)
        self._tuning_to = np.full(units, NONE, np.int64)
        self._away = np.zeros(units, np.int64)
        self._dead = np.zeros(units, bool)
        self._other_life = np.zeros(units, np.int64)
        self._half = np.zeros(len(layers), bool)
        self._half_for = np.zeros(len(layers), np.int64)
        self._levels: list[np.ndarray] = []
        """Of the snapshots that confirm, the first of them first."""

    def feed(self, picture: Mapping[str, np.ndarray], n: Int64[np.ndarray, " class"]) -> Batch:
        """Look at the next snapshot; the events that it confirms.

        Args:
            picture: `preferred`, `level`, `state`, `flags` of all units, as of `painting.on_wire`.
            n: samples of each class.
        """
        state, level = picture["state"], picture["level"].astype(np.int64)
        suppressed = (picture["flags"] & SUPPRESSED) != 0
        preferred = picture["preferred"].astype(np.int64)
        held = state == HELD
        key = np.where(held & (preferred != NO_CLASS), 2 * preferred + suppressed, NONE)
        known = held | (state == TIED) | (state == SILENT) | (state == NOT_DEFINED)
        silent = state == SILENT

        self._levels = [*self._levels, level][-CONFIRMED:]
        leader = np.where(held | (state == TIED), 2 * preferred + suppressed, NONE)
        self._leads_since = np.where(leader == self._leader, self._leads_since, self.snapshots)
        self._leader = leader
        changed: list[tuple[Kind, np.ndarray, np.ndarray]] = []
        if self.snapshots == 0:
            self._dead = silent.copy()
        else:
            changed += self._lives(silent, known)
        changed += self._tunings(key, level, silent, known)
        changed += self._switches(key)
        self.snapshots += 1
        found = [self._units(*one, key, level) for one in changed]
        return np.concatenate([*found, self._halves(level, known, n)])

    # --- each kind -------------------------------------------------------------------------------

    def _lives(self, silent: np.ndarray, known: np.ndarray) -> Iterator[Any]:
        other = known & (silent != self._dead)
        self._other_life = np.where(other, self._other_life + 1, 0)
        turned = self._other_life >= CONFIRMED
        died, revived = turned & ~self._dead, turned & self._dead
        yield "died", died, np.where(self._tuned, self._settled, NONE)
        yield "revived", revived, np.full(len(silent), NONE)
        self._dead = np.where(turned, ~self._dead, self._dead)
        self._tuned &= ~died
        self._other_life[turned] = 0

    def _tunings(
        self, key: np.ndarray, level: np.ndarray, silent: np.ndarray, known: np.ndarray
    ) -> Iterator[Any]:
        go_on = (self._towards > 0) & (level >= LOST_BELOW) & (key == self._tuning_to)
        start = level >= TUNED_AT
        self._towards = np.where(go_on, self._towards + 1, start.astype(np.int64))
        self._tuning_to = np.where(go_on, self._tuning_to, np.where(start, key, NONE))
        self._towards[self._tuned | ~known] = 0
        tuned = self._towards >= CONFIRMED
        self._towards[tuned] = 0

        go_on = (self._away > 0) & (level < TUNED_AT)
        self._away = np.where(go_on, self._away + 1, (level < LOST_BELOW).astype(np.int64))
        self._away[~self._tuned | ~known | silent] = 0
        lost = self._away >= CONFIRMED
        self._away[lost] = 0

        yield "tuned", tuned, np.full(len(key), NONE)
        yield "lost", lost, self._settled.copy()
        self._tuned = (self._tuned | tuned) & ~lost

    def _switches(self, key: np.ndarray) -> Iterator[Any]:
        same = (key == self._candidate) & (key != NONE)
        self._held_for = np.where(same, self._held_for + 1, (key != NONE).astype(np.int64))
        self._candidate = key.copy()
        enters = (self._held_for >= CONFIRMED) & (key != self._settled)
        yield "switched", enters & (self._settled != NONE), self._settled.copy()
        self._settled = np.where(enters, key, self._settled)

    def _halves(self, level: np.ndarray, known: np.ndarray, n: np.ndarray) -> Batch:
        found: list[tuple[int | bool, ...]] = []
        if 2 * (n >= MIN_SAMPLES).sum() < len(n):
            self._half_for[:] = 0
            return np.array(found, EVENT)
        for i, layer in enumerate(self._layers):
            own = level[layer.slice]
            share = 100 * (own >= TUNED_AT).sum() / max(len(own), 1)
            begins = share < LOST_BELOW if self._half[i] else share >= TUNED_AT
            stays = share < TUNED_AT if self._half[i] else share >= LOST_BELOW
            if not known[layer.slice].any():
                self._half_for[i] = 0
            elif self._half_for[i] > 0 and stays:
                self._half_for[i] += 1
            else:
                self._half_for[i] = int(begins)
            if self._half_for[i] >= CONFIRMED:
                self._half[i] = not self._half[i]
                self._half_for[i] = 0
                kind: Kind = "half_tuned" if self._half[i] else "half_lost"
                at = self.snapshots - CONFIRMED
                then = 100 * (self._levels[0][layer.slice] >= TUNED_AT).mean()
                last = self.snapshots - 1
                told = at, KINDS.index(kind), NONE, i, NONE, NONE, int(then), last, False
                found.append(told)
        return np.array(found, EVENT)

    # --- telling ---------------------------------------------------------------------------------

    def _units(
        self,
        kind: Kind,
        units: Bool[np.ndarray, " unit"],
        before: np.ndarray,
        key: np.ndarray,
        level: np.ndarray,
    ) -> Batch:
        own = np.flatnonzero(units)
        found = np.empty(len(own), EVENT)
        switched, nothing = kind == "switched", np.full(len(own), NONE)
        after = key[own] if kind in ("tuned", "switched") else nothing
        found["snapshot"] = self._leads_since[own] if switched else self.snapshots - CONFIRMED
        found["kind"] = KINDS.index(kind)
        found["unit"] = own
        found["layer"] = np.searchsorted(self._offsets, own, "right") - 1
        found["before"] = np.where(before[own] != NONE, before[own] // 2, NONE)
        found["after"] = np.where(after != NONE, after // 2, NONE)
        found["level"] = (level if switched else self._levels[0])[own]
        found["confirmed"] = self.snapshots - 1
        found["suppressed"] = (after != NONE) & (after % 2 == 1)
        return found
