"""From the pictures of snapshots to the colors of cells, and marks for what has no color."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from huelapse import painting
from huelapse.painting import (
    CHUNK,
    HELD,
    NO_CLASS,
    NOT_DEFINED,
    PICTURE,
    SILENT,
    TIED,
    Painter,
)
from huelapse.palette import Choice, Palette, palette_for
from huelapse.plot.style import Style
from huelapse.stored import Stored


@dataclass(frozen=True)
class Shown:
    """What a picture is of: a run by one split, grouping and measure, in its colors."""

    painter: Painter
    split: str
    grouping: str
    measure: str
    style: Style
    classes: tuple[str, ...]
    palette: Palette
    steps: np.ndarray

    @classmethod
    def of(
        cls,
        painter: Painter,
        split: str | None,
        grouping: str,
        measure: str,
        style: Style,
        colors: Choice | None,
    ) -> "Shown":
        run = painter.run
        classes = run.grouping(grouping, split).classes
        return cls(
            painter=painter,
            split=run.split(split).name,
            grouping=grouping,
            measure=measure,
            style=style,
            classes=classes,
            palette=palette_for(classes, run.facts["facts"], colors, run.superclasses),
            steps=run.coordinate("step", split),
        )

    @property
    def run(self) -> Stored:
        return self.painter.run

    def picture(self, index: int) -> dict[str, np.ndarray]:
        """`preferred`, `level`, `state`, `flags` of all units at a snapshot."""
        chunk = self.painter.chunk(self.split, self.grouping, self.measure, index // CHUNK)
        return {name: chunk[name][index % CHUNK] for name in PICTURE}

    def pictures(self, units: slice) -> dict[str, np.ndarray]:
        """The same of a layer's units at all snapshots, [snapshot, unit]."""
        parts: dict[str, list[np.ndarray]] = {name: [] for name in PICTURE}
        for chunk in range(self.painter.chunks(self.split)):
            painted = self.painter.chunk(self.split, self.grouping, self.measure, chunk)
            for name in PICTURE:
                parts[name].append(painted[name][:, units])
        return {name: np.concatenate(part) for name, part in parts.items()}

    def colors(self, picture: dict[str, np.ndarray]) -> np.ndarray:
        """RGBA, uint8, of each cell: exactly neutral where not held, nothing where not known."""
        table = self.palette.table(self.style.theme)
        preferred, state = picture["preferred"], picture["state"]
        known = (preferred != NO_CLASS) & (state == HELD)
        colors = table[np.where(known, preferred, 0), np.where(known, picture["level"], 0)].copy()
        colors[~np.isin(state, (HELD, TIED))] = 0
        return colors

    def hue(self, k: Any) -> Any:
        """A class's color at full strength."""
        return tuple(float(c) / 255 for c in self.palette.table(self.style.theme)[k, -1])

    @property
    def neutral(self) -> Any:
        return tuple(float(c) / 255 for c in self.palette.table(self.style.theme)[0, 0])


def tuned(picture: dict[str, np.ndarray]) -> np.ndarray:
    """Units of a picture that are tuned at the usual threshold."""
    return painting.tuned(picture["state"], picture["level"])


def counted(picture: dict[str, np.ndarray], classes: int) -> np.ndarray:
    """Units of a picture tuned to each class."""
    return np.bincount(picture["preferred"][tuned(picture)].astype(int), minlength=classes)


def defined(picture: dict[str, np.ndarray]) -> np.ndarray:
    """Units for which the measure has a meaning: shares are of these."""
    return picture["state"] != NOT_DEFINED


def order(last: dict[str, np.ndarray], units: slice) -> np.ndarray:
    """Units of a layer by the class preferred at the last snapshot, then by strength; silent last.

    It is the same at every snapshot: units never move.
    """
    own = {name: values[units] for name, values in last.items()}
    held = own["state"] == HELD
    rank = np.where(held, own["preferred"].astype(int), 10**6)
    rank = np.where(~held & (own["state"] != TIED), 10**6 + 1, rank)
    return np.lexsort((np.arange(len(rank)), -own["level"].astype(int), rank))


def hatch_unknown(axes: Any, state: np.ndarray, style: Style) -> None:
    """Hatch cells [row, column] whose unit is neither silent nor known; silent ones stay empty."""
    from matplotlib.collections import PolyCollection

    unknown = ~np.isin(state, (HELD, TIED, SILENT))
    boxes: list[list[tuple[float, float]]] = []
    for row in np.flatnonzero(unknown.any(1)).tolist():
        edges = np.flatnonzero(np.diff(np.concatenate([[0], unknown[row], [0]]).astype(np.int8)))
        for left, right in edges.reshape(-1, 2).tolist():
            box = ((left, row), (right, row), (right, row + 1), (left, row + 1))
            boxes.append([(x - 0.5, y - 0.5) for x, y in box])
    if boxes:
        axes.add_collection(
            PolyCollection(
                boxes, hatch="////", facecolor="none", edgecolor=style.inks.faint, linewidth=0
            )
        )
