"""Superclasses: which classes belong together, level by level, given or found.

Level 0 are the classes themselves; each further level puts all of them into fewer, wider groups. A
class that stands alone at a level is a group by itself.
"""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import HierarchyError

Nested = Mapping[str, Any] | Sequence[str]
"""Superclass → what it holds: classes, or superclasses again."""

MOST_DEEP = 64
"""Superclasses above one another; WordNet has some twenty."""


@dataclass(frozen=True, slots=True)
class Level:
    """A partition of the classes: `group` of each class, and the groups' names."""

    names: tuple[str, ...]
    group: Int64[np.ndarray, " class"]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """Levels of superclasses above `classes`, from the finest to the widest.

    Every level has fewer groups than the one below and at least two; each of its groups is made of
    whole groups of the one below.
    """

    classes: tuple[str, ...]
    levels: tuple[Level, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """How many classes there are, and groups at each further level."""
        return len(self.classes), *(len(own.names) for own in self.levels)

    def at_most(self, levels: int) -> "Hierarchy":
        """The same with so many levels at most.

        Of more those stay whose numbers of groups are nearest to equal steps, as factors, from the
        number of classes down to 1: each level that is looked at makes a unit harder to hold.
        """
        if len(self.levels) <= levels:
            return self
        sizes = np.log([len(own.names) for own in self.levels])
        wanted = np.log(len(self.classes)) * np.arange(levels, 0, -1) / (levels + 1)
        kept = sorted({int(np.abs(sizes - size).argmin()) for size in wanted})
        return Hierarchy(classes=self.classes, levels=tuple(self.levels[j] for j in kept))

    def ordered(self, classes: Sequence[str]) -> "Hierarchy":
        """The same with its classes in another order."""
        order = np.array([self.classes.index(name) for name in classes], np.int64)
        levels = tuple(Level(names=own.names, group=own.group[order]) for own in self.levels)
        return Hierarchy(classes=tuple(classes), levels=levels)

    @classmethod
    def from_parents(cls, classes: Sequence[str], parents: Mapping[str, str]) -> "Hierarchy":
        """From each class's and superclass's parent; what has none is a root.

        Level j puts a class into its j-th ancestor, or the last one it has.

        Raises:
            HierarchyError: a class is its own ancestor, or no two classes share a superclass.
        """
        chains = [_ancestors(name, parents) for name in classes]
        while all(len(chain) > 1 for chain in chains) and len({c[-1] for c in chains}) == 1:
            chains = [chain[:-1] for chain in chains]  # what holds everything tells nothing apart
        deepest = max((len(chain) for chain in chains), default=1)
        return cls._of(
            classes,
            [[chain[min(j, len(chain) - 1)] for chain in chains] for j in range(1, deepest)],
        )

    @classmethod
    def from_nested(cls, classes: Sequence[str], nested: Nested) -> "Hierarchy":
        """From superclasses that hold classes: {"animal": {"pet": ["cat", "dog"]}, "car": []}.

        Raises:
            HierarchyError: as `from_parents`; or a class stands in two places.
        """
        parents: dict[str, str] = {}
        for child, parent in _pairs(nested, None):
            if parents.get(child, parent) != parent:
                raise HierarchyError(
                    f"{child!r} stands in {parents[child]!r} and in {parent!r}; it can be in one only"
                )
            parents[child] = parent
        return cls.from_parents(classes, parents)

    @classmethod
    def from_file(cls, classes: Sequence[str], path: str | Path) -> "Hierarchy":
        """From lines "parent child", as of WordNet's is-a relation; "#" begins a remark.

        Names with spaces are parted by a tab. Where a child has several parents, the first counts.

        Raises:
            HierarchyError: a line has not two names, or none of the classes is named.
        """
        parents = parents_in(path)
        if not any(name in parents for name in classes):
            raise HierarchyError(
                f"{path} names none of the {len(classes)} classes, such as {classes[0]!r}; "
                f"its children must be named as the classes are"
            )
        return cls.from_parents(classes, parents)

    @classmethod
    def from_similarity(
        cls,
        classes: Sequence[str],
        similarity: Float64[np.ndarray, "class class"],
        groups: Iterable[int] | None = None,
    ) -> "Hierarchy":
        """Found: average linkage of 1 − similarity, cut where so many groups remain.

        Args:
            similarity: symmetric, the greater the more alike, such as the correlation of confusions.
            groups: of each level; default: about √K, and half of that, if at least two remain.

        Raises:
            HierarchyError: it is not square, symmetric and finite.
        """
        from scipy.cluster.hierarchy import fcluster, linkage
        from scipy.spatial.distance import squareform

        given = np.asarray(similarity, np.float64)
        k = len(classes)
        if given.shape != (k, k) or not np.isfinite(given).all() or not np.allclose(given, given.T):
            raise HierarchyError(
                f"similarity has shape {given.shape}, expected a finite, symmetric ({k}, {k})"
            )
        if groups is None:
            root = round(k**0.5)
            groups = (root, root // 2)
        distance = given.max() - given
        np.fill_diagonal(distance, 0.0)
        tree = linkage(squareform(distance, checks=False), "average")
        levels: list[list[Hashable]] = []
        for number in sorted({g for g in groups if 2 <= g < k}, reverse=True):
            found = fcluster(tree, number, "maxclust")
            named = {g: _named([c for c, own in zip(classes, found, strict=True) if own == g])
                     for g in set(found.tolist())}  # fmt: skip
            levels.append([named[g] for g in found.tolist()])
        return cls._of(classes, levels)

    @classmethod
    def _of(cls, classes: Sequence[str], levels: Sequence[Sequence[Hashable]]) -> "Hierarchy":
        made: list[Level] = []
        below = len(classes)
        for level in levels:
            names = tuple(dict.fromkeys(str(name) for name in level))
            if len(names) < 2 or len(names) >= below:  # says nothing, or nothing new
                continue
            place = {name: g for g, name in enumerate(names)}
            group = np.array([place[str(name)] for name in level], np.int64)
            made.append(Level(names=names, group=group))
            below = len(names)
        if not made:
            raise HierarchyError(
                f"of {len(classes)} classes no two share a superclass that others do not: there is "
                f"no level between the classes and all of them together"
            )
        return cls(classes=tuple(classes), levels=tuple(made))


def parents_in(path: str | Path) -> dict[str, str]:
    """Child → parent, from lines "parent child", as of WordNet's is-a relation; "#" begins a remark.

    Names with spaces are parted by a tab. Where a child has several parents, the first counts.

    Raises:
        HierarchyError: a line has not two names, or the file is no text.
        OSError: it cannot be read.
    """
    parents: dict[str, str] = {}
    try:
        lines = Path(path).read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise HierarchyError(f"{path} is not text in UTF-8: {error}") from error
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        names = [part.strip() for part in text.split("\t")] if "\t" in text else text.split()
        if len(names) != 2 or not all(names):
            raise HierarchyError(
                f"{path}, line {number} is {text[:60]!r}, expected two names: parent child, "
                f"parted by a tab if they hold spaces"
            )
        parents.setdefault(names[1], names[0])
    return parents


def _ancestors(name: str, parents: Mapping[str, str]) -> list[str]:
    chain = [name]
    while chain[-1] in parents:
        parent = parents[chain[-1]]
        if len(chain) > MOST_DEEP:
            raise HierarchyError(
                f"{name!r} stands in more than {MOST_DEEP} superclasses above one another"
            )
        if parent in chain:
            raise HierarchyError(
                f"{parent!r} is its own ancestor: {' in '.join([*chain, parent])}; "
                f"superclasses must form a tree"
            )
        chain.append(parent)
    return chain


def _pairs(nested: Any, above: str | None) -> Iterable[tuple[str, str]]:
    if isinstance(nested, Mapping):
        for name, inner in nested.items():
            if above is not None:
                yield str(name), above
            yield from _pairs(inner, str(name))
    elif isinstance(nested, str):
        if above is not None:
            yield nested, above
    elif isinstance(nested, Iterable):
        for inner in nested:
            yield from _pairs(inner, above)
    else:
        raise HierarchyError(
            f"found {nested!r} among the superclasses, expected names, lists of names or dicts"
        )


def _named(members: Sequence[str]) -> str:
    """A found group is called after its members."""
    return members[0] if len(members) == 1 else f"{members[0]} … {members[-1]} ({len(members)})"
