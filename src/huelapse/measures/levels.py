"""What a unit is tuned to at every level of a hierarchy, and the finest level that holds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float64, Int64

from huelapse.hierarchy import Hierarchy
from huelapse.measures.judged import Selectivity
from huelapse.measures.named import DEFAULT, MEASURES, Measure
from huelapse.measures.preferring import HELD, NO_CLASS, Preference
from huelapse.measures.reading import Reading, read_by
from huelapse.moments import Moments


@dataclass(frozen=True, slots=True)
class Leveled:
    """Readings of all levels, the classes' own first, and what holds of each unit.

    `level` is the finest at which the unit's preference is held (0: a class), `NO_CLASS` where none
    is; `group` its preferred class or group there, and `strength` its strength there, else 0 (NaN
    where nothing is known).
    """

    readings: tuple[Reading, ...]
    level: Int64[np.ndarray, " unit"]
    group: Int64[np.ndarray, " unit"]
    strength: Float64[np.ndarray, " unit"]

    def as_one(self, sizes: tuple[int, ...]) -> Reading:
        """One reading: of each unit, that at the finest level that holds.

        Where none holds it is that at the finest level with data, and not held. Classes are counted
        through the levels: the classes themselves, then the groups of each further level.

        Args:
            sizes: how many classes or groups each level has.
        """
        has = np.stack([~own.preference.no_data for own in self.readings])
        holds = self.level != NO_CLASS
        at = np.where(holds, self.level, has.argmax(0))
        units = np.arange(len(at))
        first = np.concatenate([[0], np.cumsum(sizes)[:-1]])[at]

        def pick(of: Callable[[Reading], np.ndarray]) -> np.ndarray:
            return np.stack([of(own) for own in self.readings])[at, units]

        def numbered(classes: np.ndarray) -> np.ndarray:
            return np.where(classes == NO_CLASS, NO_CLASS, classes + first)

        finest = self.readings[0]
        return replace(
            finest,  # silent, not finite, always on: the same at each
            preference=Preference(
                preferred=numbered(pick(lambda own: own.preference.preferred)),
                runner_up=numbered(pick(lambda own: own.preference.runner_up)),
                sure=pick(lambda own: own.preference.sure),
                held=holds,
                suppressed=holds & pick(lambda own: own.preference.suppressed),
                no_data=pick(lambda own: own.preference.no_data),
            ),
            selectivity=Selectivity(
                value=pick(lambda own: own.selectivity.value),
                bound=pick(lambda own: own.selectivity.bound),
            ),
            strength=np.where(holds, self.strength, pick(lambda own: 0 * own.strength)),
            not_defined=finest.not_defined & ~holds,
            unreliable=holds & pick(lambda own: own.unreliable),
        )


def read_levels(
    moments: Moments,
    hierarchy: Hierarchy,
    *,
    signed: Bool[np.ndarray, " unit"],
    measure: Measure = MEASURES[DEFAULT],
) -> Leveled:
    """The reading at every level; at K = 1,000 a "dog" unit is a dog unit, not an arbitrary breed.

    A group's moments are those of its classes' samples together (Chan, Golub and LeVeque 1979), so
    large classes weigh more in it, and its spread holds how much its classes differ. Since a unit is
    looked at once per level, it counts as held only where the doubt at a level is at most
    (1 − 0.975) / levels (Bonferroni); below that the reading of the level itself tells it as tied.
    """
    return read_levels_by(moments, hierarchy, signed=signed, measures=[measure])[0]


def read_levels_by(
    moments: Moments,
    hierarchy: Hierarchy,
    *,
    signed: Bool[np.ndarray, " unit"],
    measures: Sequence[Measure],
) -> list[Leveled]:
    """The same by several measures: what they share is computed once."""
    by_level = [moments, *(grouped(moments, own.group) for own in hierarchy.levels)]
    readings = [read_by(own, signed=signed, measures=measures) for own in by_level]
    return [_finest(own, signed) for own in zip(*readings, strict=True)]


def _finest(readings: tuple[Reading, ...], signed: Bool[np.ndarray, " unit"]) -> Leveled:
    """What holds of each unit, by its readings at all levels."""
    doubt = (1 - HELD) / len(readings)
    both_ways = np.where(signed, 2.0, 1.0)  # as `HELD_BOTH_WAYS`
    units = len(signed)
    level = np.full(units, NO_CLASS, np.int64)
    group = np.full(units, NO_CLASS, np.int64)
    known = ~(readings[0].preference.no_data | readings[0].not_finite | readings[0].not_defined)
    strength = np.where(known, 0.0, np.nan)
    for j in reversed(range(len(readings))):
        preference = readings[j].preference
        sure = np.nan_to_num(preference.sure, nan=0.0)
        holds = preference.held & (1 - sure <= doubt / both_ways) & ~readings[j].not_defined
        holds &= ~readings[0].silent  # a group's mean may be off by a rounding error
        level = np.where(holds, j, level)
        group = np.where(holds, preference.preferred, group)
        strength = np.where(holds, readings[j].strength, strength)
    return Leveled(readings=readings, level=level, group=group, strength=strength)


def grouped(moments: Moments, group: Int64[np.ndarray, " class"]) -> Moments:
    """Moments of groups of classes: [class, unit] becomes [group, unit]."""
    groups = int(group.max()) + 1
    n = moments.n.astype(np.float64)

    def total(values: np.ndarray) -> np.ndarray:
        out = np.zeros((groups, *values.shape[1:]), values.dtype)
        np.add.at(out, group, values)
        return out

    n_group = total(n)
    # from a common point close by, so that large offsets cost no digits
    some = np.where(n > 0, moments.mean, 0.0)
    centre = np.divide((n * some).sum(0), n.sum(0), out=np.zeros(n.shape[1]), where=n.sum(0) > 0)
    away = np.where(n > 0, moments.mean - centre, 0.0)
    mean = np.divide(total(n * away), n_group, out=np.zeros_like(n_group), where=n_group > 0)
    m2 = total(moments.m2 + n * (away - mean[group]) ** 2)
    return Moments(
        count=total(moments.count),
        mean=np.where(n_group > 0, mean + centre, 0.0),
        m2=m2,
        active=total(moments.active),
        nonfinite=total(moments.nonfinite),
    )
