"""What is said of each unit: its class, how strongly, how surely, and in which state it is."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.errors import MeasureError
from huelapse.measures.intervals import enough
from huelapse.measures.judged import Judged, Selectivity
from huelapse.measures.named import DEFAULT, MEASURES, Measure
from huelapse.measures.preferring import (
    HELD_BOTH_WAYS,
    NO_CLASS,
    Contest,
    Preference,
    held_from,
)
from huelapse.measures.spread import Spread
from huelapse.moments import Moments
from huelapse.palette import level

TUNED = 0.5
"""Strength from which a held unit is called tuned."""

AT_ONCE = 2**16
"""Numbers (classes × units) that are looked at together: what a processor keeps at hand. Were they
fewer, a step would look at a handful of units of many classes, and take longer to begin than to do."""


class State(IntEnum):
    """What can be said of a unit, in order of precedence from below. Values are for Python only.

    Suppressed units are tuned or unselective ones with `Preference.suppressed`; always on is a flag.
    """

    TUNED = 0
    UNSELECTIVE = 1
    TIED = 2
    SILENT = 3
    NO_DATA = 4
    NOT_FINITE = 5
    NOT_RECORDED = 6
    NOT_DEFINED = 7
    """By this measure: below silent in precedence, last so that the others keep their values."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything the colors of one snapshot follow from: arrays over units.

    Where nothing is known (no data, not finite) classes are `NO_CLASS` and numbers NaN. Where the
    measure is not defined, its numbers are NaN and the preference is what it is.
    """

    preference: Preference
    selectivity: Selectivity
    strength: Float64[np.ndarray, " unit"]
    silent: Bool[np.ndarray, " unit"]
    not_finite: Bool[np.ndarray, " unit"]
    not_defined: Bool[np.ndarray, " unit"]
    always_on: Bool[np.ndarray, " unit"]
    active_samples: Int64[np.ndarray, " unit"]
    unreliable: Bool[np.ndarray, " unit"]
    """Held, but the preferred class's mean is not `reliable`."""

    def state(self, threshold: float = TUNED) -> Int64[np.ndarray, " unit"]:
        """`State` of each unit; tuned means held and strength ≥ `threshold`.

        Compared by level, so that what is called tuned and what is colored as tuned never differ.
        """
        preference = self.preference
        enough = level(self.strength) >= 100 * threshold - 1e-9
        state = np.where(enough, State.TUNED, State.UNSELECTIVE)
        state = np.where(preference.held, state, State.TIED)
        state = np.where(self.not_defined, State.NOT_DEFINED, state)
        state = np.where(self.silent, State.SILENT, state)
        state = np.where(preference.no_data, State.NO_DATA, state)
        return np.where(self.not_finite, State.NOT_FINITE, state).astype(np.int64)


def read(
    moments: Moments,
    *,
    signed: Bool[np.ndarray, " unit"],
    measure: Measure = MEASURES[DEFAULT],
) -> Reading:
    """The preference, measure and strength of every unit.

    Args:
        moments: of one snapshot and grouping.
        signed: which units may respond below 0; those are tested for suppression too (K ≥ 3).

    Raises:
        MeasureError: a measure that was registered returned something else than a number per unit.
    """
    return read_by(moments, signed=signed, measures=[measure])[0]


def read_by(
    moments: Moments,
    *,
    signed: Bool[np.ndarray, " unit"],
    measures: Sequence[Measure],
    held_alone: bool = False,
) -> list[Reading]:
    """The same by several measures: what they share is computed once.

    Args:
        held_alone: `Preference.sure` is not needed: it is NaN, and the rest takes far less time.
    """
    parts: list[list[Reading]] = []
    for own in blocks_of(*moments.mean.shape):
        units = _Units(moments.of(own), signed[own], held_alone)
        parts.append([units.read(measure) for measure in measures])
    by_measure = list(zip(*parts, strict=True))
    return [own[0] if len(own) == 1 else _joined(own) for own in by_measure]


