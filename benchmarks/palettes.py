"""How far apart the colors of classes are: docs/decisions/0011-hues-for-any-number-of-classes.md.

`python benchmarks/palettes.py [--json FILE] [--quick]`. CIEDE2000 of the baked sRGB bytes; color-blind
eyes by Machado et al. 2009 at severity 1 (`huelapse.palette.seeing`, tested against coloraide).
"""

import time

import numpy as np
from harness import Numbers, main

from huelapse.palette import Palette, by_similarity, by_superclass, palette
from huelapse.palette.seeing import VISIONS, apart, difference, seen, steps

THEMES = ("dark", "light")
AT = {"full": 100, "half": 50}
CLASSES = (2, 3, 5, 10, 20, 100, 1000)
ALIKE = 2.0
"""CIEDE2000 below which two cells side by side look alike."""

INSTEAD = {
    2: "hue names the class",
    3: "hue names the class",
    5: "hue names the class",
    10: "hue names the class",
    20: "most eyes tell neighbours apart side by side, but by no name: hover and inspector name it",
    100: "hue tells a neighbourhood: superclasses or similarity place it, up to 8 pins name classes",
    1000: "hue tells a superclass alone: hover and inspector name the class, pins pick out 8",
}


def least(colors: np.ndarray, vision: str) -> float:
    """Of the distances between any two of [class, 3] colors."""
    unique = np.unique(colors, axis=0)
    return 0.0 if len(unique) < len(colors) else float(apart(unique, vision).min())


def alike(colors: np.ndarray) -> np.ndarray:
    """[class] how many other classes look like this one."""
    unique, of, counts = np.unique(colors, axis=0, return_inverse=True, return_counts=True)
    near = apart(unique) < ALIKE
    np.fill_diagonal(near, True)
    return (near @ counts - 1)[of.ravel()]


def of_table(table: np.ndarray) -> Numbers:
    """Numbers of one palette on one theme, [class, level, 4]."""
    found: Numbers = {}
    for strength, level in AT.items():
        for vision in VISIONS:
            found[f"{strength}_{vision}"] = least(table[:, level, :3], vision)
    found["steps"] = min(steps(ramp) for ramp in np.unique(table, axis=0))
    others = alike(table[:, -1, :3])
    found["alike_classes"] = int(np.count_nonzero(others))
    found["most_alike"] = int(others.max())
    return found


def show(name: str, sizes: tuple[int, ...]) -> Numbers:
    """Prints the table of a palette, and gives its numbers."""
    numbers: Numbers = {}
    eyes = " ".join(f"{vision:>6}" for vision in VISIONS)
    print(f"\n{name}: least CIEDE2000 between any two classes")
    print(f"{'':>11}| full  {eyes} | half  {eyes} | steps | alike | most alike")
    for classes in sizes:
        for theme in THEMES:
            found = of_table(palette(classes, name=name).table(theme))
            numbers |= {f"{name}_k{classes}_{theme}_{what}": v for what, v in found.items()}
            rows = (
                " ".join(f"{found[f'{strength}_{vision}']:6.1f}" for vision in VISIONS)
                for strength in AT
            )
            print(
                f"{classes:>5} {theme:<5}|       {' |       '.join(rows)} | {found['steps']:>5} "
                f"| {found['alike_classes']:>5} | {found['most_alike']:>5}"
            )
        print(f"{'':>11}  {INSTEAD[classes]}")
    return numbers


def pinned() -> Numbers:
    """Eight pinned classes of a hundred: from one another and from the grey of all others."""
    numbers: Numbers = {}
    names = [str(k) for k in range(100)]
    colors = palette(names, pinned=names[:8])
    for theme in THEMES:
        table = colors.table(theme)[:, -1, :3]
        for vision in ("normal", "deutan", "protan"):
            numbers[f"pins_{theme}_{vision}"] = least(table[:8], vision)
            from_grey = difference(seen(table[:8], vision), seen(table[8], vision))
            numbers[f"pins_from_grey_{theme}_{vision}"] = float(from_grey.min())
        numbers[f"grey_steps_{theme}"] = steps(colors.table(theme)[8])
    return numbers


def hierarchy(classes: int, superclasses: int) -> Numbers:
    """Places by superclass: of each superclass's middle hue from the next, and of how many classes the
    nearest middle hue is their own."""
    of = np.arange(classes) * superclasses // classes
    colors: Palette = palette(classes, places=by_superclass(of.tolist()))
    numbers: Numbers = {}
    for theme in THEMES:
        lab = seen(colors.table(theme)[:, -1, :3])
        middle = np.stack([lab[of == k].mean(0) for k in range(superclasses)])
        between = difference(middle[:, None], middle[None])
        np.fill_diagonal(between, np.inf)
        own = difference(lab[:, None], middle[None]).argmin(1) == of
        name = f"hierarchy_k{classes}_of{superclasses}_{theme}"
        numbers |= {f"{name}_between": float(between.min()), f"{name}_own": float(own.mean())}
    return numbers


def similarity(classes: int) -> Numbers:
    """Similarities of shuffled groups of ten with noise: the time an order takes, and the share of
    neighbours around the wheel that are of one group (the most there can be: 0.9)."""
    random = np.random.default_rng(0)
    of = random.permutation(np.arange(classes) // 10)
    noise = random.uniform(0, 0.5, (classes, classes))
    alike_ = (of[:, None] == of) + (noise + noise.T) / 2
    started = time.perf_counter()
    around = of[np.argsort(by_similarity(alike_))]
    seconds = time.perf_counter() - started
    together = float((around == np.roll(around, -1)).mean())
    return {
        f"similarity_k{classes}_seconds": seconds,
        f"similarity_k{classes}_together": together,
    }


def measure(quick: bool) -> Numbers:
    numbers = show("standard", CLASSES) | show("tritan", CLASSES[:4])
    numbers |= pinned() | hierarchy(100, 20) | hierarchy(1000, 10) | similarity(100)
    return numbers if quick else numbers | similarity(1000)


if __name__ == "__main__":
    main(__doc__ or "", measure)
