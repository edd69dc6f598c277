"""Groupings by superclass, and by the finest level that holds, beside those that a run recorded.

They are made of what is stored: a superclass's statistics are those of its classes' samples together
(`measures.grouped`). Everything that reads a run reads them as it reads any grouping.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64

from huelapse.errors import HierarchyError, HuelapseError, SelectionError
from huelapse.hierarchy import Hierarchy
from huelapse.measures import Measure, Reading, grouped, read_levels_by
from huelapse.moments import Moments
from huelapse.palette import NAMED, Choice, Palette, by_superclass, chosen, of_groups
from huelapse.run import Run
from huelapse.schema import TRUE, Grouping
from huelapse.store.cache import digest

logger = logging.getLogger(__name__)

MARK = "~"
"""Between a grouping's name and its level: no grouping of a run has it in its name."""
FINEST = "finest"
MOST_LEVELS = 3
"""Of superclasses that are looked at: the more, the surer a unit must be to hold at any."""


@dataclass(frozen=True, slots=True)
class Belonging:
    """What the classes of a grouping belong to."""

    hierarchy: Hierarchy
    found: bool
    """By similarity, rather than told."""

    @property
    def rule(self) -> str:
        levels = [[list(own.names), own.group.tolist()] for own in self.hierarchy.levels]
        return digest("levels", list(self.hierarchy.classes), levels)

    @property
    def places(self) -> Float64[np.ndarray, " class"] | None:
        """Of more than ten classes on the wheel: those of a group side by side, at every level."""
        levels = self.hierarchy.levels
        if len(self.hierarchy.classes) <= NAMED:
            return None
        first = [own.group for own in levels]  # np.lexsort: the last key decides first
        order = np.lexsort((np.arange(len(self.hierarchy.classes)), *first))
        places = np.empty(len(order))
        places[order] = by_superclass([int(levels[-1].group[k]) for k in order])
        return places


class LeveledRun(Run):
    """A run that also has, of each grouping whose classes have superclasses, one by each level of them
    (`true~1` the finest superclasses, `true~2` wider ones) and one by the finest level that holds
    (`true~finest`), whose classes are the classes followed by the groups of all levels."""

    def __init__(self, run: Run, belonging: Mapping[tuple[str, ...], Belonging]) -> None:
        super().__init__(run._reader)
        self.belonging = belonging
        """By the classes of a grouping."""

    def of(self, grouping: str, split: str | None = None) -> Belonging | None:
        """What a recorded grouping's classes belong to, if anything is known of it."""
        return self.belonging.get(super().grouping(grouping, split).classes)

    def _level(self, name: str, split: str | None) -> tuple[str, Belonging, int] | None:
        """Recorded grouping, superclasses and level of a derived one; the finest is level 0."""
        base, mark, told = name.partition(MARK)
        if not mark:
            return None
        belonging = self.of(base, split)
        levels = len(belonging.hierarchy.levels) if belonging else 0
        level = {FINEST: 0, **{str(j + 1): j + 1 for j in range(levels)}}.get(told)
        if belonging is None or level is None:
            raise SelectionError(
                f"{self.place} has no grouping {name!r}: {base!r} has no such level"
            )
        return base, belonging, level

    def grouping(self, name: str = TRUE, split: str | None = None) -> Grouping:
        at = self._level(name, split)
        if at is None:
            return super().grouping(name, split)
        _, belonging, level = at
        levels = belonging.hierarchy.levels
        groups = tuple(group for own in levels for group in own.names)
        classes = levels[level - 1].names if level else (*belonging.hierarchy.classes, *groups)
        return Grouping(name=name, classes=classes)

    def rule(self, grouping: str, split: str) -> tuple[str, ...]:
        at = self._level(grouping, split)
        return super().rule(grouping, split) if at is None else (at[1].rule,)

    def made_of(self, grouping: str, split: str | None) -> tuple[str, Callable[[Moments], Moments]]:
        at = self._level(grouping, split)
        if at is None:
            return super().made_of(grouping, split)
        base, belonging, level = at
        return base, lambda moments: _leveled(moments, belonging, level)

    def judged_by(
        self,
        moments: Moments,
        grouping: str,
        split: str,
        *,
        signed: Bool[np.ndarray, " unit"],
        measures: Sequence[Measure],
        held_alone: bool = False,
    ) -> list[Reading]:
        at = self._level(grouping, split)
        if at is None or at[2]:
            return super().judged_by(
                moments, grouping, split, signed=signed, measures=measures, held_alone=held_alone
            )
        hierarchy = at[1].hierarchy
        own = _classes(moments, slice(len(hierarchy.classes)))
        found = read_levels_by(own, hierarchy, signed=signed, measures=measures)
        return [one.as_one(hierarchy.sizes) for one in found]


def _leveled(moments: Moments, belonging: Belonging, level: int) -> Moments:
    """Statistics of a level's groups; of the finest (0) those of the classes, then of all groups."""
    levels = belonging.hierarchy.levels
    if level:
        return grouped(moments, levels[level - 1].group)
    parts = [moments, *(grouped(moments, own.group) for own in levels)]
    return Moments(
        count=np.concatenate([part.count for part in parts]),
        mean=np.concatenate([part.mean for part in parts]),
        m2=np.concatenate([part.m2 for part in parts]),
        active=np.concatenate([part.active for part in parts]),
        nonfinite=np.concatenate([part.nonfinite for part in parts]),
    )


