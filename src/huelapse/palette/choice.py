"""What a user wants of the colors of a whole run, by class name, and what a grouping gets of it."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from huelapse.errors import PaletteError
from huelapse.palette.choosing import palette
from huelapse.palette.places import by_superclass
from huelapse.palette.tables import Palette
from huelapse.superclasses import parents_for

logger = logging.getLogger(__name__)

FACT = "palette"
"""Where the facts of a run hold a choice, if they do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Colors of a run's classes. Every part may be left out; it is the same for all groupings.

    As JSON: `{"palette": "tritan", "colors": {"cat": "#aa3300"}, "pinned": ["dog"],
    "rest": "wheel", "superclasses": {"cat": "animal", "dog": "animal"}}`.
    """

    palette: str = "standard"
    colors: Mapping[str, str] = field(default_factory=dict[str, str])
    pinned: tuple[str, ...] = ()
    rest: str = "grey"
    superclasses: Mapping[str, str] = field(default_factory=dict[str, str])
    """Class → the superclass it belongs to, and superclass → that above it; a grouping with more than
    ten classes of which any stands here is placed on the wheel by them, a class without one on its
    own."""
    taxonomy: Mapping[str, str] = field(default_factory=dict[str, str])
    """The same of a whole taxonomy, which may name more than a run has; `superclasses` go before."""
    found: bool = False
    """Whether superclasses are to be found by similarity for groupings of which none are given."""

    def __post_init__(self) -> None:
        """Raises PaletteError: what is wrong whatever the classes are."""
        named = list(dict.fromkeys([*self.colors, *self.pinned]))
        palette(named, name=self.palette, colors=self.colors, pinned=self.pinned, rest=self.rest)

    @classmethod
    def from_json(cls, fields: Any) -> "Choice":
        """
        Raises:
            PaletteError: it is not such an object, or holds what cannot be.
        """
        kinds: dict[str, Callable[[str, Any], Any]] = {
            "palette": _text,
            "colors": _texts,
            "pinned": _names,
            "rest": _text,
            "superclasses": _texts,
        }
        if not isinstance(fields, Mapping):
            raise PaletteError(f"colors are {type(fields).__name__}, expected a JSON object")
        given: dict[str, Any] = {str(name): value for name, value in fields.items()}
        unknown = [name for name in given if name not in kinds]
        if unknown:
            raise PaletteError(
                f"colors have no {unknown[0][:60]!r}; they may have {', '.join(kinds)}, as in "
                f'{{"colors": {{"cat": "#aa3300"}}}}'
            )
        return cls(**{name: kinds[name](name, value) for name, value in given.items()})

    @classmethod
    def read(cls, file: Path) -> "Choice":
        """
        Raises:
            PaletteError: the file is not JSON, or not of a choice.
            OSError: it cannot be read.
        """
        try:
            fields = json.loads(file.read_bytes())
        except ValueError as error:  # also of bytes that are no text
            raise PaletteError(f"{file} is not JSON: {error}") from error
        return cls.from_json(fields)

    @property
    def parents(self) -> dict[str, str]:
        """Class or superclass → that above it."""
        return {**self.taxonomy, **self.superclasses}

    def places(self, classes: Sequence[str]) -> Float64[np.ndarray, " class"] | None:
        """Where classes stand on the wheel, if anything is said of what they belong to."""
        parents = self.parents
        if not any(c in parents for c in classes):
            return None
        alone = [("of", parents[c]) if c in parents else ("", c) for c in classes]
        numbers = {of: k for k, of in enumerate(dict.fromkeys(alone))}
        return by_superclass([numbers[of] for of in alone])

    def of(
        self, classes: Sequence[str], places: Float64[np.ndarray, " class"] | None = None
    ) -> Palette:
        """The palette of a grouping with these classes; what is said of others is left out.

        Args:
            places: of the classes on the wheel; default: by what they belong to.
        """
        there = set(classes)
        return palette(
            classes,
            name=self.palette,
            colors={c: color for c, color in self.colors.items() if c in there},
            pinned=[c for c in self.pinned if c in there],
            rest=self.rest,
            places=self.places(classes) if places is None else places,
        )

    def check(self, groupings: Sequence[Sequence[str]]) -> None:
        """
        Raises:
            PaletteError: it names a class that none of a run's groupings has.
        """
        classes = {c for own in groupings for c in own}
        if classes and self.taxonomy and not classes & self.taxonomy.keys():
            theirs, ours = next(iter(self.taxonomy)), next(c for own in groupings for c in own)
            raise PaletteError(
                f"the superclasses name none of the run's classes, such as {ours[:60]!r}; they name "
                f"{theirs[:60]!r} and others: name the children as the classes are named"
            )
        known = {c for classes in groupings for c in classes} | set(self.superclasses.values())
        for name in (*self.colors, *self.pinned, *self.superclasses):
            if name not in known:
                near = get_close_matches(name, known, 1)
                meant = f"; did you mean {near[0]!r}?" if near else ""
                raise PaletteError(f"no class of the run is named {name[:60]!r}{meant}")


def palette_for(
    classes: Sequence[str],
    facts: Mapping[str, Any] | None,
    choice: Choice | None = None,
    recorded: Mapping[str, str] | None = None,
) -> Palette:
    """The colors of a grouping's classes: as chosen now, else as the run's facts say, else standard.

    Facts that cannot be are logged and passed over: a run is shown whatever its colors were to be.
    """
    return chosen(classes, facts, choice, recorded).of(classes)


def chosen(
    classes: Sequence[str],
    facts: Mapping[str, Any] | None,
    choice: Choice | None = None,
    recorded: Mapping[str, str] | None = None,
) -> Choice:
    """What is said of the colors of a grouping's classes, as `palette_for` uses it.

    Args:
        classes: of the grouping.
        facts: of the run.
        choice: what is wanted now.
        recorded: superclasses that the run was recorded with (`Run.superclasses`); they count where
            neither of the others says any for these classes, nor that they are to be found.
    """
    own = _said(classes, facts, choice)
    if own.found or any(name in own.parents for name in classes):
        return own
    return replace(own, superclasses={**parents_for(classes, recorded or {}), **own.superclasses})


def _said(classes: Sequence[str], facts: Mapping[str, Any] | None, choice: Choice | None) -> Choice:
    if choice is None and facts and facts.get(FACT) is not None:
        try:
            told = Choice.from_json(facts[FACT])
            told.of(classes)
        except PaletteError as error:
            logger.warning("the run's own colors are not used: %s", error)
        else:
            return told
    return choice or Choice()


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise PaletteError(f"{name!r} is {type(value).__name__}, expected text")
    return value


def _texts(name: str, value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise PaletteError(f"{name!r} is {type(value).__name__}, expected class names with texts")
    return {str(key): _text(f"{name} of {key}", text) for key, text in value.items()}


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise PaletteError(f"{name!r} is {type(value).__name__}, expected a list of class names")
    return tuple(_text(name, one) for one in value)
