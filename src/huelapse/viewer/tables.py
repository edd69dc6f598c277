"""Colors as the page reads them: tables by class and level, and what it is told of groupings."""

from typing import Any

import numpy as np

from huelapse.palette import NAMED, Palette, grey, own_colors, palette, pins
from huelapse.run import Run
from huelapse.schema import TRUE, Grouping, Split
from huelapse.viewer.apart import places_of
from huelapse.viewer.leveled import MARK, Belongings, likeness

Arrays = dict[str, np.ndarray]


def palettes(run: Run, belongings: Belongings) -> Arrays:
    """One palette per number of classes, and those of groupings that have colors of their own; of
    more than ten classes also what pins are made of; of superclasses theirs. See docs/wire.md."""
    found: Arrays = {}

    def send(colors: Palette, name: str) -> None:
        found[f"dark{name}"], found[f"light{name}"] = colors.dark, colors.light

    for split in run.splits:
        for grouping in split.groupings:
            classes = grouping.classes
            at = f"/{split.name}/{grouping.name}"
            usual, own = palette(len(classes)), belongings.palette(classes)
            bare = belongings.palette(classes, pinned=False)
            send(usual, f".{len(classes)}")
            if not np.array_equal(own.dark, usual.dark):
                send(own, at)
            if not np.array_equal(own.dark, bare.dark):
                send(bare, f".unpinned{at}")
            choice = belongings.choice(classes)
            if len(classes) > NAMED:
                colored = tuple(_colored(grouping, belongings).values())
                send(pins(choice.palette, colored), f".pins{at if colored else ''}")
                send(grey(), ".grey")
            if classes in belongings.by_classes:
                for j, level in enumerate(belongings.groups(classes), 1):
                    send(level, f"{at}{MARK}{j}")
    return found


def has_alike(run: Run, split: Split) -> bool:
    """Whether a split's classes are so many that their confusion needs an order."""
    own = next((g for g in split.groupings if g.name == TRUE), None)
    snapshots = len(run.coordinate("step", split.name))
    return own is not None and len(own.classes) > NAMED and snapshots > 0


def alike(run: Run, split: str) -> Arrays:
    """`order` [class]: the true classes, those side by side that are alike at the last snapshot."""
    run.grouping(TRUE, split)
    return {"order": places_of(likeness(run, split)).argsort().astype(np.uint32)}


def told(grouping: Grouping, belongings: Belongings) -> dict[str, Any]:
    """What the manifest says of a grouping's superclasses, pins and own colors; what is not, is left
    out."""
    said: dict[str, Any] = {}
    classes = grouping.classes
    choice = belongings.choice(classes)
    if len(classes) > NAMED:
        pinned = [classes.index(name) for name in choice.pinned if name in classes]
        if pinned:
            said["pinned"] = pinned
            said["rest"] = choice.rest
        colored = list(_colored(grouping, belongings))
        if colored:
            said["colored"] = colored
    belonging = belongings.by_classes.get(classes)
    if belonging is not None:
        said["superclasses"] = {
            "found": belonging.found,
            "levels": [
                {"names": list(own.names), "group": own.group.tolist()}
                for own in belonging.hierarchy.levels
            ],
        }
    return said


def _colored(grouping: Grouping, belongings: Belongings) -> dict[int, bytes]:
    own = belongings.choice(grouping.classes).colors
    return own_colors(
        grouping.classes, {name: own[name] for name in own if name in grouping.classes}
    )
