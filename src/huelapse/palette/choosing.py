"""Which table a grouping's classes get: a shipped palette, the user's colors, pins, the wheel."""

from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import PaletteError
from huelapse.palette.pins import PINS, THEMES, Distances, grey, pins
from huelapse.palette.places import even
from huelapse.palette.ramps import neutral, oklch, parsed, ramps
from huelapse.palette.seeing import EYES, difference, seen
from huelapse.palette.tables import Palette, farthest, ten, wheel

NAMES = tuple(EYES)
"""Palettes of ten hues: one for most eyes, also those that lack red or green cones; one for those
that lack blue cones."""

NAMED = 10
"""Hue is a name for so many classes; among more it is a neighbourhood."""

RESTS = ("grey", "wheel")

UNLIKE_NEUTRAL = 15.0
"""Least CIEDE2000 between a user's color and either theme's neutral: three steps of strength."""


def palette(
    classes: int | Sequence[str],
    *,
    name: str = "standard",
    colors: Mapping[str, str] | None = None,
    pinned: Sequence[str] = (),
    rest: str = "grey",
    places: Float64[np.ndarray, " class"] | None = None,
) -> Palette:
    """The colors of classes, by level of strength.

    Up to ten classes take hues of a ten-class palette, those that are farthest apart. More take
    places on a wheel of 120 hues, where a hue is a neighbourhood and not a name.

    Args:
        classes: their names in order of index, or how many there are ("0" … "K-1").
        name: which ten-class palette: `standard` or `tritan`.
        colors: the user's own, by class name, as #rrggbb: the color at level 100 in both themes.
            Up to ten classes, the others take the hues that are farthest from these and from one
            another.
        pinned: up to eight classes whose hue is to be a name again. Among more than ten they take
            hues of the ten-class palette, the i-th of them that of the i-th pin, so that one more
            leaves those before as they are; up to ten they keep theirs.
        rest: what classes that are neither pinned nor colored are where some are pinned: `grey`,
            lighter or darker with strength, or `wheel`, as if none were pinned.
        places: [class] of more than ten: where each stands on the wheel, as a share of the turn
            (`by_superclass`, `by_similarity`); by default in order of index.

    Raises:
        PaletteError: no such palette, class or color; too many pins; places that are none.
    """
    names = [str(k) for k in range(classes)] if isinstance(classes, int) else list(classes)
    if name not in NAMES:
        raise PaletteError(f"no palette {name!r}; there are {' and '.join(NAMES)}")
    own = own_colors(names, colors or {})
    pinned_ = [_index(c, names) for c in pinned]
    _check_pins(pinned_, rest)
    few = len(names) <= NAMED
    found = _of_few(len(names), name, own) if few else _of_many(len(names), places)
    if pinned_ and rest == "grey":
        others = np.setdiff1d(np.arange(len(names)), [*pinned_, *own])
        found = _replaced(found, others, grey())
    if not few:
        rows = np.array([i for i, k in enumerate(pinned_) if k not in own], np.int64)
        hued = np.array(pinned_, np.int64)[rows]
        found = _replaced(found, hued, pins(name, tuple(own.values())).of(rows))
    if own:
        found = _replaced(found, np.array(list(own)), _of_colors(b"".join(own.values())))
    return found


def of_groups(
    own: Palette,
    members: Sequence[Int64[np.ndarray, " _"]],
    places: Float64[np.ndarray, " class"] | None,
) -> Palette:
    """The colors of superclasses, beside those of their classes.

    Where the classes stand on the wheel (more than ten) a superclass stands in the middle of its
    own: where the mean of their directions points. Up to ten classes, whose hues are names, each
    superclass takes in turn the hue of the wheel that is farthest, to the nearest of all others, from
    those of the classes and of the superclasses before.

    Args:
        own: of the classes.
        members: the classes of each superclass.
        places: of the classes on the wheel, where they are more than ten.
    """
    hues = wheel()
    if len(own.dark) > NAMED:
        turn = even(len(own.dark)) if places is None else places
        directions = np.exp(2j * np.pi * turn)
        middles = [float(np.angle(directions[k].mean()) / (2 * np.pi)) % 1 for k in members]
        at = np.floor(np.array(middles) * len(hues.dark) + 1e-9).astype(np.int64) % len(hues.dark)
        return hues.of(at)
    nearest = np.full(len(hues.dark), np.inf)
    for theme in THEMES:
        ours, theirs = (seen(p.table(theme)[:, -1, :3]) for p in (hues, own))
        nearest = np.minimum(nearest, difference(ours[:, None], theirs[None]).min(1))
    chosen: list[int] = []
    for _ in members:
        chosen.append(int(nearest.argmax()))
        for theme in THEMES:
            ours = seen(hues.table(theme)[:, -1, :3])
            nearest = np.minimum(nearest, difference(ours, ours[chosen[-1]]))
    return hues.of(np.array(chosen, np.int64))