def _classes(moments: Moments, rows: slice) -> Moments:
    return Moments(
        count=moments.count[rows],
        mean=moments.mean[rows],
        m2=moments.m2[rows],
        active=moments.active[rows],
        nonfinite=moments.nonfinite[rows],
    )


def own_classes(run: Run, moments: Moments, grouping: str, split: str) -> Moments:
    """Of a grouping by the finest level those of the classes alone; else all."""
    base, mark, level = grouping.partition(MARK)
    if not mark or level != FINEST:
        return moments
    return _classes(moments, slice(len(run.grouping(base, split).classes)))


class Belongings:
    """What the classes of a run's groupings belong to, and the colors that follow from it.

    It is settled once, and stays as the run grows: also what is found by similarity.
    """

    def __init__(self, run: Run, colors: Choice | None) -> None:
        self._run, self._colors = run, colors
        self._facts: dict[str, Any] | None = run.facts["facts"]
        self._recorded = run.superclasses

    @property
    def settled(self) -> bool:
        """Whether nothing is left to be found in a later state of the run."""
        return bool(self.by_classes) or not (self._colors and self._colors.found)

    def choice(self, classes: tuple[str, ...]) -> Choice:
        """What is said of the colors of a grouping with these classes."""
        return chosen(classes, self._facts, self._colors, self._recorded)

    def palette(self, classes: tuple[str, ...], *, pinned: bool = True) -> Palette:
        """Of a recorded grouping's classes.

        Args:
            pinned: with the pins of the choice.
        """
        choice = self.choice(classes)
        if not pinned:
            choice = Choice(
                palette=choice.palette,
                colors=choice.colors,
                superclasses=choice.superclasses,
                taxonomy=choice.taxonomy,
            )
        belonging = self.by_classes.get(classes)
        return choice.of(classes, belonging.places if belonging else None)

    def groups(self, classes: tuple[str, ...]) -> list[Palette]:
        """Of the groups at each level."""
        belonging = self.by_classes[classes]
        members = [
            np.flatnonzero(own.group == g)
            for own in belonging.hierarchy.levels
            for g in range(len(own.names))
        ]
        every = of_groups(self.palette(classes, pinned=False), members, belonging.places)
        ends = np.cumsum(belonging.hierarchy.sizes[1:])
        return [every.of(np.arange(end - size, end))
                for size, end in zip(belonging.hierarchy.sizes[1:], ends, strict=True)]  # fmt: skip

    @cached_property
    def by_classes(self) -> dict[tuple[str, ...], Belonging]:
        """By the classes of a grouping, of those of which anything is known."""
        found: dict[tuple[str, ...], Belonging] = {}
        for split in self._run.splits:
            for grouping in split.groupings:
                if grouping.classes not in found:
                    one = self._told(grouping.classes) or self._similar(split.name, grouping)
                    if one is not None:
                        found[grouping.classes] = one
        return found

    def _told(self, classes: tuple[str, ...]) -> Belonging | None:
        parents = self.choice(classes).parents
        if not any(name in parents for name in classes):
            return None
        try:
            hierarchy = Hierarchy.from_parents(classes, parents).at_most(MOST_LEVELS)
        except HierarchyError as error:
            logger.warning("the superclasses are not used: %s", error)
            return None
        return Belonging(hierarchy, found=False)

    def _similar(self, split: str, grouping: Grouping) -> Belonging | None:
        if not self.choice(grouping.classes).found or grouping.name != TRUE:
            return None
        try:
            alike = likeness(self._run, split)
            hierarchy = Hierarchy.from_similarity(grouping.classes, alike)
        except HuelapseError as error:
            logger.warning("no superclasses are found: %s", error)
            return None
        return Belonging(hierarchy, found=True)


def likeness(run: Run, split: str) -> Float64[np.ndarray, "class class"]:
    """How alike classes are to the network: the correlation of their mean responses over the units of
    the last hidden layer at the last snapshot, each unit's means standardized over classes.

    A class without samples is like none: 0.

    Raises:
        SelectionError: the run has no snapshot of the split.
    """
    hidden = [layer for layer in run.layers if not layer.output]
    layer = (hidden or list(run.layers))[-1]
    index = len(run.coordinate("step", split)) - 1
    if index < 0:
        raise SelectionError(f"{run.place} has no snapshot of split {split!r}")
    moments = run.moments(index, TRUE, split, layer.slice)
    known = (moments.n > 0) & np.isfinite(moments.mean)
    mean = np.where(known, moments.mean, np.nan)
    mean = mean[:, ~np.isnan(mean[known.any(1)]).any(0)]
    there = known.any(1)
    spread = mean[there].std(0)
    mean = (mean[:, spread > 0] - mean[there][:, spread > 0].mean(0)) / spread[spread > 0]
    length = np.sqrt((mean**2).sum(1, keepdims=True))
    alike = np.divide(mean, length, out=np.zeros_like(mean), where=length > 0)
    alike = np.nan_to_num(alike)
    return np.clip(alike @ alike.T, -1, 1)