def blocks_of(classes: int, units: int) -> list[slice]:
    """Ranges of units that are looked at together: `AT_ONCE` numbers at most, where a unit has not
    more. They are as wide as each other, to within a unit: of a single one numpy adds up the classes in
    another order, and the sum may differ in its last digit."""
    number = max(1, -(-units * classes // AT_ONCE))
    ends = np.linspace(0, units, min(number, max(units, 1)) + 1).astype(int).tolist()
    return [slice(start, end) for start, end in pairwise(ends)]


def _joined(parts: Sequence[Any]) -> Any:
    """One record of arrays from those of consecutive units."""
    joined = {
        field.name: [getattr(part, field.name) for part in parts] for field in fields(parts[0])
    }
    return type(parts[0])(
        **{
            name: np.concatenate(values) if isinstance(values[0], np.ndarray) else _joined(values)
            for name, values in joined.items()
        }
    )


class _Units:
    """Some units, and what of their reading does not depend on the measure."""

    def __init__(self, moments: Moments, signed: np.ndarray, held_alone: bool) -> None:
        self.moments, self.signed = moments, signed
        self.spread = Spread(moments)
        contest, classes = Contest(self.spread), len(moments.mean)
        self.upward = contest.preference(
            moments.mean, held_from(signed, classes), held_alone=held_alone
        )
        self.downward: Preference | None = None
        """For signed units: the class with the lowest mean against the second lowest."""
        if signed.any() and classes >= 3:
            both = np.full(len(signed), HELD_BOTH_WAYS)
            self.downward = contest.preference(-moments.mean, both, held_alone=held_alone)
        n, responded = self.spread.n.sum(0), moments.active.sum(0)
        self.not_finite = _overflown(moments)
        if not self.spread.finite:
            self.not_finite |= moments.nonfinite.any(0)
        self.active_samples = responded
        self.always_on = (responded == n) & (n > 0)

    def read(self, measure: Measure) -> Reading:
        not_defined = self.signed if measure.non_negative else np.zeros_like(self.signed)
        preference = self.upward
        if not_defined.all():
            nothing = np.full(len(self.signed), np.nan)
            selectivity, strength = Selectivity(nothing, nothing), np.zeros(len(self.signed))
        else:
            selectivity = _measured(measure, Judged(self.spread, preference))
            strength = _strength(preference, selectivity)
        if self.downward is not None and not measure.non_negative:
            preference, selectivity, strength = _with_suppression(
                self, self.downward, measure, preference, selectivity, strength
            )
        unknown = self.not_finite | preference.no_data
        unmeasured = unknown | not_defined
        held = preference.held & ~unknown
        of_p = preference.preferred, np.arange(len(self.signed))
        n = np.broadcast_to(self.spread.n, self.moments.mean.shape)
        trusted = enough(self.moments.active[of_p], n[of_p], self.signed)
        return Reading(
            preference=replace(
                preference,
                preferred=np.where(unknown, NO_CLASS, preference.preferred),
                runner_up=np.where(unknown, NO_CLASS, preference.runner_up),
                sure=np.where(unknown, np.nan, preference.sure),
                held=held,
                suppressed=preference.suppressed & ~unknown,
            ),
            selectivity=Selectivity(
                value=np.where(unmeasured, np.nan, selectivity.value),
                bound=np.where(unmeasured, np.nan, selectivity.bound),
            ),
            strength=np.where(unmeasured, np.nan, strength),
            silent=self.spread.same,
            not_finite=self.not_finite,
            not_defined=not_defined & ~unknown,
            always_on=self.always_on,
            active_samples=self.active_samples,
            unreliable=held & ~trusted,
        )


def _overflown(moments: Moments) -> Bool[np.ndarray, " unit"]:
    """Units with a sum that overflowed on its way to disk: no better than an infinite response."""
    with np.errstate(over="ignore", invalid="ignore"):
        sums = moments.mean + moments.m2
        # what is finite in sum is finite in all its terms
        found = ~np.isfinite(sums.sum(0))
        if found.any():
            found[found] = ~np.isfinite(sums[:, found]).all(0)
    return found


def _measured(measure: Measure, units: Judged) -> Selectivity:
    """The measure, missing where the unit has no data."""
    found = measure.compute(units)
    if measure.own:
        found = _checked(measure, found, len(units.p))
    missing = (units.p == NO_CLASS) | ~np.isfinite(units.preferred.mean)
    return Selectivity(
        value=np.where(missing, np.nan, found.value), bound=np.where(missing, np.nan, found.bound)
    )


def _checked(measure: Measure, found: Any, units: int) -> Selectivity:
    try:
        value, bound = np.asarray(found.value, np.float64), np.asarray(found.bound, np.float64)
    except (AttributeError, TypeError, ValueError) as error:
        raise MeasureError(
            f"measure {measure.name!r} returned {type(found).__name__}, expected a Selectivity of two "
            f"arrays of numbers"
        ) from error
    if value.shape != (units,) or bound.shape != (units,):
        raise MeasureError(
            f"measure {measure.name!r} returned value {value.shape} and bound {bound.shape}, expected "
            f"({units},) each: a number per unit"
        )
    return Selectivity(value, bound)


def _strength(preference: Preference, selectivity: Selectivity) -> np.ndarray:
    bound = np.clip(np.nan_to_num(selectivity.bound, nan=0.0), 0.0, 1.0)
    return np.where(preference.held, bound, 0.0)


def _with_suppression(
    units: _Units,
    mirrored: Preference,
    measure: Measure,
    preference: Preference,
    selectivity: Selectivity,
    strength: np.ndarray,
) -> tuple[Preference, Selectivity, np.ndarray]:
    """For signed units: the class with the lowest mean against the second lowest, if it says more."""
    low = _measured(measure, Judged(units.spread, mirrored, sign=-1.0))
    low_strength = _strength(mirrored, low)
    take = units.signed & mirrored.held & (~preference.held | (low_strength > strength))
    return (
        Preference(
            preferred=np.where(take, mirrored.preferred, preference.preferred),
            runner_up=np.where(take, mirrored.runner_up, preference.runner_up),
            sure=np.where(take, mirrored.sure, preference.sure),
            held=np.where(take, mirrored.held, preference.held),
            suppressed=take,
            no_data=preference.no_data,
        ),
        Selectivity(
            value=np.where(take, low.value, selectivity.value),
            bound=np.where(take, low.bound, selectivity.bound),
        ),
        np.where(take, low_strength, strength),
    )