def _of_few(classes: int, name: str, own: Mapping[int, bytes]) -> Palette:
    """Up to ten classes on hues of a ten-class palette; those of the user's own get any."""
    chosen = np.zeros(classes, np.int64)
    left = np.setdiff1d(np.arange(classes), list(own))
    chosen[left] = _farthest_from(name, len(left), tuple(own.values()))
    return ten(name).of(chosen)


def _of_many(classes: int, places: Float64[np.ndarray, " class"] | None) -> Palette:
    """More than ten classes on the wheel: of 120 hues, number ⌊120 · place⌋."""
    placed = even(classes) if places is None else np.asarray(places, np.float64)
    if placed.shape != (classes,) or not ((placed >= 0) & (placed < 1)).all():
        raise PaletteError(
            f"places on the wheel have shape {placed.shape} and values outside 0 … 1, or none; "
            f"expected one for each of {classes} classes, from 0 to below 1"
        )
    hues = wheel()
    # k/K · 120 may fall short of a whole number by a rounding error
    return hues.of(np.floor(placed * len(hues.dark) + 1e-9).astype(np.int64) % len(hues.dark))


@lru_cache
def _farthest_from(name: str, count: int, taken: tuple[bytes, ...]) -> Int64[np.ndarray, " count"]:
    """Which `count` of ten hues are farthest from one another and from colors that are taken.

    `taken` are red, green and blue of each color.
    """
    if not taken or count == 0:
        return farthest(name, count)
    return np.array(Distances(name, taken).farthest(count), np.int64)


@lru_cache(maxsize=8)
def _of_colors(colors: bytes) -> Palette:
    """Of red, green and blue of each, one after another."""
    full = oklch(np.frombuffer(colors, np.uint8).reshape(-1, 3))
    return Palette(dark=ramps(full, "dark"), light=ramps(full, "light"))


def _replaced(all_: Palette, classes: np.ndarray, by: Palette) -> Palette:
    """The same with other rows for [chosen] classes, which are each their own, or one for all."""
    dark, light_ = all_.dark.copy(), all_.light.copy()
    dark[classes], light_[classes] = by.dark, by.light
    return Palette(dark=dark, light=light_)


def _index(name: str, names: Sequence[str]) -> int:
    """Which class has this name. Raises PaletteError: none has."""
    if name not in names:
        raise PaletteError(f"no class {name[:60]!r} to color; the classes are {_listed(names)}")
    return names.index(name)


def own_colors(names: Sequence[str], colors: Mapping[str, str]) -> dict[int, bytes]:
    """Red, green and blue of the classes that have a color of the user's own, by their index.

    Raises:
        PaletteError: there is no such class, or the color cannot be.
    """
    return {_index(c, names): _color(c, color) for c, color in colors.items()}


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _color(name: str, color: str) -> bytes:
    """Red, green and blue. Raises PaletteError: no color, or too near to a neutral."""
    rgb = parsed(color)
    for theme in THEMES:
        if difference(seen(rgb), seen(neutral(theme))) < UNLIKE_NEUTRAL:
            raise PaletteError(
                f"the color {color} of {name!r} can hardly be told from the neutral of units without "
                f"a class on the {theme} page; choose one that is brighter, darker or more colorful"
            )
    return rgb.tobytes()


def _check_pins(given: Sequence[int], rest: str) -> None:
    if len(set(given)) < len(given):
        raise PaletteError("a class is pinned twice; name each once")
    if len(given) > PINS:
        raise PaletteError(
            f"{len(given)} classes are pinned, at most {PINS} can be: more hues are not told apart"
        )
    if rest not in RESTS:
        raise PaletteError(f"classes that are not pinned can't be {rest!r}: {' or '.join(RESTS)}")
