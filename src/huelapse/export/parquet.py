"""Rows as Parquet, for DuckDB, Polars, pandas, Spark."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from huelapse.errors import MissingExtraError
from huelapse.export.rows import COLUMNS, ROWS, Column, Named, Rows, Selection, Source, rows_of

try:
    import pyarrow as pa
    from pyarrow import parquet as pq
except ModuleNotFoundError as error:
    if error.name != "pyarrow":
        raise
    raise MissingExtraError(
        "Parquet needs pyarrow, which is not installed: pip install 'huelapse[export]'",
        name="pyarrow",
    ) from error

TYPES: dict[str, Any] = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "flag": pa.bool_(),
}


def write(path: Path, run: Source, chosen: Selection, done: Callable[[int], None]) -> None:
    """One row group per about `ROWS` rows; no data is null. The run's name and version are metadata."""
    told = {"huelapse.run": run.name, "huelapse.version": run.version}
    schema = pa.schema(
        [(name, TYPES[kind]) for name, kind in COLUMNS[chosen.per].items()],
        metadata={key: value.encode("utf-8", "backslashreplace") for key, value in told.items()},
    )
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for table in _tables(run, chosen, schema, done):
            writer.write_table(table)


def _tables(
    run: Source, chosen: Selection, schema: Any, done: Callable[[int], None]
) -> Iterator[Any]:
    """Rows of small snapshots put together, as a row group has a price of its own."""
    waiting: list[Any] = []
    for number in range(len(chosen.snapshots)):
        for rows in rows_of(run, chosen, number):
            waiting.append(_table(rows, schema))
            if sum(table.num_rows for table in waiting) >= ROWS:
                yield pa.concat_tables(waiting).combine_chunks()
                waiting = []
        done(number + 1)
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _table(rows: Rows, schema: Any) -> Any:
    return pa.table([_array(column) for column in rows.values()], schema=schema)


def _array(column: Column) -> Any:
    if not isinstance(column, Named):
        return pa.array(column, from_pandas=True)  # NaN is null
    codes = pa.array(column.codes, mask=column.codes < 0)
    names = pa.array(column.names, pa.string())
    return pa.DictionaryArray.from_arrays(codes, names).dictionary_decode()
