"""Which table a grouping's classes get: a shipped palette, the user's colors, pins, the wheel."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations

import numpy as np
from jaxtyping import Float64, Int64

from huelapse.errors import PaletteError
from huelapse.palette.places import even
from huelapse.palette.ramps import Theme, neutral, oklch, parsed, ramps
from huelapse.palette.seeing import EYES, difference, seen
from huelapse.palette.tables import Palette, farthest, ten, wheel

NAMES = tuple(EYES)
"""Palettes of ten hues: one for most eyes, also those that lack red or green cones; one for those
that lack blue cones."""

NAMED = 10
"""Hue is a name for so many classes; among more it is a neighbourhood."""

PINS = 8

RESTS = ("grey", "wheel")

GREY: dict[Theme, tuple[float, float, float]] = {
    "dark": (0.55, 0.006, 265.0),
    "light": (0.585, 0.004, 265.0),
}
"""OKLCH at level 100 of classes beside those that are pinned: strength is still seen, no hue is."""

UNLIKE_NEUTRAL = 15.0
"""Least CIEDE2000 between a user's color and either theme's neutral: three steps of strength."""

_THEMES: tuple[Theme, Theme] = ("dark", "light")


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
            hues of the ten-class palette, farthest apart; up to ten they keep theirs.
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
    own = {_index(c, names): _color(c, color) for c, color in (colors or {}).items()}
    pins = [_index(c, names) for c in pinned]
    _check_pins(pins, rest)
    few = len(names) <= NAMED
    found = _of_few(len(names), name, own) if few else _of_many(len(names), places)
    if pins and rest == "grey":
        grey = np.setdiff1d(np.arange(len(names)), [*pins, *own])
        found = _replaced(found, grey, _grey())
    if not few:
        hued = np.array([k for k in pins if k not in own], np.int64)
        taken = _farthest_from(name, len(hued), tuple(own.values()))
        found = _replaced(found, hued, ten(name).of(taken))
    if own:
        found = _replaced(found, np.array(list(own)), _of_colors(b"".join(own.values())))
    return found


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

    The subset with the greatest least CIEDE2000, over both themes and the palette's eyes, each by its
    weight. All subsets are tried, 252 at most. `taken` are red, green and blue of each color.
    """
    if not taken or count == 0:
        return farthest(name, count)
    own = np.frombuffer(b"".join(taken), np.uint8).reshape(-1, 3)
    among, beside = np.full((10, 10), np.inf), np.full(10, np.inf)
    for theme in _THEMES:
        hues = ten(name).table(theme)[:, -1, :3]
        for vision, weight in EYES[name].items():
            ours, theirs = seen(hues, vision), seen(own, vision)
            among = np.minimum(among, weight * difference(ours[:, None], ours[None]))
            to_own = difference(ours[:, None], theirs[None]).min(1)
            beside = np.minimum(beside, weight * to_own)
    subsets = list(combinations(range(10), count))

    def least(subset: tuple[int, ...]) -> float:
        pairs = (among[i, j] for i, j in combinations(subset, 2))
        return min([*pairs, *(beside[i] for i in subset)])

    return np.array(max(subsets, key=least), np.int64)


@lru_cache(maxsize=8)
def _of_colors(colors: bytes) -> Palette:
    """Of red, green and blue of each, one after another."""
    full = oklch(np.frombuffer(colors, np.uint8).reshape(-1, 3))
    return Palette(dark=ramps(full, "dark"), light=ramps(full, "light"))


def _grey() -> Palette:
    """One class, [1, level, 4]: without hue, lighter (dark page) or darker with strength."""
    dark, light = (ramps(np.array([GREY[theme]]), theme) for theme in _THEMES)
    return Palette(dark=dark, light=light)


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


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:12]) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _color(name: str, color: str) -> bytes:
    """Red, green and blue. Raises PaletteError: no color, or too near to a neutral."""
    rgb = parsed(color)
    for theme in _THEMES:
        if difference(seen(rgb), seen(neutral(theme))) < UNLIKE_NEUTRAL:
            raise PaletteError(
                f"the color {color} of {name!r} can hardly be told from the neutral of units without "
                f"a class on the {theme} page; choose one that is brighter, darker or more colorful"
            )
    return rgb.tobytes()


def _check_pins(pins: Sequence[int], rest: str) -> None:
    if len(set(pins)) < len(pins):
        raise PaletteError("a class is pinned twice; name each once")
    if len(pins) > PINS:
        raise PaletteError(
            f"{len(pins)} classes are pinned, at most {PINS} can be: more hues are not told apart"
        )
    if rest not in RESTS:
        raise PaletteError(f"classes that are not pinned can't be {rest!r}: {' or '.join(RESTS)}")
