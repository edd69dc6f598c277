"""Which superclass each class belongs to, as a user says it and as a run keeps it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from numbers import Integral
from typing import Any

from huelapse.errors import HierarchyError
from huelapse.hierarchy import Hierarchy

Superclasses = Mapping[str, str] | Sequence[str] | Sequence[int]
"""Class → its superclass, and superclass → what that belongs to, if anything; or the superclass of each
class in order of index, by name or by a number from 0."""

ATTRIBUTE = "superclasses"
"""Of a run's root: class or superclass → what it belongs to."""

SHOWN = 60
"""Letters of a name that an error tells."""


def check_superclasses(given: Any, classes: Sequence[str]) -> dict[str, str]:
    """Class or superclass → what it belongs to, classes first and in order of index.

    Every class has an entry: one that stands alone belongs to itself.

    Args:
        given: `Superclasses`, as the user says it. Numbers name them "superclass 0", "superclass 1", ….
        classes: names in order of index.

    Raises:
        HierarchyError: a class is missing or unknown, something is no name, or what is given does not
            put the classes into fewer groups, and at least two.
    """
    named: Any = given
    told = _by_name(named) if isinstance(named, Mapping) else _in_order(named, classes)
    own, known = set(classes), dict.fromkeys(classes)
    for name in classes:
        above = told.get(name)
        while above is not None and above not in known:
            known[above] = None
            above = told.get(above)
    unknown = [name for name in told if name not in known]
    if unknown:
        near = get_close_matches(unknown[0], classes, 1)
        meant = f"; did you mean {near[0]!r}?" if near else ""
        raise HierarchyError(
            f"superclasses name {unknown[0][:SHOWN]!r}, which is none of the {len(classes)} classes, "
            f"nor a superclass of one{meant}"
        )
    missing = [name for name in classes if name not in told]
    if missing:
        raise HierarchyError(
            f"superclasses leave out {len(missing)} of {len(classes)} classes, such as "
            f"{missing[0][:SHOWN]!r}: give each its superclass, and one that stands alone its own name"
        )
    for name, parent in told.items():
        if parent in own and parent != name:
            raise HierarchyError(
                f"{name[:SHOWN]!r} is to belong to {parent[:SHOWN]!r}, which is a class itself: call "
                f"the superclass by another name"
            )
    Hierarchy.from_parents(classes, parents_of(told))
    ordered = [*classes, *(name for name in told if name not in own)]
    return {name: told[name] for name in ordered}


def parents_of(told: Mapping[str, str]) -> dict[str, str]:
    """The same without those that stand alone, as `Hierarchy.from_parents` takes it."""
    return {name: parent for name, parent in told.items() if parent != name}


def parents_for(classes: Sequence[str], told: Mapping[str, str]) -> dict[str, str]:
    """`parents_of` what a run keeps, where it is of just these classes; else nothing."""
    above = {parent for name, parent in told.items() if parent != name}
    return parents_of(told) if set(classes) == told.keys() - above else {}


def _by_name(given: Mapping[Any, Any]) -> dict[str, str]:
    for name, parent in given.items():
        for one, what in ((name, "the class"), (parent, f"what {str(name)[:SHOWN]!r} belongs to")):
            if not isinstance(one, str) or not one.strip():
                raise HierarchyError(
                    f"superclasses: {what} is {str(one)[:SHOWN]!r} ({type(one).__name__}), expected a "
                    f"name: class → superclass"
                )
    return {str(name): str(parent) for name, parent in given.items()}


def _in_order(given: Any, classes: Sequence[str]) -> dict[str, str]:
    if hasattr(given, "tolist"):
        given = given.tolist()
    if isinstance(given, str | bytes | set | frozenset) or not isinstance(given, Sequence):
        raise HierarchyError(
            f"superclasses is {type(given).__name__}, expected a dict of class → superclass, or a list "
            f"with the superclass of each class, in order of index"
        )
    listed: list[Any] = list(given)  # pyright: ignore[reportUnknownArgumentType]
    k = len(classes)
    if len(listed) != k:
        raise HierarchyError(
            f"superclasses has {len(listed)} entries, expected {k}: one for each class, in order of "
            f"index"
        )
    if not any(isinstance(one, Integral) for one in listed):
        return _by_name(dict(zip(classes, listed, strict=True)))
    for name, one in zip(classes, listed, strict=True):
        whole = isinstance(one, Integral) and one is not True and one is not False
        if not whole or not 0 <= int(one) < k - 1:
            raise HierarchyError(
                f"superclasses: that of {name[:SHOWN]!r} is {str(one)[:SHOWN]}, expected a number from "
                f"0 to {k - 2} for each of {k} classes (there are fewer superclasses than classes), or "
                f"a name for each"
            )
    return {name: f"superclass {int(one)}" for name, one in zip(classes, listed, strict=True)}
