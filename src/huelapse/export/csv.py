"""Rows as CSV (RFC 4180, UTF-8): needs the standard library alone."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np

from huelapse.export.rows import COLUMNS, Column, Named, Selection, Source, rows_of


def write(path: Path, run: Source, chosen: Selection, done: Callable[[int], None]) -> None:
    """One row per line, column names first.

    Numbers are written in the fewest digits that give the same float64 again. No data is an empty
    field, an infinite number `inf`. Text is never altered: a class called `=cmd()` stays that, and a
    spreadsheet may take it for a formula.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(COLUMNS[chosen.per])
        for number in range(len(chosen.snapshots)):
            for rows in rows_of(run, chosen, number):
                lines.writerows(zip(*map(_cells, rows.values()), strict=True))
            done(number + 1)


def _cells(column: Column) -> list[object]:
    if isinstance(column, Named):
        return list(column.texts())
    cells: list[object] = column.tolist()
    if column.dtype.kind == "f":
        for i in np.flatnonzero(np.isnan(column)):
            cells[i] = None
    elif column.dtype.kind == "b":
        return ["true" if cell else "false" for cell in cells]
    return cells
