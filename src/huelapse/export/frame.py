"""Rows as a pandas DataFrame."""

from typing import cast

import numpy as np

from huelapse.errors import MissingExtraError
from huelapse.export.rows import COLUMNS, Column, Named, Selection, Source, empty, rows_of

try:
    import pandas as pd
    from pandas import DataFrame
except ModuleNotFoundError as error:
    if error.name != "pandas":
        raise
    raise MissingExtraError(
        "data frames need pandas, which is not installed: pip install 'huelapse[export]'",
        name="pandas",
    ) from error

__all__ = ["DataFrame", "frame"]


def frame(run: Source, chosen: Selection) -> DataFrame:
    """All chosen rows. Text columns are categorical, with all classes and layers in their order."""
    found: dict[str, list[Column]] = {name: [] for name in COLUMNS[chosen.per]}
    for number in range(len(chosen.snapshots)):
        for rows in rows_of(run, chosen, number):
            for name, column in rows.items():
                found[name].append(column)
    columns = {
        name: _joined(found.pop(name) or [empty(kind)])
        for name, kind in COLUMNS[chosen.per].items()
    }
    return pd.DataFrame(columns, copy=False)


def _joined(pieces: list[Column]) -> object:
    first = pieces[0]
    if not isinstance(first, Named):
        return np.concatenate(cast(list[np.ndarray], pieces))
    least = np.min_scalar_type(-max(len(first.names), 1))  # what Categorical keeps codes in
    codes = np.concatenate([cast(Named, piece).codes.astype(least) for piece in pieces])
    return pd.Categorical.from_codes(codes, categories=list(first.names))  # pyright: ignore[reportArgumentType]
